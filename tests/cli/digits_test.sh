#!/usr/bin/env bash
# The README's main job as it stands: 64 networks, of which the best has at least 97 % test accuracy, and any is what
# it would be alone.
source tests/cli/lib.sh

run 0 train "$(dirname "$data")/digits.toml" --output digits
python3 - digits <<'PYTHON' || fail "the results are not what the README says"
import csv, json, sys
with open(sys.argv[1] + "/results.csv") as file:
    rows = list(csv.DictReader(file))
with open(sys.argv[1] + "/summary.json") as file:
    best = json.load(file)["best"]
print(len(rows), "models, best:", best)
sys.exit(not (len(rows) == 64 and best["test_accuracy"] >= 0.97))
PYTHON
run 0 verify digits --model 17
says out "equal bit for bit"
finish
