"""Outputs, losses and gradients of every operator and loss against PyTorch in float64.

Each may be away from it by C * u * E, u = 2^-24 and E as rounding.py derives it: sqrt(K) |A||B| for a product, and what
the inputs' errors become.
"""

import sys
import unittest

import numpy
import torch

from tests.equivalence import reference, rounding
from tests.equivalence.modelbatch_driver import Driver, Model, main
from tests.equivalence.table import GRAPHS, LOSSES, Graph, Shape

C = 2.0


class GradientsTest(unittest.TestCase):
    driver: Driver
    largest = (0.0, "")  # error in units of u * E, and where

    def check(self, what: str, actual: numpy.ndarray, bounded: rounding.Bounded) -> None:
        expected, bound = bounded.value.detach().numpy(), bounded.error.detach().numpy() * rounding.UNIT
        self.assertEqual(actual.shape, expected.shape, what)
        error = numpy.abs(actual.astype(numpy.float64) - expected)
        # 1e-13: the reference rounds too.
        ratio = float(numpy.max(error / (bound + 1e-13), initial=0))
        GradientsTest.largest = max(GradientsTest.largest, (ratio, what))
        self.assertLessEqual(ratio, C, f"{what}: off by {error.max():.3g}, largest value {numpy.abs(expected).max():.3g}")

    def run_case(self, name: str, graph: Graph, shape: Shape, loss: str) -> None:
        rows, entry = shape.rows, LOSSES[loss]
        random = numpy.random.default_rng(len(name) * 1000 + rows)
        x, targets = reference.random_data(rows, shape.inputs, shape.outputs, loss, random)
        specs = [graph.build(shape.inputs, h, shape.outputs) for h in shape.hidden]
        models = [Model(spec, seed=2**40 + i, weights=reference.random_weights(spec, random), step=3 * i)
                  for i, spec in enumerate(specs)]
        everything = list(range(rows))
        result = self.driver.run(
            models, entry.kind, x, targets, attributes=entry.attributes, evaluate=everything, forward=everything,
            steps=[{"rows": everything, "keep_gradients": True, "update": False, "record": ["grad"]}])
        for i, model in enumerate(models):
            where = f"{name}, {loss}, shape {shape}, model {i}"
            self.assertEqual(result["step.0.outcome"][i], 0, where)
            evaluation = rounding.Analysis(model.spec, model.weights, x, targets, loss)
            if self.driver.has_forward:
                self.check(f"output of {where}", result[f"forward.{i}"], evaluation.output)
            self.check(f"evaluation loss of {where}", result["evaluate.loss"][i], evaluation.loss)
            if entry.classes:
                correct = (evaluation.output.value.argmax(1) == torch.from_numpy(targets)).sum()
                self.assertEqual(result["evaluate.correct"][i], correct, where)
            else:
                self.assertEqual(result["evaluate.correct"][i], -1, where)
            with torch.no_grad():
                sizes = reference.widths(model.spec, {n: torch.from_numpy(w) for n, w in model.weights.items()})
            masks = reference.dropout_masks(model, model.step, rows, sizes)
            masks = {index: mask.double() for index, mask in masks.items()}
            training = rounding.Analysis(model.spec, model.weights, x, targets, loss, masks)
            self.check(f"loss of {where}", result["step.0.loss"][i], training.loss)
            for parameter, gradient in training.gradients.items():
                self.check(f"gradient by {parameter} of {where}", result[f"step.0.grad.{i}.{parameter}"], gradient)

    def test_gradients(self):
        cases = 0
        for loss, entry in LOSSES.items():
            for name in entry.graphs:
                graph = GRAPHS[name]
                for shape in graph.shapes:
                    if not self.driver.claims_all(graph.build(shape.inputs, 2, 2), entry.kind):
                        continue
                    cases += 1
                    with self.subTest(graph=name, shape=shape, loss=loss):
                        self.run_case(name, graph, shape, loss)
        self.assertGreater(cases, 0)
        print(f"{cases} populations")
        print("largest error: {:.2f} of {:.2f} u E, {}".format(self.largest[0], C, self.largest[1]))


if __name__ == "__main__":
    main(sys.argv, GradientsTest)
