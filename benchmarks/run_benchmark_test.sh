#!/usr/bin/env bash
# run_benchmark_test.sh PROGRAM [FLAG...]: every benchmark of the program runs and reports no error.
set -euo pipefail
out=$TEST_TMPDIR/out.json
"$@" --benchmark_min_time=0 --benchmark_out="$out" --benchmark_out_format=json
python3 - "$out" <<'PYTHON'
import json
import sys

runs = json.load(open(sys.argv[1]))["benchmarks"]
assert runs, "no benchmark ran"
for run in runs:
    assert not run.get("error_occurred"), f'{run["name"]}: {run["error_message"]}'
    assert run["iterations"] > 0, run["name"]
print(len(runs), "benchmarks ran")
PYTHON
