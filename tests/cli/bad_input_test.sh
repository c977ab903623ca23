#!/usr/bin/env bash
# Bad input ends with exit code 2 and one message that names file, line and key.
source tests/cli/lib.sh
write_config

# bad MESSAGE ARGUMENTS...: the command refuses with this one message, and leaves no run behind.
bad() {
  local message=$1
  shift
  run 2 train "$@" --output refused
  [[ $(head -c 7 err) == "error: " && $(grep -c error: err) == 1 && ! -s out ]] || {
    fail "not one message:"
    sed 's/^/  | /' out err >&2
  }
  says err "error: $message"
  [[ ! -e refused ]] || { fail "a folder is left"; rm -r refused; }
}

# with SED_SCRIPT: a changed small.toml.
with() { sed -e "$1" small.toml >changed.toml; }

with 's/epochs = 3/epcohs = 3/'
bad 'changed.toml:16:1: train.epcohs: unknown key; did you mean "epochs"?' changed.toml
with 's/epochs = 3/epochs = "three"/'
bad 'changed.toml:16:1: train.epochs: expected an integer from 1 to 1000000000, found a string "three"' changed.toml
with 's/epochs = 3/epochs = /'
bad 'changed.toml:16:10: not valid TOML: ' changed.toml
bad 'cannot read missing.toml: No such file or directory' missing.toml
with 's#^path = .*#path = "missing.csv"#'
bad 'changed.toml:4:1: data.path: cannot read missing.csv: No such file or directory' changed.toml
bad '--set population.models=0: population.models: expected an integer from 1 to 1000000, found an integer 0' \
  small.toml --set population.models=0
with 's/min = 1e-3/min = nan/'
bad 'changed.toml:14:8: optimizer.lr.min: expected a finite number, found a number nan' changed.toml
with 's/^lr = .*/lr = true/'
bad 'changed.toml:14:1: optimizer.lr: expected a number, ' changed.toml
with 's/\[16, 24\]/[16, 0]/'
bad 'changed.toml:8:53: model.layers[0].out_features.values[1]: out_features is 0, expected 1 to ' changed.toml
with 's/out_features = 10/out_features = 9/'
bad "changed.toml:4:1: data.path: $data:10: column 65: label 9 is out of range, expected 0 to 8: the model has 9 outputs" \
  changed.toml
{ head -n 3 "$data"; echo "1,2,3"; } >ragged.csv
with 's#^path = .*#path = "ragged.csv"#'
bad 'changed.toml:4:1: data.path: ragged.csv:4: the row has 3 columns, expected 65 as in the first one' changed.toml
{ head -n 3 "$data"; head -n 1 "$data" | sed 's/^0/zero/'; } >text.csv
with 's#^path = .*#path = "text.csv"#'
bad 'changed.toml:4:1: data.path: text.csv:4: column 1: "zero" is not a number' changed.toml
: >empty.csv
with 's#^path = .*#path = "empty.csv"#'
bad 'changed.toml:4:1: data.path: empty.csv: has no rows of data' changed.toml
with 's/kind = "relu"/kind = { values = ["relu", "tanh"] }/'
bad 'changed.toml:9:5: model.layers[1].kind: a model with tanh has another graph than a model with relu' changed.toml
with 's/kind = "relu"/kind = "conv2d"/'
bad 'changed.toml:9:5: model.layers[1].kind: operator conv2d is not implemented yet' changed.toml
bad '--backend nosuch: backend: ' small.toml --backend nosuch
with 's/kind = "relu"/kind = "dropout"/'
bad 'changed.toml:9:5: model.layers[1].kind: backend "example" lacks the operator "dropout"; it has: linear, relu' \
  changed.toml --backend example
with '1s/^/backend = "nosuch"\n/'
bad 'changed.toml:1:1: backend: ' changed.toml
bad '--set optimizer.lr.max=0,3: "0,3" is not a TOML value' small.toml --set optimizer.lr.max=0,3
bad '--set optimizer.lr.maks=0.3: optimizer.lr.maks: unknown key; did you mean "max"?' \
  small.toml --set optimizer.lr.maks=0.3
run 2 train
says err "train: expected a CONFIG file or --resume RUN"
run 2 train small.toml --no-such-option
says err "error: train: no option --no-such-option; see modelbatch train --help"
run 2 train small.toml --outptu=refused
says err "error: train: no option --outptu; did you mean --output?; see modelbatch train --help"
run 2 train small.toml other.toml
says err 'error: train: unexpected argument "other.toml"; see modelbatch train --help'
run 2 trian small.toml
says err 'error: no command "trian"; did you mean "train"?; see modelbatch --help'
run 2 verify
says err "error: verify: RUN is required; see modelbatch verify --help"
run 2 --nosuch
says err "error: no option --nosuch; see modelbatch --help"

bad '--set train.epochs=2: train.epochs is set twice, also by --set train.epochs=3' \
  small.toml --set train.epochs=3 --set train.epochs=2
# An option is there once, or adds up; none silently replaces another. None is there without a value.
run 2 train small.toml --output refused --output other
says err "error: train: --output is there 2 times, expected once; see modelbatch train --help"
for options in "train small.toml --output" "train small.toml --init-from" "train --resume" "train small.toml --backend" \
  "verify refused --model" "predict refused x.csv --output" "predict refused x.csv --precision" "report refused --output"; do
  # shellcheck disable=SC2086
  run 2 $options ""
  says err "${options##* }: is empty, expected a value"
done
[[ ! -e refused && ! -e runs ]] || fail "a folder is left"
finish
