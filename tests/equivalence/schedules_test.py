"""Whole training runs with learning-rate schedules against PyTorch's loop of optimizer.step() and scheduler.step().

The criterion is that of trajectories_test.py. Models have schedules of their own; tests/schedules compares the rates by
themselves. one_cycle_lr changes Adam's beta1 and SGD's momentum as well.
"""

import sys
import unittest

import numpy
from torch.optim import lr_scheduler

from tests.equivalence import reference
from tests.equivalence.modelbatch_driver import Driver, Model, Spec, main

STEPS, ROWS, BATCH = 20, 256, 64
# Kind, arguments, and torch's own.
SCHEDULES = [
    ("step_lr", {"step_size": 6, "gamma": 0.3}, lambda o: lr_scheduler.StepLR(o, 6, 0.3)),
    ("cosine_annealing_lr", {"T_max": 15, "eta_min": 1e-5}, lambda o: lr_scheduler.CosineAnnealingLR(o, 15, 1e-5)),
    ("one_cycle_lr", {"max_lr": 3e-3, "total_steps": STEPS},
     lambda o: lr_scheduler.OneCycleLR(o, 3e-3, total_steps=STEPS)),
    ("linear_lr", {"total_iters": 12}, lambda o: lr_scheduler.LinearLR(o, total_iters=12)),
]


class SchedulesTest(unittest.TestCase):
    driver: Driver
    largest = (0.0, "")

    def test_trajectories(self):
        for optimizer, hyper in (("adam", {"lr": 1e-3}), ("sgd", {"lr": 0.1, "momentum": 0.9})):
            graph = Spec(64).op("linear", out_features=40).op("relu").op("linear", out_features=10)
            if not self.driver.claims_all(graph, "cross_entropy", optimizer):
                continue
            with self.subTest(optimizer=optimizer):
                self.run_optimizer(graph, optimizer, hyper)
        print("largest distance: {:.2f} of what is allowed, {}".format(*self.largest))

    def run_optimizer(self, graph: Spec, optimizer: str, hyper: dict) -> None:
        random = numpy.random.default_rng(21)
        x, targets = reference.random_data(ROWS, graph.input_shape, 10, "cross_entropy", random)
        rows = [random.permutation(ROWS)[:BATCH].tolist() for _ in range(STEPS)]
        models = [Model(graph, seed=i, weights=reference.random_weights(graph, random), optimizer=hyper)
                  for i in range(len(SCHEDULES))]
        schedules = [{"kind": kind, "arguments": arguments} for kind, arguments, _ in SCHEDULES]
        result = self.driver.run(models, "cross_entropy", x, targets, [{"rows": r} for r in rows], optimizer,
                                 final=["param"], schedules=schedules)
        random = numpy.random.default_rng(22)
        for i, (model, (kind, _, make)) in enumerate(zip(models, SCHEDULES)):
            expected, allowed = reference.train_with_spread(model, "cross_entropy", optimizer, x, targets, rows,
                                                            random, make)
            without = reference.train(model, "cross_entropy", optimizer, x, targets, rows)
            noticed = 0
            for tensor, actual in reference.trained(result, i, STEPS).items():
                where = f"{tensor} of {kind} with {optimizer}"
                share = reference.distance(actual, expected[tensor]) / allowed[tensor]
                SchedulesTest.largest = max(SchedulesTest.largest, (share, where))
                self.assertLessEqual(share, 1, where)
                noticed = max(noticed, reference.distance(actual, without[tensor]) / allowed[tensor])
            self.assertGreater(noticed, 100, f"{kind} with {optimizer} would do without a schedule")


if __name__ == "__main__":
    main(sys.argv, SchedulesTest)
