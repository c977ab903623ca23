# shellcheck shell=bash
# What the tests of the command share. Source it; $1 of the test is the command, $2 the digits data.
set -uo pipefail

modelbatch=$(realpath "$1")
data=$(realpath "$2")
sealer=$PWD/tests/cli/seal_checkpoint.py
work=${TEST_TMPDIR:?}/work
mkdir -p "$work"
cd "$work" || exit 1
failures=0

# seal FILE: gives a checkpoint that was edited its checksum again.
seal() {
  python3 "$sealer" "$1"
}

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}

# run WANTED_CODE ARGUMENTS...: runs the command; its output goes to $work/out and $work/err.
run() {
  local wanted=$1 code=0
  shift
  "$modelbatch" "$@" >out 2>err || code=$?
  if ((code != wanted)); then
    fail "modelbatch $* exited with $code, expected $wanted"
    sed 's/^/  | /' out err >&2
  fi
}

# says FILE TEXT: the file contains the text.
says() {
  grep -qF -- "$2" "$1" || {
    fail "\"$2\" is not in $1:"
    sed 's/^/  | /' "$1" >&2
  }
}

# same A B: two files are equal to the byte.
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }

same_run() {
  local file
  for file in checkpoint.safetensors results.csv curves.csv; do same "$1/$file" "$2/$file"; done
  for file in "$1"/models/*; do same "$file" "$2/models/${file##*/}"; done
}

# An experiment of eight models; its name is $work/small.toml.
write_config() {
  cat >small.toml <<TOML
name = "small"
seed = 5
[data]
path = "$data"
scale = 0.0625
[model]
layers = [
  { kind = "linear", out_features = { values = [16, 24] } },
  { kind = "relu" },
  { kind = "dropout", p = { values = [0.0, 0.2] } },
  { kind = "linear", out_features = 10 },
]
[optimizer]
lr = { min = 1e-3, max = 0.01, scale = "log", count = 2 }
[train]
epochs = 3
batch_size = 64
TOML
}

finish() {
  ((failures == 0)) || exit 1
  echo PASSED
}
