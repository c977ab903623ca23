#!/usr/bin/env bash
#   quickstart_test.sh QUICKSTART QUICKSTART_CC README_MD
set -euo pipefail
quickstart=$1 source=$2 readme=$3

# 256 points, 8 networks: a guess is right on about half.
best=$("$quickstart" | tee /dev/stderr | sed -nE 's/.* ([0-9]+) of 256 right$/\1/p' | sort -n | tail -n 1)
((best >= 245)) || { echo "the best network is right on $best of 256 points" >&2; exit 1; }

shown=$(sed -nE "/^\x60{3}cpp\$/,/^\x60{3}\$/p" "$readme" | sed "1d;\$d")
[[ $shown == "$(<"$source")" ]] || { diff <(echo "$shown") "$source" >&2; echo "README.md shows another program" >&2; exit 1; }
