"""Combinations of models' outputs are those that NumPy and PyTorch compute, in double."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy
import safetensors.numpy
import torch

# Of a few hundred additions and logarithms in double.
TOLERANCE = 1e-13


def entropy(p: numpy.ndarray) -> numpy.ndarray:
    return torch.special.entr(torch.from_numpy(p)).sum(-1).numpy()


class EnsembleTest(unittest.TestCase):
    program: str

    def combine(self, outputs: numpy.ndarray, weights: numpy.ndarray | None) -> dict[str, numpy.ndarray]:
        tensors = {f"output.{i}": output for i, output in enumerate(outputs)}
        if weights is not None:
            tensors["weights"] = weights
        with tempfile.TemporaryDirectory() as folder:
            source, result = pathlib.Path(folder) / "outputs", pathlib.Path(folder) / "result"
            safetensors.numpy.save_file(tensors, source)
            subprocess.run([self.program, source, result], check=True)
            return safetensors.numpy.load_file(result)

    def check(self, outputs: numpy.ndarray, weights: numpy.ndarray | None = None) -> None:
        """`outputs`: float32 [models, rows, outputs]."""
        result = self.combine(outputs, weights)
        models, rows, classes = outputs.shape
        exact = outputs.astype(numpy.float64)

        def near(name: str, expected: numpy.ndarray, scale: float = 1) -> None:
            self.assertEqual((result[name].dtype, result[name].shape), (numpy.float64, expected.shape), name)
            numpy.testing.assert_allclose(result[name], expected, rtol=0, atol=TOLERANCE * scale, err_msg=name)

        def same(name: str, expected: numpy.ndarray) -> None:
            self.assertEqual((result[name].dtype, result[name].shape), (numpy.int64, expected.shape), name)
            numpy.testing.assert_array_equal(result[name], expected, err_msg=name)

        p = torch.softmax(torch.from_numpy(exact), -1).numpy()
        mean = numpy.average(p, axis=0, weights=weights)
        near("probabilities", mean)
        # Two classes whose means are closer than rounding may be taken for each other.
        clear = numpy.diff(numpy.sort(mean, -1)[:, -2:], axis=-1)[:, 0] > TOLERANCE if classes > 1 else slice(None)
        numpy.testing.assert_array_equal(result["predicted"][clear], mean.argmax(-1)[clear])
        near("class_spread", numpy.sqrt(numpy.average((p - mean) ** 2, axis=0, weights=weights)))
        votes = (outputs.argmax(-1)[..., None] == numpy.arange(classes)).sum(0)
        same("votes", votes)
        same("majority", votes.argmax(-1))
        near("entropy", entropy(mean))
        near("mutual_information", entropy(mean) - numpy.average(entropy(p), axis=0, weights=weights))
        self.assertGreaterEqual(result["mutual_information"].min(initial=0), 0)

        scale = numpy.abs(exact).max(initial=1)
        value = numpy.average(exact, axis=0, weights=weights)
        near("mean", value, scale)
        near("spread", numpy.sqrt(numpy.average((exact - value) ** 2, axis=0, weights=weights)), scale)
        numpy.testing.assert_array_equal(result["min"], exact.min(0))
        numpy.testing.assert_array_equal(result["max"], exact.max(0))
        self.assertEqual(result["min"].shape, (rows, classes))

    def test_sizes(self):
        random = numpy.random.default_rng(1)
        for models, rows, classes in [(1, 1, 1), (1, 7, 3), (2, 50, 2), (5, 64, 10), (33, 20, 4), (3, 4, 1000)]:
            for scale in (0.1, 3, 200):
                with self.subTest(models=models, rows=rows, classes=classes, scale=scale):
                    self.check((scale * random.standard_normal((models, rows, classes))).astype(numpy.float32))

    def test_weights(self):
        random = numpy.random.default_rng(2)
        outputs = (3 * random.standard_normal((6, 40, 5))).astype(numpy.float32)
        for weights in (random.random(6), 1e-9 * random.random(6), numpy.array([0, 1.0, 0, 0, 0, 0]),
                        numpy.array([1e-12, 1, 2, 3, 4, 5.0])):
            with self.subTest(weights=weights):
                self.check(outputs, weights)

    def test_ties_and_extremes(self):
        """Few distinct logits: many ties among a model's logits and among votes."""
        random = numpy.random.default_rng(3)
        self.check(random.integers(0, 3, (4, 300, 3)).astype(numpy.float32))
        self.check(random.choice(numpy.array([-3e4, 0, 3e4], numpy.float32), (4, 100, 3)))

    def test_large_offset(self):
        """A spread far below the mean is not lost to cancellation."""
        random = numpy.random.default_rng(4)
        outputs = (1e6 + random.standard_normal((8, 30, 2))).astype(numpy.float32)
        self.check(outputs)
        result = self.combine(outputs, None)
        numpy.testing.assert_allclose(result["spread"], outputs.astype(numpy.float64).std(0), rtol=1e-9)


if __name__ == "__main__":
    EnsembleTest.program = sys.argv.pop(1)
    unittest.main()
