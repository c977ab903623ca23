"""Every optimizer against torch.optim on the same gradients.

A step's gradients are read from ModelBatch and given to torch.optim, which keeps its own parameters: the comparison is
of the update alone, and rounding in the gradients plays no part. PyTorch's float32 must be met to 1e-6 in every step;
its float64 to 1e-6 or twice what its own float32 is away from it. One population holds all the hyper-parameters of an
optimizer, flags included, a model each. Lion, which torch.optim has not, is its authors' algorithm (table.py).
"""

import math
import sys
import unittest

import numpy
import torch

from tests.equivalence import reference
from tests.equivalence.modelbatch_driver import Driver, Model, Spec, main
from tests.equivalence.table import OPTIMIZERS

STEPS = 20
TOLERANCE = 1e-6


class OptimizersTest(unittest.TestCase):
    driver: Driver
    largest = (0.0, "")

    def check(self, what: str, actual: numpy.ndarray, single: torch.Tensor, double: torch.Tensor) -> None:
        """Norm-wise: a weight that happens to be near zero has no relative error to speak of."""
        single, double = single.double().numpy(), double.numpy()
        norm = numpy.linalg.norm(double)
        own = 2 * numpy.linalg.norm(single - double)
        for expected, allowed in ((single, TOLERANCE * norm), (double, max(TOLERANCE * norm, own))):
            error = numpy.linalg.norm(actual - expected)
            if error > 0 and allowed > 0:
                OptimizersTest.largest = max(OptimizersTest.largest, (error / allowed, what))
            self.assertLessEqual(error, allowed, f"{what}: error {error:.3g} in a tensor of norm {norm:.3g}")

    def run_optimizer(self, kind: str) -> None:
        random = numpy.random.default_rng(5)
        entry = OPTIMIZERS[kind]
        x, targets = reference.random_data(40, [6], 3, "mse", random)
        # Widths differ, and so do the relus that are dead: gradients that are exactly zero. Some are equal: a backend
        # may update models of equal shapes together.
        models = []
        cases = entry.cases + (entry.optional if self.driver.has_optional_columns else ())
        for i, hyper in enumerate(cases):
            spec = Spec(6).op("linear", out_features=9 + i // 5).op("relu").op("linear", out_features=3)
            weights = reference.random_weights(spec, random)
            weights["0.bias"][0] = -100
            models.append(Model(spec, weights=weights, optimizer=hyper))
        states, numbers = self.driver.states(kind), self.driver.numbers(kind)
        steps = [{"rows": random.permutation(40)[:16].tolist(), "keep_gradients": True,
                  "record": ["grad", "param", *states, *numbers]} for _ in range(STEPS)]
        result = self.driver.run(models, "mse", x, targets, steps, optimizer=kind)
        for i, model in enumerate(models):
            references = []
            for dtype in (torch.float32, torch.float64):
                parameters = {name: torch.tensor(value, dtype=dtype, requires_grad=True)
                              for name, value in model.weights.items()}
                references.append((parameters, entry.make(list(parameters.values()), model.optimizer)))
            (single, single_optimizer), (double, double_optimizer) = references
            for step in range(STEPS):
                for parameters, optimizer in references:
                    for name, parameter in parameters.items():
                        parameter.grad = torch.from_numpy(result[f"step.{step}.grad.{i}.{name}"]).to(parameter.dtype)
                    optimizer.step()
                for name in single:
                    where = f"{name} of {kind} {model.optimizer} after step {step}"
                    self.check(where, result[f"step.{step}.param.{i}.{name}"], single[name].detach(),
                               double[name].detach())
                    for state in states:
                        expected = single_optimizer.state[single[name]].get(state)
                        if expected is not None:
                            self.check(f"{state} by {where}", result[f"step.{step}.{state}.{i}.{name}"], expected,
                                       double_optimizer.state[double[name]][state])
                    for number in numbers:
                        self.check(f"{number} by {where}", result[f"step.{step}.{number}.{i}"],
                                   single_optimizer.state[single[name]][number],
                                   double_optimizer.state[double[name]][number])
                    # Whatever PyTorch keeps was compared.
                    self.assertEqual(set(single_optimizer.state[single[name]]) - {"step", *states, *numbers}, set())

    def test_update(self):
        for kind in self.driver.claims["optimizers"]:
            with self.subTest(optimizer=kind):
                self.run_optimizer(kind)
        print("largest error: {:.2f} of what is allowed, {}".format(*self.largest))

    def test_defaults_and_ranges_are_torchs(self):
        """What torch.optim accepts, and just beyond what it refuses."""
        def accepts(kind, name, value):
            try:
                OPTIMIZERS[kind].make([torch.zeros(1)], {name: value})
            except ValueError:
                return False
            return True

        def is_in(entry, value):
            return entry["min"] <= value and (value < entry["max"] if entry["max_open"] else value <= entry["max"])

        for kind, info in self.driver.kinds["optimizers"].items():
            defaults = OPTIMIZERS[kind].make([torch.zeros(1)], {}).defaults
            for name, entry in info["hyper_parameters"].items():
                with self.subTest(optimizer=kind, name=name):
                    expected = defaults["betas"][int(name[4]) - 1] if name in ("beta1", "beta2") else defaults[name]
                    self.assertEqual(entry["default"], expected)
                    self.assertEqual(entry["flag"], isinstance(expected, bool))
                    if entry["flag"] or kind == "lion":
                        continue
                    for value in (0.0, -1e-9, 1.0, 1 + 1e-9, math.nextafter(1, 0), 1e30, math.nan):
                        self.assertEqual(is_in(entry, value), accepts(kind, name, value) and not math.isnan(value),
                                         f"{value}")


if __name__ == "__main__":
    main(sys.argv, OptimizersTest)
