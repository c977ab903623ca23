"""Outputs, losses and gradients of every operator and loss against PyTorch in float64.

Each may be away from it by C * u * E, u = 2^-24 and E as rounding.py derives it: sqrt(K) |A||B| for a product, and what
the inputs' errors become. A model of whose rows none counts has no step: its loss and its gradients are zero.
"""

import sys
import unittest

import numpy
import torch

from tests.equivalence import reference, rounding
from tests.equivalence.modelbatch_driver import Driver, Model, main
from tests.equivalence.table import GRAPHS, LOSSES, Graph, Shape

C = 2.0
STEPPED, EMPTY = 0, 2  # outcomes


class GradientsTest(unittest.TestCase):
    driver: Driver
    empty = 0  # models of whose rows none counted
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
        masks = [self.masks(model, rows) for model in models]

        def analyse(i: int, masks=None) -> rounding.Analysis:
            return rounding.Analysis(models[i].spec, models[i].weights, x, targets, loss, masks)

        if entry.kinks:
            outputs = [analyse(i, masks).output.value.detach().numpy()
                       for i, own in enumerate(masks) for masks in (None, own)]
            targets = reference.away_from_kinks(loss, targets, outputs)
        counted = entry.counted(targets, shape.outputs)
        everything = list(range(rows))
        result = self.driver.run(
            models, entry.kind, x, targets, attributes=entry.attributes(shape.outputs), evaluate=everything,
            forward=everything,
            steps=[{"rows": everything, "keep_gradients": True, "update": False, "record": ["grad"]}])
        for i, own in enumerate(masks):
            where = f"{name}, {loss}, shape {shape}, model {i}"
            evaluation, training = analyse(i), analyse(i, own)
            self.check(f"output of {where}", result[f"forward.{i}"], evaluation.output)
            if entry.classes:
                right = evaluation.output.value.argmax(1).numpy() == targets
                self.assertEqual(result["evaluate.correct"][i], (right & counted).sum(), where)
            else:
                self.assertEqual(result["evaluate.correct"][i], -1, where)
            if entry.total(targets, shape.outputs) == 0:
                GradientsTest.empty += 1
                self.assertEqual(result["step.0.outcome"][i], EMPTY, where)
                self.assertEqual(result["evaluate.loss"][i], 0, where)
                self.assertEqual(result["step.0.loss"][i], 0, where)
                for parameter in training.gradients:
                    self.assertFalse(result[f"step.0.grad.{i}.{parameter}"].any(), f"{parameter} of {where}")
                continue
            self.assertEqual(result["step.0.outcome"][i], STEPPED, where)
            self.check(f"evaluation loss of {where}", result["evaluate.loss"][i], evaluation.loss)
            self.check(f"loss of {where}", result["step.0.loss"][i], training.loss)
            for parameter, gradient in training.gradients.items():
                self.check(f"gradient by {parameter} of {where}", result[f"step.0.grad.{i}.{parameter}"], gradient)

    @staticmethod
    def masks(model: Model, rows: int) -> dict[int, torch.Tensor]:
        with torch.no_grad():
            sizes = reference.widths(model.spec, {name: torch.from_numpy(w) for name, w in model.weights.items()})
        masks = reference.dropout_masks(model, model.step, rows, sizes)
        return {index: mask.double() for index, mask in masks.items()}

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
        print(f"{cases} populations, {self.empty} models of whose rows none counted")
        if any(entry.classes and entry.attributes(2) and entry.kind in self.driver.claims["losses"]
               for entry in LOSSES.values()):
            self.assertGreater(self.empty, 0)
        print("largest error: {:.2f} of {:.2f} u E, {}".format(self.largest[0], C, self.largest[1]))


if __name__ == "__main__":
    main(sys.argv, GradientsTest)
