"""Whole training runs against PyTorch's.

Per tensor ||ours - PyTorch's|| / ||PyTorch's|| must not exceed 1e-5 or four times what PyTorch with its batch's rows
permuted differs from itself, and that criterion must tell a learning rate that is wrong by a thousandth.
"""

import dataclasses
import sys
import unittest

import numpy
import torch

from tests.equivalence import reference
from tests.equivalence.modelbatch_driver import Driver, Model, Spec, main
from tests.equivalence.table import LOSSES, OPTIMIZERS

STEPS, ROWS, BATCH = 20, 256, 64


def mlp(hidden: int) -> Spec:
    return Spec(64).op("linear", out_features=hidden).op("relu").op("linear", out_features=10)


def normed(hidden: int) -> Spec:
    return (Spec(64).op("linear", out_features=hidden).op("layer_norm").op("gelu").op("linear", out_features=hidden)
            .op("layer_norm").op("tanh").op("linear", out_features=10))


def residual(hidden: int) -> Spec:
    return (Spec(64).op("linear", out_features=hidden).op("gelu", approximate="tanh")
            .op("linear", out_features=hidden).op("sigmoid").op("add", [1, 3]).op("linear", out_features=10))


def regularized(hidden: int) -> Spec:
    return (Spec(8, 8).op("flatten").op("linear", out_features=hidden).op("relu").op("dropout", p=0.2)
            .op("linear", out_features=10))


# Graph, loss, optimizer, hyper-parameters of all models. SGD's rates are such that the weights move as far as Adam's.
RUNS = {
    "mlp, adam": (mlp, "cross_entropy", "adam", {}),
    "mlp, adam, mse": (mlp, "mse", "adam", {}),
    "mlp, adamw": (mlp, "cross_entropy", "adamw", {"weight_decay": 0.1}),
    "mlp, sgd, mse": (mlp, "mse", "sgd", {"lr": 0.1}),
    "mlp, sgd": (mlp, "cross_entropy", "sgd", {"lr": 0.3}),
    "normed, adam": (normed, "cross_entropy", "adam", {}),
    "normed, sgd": (normed, "cross_entropy", "sgd", {"lr": 0.1, "momentum": 0.9}),
    "residual, adam": (residual, "mse", "adam", {}),
    "residual, nesterov": (residual, "mse", "sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": 1, "weight_decay": 1e-3}),
    "dropout, adam": (regularized, "cross_entropy", "adam", {}),
    "dropout, adamw, mse": (regularized, "mse", "adamw", {}),
    "mlp, adam, ragged": (mlp, "cross_entropy", "adam", {}),
    "dropout, sgd, ragged": (regularized, "cross_entropy", "sgd", {"lr": 0.3, "momentum": 0.5}),
}
for _loss in LOSSES.keys() - {run[1] for run in RUNS.values()}:
    RUNS[f"mlp, adam, {_loss}"] = (mlp, _loss, "adam", {})
for _optimizer in OPTIMIZERS.keys() - {run[2] for run in RUNS.values()}:
    RUNS[f"mlp, {_optimizer}"] = (mlp, "cross_entropy", _optimizer, OPTIMIZERS[_optimizer].trajectory)
WIDTHS = (128, 100, 33)
FACTORS = (1, 0.5, 2)  # of each model's learning rate
RAGGED = (64, 17, 48)  # rows of each model, its own ones, in the runs called so


class TrajectoriesTest(unittest.TestCase):
    driver: Driver
    largest = (0.0, "")  # share of what is allowed
    weakest = (numpy.inf, "")  # the same of a wrong learning rate

    def setup_run(self, name: str):
        graph, loss, optimizer, hyper = RUNS[name]
        random = numpy.random.default_rng(11)
        x, targets = reference.random_data(ROWS, graph(1).input_shape, 10, loss, random)
        if "ragged" in name:
            rows = [[random.permutation(ROWS)[:count].tolist() for _ in range(STEPS)] for count in RAGGED]
        else:
            # The last bias's gradient is a sum of signs where the loss jumps at 0. Those of an even number of rows may
            # cancel, and Adam makes a whole step of what rounding leaves.
            batch = BATCH - 1 if 0 in LOSSES[loss].kinks else BATCH
            rows = [[random.permutation(ROWS)[:batch].tolist() for _ in range(STEPS)]] * len(WIDTHS)
        models = []
        for i, (width, factor) in enumerate(zip(WIDTHS, FACTORS)):
            rate = {"lr": hyper.get("lr", 1e-3) * factor}
            models.append(Model(graph(width), seed=100 + i, optimizer=hyper | rate))
        # ModelBatch's own initial weights, which parameters_test.py compares with PyTorch's distribution.
        initial = self.driver.run(models, LOSSES[loss].kind, x, targets, optimizer=optimizer,
                                  attributes=LOSSES[loss].attributes(10))
        for i, model in enumerate(models):
            prefix = f"initial.param.{i}."
            model.weights = {key.removeprefix(prefix): value.copy() for key, value in initial.items()
                             if key.startswith(prefix)}
        return models, loss, optimizer, x, targets, rows

    def run_case(self, name: str) -> None:
        models, loss, optimizer, x, targets, rows = self.setup_run(name)
        if "ragged" in name:
            offsets = numpy.cumsum([0, *RAGGED]).tolist()
            steps = [{"rows": sum((own[step] for own in rows), []), "offsets": offsets} for step in range(STEPS)]
        else:
            steps = [{"rows": r} for r in rows[0]]
        result = self.driver.run(models, LOSSES[loss].kind, x, targets, steps, optimizer, final=["param"],
                                 attributes=LOSSES[loss].attributes(10))
        random = numpy.random.default_rng(12)
        for i, model in enumerate(models):
            expected, allowed = reference.train_with_spread(model, loss, optimizer, x, targets, rows[i], random)
            wrong = dataclasses.replace(model, optimizer=model.optimizer | {"lr": model.optimizer["lr"] * 1.001})
            wrong = reference.train(wrong, loss, optimizer, x, targets, rows[i])
            noticed = []
            for tensor, actual in reference.trained(result, i, STEPS).items():
                where, value = f"{tensor} of model {i} of {name}", expected[tensor]
                share = reference.distance(actual, value) / allowed[tensor]
                TrajectoriesTest.largest = max(TrajectoriesTest.largest, (share, where))
                self.assertLessEqual(share, 1, f"{where}: distance {share * allowed[tensor]:.3g}, "
                                               f"allowed {allowed[tensor]:.3g}")
                noticed.append(reference.distance(actual, wrong[tensor]) / allowed[tensor])
            self.assertGreater(max(noticed), 1, f"{name}, model {i}: a wrong learning rate would pass")
            TrajectoriesTest.weakest = min(TrajectoriesTest.weakest, (max(noticed), f"model {i} of {name}"))

    def test_trajectories(self):
        runs = [name for name, (graph, loss, optimizer, _) in RUNS.items()
                if self.driver.claims_all(graph(1), LOSSES[loss].kind, optimizer)]
        self.assertGreater(len(runs), 0)
        for name in runs:
            with self.subTest(run=name):
                self.run_case(name)
        print(f"{len(runs)} populations")
        print("largest distance: {:.2f} of what is allowed, {}".format(*self.largest))
        print("a learning rate wrong by 0.1 %: at least {:.1f} times what is allowed, {}".format(*self.weakest))


if __name__ == "__main__":
    main(sys.argv, TrajectoriesTest)
