#!/usr/bin/env bash
# Both plugins of the folder train, with equal bits: compare_test.sh COMPARE FOLDER
set -euo pipefail
output=$("$1" "$2")
echo "$output"

# A guess is right on about half of the points.
best=$(sed -nE 's/^cpu: .* best has ([0-9]+) of 256 right$/\1/p' <<<"$output")
((best >= 245)) || { echo "FAILED: the best network is right on $best of 256 points" >&2; exit 1; }
grep -q "^serial: .* $best of 256 right, the same bits as cpu\$" <<<"$output" ||
  { echo "FAILED: serial differs from cpu" >&2; exit 1; }

# A folder without plugins is an error that names it.
if message=$("$1" no/such/folder 2>&1) || [[ $message != *no/such/folder* ]]; then
  echo "FAILED: a folder without plugins gives: $message" >&2
  exit 1
fi
