#!/usr/bin/env bash
# `modelbatch predict`: what it refuses, and what it leaves behind. Its numbers: predict_numbers_test.py.
source tests/cli/lib.sh
write_config
run 0 train small.toml --quiet --output runs/small
head -n 20 "$data" >new.csv
cut -d, -f1-64 new.csv >bare.csv

# bad MESSAGE ARGUMENTS...: one message, no output, no file.
bad() {
  local message=$1
  shift
  run 2 predict "$@"
  [[ $(head -c 7 err) == "error: " && $(grep -c error: err) == 1 && ! -s out ]] || {
    fail "not one message:"
    sed 's/^/  | /' out err >&2
  }
  says err "$message"
  [[ -z $(find . -name 'refused*') ]] || fail "predict $* leaves a file"
}

run 0 predict runs/small new.csv
says out "  row  label  predicted  probability"
says out "20 rows of new.csv, model "
says out "Accuracy "
[[ ! -s err ]] || fail "standard error has $(<err)"
grep -q "no test score" out && fail "new rows are taken for those of the training"
run 0 predict runs/small "$data"
says out "The run was trained on rows of this file: that is no test score"
run 0 predict runs/small new.csv
grep -q $'\x1b' out && fail "escape codes where no terminal is"
[[ $(grep -cE '^ +[0-9]+ ' out) == 10 ]] || fail "the table has not ten rows"
run 0 predict runs/small bare.csv --all
says out "20 rows of bare.csv, the mean of 8 models"
says out "spread"
run 0 predict runs/small new.csv --top 8 --output out.csv --quiet
[[ -s out || -s err ]] && fail "--quiet prints"
[[ $(wc -l <out.csv) == 21 ]] || fail "out.csv has not a line a row"
run 0 predict runs/small/ new.csv --all --output again.csv --threads 1 --backend cpu
same out.csv again.csv
run 0 predict runs/small new.csv --all --output again.csv --backend auto --precision fp32
same out.csv again.csv
# The data that it was trained on, and the folder it was trained in, may be gone.
cp -r runs/small elsewhere
sed -i 's#^path = .*#path = "/nowhere/digits.csv"#' elsewhere/config.resolved.toml
run 0 predict elsewhere new.csv --all --output again.csv
same out.csv again.csv

bad "error: nowhere is not the folder of a run: it has no config.resolved.toml" nowhere new.csv
bad "error: cannot read missing.csv: No such file or directory" runs/small missing.csv --output refused.csv
bad "error: runs: is a folder, expected a CSV file" runs/small runs
cut -d, -f1-63 new.csv >narrow.csv
bad "error: narrow.csv:1: the row has 63 columns, expected 64, or 65 with the label" runs/small narrow.csv
{ cat new.csv; echo "1,2,3"; } >ragged.csv
bad "error: ragged.csv:21: the row has 3 columns, expected 65 as in the first one" runs/small ragged.csv
{ head -n 2 new.csv; sed -n '3s/^[^,]*,[^,]*/0,/p' new.csv; } >missing_value.csv
bad "error: missing_value.csv:3: column 2: is empty, expected a number" runs/small missing_value.csv
{ head -n 2 new.csv; sed -n '3s/^[^,]*/nan/p' new.csv; } >nan.csv
bad "error: nan.csv:3: column 1: \"nan\" is not a finite number" runs/small nan.csv
{ head -n 1 new.csv; sed -n '2s/[^,]*$/11/p' new.csv; } >label.csv
bad "error: label.csv:2: column 65: label 11 is out of range, expected 0 to 9: the model has 10 outputs" \
  runs/small label.csv
: >empty.csv
bad "error: empty.csv: has no rows of data" runs/small empty.csv
sed '2s/^[^,]*/5e39/' bare.csv | sed '2s/,[^,]*/,-5e39/g' >huge.csv
bad "for row 1 (from 0), expected a finite number" runs/small huge.csv --all --output refused.csv

bad "error: the run has no model 8, expected 0 to 7" runs/small new.csv --model 8
bad "error: --model worst: expected a model's number, best or all" runs/small new.csv --model worst
bad "error: --model 3 is there twice, expected each model once" runs/small new.csv --model 3 --model 3
bad "error: --top 9: the run has 8 models" runs/small new.csv --top 9
bad "--top" runs/small new.csv --top 0
bad "excludes" runs/small new.csv --top 2 --all
bad "excludes" runs/small new.csv --model 2 --all
bad "DATA is required" runs/small
bad "error: --per-model adds columns to a file: expected --output FILE" runs/small new.csv --per-model
bad "error: --output new.csv is the file to predict, expected another" runs/small new.csv --output new.csv
bad "error: --output runs is a folder, expected a file" runs/small new.csv --output runs
cp runs/small/checkpoint.safetensors before
bad "error: --output runs/small/checkpoint.safetensors is there already, and is no file of predictions: expected another name" \
  runs/small new.csv --output runs/small/checkpoint.safetensors
same before runs/small/checkpoint.safetensors
: >twice.csv
run 0 predict runs/small new.csv --output twice.csv
run 0 predict runs/small new.csv --output twice.csv
bad "error: cannot create nowhere/out.csv: No such file or directory" runs/small new.csv --output nowhere/out.csv
bad "error: --backend nosuch: backend: " runs/small new.csv --backend nosuch
bad 'error: --precision bf16: backend.precision: backend "cpu" lacks the precision "bf16"; it has: fp32' runs/small new.csv \
  --precision bf16
bad 'backend "example" lacks the operator "dropout"' runs/small new.csv --backend example
head -n 20 "$data" | cmp -s - new.csv || fail "new.csv has changed"

# Runs that have nothing to predict with.
cp -r runs/small damaged
head -c 1000 runs/small/checkpoint.safetensors >damaged/checkpoint.safetensors
bad "damaged/checkpoint.safetensors" damaged new.csv
rm damaged/checkpoint.safetensors
bad "error: damaged: the run has no checkpoint yet: there are no weights to predict with" damaged new.csv
cp runs/small/checkpoint.safetensors damaged
sed -i 's/^batch_size = .*/batch_size = 32/' damaged/config.resolved.toml
bad "error: the config is not that of the checkpoint: damaged/config.resolved.toml" damaged new.csv
run 0 train small.toml --quiet --output nan --set "optimizer={kind=\"sgd\", lr={values=[0.1, 1e30]}}"
bad "error: model 4 has no weights to predict with: frozen at step " nan new.csv --model 4
run 0 predict nan new.csv --all
says out "the mean of 4 models"
says out "Without 4 models that have no finished epoch"
bad "error: --top 5: the run has 4 models with a finished epoch" nan new.csv --top 5

# An export that fails leaves nothing in the way of the next: the larger model does not fit into 6 kB.
code=0
(trap '' XFSZ; ulimit -f 6; exec "$modelbatch" export runs/small --format safetensors --output half --model 0 --model 2) \
  2>err || code=$?
((code == 2)) || fail "an export that cannot write exited with $code, expected 2"
says err "error: cannot write half/model_2.safetensors"
[[ -z $(ls half) ]] || fail "a failed export leaves $(ls half)"

# Models of different outputs predict alone.
run 0 train small.toml --quiet --output wide --set "model.layers[3].out_features={values=[10, 12]}" \
  --set model.layers[2].p=0
bad "error: model 1 has 12 outputs, expected 10 as model 0 has, to be combined with it" wide new.csv --model 0 --model 1
run 0 predict wide new.csv --model 1

# Ctrl-C leaves neither a part of the output nor a temporary file.
for ((i = 0; i < 1000; ++i)); do cat new.csv; done >many.csv
stopped=0
for seconds in 0.05 0.1 0.2 0.3 0.5 0.8; do
  code=0
  "$modelbatch" predict runs/small many.csv --all --per-model --output refused.csv >out 2>err &
  pid=$!
  sleep "$seconds"
  kill -s INT "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null || code=$?
  if ((code == 130)); then stopped=$((stopped + 1)); fi
  if ((code == 0)); then [[ $(wc -l <refused.csv) == 20001 ]] || fail "a part of the output"; rm -f refused.csv; fi
  [[ -z $(find . -name 'refused*') ]] || fail "an interrupted predict leaves $(find . -name 'refused*')"
done
echo "$stopped of 6 were interrupted"

run 0 predict --help
says out "--per-model"
finish
