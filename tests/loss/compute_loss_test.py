"""ComputeLoss against torch.nn.functional in float64: the mean, each row's term and the gradient.

Outputs and targets are float32 values, so that both sides start from the same numbers; losses may differ by rounding in
float64, gradients by the final rounding to float32.
"""

import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy
import safetensors.numpy
import torch
import torch.nn.functional as F

FUNCTIONS = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
}
ON_CLASSES = ("cross_entropy", "nll")

HUGE = [0.0, -0.0, 1e4, -1e4, 1e5, -1e5, 1e20, -1e20, 3e38, -3e38, 1e-40, 88.0, -88.0, 104.0, -104.0]


class Case:

    def __init__(self, kind: str, attributes: dict, outputs: numpy.ndarray, targets: numpy.ndarray):
        self.kind, self.attributes = kind, attributes
        self.outputs, self.targets = outputs.astype(numpy.float32), targets

    def __str__(self) -> str:
        return f"{self.kind} {self.attributes}, outputs {self.outputs.shape}"

    def expected(self) -> tuple[float, float, numpy.ndarray, numpy.ndarray]:
        """Mean, weight, each row's term, gradient."""
        arguments = {name: torch.tensor(value, dtype=torch.float64) if isinstance(value, list) else value
                     for name, value in self.attributes.items()}
        function = FUNCTIONS[self.kind]
        x = torch.from_numpy(self.outputs).double().requires_grad_()
        targets = torch.from_numpy(self.targets)
        if self.kind not in ON_CLASSES:
            targets = targets.double()
        loss = function(x, targets, **arguments)
        terms = function(x, targets, reduction="none", **arguments).detach().numpy()
        (gradient,) = torch.autograd.grad(loss, x)
        if self.kind in ON_CLASSES:
            counted = targets[targets != self.attributes.get("ignore_index", -100)]
            weight = (arguments["weight"][counted].sum() if "weight" in arguments else counted.numel())
            rows = terms
        else:
            weight = len(terms)
            rows = terms.reshape(len(terms), -1).mean(1)
        return loss.item(), float(weight), rows, gradient.numpy()


def class_cases(random: numpy.random.Generator) -> list[Case]:
    cases = []
    for kind, rows, classes in itertools.product(ON_CLASSES, (1, 7, 33), (1, 2, 10)):
        smoothings = (None, 0.0, 0.1, 0.9, 1.0) if kind == "cross_entropy" else (None,)
        for smoothing, ignored, weighted in itertools.product(
                smoothings, (None, -100, -1, 0, classes - 1, 255), (None, "any", "zeros", "ones")):
            attributes = {}
            if smoothing is not None:
                attributes["label_smoothing"] = smoothing
            if ignored is not None:
                attributes["ignore_index"] = ignored
            if weighted is not None:
                weight = random.uniform(0.1, 3, classes) if weighted != "ones" else numpy.ones(classes)
                if weighted == "zeros":
                    weight[random.random(classes) < 0.5] = 0
                attributes["weight"] = weight.tolist()
            outputs = random.normal(0, 3, (rows, classes))
            if kind == "nll":
                outputs = torch.log_softmax(torch.from_numpy(outputs), 1).numpy()
            targets = random.integers(0, classes, rows)
            targets[random.random(rows) < 0.3] = attributes.get("ignore_index", -100)
            cases.append(Case(kind, attributes, outputs, targets))
    # Far beyond what exp can take.
    for smoothing, weighted in itertools.product((0.0, 0.1), (False, True)):
        outputs = random.choice(HUGE, (200, 4))
        attributes = {"label_smoothing": smoothing, "ignore_index": 2}
        if weighted:
            attributes["weight"] = [0.5, 2.0, 1.0, 0.25]
        cases.append(Case("cross_entropy", attributes, outputs, random.integers(0, 4, 200)))
    return cases


def value_cases(random: numpy.random.Generator) -> list[Case]:
    attributes = {
        "bce_with_logits": [{}],
        "mse": [{}],
        "l1": [{}],
        "huber": [{}, {"delta": 0.01}, {"delta": 3.5}, {"delta": 1e4}],
        "smooth_l1": [{}, {"beta": 0.0}, {"beta": 0.01}, {"beta": 3.5}, {"beta": 1e4}],
    }
    cases = []
    for kind, shape in itertools.product(attributes, ((1, 1), (1, 9), (8, 1), (5, 3), (4, 2, 3), (33, 20))):
        options = list(attributes[kind])
        if kind == "bce_with_logits" and len(shape) == 2:
            options += [{"pos_weight": random.uniform(0, 5, shape[1]).tolist()}, {"pos_weight": [0.0] * shape[1]},
                        {"pos_weight": [1e-3] * shape[1]}]
        for option, huge in itertools.product(options, (False, True)):
            outputs = random.choice(HUGE, shape) if huge else random.normal(0, 3, shape)
            if kind == "bce_with_logits":
                targets = random.choice([0, 1, 0.5, 1e-3, 0.999, 0.3], shape)
            else:
                targets = random.normal(0, 3, shape)
                # On the value, and on the corner of huber and smooth_l1.
                same = random.random(shape) < 0.2
                targets[same] = outputs[same]
                corner = random.random(shape) < 0.2
                targets[corner] = outputs[corner] + random.choice([-1.0, 1.0], corner.sum())
            cases.append(Case(kind, option, outputs, targets.astype(numpy.float32)))
    return cases


def near(actual, expected, tolerance: float, floor: float) -> bool:
    """The same where either is not finite; else relative to the expected."""
    actual, expected = numpy.asarray(actual, numpy.float64), numpy.asarray(expected, numpy.float64)
    finite = numpy.isfinite(expected)
    if not numpy.array_equal(actual[~finite], expected[~finite], equal_nan=True):
        return False
    error = numpy.abs(actual[finite] - expected[finite])
    return bool(numpy.all(error <= tolerance * numpy.abs(expected[finite]) + floor))


class ComputeLossTest(unittest.TestCase):
    driver: str

    def run_cases(self, cases: list[Case]) -> dict[str, numpy.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            source, result = pathlib.Path(folder) / "in.safetensors", pathlib.Path(folder) / "out.safetensors"
            tensors = {}
            for i, case in enumerate(cases):
                tensors |= {f"{i}.outputs": case.outputs, f"{i}.targets": case.targets}
            specs = json.dumps([{"kind": case.kind, "attributes": case.attributes} for case in cases])
            safetensors.numpy.save_file(tensors, source, {"cases": specs})
            subprocess.run([self.driver, source, result], check=True)
            return safetensors.numpy.load_file(result)

    def check(self, cases: list[Case]) -> None:
        actual = self.run_cases(cases)
        counted = 0
        for i, case in enumerate(cases):
            with self.subTest(case=str(case), index=i):
                loss, weight, rows, gradient = case.expected()
                # PyTorch's binary cross-entropy is a difference of terms as large as the output.
                cancelled = 1e-15 * numpy.abs(case.outputs).max() if "pos_weight" in case.attributes else 0
                self.assertTrue(near(actual[f"{i}.weight"], weight, 1e-14, 0), (actual[f"{i}.weight"], weight))
                self.assertTrue(near(actual[f"{i}.rows"], rows, 1e-12, 1e-14 + cancelled), (actual[f"{i}.rows"], rows))
                if weight == 0:  # PyTorch divides by it
                    self.assertEqual(actual[f"{i}.loss"], 0)
                    self.assertFalse(actual[f"{i}.gradient"].any())
                    continue
                counted += 1
                self.assertTrue(near(actual[f"{i}.loss"], loss, 1e-12, 1e-14 + cancelled), (actual[f"{i}.loss"], loss))
                # A denormal's rounding, and float64's in a difference of softmax and target.
                floor = 1e-45 + 1e-15 * max(1, numpy.abs(gradient).max())
                self.assertTrue(near(actual[f"{i}.gradient"], gradient, 2**-24, floor),
                                (actual[f"{i}.gradient"], gradient))
        print(f"{len(cases)} cases, in {counted} of them rows count")

    def test_losses_on_classes(self):
        self.check(class_cases(numpy.random.default_rng(1)))

    def test_losses_on_values(self):
        self.check(value_cases(numpy.random.default_rng(2)))


if __name__ == "__main__":
    ComputeLossTest.driver = sys.argv.pop(1)
    unittest.main()
