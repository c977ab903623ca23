"""Outputs, losses and gradients of every operator and loss against PyTorch in float64.

Each may be away from it by C * u * E, u = 2^-24 and E as rounding.py derives it: sqrt(K) |A||B| for a product, and what
the inputs' errors become.
"""

import sys
import unittest

import numpy
import torch

from tests.equivalence import reference, rounding
from tests.equivalence.modelbatch_driver import Driver, Model, Spec

C = 2.0


def _between(kind: str, **attributes):
    """The operator between two linears."""
    return lambda shape, h, out: (Spec(*shape).op("linear", out_features=h).op(kind, **attributes)
                                  .op("linear", out_features=out))


def _first(kind: str, **attributes):
    """The operator on the model's input, by which nobody wants a derivative."""
    return lambda shape, h, out: Spec(*shape).op(kind, **attributes).op("linear", out_features=out)


def _last(kind: str, **attributes):
    """The operator just before the loss."""
    return lambda shape, h, out: Spec(*shape).op("linear", out_features=out).op(kind, **attributes)


def _residual(shape, h, out):
    return (Spec(*shape).op("linear", out_features=h).op("relu").op("linear", out_features=h).op("add", [2, 1])
            .op("tanh").op("linear", out_features=out))


def _fan_out(shape, h, out):
    """A value with four readers."""
    return (Spec(*shape).op("linear", out_features=h).op("tanh", [0]).op("linear", [0], out_features=h)
            .op("gelu", [0]).op("add", [1, 2]).op("add", [4, 3]).op("add", [0, 5]).op("linear", out_features=out))


def _relu_with_two_readers(shape, h, out):
    """The linear's own output is read beside the relu that could be fused into it."""
    return (Spec(*shape).op("linear", out_features=h).op("relu", [0]).op("add", [1, 0])
            .op("linear", out_features=out))


def _pre_norm(shape, h, out):
    """A transformer's block without its attention."""
    return (Spec(*shape).op("linear", out_features=h).op("layer_norm", [0]).op("linear", out_features=2 * h)
            .op("gelu", approximate="tanh").op("linear", out_features=h).op("add", [0, 4]).op("layer_norm", eps=1e-3)
            .op("linear", out_features=out))


def _deep(shape, h, out):
    spec = Spec(*shape)
    for _ in range(4):
        spec.op("linear", out_features=h).op("relu")
    return spec.op("linear", out_features=out)


# (input shape, hidden width, output width) -> Spec
FLAT_GRAPHS = {
    "linear": lambda shape, h, out: Spec(*shape).op("linear", out_features=out),
    "linear, no bias": lambda shape, h, out: Spec(*shape).op("linear", out_features=out, bias=False),
    "two linears": lambda shape, h, out: (Spec(*shape).op("linear", out_features=h)
                                          .op("linear", out_features=out)),
    "two linears, no bias": lambda shape, h, out: (Spec(*shape).op("linear", out_features=h, bias=False)
                                                   .op("linear", out_features=out, bias=False)),
    **{f"{kind}, {place.__name__[1:]}": place(kind)
       for kind in ("relu", "gelu", "tanh", "sigmoid", "layer_norm") for place in (_between, _first, _last)},
    **{f"gelu by tanh, {place.__name__[1:]}": place("gelu", approximate="tanh")
       for place in (_between, _first, _last)},
    **{f"dropout {p}": _between("dropout", p=p) for p in (0.0, 0.1, 0.5)},
    "dropout after relu": lambda shape, h, out: (Spec(*shape).op("linear", out_features=h).op("relu")
                                                 .op("dropout", p=0.3).op("linear", out_features=out)),
    "dropout of the input": _first("dropout", p=0.2),
    "layer norm, eps 0.1": _between("layer_norm", eps=0.1),
    "residual": _residual,
    "residual from the input": lambda shape, h, out: (Spec(*shape).op("linear", out_features=shape[0])
                                                      .op("add", [0, -1]).op("linear", out_features=out)),
    "x + x": lambda shape, h, out: (Spec(*shape).op("linear", out_features=h).op("add", [0, 0])
                                    .op("linear", out_features=out)),
    "fan-out": _fan_out,
    "relu with two readers": _relu_with_two_readers,
    "pre-norm block": _pre_norm,
    "deep": _deep,
    "flatten of a vector": _between("flatten"),
}
# For inputs of two dimensions.
IMAGE_GRAPHS = {
    "flatten": lambda shape, h, out: (Spec(*shape).op("flatten").op("linear", out_features=h).op("relu")
                                      .op("linear", out_features=out)),
    "flatten after tanh": lambda shape, h, out: (Spec(*shape).op("tanh").op("flatten")
                                                 .op("linear", out_features=out)),
}

# rows, input shape, hidden widths (one model each), output width
FLAT_SHAPES = [
    (1, (1,), (1, 2), 1),
    (1, (5,), (7, 1, 16), 3),
    (3, (1,), (8, 5), 2),
    (8, (8,), (8, 24), 8),
    (17, (33,), (65, 9, 31), 5),
    (64, (64,), (128, 100), 10),
    (130, (300,), (17, 40), 1),
]
IMAGE_SHAPES = [
    (1, (1, 1), (1, 3), 1),
    (5, (3, 7), (9, 20), 4),
    (20, (2, 3, 4), (11,), 3),
]
CASES = ([(name, graph, shape) for name, graph in FLAT_GRAPHS.items() for shape in FLAT_SHAPES]
         + [(name, graph, shape) for name, graph in IMAGE_GRAPHS.items() for shape in IMAGE_SHAPES])


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

    def run_case(self, name: str, graph, shape, loss: str) -> None:
        rows, input_shape, hidden, outputs = shape
        random = numpy.random.default_rng(len(name) * 1000 + rows)
        x, targets = reference.random_data(rows, list(input_shape), outputs, loss, random)
        specs = [graph(input_shape, h, outputs) for h in hidden]
        models = [Model(spec, seed=2**40 + i, weights=reference.random_weights(spec, random), step=3 * i)
                  for i, spec in enumerate(specs)]
        everything = list(range(rows))
        result = self.driver.run(
            models, loss, x, targets, evaluate=everything, forward=everything,
            steps=[{"rows": everything, "keep_gradients": True, "update": False, "record": ["grad"]}])
        for i, model in enumerate(models):
            where = f"{name}, {loss}, shape {shape}, model {i}"
            self.assertEqual(result["step.0.outcome"][i], 0, where)
            evaluation = rounding.Analysis(model.spec, model.weights, x, targets, loss)
            self.check(f"output of {where}", result[f"forward.{i}"], evaluation.output)
            self.check(f"evaluation loss of {where}", result["evaluate.loss"][i], evaluation.loss)
            if loss == "cross_entropy":
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
        for loss in reference.LOSSES:
            for name, graph, shape in CASES:
                with self.subTest(graph=name, shape=shape, loss=loss):
                    self.run_case(name, graph, shape, loss)
        print("largest error: {:.2f} of {:.2f} u E, {}".format(self.largest[0], C, self.largest[1]))

    def test_every_operator_and_loss_has_a_case(self):
        claimed = self.driver.capabilities()
        tried = {op["kind"] for _, graph, shape in CASES for op in graph(shape[1], 2, 2).operators}
        self.assertEqual(set(claimed["operators"]) - tried, set())
        self.assertEqual(set(claimed["losses"]) - set(reference.LOSSES), set())


if __name__ == "__main__":
    GradientsTest.driver = Driver(sys.argv.pop(1), "cpu")
    unittest.main()
