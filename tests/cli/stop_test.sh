#!/usr/bin/env bash
# Ctrl-C, SIGTERM, SIGHUP and SIGKILL at many moments: the run resumes and ends with the bits of one that was never stopped.
source tests/cli/lib.sh
write_config
# Long enough to be met in the middle.
settings=(--set train.epochs=60 --set train.checkpoint_every=7)

run 0 train small.toml "${settings[@]}" --output whole

# stop SIGNAL SECONDS FOLDER: starts a run and stops it. Sets $code.
stop() {
  code=0
  "$modelbatch" train small.toml "${settings[@]}" --output "$3" >out 2>err &
  local pid=$!
  # Not before it has begun: the signal is for the training loop.
  for ((i = 0; i < 500; ++i)); do
    [[ -e $3/config.resolved.toml ]] && break
    sleep 0.01
  done
  sleep "$2"
  kill -s "$1" "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null || code=$?
}

stopped=0
for signal in INT TERM HUP KILL; do
  for seconds in 0 0.02 0.05 0.11 0.23; do
    folder=$signal-$seconds
    stop "$signal" "$seconds" "$folder"
    if [[ $signal == KILL ]]; then
      ((code == 137 || code == 0)) || fail "$folder: exit code $code"
    elif ((code == 130)); then
      says err "train --resume $folder"
      [[ -s $folder/checkpoint.safetensors ]] || fail "$folder: no checkpoint"
    elif ((code != 0)); then
      fail "$folder: exit code $code"
    fi
    ((code == 0)) || stopped=$((stopped + 1))
    run 0 train --resume "$folder"
    same_run whole "$folder"
  done
done
((stopped > 0)) || fail "none of 20 runs was stopped before its end"
[[ -z $(find . -name '*.tmp-*') ]] || fail "temporary files are left"

# Under nohup the end of the terminal is none of the run.
(trap '' HUP; exec "$modelbatch" train small.toml "${settings[@]}" --output nohup) >out 2>err &
nohup=$!
for ((i = 0; i < 500; ++i)); do
  [[ -e nohup/config.resolved.toml ]] && break
  sleep 0.01
done
kill -s HUP "$nohup" 2>/dev/null
wait "$nohup" || fail "a run under nohup exited with $?"
same_run whole nohup

# Two processes do not train in one folder; a third may once they are gone, killed or not.
"$modelbatch" train small.toml --set train.epochs=100000 --output shared >out 2>err &
holder=$!
for ((i = 0; i < 500; ++i)); do
  [[ -e shared/config.resolved.toml ]] && break
  sleep 0.01
done
run 2 train --resume shared
says err "shared: another process trains in this folder: shared/lock is held by process $holder on "
run 2 train small.toml --output shared
says err "shared holds a run already"
kill -s KILL "$holder"
wait "$holder" 2>/dev/null
"$modelbatch" train --resume shared >out 2>err &
holder=$!
for ((i = 0; i < 500; ++i)); do
  grep -qs "process $holder" shared/lock && break
  sleep 0.01
done
kill -s INT "$holder"
code=0
wait "$holder" || code=$?
((code == 130)) || fail "a run whose process was killed is not resumed: exit code $code: $(<err)"

# Another build of the backend is refused, and says why.
stop TERM 0.05 other
python3 - other/checkpoint.safetensors <<'PYTHON'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + length])
header["__metadata__"]["backend_build_id"] = "another"
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data[8 + length :])
PYTHON
seal other/checkpoint.safetensors
run 2 train --resume other
says err 'backend build "another" in the run'
run 0 train --resume other --force
same whole/results.csv other/results.csv
same whole/curves.csv other/curves.csv
# A refusal changes nothing.
cp whole/config.resolved.toml before.toml
run 2 train --resume whole --set train.epochs=2
says err "train.epochs is 2, the run has done 60 already"
same before.toml whole/config.resolved.toml
run 2 train --resume other --set seed=3
says err "--set seed=3: a run can only be resumed with other train.epochs, train.checkpoint_every, train.models_at_once or train.steps_at_once"
run 2 train small.toml --output whole
says err "whole holds a run already"
finish
