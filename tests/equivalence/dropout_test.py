"""Dropout's masks against Philox4x32-10 written anew in Python."""

import sys
import unittest

import numpy

from tests.equivalence import philox
from tests.equivalence.modelbatch_driver import Driver, Model, Spec, main


class DropoutTest(unittest.TestCase):
    driver: Driver

    def setUp(self):
        if "dropout" not in self.driver.claims["operators"]:
            self.skipTest(f"{self.driver.name} has no dropout")

    def test_philox_known_answers(self):
        """From Random123's kat_vectors."""
        for counter, key, expected in [
            ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
            ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
            ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
             (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
        ]:
            self.assertEqual(tuple(philox.philox4x32(numpy.array([counter], numpy.uint64), key)[0]), expected)

    def run_masks(self, rows: int, models: list[Model], steps: int) -> None:
        """Reads every element of the masks from gradients.

        Row r of the input is the r-th unit vector and the weight is 0, the bias 1: the output is the mask over 1 - p,
        and so is, but for positive factors, the gradient by the weight, element by element.
        """
        result = self.driver.run(
            models, "mse", numpy.eye(rows, dtype=numpy.float32), numpy.zeros((rows, 1), numpy.float32), optimizer="sgd",
            steps=[{"rows": list(range(rows)), "keep_gradients": True, "record": ["grad"]}] * steps)
        for i, model in enumerate(models):
            linear, dropout = model.spec.operators[:2]
            width, p = linear["attributes"]["out_features"], dropout["attributes"]["p"]
            for step in range(steps):
                gradient = result[f"step.{step}.grad.{i}.0.weight"]
                expected = philox.dropout_mask(model.seed, 1, model.step + step, rows, width, p)
                self.assertEqual(gradient.shape, (width, rows))
                numpy.testing.assert_array_equal(gradient.T != 0, expected, f"model {i}, p = {p}, step {step}")
                # output = kept / ((1 - p) width), and the loss its mean square: each factor is checked too.
                if p < 1:
                    kept = expected / (1 - p)
                    outputs = kept.mean(1, keepdims=True)
                    exact = kept * 2 * outputs / rows / width
                    numpy.testing.assert_allclose(gradient.T, exact, rtol=1e-6 * width**0.5)

    def model(self, rows: int, width: int, p: float, seed: int, step: int = 0) -> Model:
        spec = (Spec(rows).op("linear", out_features=width).op("dropout", p=p)
                .op("linear", out_features=1, bias=False))
        weights = {"0.weight": numpy.zeros((width, rows), numpy.float32), "0.bias": numpy.ones(width, numpy.float32),
                   "2.weight": numpy.full((1, width), 1 / width, numpy.float32)}
        return Model(spec, seed=seed, weights=weights, step=step, optimizer={"lr": 0.0})

    def test_masks(self):
        for rows in (1, 3, 16, 65):
            with self.subTest(rows=rows):
                self.run_masks(rows, [self.model(rows, width, p, seed)
                                      for width in (1, 4, 7, 50, 129) for p in (0.0, 0.1, 0.5, 0.9, 1.0)
                                      for seed in (0, 7, 2**63 - 1 - width)], steps=3)

    def test_masks_of_large_steps_and_seeds(self):
        """Both words of the step and of the seed are counted."""
        self.run_masks(9, [self.model(9, 13, 0.5, seed, step)
                           for seed in (1, 2**32, 2**64 - 1) for step in (2**32 - 1, 2**32, 2**40 + 5)], steps=2)

    def test_share_of_kept_elements(self):
        mask = philox.dropout_mask(3, 0, 0, 1000, 1000, 0.3)
        self.assertAlmostEqual(mask.mean(), 0.7, delta=5 * (0.3 * 0.7 / 1e6)**0.5)


if __name__ == "__main__":
    main(sys.argv, DropoutTest)
