#!/usr/bin/env bash
# The digits sweep on libtorch has the curves that it has on cpu, and its models are those they would be alone, within
# rounding.
source tests/cli/lib.sh
config=$(dirname "$data")/digits.toml
settings=(--set train.epochs=5 --quiet)

run 0 train "$config" "${settings[@]}" --output cpu
run 0 train "$config" "${settings[@]}" --output libtorch --backend libtorch
# What the comparison must notice: learning rates that are off by a hundredth.
run 0 train "$config" "${settings[@]}" --output wrong --backend libtorch \
  --set optimizer.lr.min=3.03e-4 --set optimizer.lr.max=0.0303

# Relative, of every model's training and validation loss in each of five epochs. Adam amplifies rounding from step to
# step: measured are 1.7e-5 at most and 1e-7 in the median. A learning rate off by a hundredth makes 6e-4 or more of
# every single model.
python3 - <<'PYTHON' || fail "the curves are not as they should be"
import csv, sys

TOLERANCE = 2e-4

def curves(folder):
    with open(folder + "/curves.csv") as file:
        return {(row["epoch"], row["model"]): row for row in csv.DictReader(file)}

def differences(a, b):
    """The largest relative difference of each model."""
    assert a.keys() == b.keys() and len(a) == 5 * 64
    largest = {}
    for key, row in a.items():
        for column in ("train_loss", "validation_loss"):
            x, y = float(row[column]), float(b[key][column])
            difference = abs(x - y) / abs(x)
            assert difference == difference, key
            largest[key[1]] = max(largest.get(key[1], 0.0), difference)
    return largest.values()

cpu = curves("cpu")
right = max(differences(cpu, curves("libtorch")))
wrong = min(differences(cpu, curves("wrong")))
print(f"largest difference {right:.2g}; smallest with a wrong learning rate {wrong:.2g}")
sys.exit(not (right <= TOLERANCE < wrong))
PYTHON

run 0 verify libtorch --models all
says err 'backend "libtorch" does not promise equal bits: the first 20 steps are repeated'
says out " after 20 steps"
says out "64 of 64 models are equal within tolerance to themselves trained alone"
run 0 verify libtorch --model 63 --threads 1
# On another backend than the run's own.
run 0 verify cpu --model 3 --backend libtorch
says err 'note: backend "cpu" in the run, "libtorch" here'
run 2 verify libtorch --model 64
says err "the run has no model 64, expected 0 to 63"
# Where both can train it, the faster one is taken.
run 0 train "$config" --output auto --backend auto --set train.epochs=1 --quiet
says auto/events.jsonl "backend chosen: cpu (score 10: "
says auto/events.jsonl "libtorch: 5"
finish
