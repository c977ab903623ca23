"""The peer torch.bmm of cuda_gemm_benchmark, as far as the CPU goes: it has the same cases and data, and its gate refuses
what is wrong.

The first argument is cuda_gemm_benchmark.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import torch_bmm_benchmark as bmm  # noqa: E402: after its folder

PROGRAM = os.path.abspath(sys.argv[1])


def splitmix64(seed: int, index: int) -> int:
    """The finalizer of Steele et al. 2014, in Python's integers."""
    mask = 2**64 - 1
    z = (index + (seed << 48)) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
    return z ^ (z >> 31)


def small(product: str, precision: str) -> dict:
    weights = product == "weight_gradient"
    return {"product": product, "precision": precision, "models": 12, "m": 40 if weights else 24, "n": 40,
            "k": 24 if weights else 40, "name": "small"}


class TorchBmmTest(unittest.TestCase):
    def test_its_cases_are_those_of_the_other_contenders(self):
        listed = subprocess.run([PROGRAM, "--list_cases"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        uniform = [name for name in listed if name.endswith("/uniform") and "bf16_of_fp32" not in name]
        self.assertEqual(sorted(case["name"] for case in bmm.cases(1e15)), sorted(uniform))
        self.assertEqual(len(uniform), 3 * 3 * 5 * 3 * 4)

    def test_it_counts_flop_and_bytes_of_each_matrix_once(self):
        (case,) = [case for case in bmm.cases(1e15) if case["name"] == "weight_gradient/bf16/width:64/rows:32/models:8/uniform"]
        self.assertEqual(bmm.flops(case), 8 * 2 * 32 * 64 * 64)
        self.assertEqual(bmm.counted_bytes(case), 8 * 2 * (32 * 64 + 32 * 64 + 64 * 64))
        self.assertEqual([c for c in bmm.cases(bmm.counted_bytes(case) - 1) if c["name"] == case["name"]], [])

    def test_its_data_is_theirs(self):
        for seed in (1, 2):
            for first in (0, 2**33 + 5):
                bits = bmm.mix_bits(seed, first, 100, "cpu")
                expected = [splitmix64(seed, first + i) for i in range(100)]
                self.assertEqual([int(b) % 2**64 for b in bits], expected)
                self.assertEqual(bmm.exact(bits).tolist(), [((e & 255) - 128) / 128 for e in expected])
                self.assertEqual(bmm.random_values(bits).tolist(), [(e >> 40) / 8388608 - 1 for e in expected])

    def test_a_matrix_is_filled_in_parts(self):
        whole, parts = (bmm.Matrices(small("forward", "fp32"), "cpu") for _ in range(2))
        whole.fill(bmm.random_values)
        self.addCleanup(setattr, bmm, "FILLED_AT_ONCE", bmm.FILLED_AT_ONCE)
        bmm.FILLED_AT_ONCE = 1000
        parts.fill(bmm.random_values)
        self.assertTrue(torch.equal(whole.a, parts.a) and torch.equal(whole.b, parts.b))
        self.assertFalse(torch.equal(whole.a.view(-1)[:100], whole.b.view(-1)[:100]))

    def test_the_gate_passes_torch_bmm_and_refuses_what_is_wrong(self):
        for precision in ("fp32", "bf16"):
            for product in bmm.PRODUCTS:
                matrices = bmm.Matrices(small(product, precision), "cpu")

                def without_a_term(matrices=matrices):
                    a, b = matrices.operands()
                    torch.bmm(a[:, :, :-1], b[:, :-1], out=matrices.c)

                def without_a_model(matrices=matrices):
                    matrices.multiply()
                    matrices.c[-1] = 0

                def without_an_element(matrices=matrices):
                    matrices.multiply()
                    matrices.c[5, 3, 7] = float("nan")

                self.assertEqual(bmm.check(matrices, matrices.multiply), "", (product, precision))
                self.assertRegex(bmm.check(matrices, without_a_term), "elements are wrong, the first of model 0 at")
                self.assertRegex(bmm.check(matrices, without_a_model), "of model 11 at")
                self.assertEqual(bmm.check(matrices, without_an_element), "1 elements were not written")
                self.assertEqual(bmm.check(matrices, lambda: None), f"{matrices.c.numel()} elements were not written")

    def test_what_it_multiplies_is_the_linear_layers(self):
        """y = x w^T, dx = dy w, dw = dy^T x, by einsum over the matrices as they lie in memory."""
        for product, formula in (("forward", "mik,mjk->mij"), ("input_gradient", "mik,mkj->mij"),
                                 ("weight_gradient", "mki,mkj->mij")):
            matrices = bmm.Matrices(small(product, "fp32"), "cpu")
            matrices.fill(bmm.exact)
            matrices.multiply()
            self.assertTrue(torch.equal(matrices.c, torch.einsum(formula, matrices.a, matrices.b)), product)

    def run_without_a_device(self, **changes) -> tuple[int, dict]:
        """What the program does, by a clock that needs no device."""
        clock = types.SimpleNamespace(device="cpu", name="none", l2=1, memory=1e9)
        clock.seconds = lambda multiply, cold: multiply() or (3e-3 if cold else 1e-3)
        with tempfile.TemporaryDirectory() as folder:
            arguments = types.SimpleNamespace(filter="", repetitions=2, min_time=5e-3, limits=False, out=f"{folder}/x.json")
            vars(arguments).update(changes)
            code = bmm.run(arguments, clock)
            return code, json.loads(pathlib.Path(arguments.out).read_text())

    def test_what_it_writes(self):
        case = "forward/bf16/width:64/rows:32/models:8/uniform"
        code, found = self.run_without_a_device(filter=case)
        self.assertEqual((code, found["context"]["device"]), (0, "none"))
        self.assertEqual(len(found["benchmarks"]), 4)
        for one in found["benchmarks"]:
            cold = one["name"] == f"torch_bmm/{case}/L2:cold"
            self.assertTrue(cold or one["name"] == f"torch_bmm/{case}/L2:hot", one)
            # At least three, and until 5 ms are over.
            self.assertEqual((one["iterations"], one["run_type"]), (3 if cold else 5, "iteration"))
            seconds = 3e-3 if cold else 1e-3
            self.assertAlmostEqual(one["real_time"], 1e6 * seconds)
            self.assertAlmostEqual(one["flops_per_second"] * seconds, 8 * 2 * 32 * 64 * 64)

    def test_a_wrong_product_has_no_figure(self):
        original = bmm.Matrices.multiply
        self.addCleanup(setattr, bmm.Matrices, "multiply", original)
        bmm.Matrices.multiply = lambda matrices: matrices.c.zero_()
        code, found = self.run_without_a_device(filter="forward/bf16/width:64/rows:32/models:8/uniform")
        (one,) = found["benchmarks"]
        self.assertEqual((code, one["error_occurred"]), (1, True))
        self.assertIn("elements are wrong", one["error_message"])

    def test_its_limits_are_large_products(self):
        self.addCleanup(setattr, bmm, "LARGE", bmm.LARGE)
        bmm.LARGE = 32
        code, found = self.run_without_a_device(limits=True)
        self.assertEqual((code, [one["name"] for one in found["benchmarks"]]),
                         (0, [f"Flops/{precision}_matmul" for precision in ("fp32", "tf32", "bf16") for _ in range(2)]))
        self.assertAlmostEqual(found["benchmarks"][0]["flops_per_second"], 2 * 32**3 / 1e-3)

    def test_without_a_device_it_says_so(self):
        if torch.cuda.is_available():
            self.skipTest("there is a device here")
        ran = subprocess.run([sys.executable, bmm.__file__, "--out=x.json"], stderr=subprocess.PIPE, text=True)
        self.assertEqual((ran.returncode, ran.stderr), (3, "torch_bmm_benchmark: no device: torch sees none\n"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
