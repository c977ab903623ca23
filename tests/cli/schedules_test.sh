#!/usr/bin/env bash
# The example with learning-rate schedules: rates as they are described, every model what it is alone, and a run that
# continues.
source tests/cli/lib.sh
example="$(dirname "$data")/schedules.toml"

run 0 train "$example" --output whole
says out "warmup"
python3 - whole <<'PYTHON' || fail "the rates are not what docs/config.md says"
import csv, math, sys
with open(sys.argv[1] + "/results.csv") as file:
    models = list(csv.DictReader(file))
with open(sys.argv[1] + "/curves.csv") as file:
    curves = list(csv.DictReader(file))
assert len(models) == 16 and len(curves) == 16 * 20, (len(models), len(curves))
assert len({m["optimizer.momentum"] for m in models}) == 16
assert [float(m["optimizer.weight_decay"]) for m in models] == [0] * 8 + [1e-4] * 8
for row in curves:
    model = models[int(row["model"])]
    base, warmup = float(model["optimizer.lr"]), int(model["optimizer.schedule.warmup"])
    # 1079 rows in batches of 64; the epoch's last update.
    tick, ticks = 17 * int(row["epoch"]) - 1, 17 * 20
    if tick < warmup:
        expected = base * (0.1 + 0.9 * tick / warmup)
    else:
        expected = base * (1 + math.cos(math.pi * (tick - warmup) / (ticks - warmup))) / 2
    assert abs(float(row["lr"]) - expected) < 1e-12, (row, expected)
PYTHON
run 0 verify whole --models all
says out "16 of 16 models are equal bit for bit to themselves trained alone"
run 0 train whole/config.resolved.toml --output again --quiet
same_run whole again

# What has taken its length from the training is not made longer; what says its own is.
run 2 train --resume again --set train.epochs=30
says err "train.epochs must not change, as optimizer.schedule.T_max follows it"
given=(--set optimizer.schedule.T_max=500)
run 0 train "$example" "${given[@]}" --set train.epochs=2 --output given --quiet
run 0 train --resume given --set train.epochs=3 --quiet
run 0 train "$example" "${given[@]}" --set train.epochs=3 --output longer --quiet
same_run given longer

run 2 train "$example" --set optimizer.schedule.knid=step_lr
says err 'optimizer.schedule.knid: unknown key; did you mean "kind"?'
run 2 train "$example" --set optimizer.weight_decay=0 --set 'optimizer.schedule={kind="lambda_lr", lr_lambda="mine"}'
says err 'no function "mine" is registered in this process'
run 2 train "$example" --set "optimizer.weight_decay=[0, 1]"
says err "optimizer.weight_decay: is a list of 2, expected one value a model, but the grid has 16 combinations"
finish
