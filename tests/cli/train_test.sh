#!/usr/bin/env bash
# The command from start to end: trains, leaves its files, verifies, lists backends.
source tests/cli/lib.sh
write_config

run 0 train small.toml
says out "val acc"
says out "Best: model "
says out "verify runs/small-1 --model "
says err "8 models, swept over lr, out_features, p"
says err "epoch 3/3"
for file in config.resolved.toml checkpoint.safetensors results.csv curves.csv summary.json models/model_7.safetensors; do
  [[ -s runs/small-1/$file ]] || fail "runs/small-1/$file is not there"
done
[[ $(wc -l <runs/small-1/results.csv) == 9 ]] || fail "results.csv has not a line a model"
[[ $(wc -l <runs/small-1/curves.csv) == 25 ]] || fail "curves.csv has not a line an epoch and model"
grep -q $'\x1b' out err && fail "escape codes where no terminal is"

# The same again, from its own resolved config, with another number of threads.
run 0 train runs/small-1/config.resolved.toml --threads 1 --quiet
[[ -s out || -s err ]] && fail "--quiet prints"
same_run runs/small-1 runs/small-2

run 0 verify runs/small-1
says out "equal bit for bit"
run 0 verify runs/small-1 --models all
says out "8 of 8 models are equal bit for bit to themselves trained alone"
run 2 verify runs/small-1 --model 8
says err "the run has no model 8, expected 0 to 7"
# Models are chosen as for predict.
best=$(awk -F, '$6 == 1 { print $1 }' runs/small-1/results.csv)
run 0 verify runs/small-1 --model best
says out "model $best ("
run 2 verify runs/small-1 --model "$best" --model best
says err "error: --model best is there twice, expected each model once"
run 2 verify runs/small-1 --model worst
says err "error: --model worst: expected a model's number, best or all"
run 0 verify runs/small-1 --top 2
says out "2 of 2 models are equal bit for bit"
run 2 verify runs/small-1 --top 9
says err "error: --top 9: the run has 8 models"
run 2 verify runs/small-1 --top 2 --all
run 2 verify nowhere
says err "nowhere is not the folder of a run"

# Options may come first: what follows a repeatable one is not its value.
run 0 train --quiet --set train.epochs=1 small.toml --output first
run 0 verify --model 1 --models 2 first
says out "2 of 2 models are equal bit for bit"
run 0 predict --quiet --model 1 first "$data"
run 0 export --format pt --output first/weights --model 1 first

# A changed bit of a checkpoint is refused. Where whoever changed it has made the checksum anew, verify finds it.
cp -r runs/small-1 runs/changed
python3 - runs/changed/checkpoint.safetensors <<'PYTHON'
import json, struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
length = struct.unpack("<Q", data[:8])[0]
begin, _ = json.loads(data[8 : 8 + length])["model.3.param.0.weight"]["data_offsets"]
data[8 + length + begin] ^= 1
open(sys.argv[1], "wb").write(data)
PYTHON
for command in "train --resume runs/changed" "verify runs/changed" "predict runs/changed $data" \
  "export runs/changed --format pt --output refused"; do
  # shellcheck disable=SC2086
  run 2 $command
  says err "error: runs/changed/checkpoint.safetensors: is damaged: its checksum is "
done
seal runs/changed/checkpoint.safetensors
run 0 verify runs/changed --model 2
run 1 verify runs/changed --model 3
says out "differs: param 0.weight[0, 0]: 0x"

# A backend that breaks its promise of equal bits.
broken=$TEST_SRCDIR/modelbatch/tests/independence/libmodelbatch_broken.so
run 0 train small.toml --backend "$broken" --output broken
run 1 verify broken --models all
says out "trained alone: differs: "
says out "0 of 8 models are equal bit for bit to themselves trained alone"

# More epochs; a learning rate that explodes is frozen and named, the rest goes on.
run 0 train --resume runs/small-2 --set train.epochs=4
run 0 train small.toml --set train.epochs=4 --output whole
same_run whole runs/small-2
run 0 train small.toml --set "optimizer={kind=\"sgd\", lr={values=[0.1, 1e30]}}" --output nan
says err "model 4 (lr 1e+30, out_features 16, p 0): frozen at step"
says out "Frozen:"
says out "model 7 (lr 1e+30, out_features 24, p 0.2): frozen at step"
run 0 verify nan --models all
run 0 verify nan --all
says out "8 of 8 models are equal bit for bit"

# Policies for single models: resets, then early stops; all of it verified, resumed and listed.
policies=(--set train.on_nan=reset --set train.max_resets=1 --set "train.early_stopping={patience=2, min_delta=0.5}"
  --set train.epochs=9 --set "optimizer={kind=\"sgd\", lr={values=[0.1, 1e30]}}")
run 0 train small.toml "${policies[@]}" --output policies
says err "warning: model 4: non-finite"
says err "reset 1 of 1"
says out "Events: "
says out " early stops"
says out "after 1 reset"
says policies/events.jsonl '"model":4,"event":"reset"'
says policies/events.jsonl '"event":"early_stop","reason":"validation_loss has not improved for 2 epochs"'
says policies/results.csv "stopped at step"
run 0 verify policies --models all
says out "1 reset"
run 2 train small.toml --set train.on_nan=stop
says err 'train.on_nan: found "stop"; expected one of: freeze, reset, warn'

# Several steps at once, in the middle of which models are reset: the same run, and a number is all that it may be.
for steps in 1 7; do
  run 0 train small.toml --set "optimizer={kind=\"sgd\", lr={values=[0.1, 1e30]}}" --set train.on_nan=reset \
    --set "train.log={writers=[\"csv\"], every=1}" --set train.steps_at_once=$steps --output "steps-$steps"
done
same_run steps-1 steps-7
same steps-1/events.jsonl steps-7/events.jsonl
same steps-1/metrics.csv steps-7/metrics.csv
run 2 train small.toml --set train.steps_at_once=0
says err "train.steps_at_once"

run 0 backends
says out "cpu"
says out "operators"
MODELBATCH_PLUGIN_PATH=$work/plugins
mkdir plugins
echo "not a library" >plugins/libmodelbatch_text.so
export MODELBATCH_PLUGIN_PATH
run 0 backends
says out "text"
says out "cannot run"
unset MODELBATCH_PLUGIN_PATH

run 0 --version
grep -qE '^modelbatch [0-9]+\.[0-9]+\.[0-9]+$' out || fail "--version prints $(<out)"
run 0 train --help
says out "--set"
run 2
finish
