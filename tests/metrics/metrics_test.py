"""Metrics of several models at once against scikit-learn, model by model.

Every case has models with rows of their own number, or targets that all share. Rows of ignore_index are taken out before
scikit-learn sees them.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy
import safetensors.numpy
import sklearn.metrics

# Of some hundred additions in double.
TOLERANCE = 1e-12


@dataclasses.dataclass
class Case:
    outputs: list[numpy.ndarray]  # of each model
    targets: list[numpy.ndarray]  # one, or of each model
    options: dict

    def targets_of(self, model: int) -> numpy.ndarray:
        return self.targets[0 if len(self.targets) == 1 else model]


def top_k_accuracy(labels: numpy.ndarray, outputs: numpy.ndarray, k: int) -> float:
    if outputs.shape[1] == 2:  # scikit-learn takes one score a row then
        return 1.0 if k == 2 else (labels == outputs.argmax(1)).mean()
    return sklearn.metrics.top_k_accuracy_score(labels, outputs, k=k, labels=numpy.arange(outputs.shape[1]))


def classes(options: dict, labels: numpy.ndarray, outputs: numpy.ndarray) -> dict[str, numpy.ndarray | float]:
    counted = labels != options["ignore_index"]
    labels, outputs = labels[counted], outputs[counted].astype(numpy.float64)
    every = numpy.arange(outputs.shape[1])
    predicted = outputs.argmax(1)
    expected = {
        "rows": len(labels),
        "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
        "confusion": sklearn.metrics.confusion_matrix(labels, predicted, labels=every),
        "top_k_accuracy": top_k_accuracy(labels, outputs, options["top_k"]),
    }
    names = ("precision", "recall", "f1")
    by_class = sklearn.metrics.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    macro = sklearn.metrics.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    return expected | dict(zip(names, by_class)) | {f"macro_{name}": value for name, value in zip(names, macro)}


def values(options: dict, targets: numpy.ndarray, outputs: numpy.ndarray) -> dict[str, float]:
    x, t = (a.reshape(len(a), -1).astype(numpy.float64) for a in (outputs, targets))
    if options["sigmoid"]:
        x = 1 / (1 + numpy.exp(-x))
    mse = sklearn.metrics.mean_squared_error(t, x)
    return {
        "rows": len(t),
        "mse": mse,
        "rmse": numpy.sqrt(mse),
        "mae": sklearn.metrics.mean_absolute_error(t, x),
        "r2": sklearn.metrics.r2_score(t, x),
    }


def class_cases(random: numpy.random.Generator) -> list[Case]:
    cases = []
    for models, rows, count, ignored in [(1, 1, 3, -100), (3, 40, 3, -100), (5, 200, 10, -100), (4, 60, 7, 2),
                                         (2, 300, 100, 99), (3, 50, 2, -100), (3, 8, 30, -1)]:
        for shared in (False, True):
            for top_k in {1, 2, min(5, count - 1)}:
                sizes = [rows] * models if shared else random.integers(1, rows + 1, models)
                # Some classes are rare, so that some are no row's.
                weights = random.dirichlet(numpy.full(count, 0.3))
                targets = [random.choice(count, n, p=weights) for n in (sizes[:1] if shared else sizes)]
                for own in targets:
                    own[random.random(len(own)) < 0.2] = ignored
                    own[0] = 0 if ignored != 0 else 1  # one row counts
                outputs = [random.normal(0, 1, (n, count)).astype(numpy.float32) for n in sizes]
                # Better than guessing.
                for i, own in enumerate(outputs):
                    labels = targets[0 if shared else i]
                    right = (random.random(len(own)) < 0.5) & (labels >= 0)
                    own[right, labels[right]] += 2
                cases.append(Case(outputs, targets, {"ignore_index": ignored, "top_k": top_k}))
    return cases


def value_cases(random: numpy.random.Generator) -> list[Case]:
    cases = []
    for models, rows, shape in [(1, 2, (1,)), (3, 50, (1,)), (4, 200, (5,)), (2, 30, (2, 3))]:
        for shared in (False, True):
            for sigmoid in (False, True):
                sizes = [rows] * models if shared else random.integers(2, rows + 1, models)
                targets = []
                for n in sizes[:1] if shared else sizes:
                    # Far from 0, so that a sum of squares would lose the deviations.
                    own = random.random((n, *shape)) if sigmoid else 1000 + random.normal(0, 1, (n, *shape))
                    targets.append(own.astype(numpy.float32))
                outputs = []
                for i, n in enumerate(sizes):
                    target = targets[0 if shared else i]
                    noise = random.normal(0, 0.3, (n, *shape))
                    outputs.append((noise * 10 if sigmoid else target + noise).astype(numpy.float32))
                cases.append(Case(outputs, targets, {"sigmoid": sigmoid}))
    return cases


class MetricsTest(unittest.TestCase):
    driver: str

    def run_cases(self, cases: list[Case]) -> dict[str, numpy.ndarray]:
        tensors, specs = {}, []
        for c, case in enumerate(cases):
            tensors |= {f"{c}.{i}.outputs": own for i, own in enumerate(case.outputs)}
            tensors |= {f"{c}.{i}.targets": own for i, own in enumerate(case.targets)}
            specs.append({"models": len(case.outputs), "shared": len(case.targets) == 1} | case.options)
        with tempfile.TemporaryDirectory() as folder:
            source, result = pathlib.Path(folder) / "in.safetensors", pathlib.Path(folder) / "out.safetensors"
            safetensors.numpy.save_file(tensors, source, {"cases": json.dumps(specs)})
            subprocess.run([self.driver, source, result], check=True)
            return safetensors.numpy.load_file(result)

    def check(self, cases: list[Case], reference) -> None:
        actual = self.run_cases(cases)
        compared = 0
        for c, case in enumerate(cases):
            for i, outputs in enumerate(case.outputs):
                expected = reference(case.options, case.targets_of(i), outputs)
                for name, value in expected.items():
                    found = actual[f"{c}.{i}.{name}"]
                    with self.subTest(case=c, model=i, metric=name, options=case.options):
                        self.assertEqual(found.shape, numpy.shape(value))
                        numpy.testing.assert_allclose(found, value, rtol=TOLERANCE, atol=TOLERANCE)
                        compared += 1
        print(f"{compared} metrics of {len(cases)} cases")

    def test_classes(self):
        self.check(class_cases(numpy.random.default_rng(1)), classes)

    def test_values(self):
        self.check(value_cases(numpy.random.default_rng(2)), values)


if __name__ == "__main__":
    MetricsTest.driver = sys.argv.pop(1)
    unittest.main()
