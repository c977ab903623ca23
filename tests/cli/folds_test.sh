#!/usr/bin/env bash
# Cross-validation and separate files, as a person runs them. The numbers: modelbatch/train/folds_test.cc.
source tests/cli/lib.sh
write_config

folds=(--set "data.folds={count=3}" --set "data.split={test=0.2}" --set model.layers[2].p=0.1)
run 0 train small.toml "${folds[@]}"
says err "12 models, swept over lr, out_features, fold; 1438 rows in 3 folds, 359 to test"
says out "Over the folds, mean +- standard deviation:"
says out "Best setting: "
[[ $(wc -l <runs/small-1/folds.csv) == 5 ]] || fail "folds.csv has not a line a setting"
[[ $(wc -l <runs/small-1/results.csv) == 13 ]] || fail "results.csv has not a line a model"
# The table's first setting is that of rank 1, and its models are those of its folds.
best=$(awk -F, '$4 == 1 { print $1 }' runs/small-1/folds.csv)
says out "Best setting: $best ("
run 0 verify runs/small-1 --models all
says out "12 of 12 models are equal bit for bit to themselves trained alone"
run 0 verify runs/small-1 --setting best
says out "3 of 3 models are equal bit for bit to themselves trained alone"
run 0 train runs/small-1/config.resolved.toml --quiet --threads 1
same_run runs/small-1 runs/small-2
same runs/small-1/folds.csv runs/small-2/folds.csv

head -n 20 "$data" >new.csv
run 0 predict runs/small-1 new.csv --setting best --output best.csv
says out "the mean of 3 models"
run 0 predict runs/small-1 new.csv --output models.csv --model $((3 * best)) --model $((3 * best + 1)) \
  --model $((3 * best + 2))
same best.csv models.csv
run 0 predict runs/small-1 new.csv --output number.csv --setting "$best"
same best.csv number.csv
run 2 predict runs/small-1 new.csv --setting 4
says err "the run has no setting 4, expected 0 to 3"
run 2 predict runs/small-1 new.csv --setting worst
says err "--setting worst: expected a setting's number or best"
run 2 predict runs/small-1 new.csv --setting 1 --all
says err "excludes"

run 2 train small.toml "${folds[@]}" --backend "$TEST_SRCDIR/modelbatch/tests/abi/libmodelbatch_minimal.so"
[[ $(ls runs) == "small-1
small-2" ]] || fail "a refused run leaves a folder"

# Files of their own give the same models as the same rows in one file.
head -n 1500 "$data" >train.csv
tail -n +1501 "$data" >test.csv
files=(--set data.path=train.csv --set "data.test={path=\"test.csv\"}" --set train.epochs=2)
run 0 train small.toml "${files[@]}" --output files
says err "1275 rows to train, 225 to validate, 297 to test"
run 0 verify files --models all
run 0 train files/config.resolved.toml --output again --quiet
same_run files again
run 0 train --resume files --set train.epochs=3
# What the test rows are changes no weights.
head -n 100 test.csv >fewer.csv
run 0 train small.toml "${files[@]}" --set data.test.path=fewer.csv --output fewer --quiet
for file in again/models/*; do same "$file" "fewer/models/${file##*/}"; done
tail -n +1502 "$data" >test.csv
run 2 train --resume files --set train.epochs=4
says err "the data has changed since the checkpoint"
run 0 predict again test.csv
says out "Accuracy "

run 0 predict files new.csv
run 2 predict files new.csv --setting 0
says err "--setting 0: the run has no folds"
finish
