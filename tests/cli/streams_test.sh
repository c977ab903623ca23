#!/usr/bin/env bash
# Standard streams that are closed, or on a full disk.
source tests/cli/lib.sh
write_config

run 0 train small.toml --quiet --output open
# Whatever file gets the number of a closed stream: nothing is printed into it.
"$modelbatch" train small.toml --output no_input >out 2>err <&- || fail "without an input: exit code $?"
"$modelbatch" train small.toml --output no_output >&- 2>err || fail "without an output: exit code $?"
"$modelbatch" train small.toml --output no_error >out 2>&- || fail "without an error output: exit code $?"
"$modelbatch" train small.toml --output none >&- 2>&- <&- || fail "without any stream: exit code $?"
for run in no_input no_output no_error none; do
  same_run open "$run"
  [[ $(<"$run/lock") =~ ^process\ [0-9]+\ on\ [^[:space:]]+$ ]] || fail "the lock of $run has what was printed: $(<"$run/lock")"
done

# full ARGUMENTS...: says that the output is not all there.
full() {
  local code=0
  "$modelbatch" "$@" >/dev/full 2>err || code=$?
  ((code == 1)) || fail "modelbatch $* on a full disk exited with $code, expected 1"
  says err "error: cannot write to the standard output"
}
full backends
full predict open "$data"
full verify open
full --help
finish
