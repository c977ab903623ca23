#!/usr/bin/env bash
# no_device_test.sh PROGRAM FILTER: on a machine without a GPU the program says so and fails; on one with a GPU, what the
# filter chooses runs without an error.
set -euo pipefail
out=$TEST_TMPDIR/out.json
code=0
"$1" --benchmark_filter="$2" --benchmark_repetitions=1 --benchmark_out="$out" --benchmark_out_format=json \
  >"$TEST_TMPDIR/log" 2>&1 || code=$?
cat "$TEST_TMPDIR/log"
if ((code == 3)); then
  grep -q "^${1##*/}: no device: ." "$TEST_TMPDIR/log"
  exit
fi
((code == 0))
grep -q '"real_time"' "$out"
! grep -q '"error_occurred": true' "$out"
