"""Files of the Python package `safetensors` are read by ModelBatch, and ModelBatch's by it, bit for bit.

copy_safetensors reads what Python wrote and writes it again, so that one round trip tries both.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy
import safetensors
import safetensors.numpy
import safetensors.torch
import torch


class SafetensorsTest(unittest.TestCase):
    program: str

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source = pathlib.Path(folder.name) / "python.safetensors"
        self.copy = pathlib.Path(folder.name) / "modelbatch.safetensors"

    def run_copy(self) -> subprocess.CompletedProcess:
        return subprocess.run([self.program, self.source, self.copy], capture_output=True, text=True)

    def check(self, tensors: dict[str, numpy.ndarray], metadata: dict[str, str] | None = None) -> None:
        safetensors.numpy.save_file(tensors, self.source, metadata)
        result = self.run_copy()
        self.assertEqual(result.returncode, 0, result.stderr)
        with safetensors.safe_open(self.copy, "numpy") as file:
            self.assertEqual(set(file.keys()), set(tensors))
            self.assertEqual(file.metadata() or {}, metadata or {})
            for name, expected in tensors.items():
                actual = file.get_tensor(name)
                self.assertEqual((actual.dtype, actual.shape), (expected.dtype, expected.shape), name)
                self.assertEqual(actual.tobytes(), expected.tobytes(), name)

    def test_every_dtype(self):
        random = numpy.random.default_rng(1)
        self.check({dtype: random.integers(0, 256, 6 * numpy.dtype(dtype).itemsize, numpy.uint8).view(dtype)
                    .reshape(2, 3) for dtype in ("float32", "float64", "int32", "int64", "uint8")})

    def test_special_values(self):
        """NaNs keep their payload, zeros their sign, small numbers are not flushed."""
        bits = numpy.array([0x7FC00000, 0xFFC00001, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 1, 0x807FFFFF],
                           numpy.uint32)
        self.check({"bits": bits.view(numpy.float32)})

    def test_shapes(self):
        self.check({"scalar": numpy.array(3.5, numpy.float32), "empty": numpy.zeros((0,), numpy.float32),
                    "no rows": numpy.zeros((0, 4), numpy.int64), "deep": numpy.arange(24.0).reshape(1, 2, 3, 4, 1),
                    "odd": numpy.arange(3, dtype=numpy.uint8), "after odd": numpy.arange(5, dtype=numpy.int64)})

    def test_names_and_metadata(self):
        self.check({"0.weight": numpy.ones((2, 2), numpy.float32), "Gewicht \"ä\" \\ \u4e2d\u6587\n": numpy.zeros(1),
                    " ": numpy.zeros(2)}, {"format": "pt", "note": "\u00e9\t\"x\"", "empty": ""})

    def test_no_tensors(self):
        self.check({}, {"only": "metadata"})

    def test_large(self):
        self.check({str(i): numpy.random.default_rng(i).standard_normal(100_003).astype(numpy.float32)
                    for i in range(20)})

    def test_state_dict_goes_through(self):
        module = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.LayerNorm(5))
        safetensors.torch.save_file(module.state_dict(), self.source)
        self.assertEqual(self.run_copy().returncode, 0)
        loaded = safetensors.torch.load_file(self.copy)
        for name, value in module.state_dict().items():
            self.assertTrue(torch.equal(loaded[name], value), name)
        module.load_state_dict(loaded)

    def test_dtype_that_we_lack_is_named(self):
        safetensors.torch.save_file({"half": torch.zeros(3, dtype=torch.bfloat16)}, self.source)
        result = self.run_copy()
        self.assertEqual(result.returncode, 1)
        self.assertIn("half", result.stderr)
        self.assertIn("BF16", result.stderr)

    def test_truncated_file_is_refused_by_both(self):
        safetensors.numpy.save_file({"w": numpy.ones(8, numpy.float32)}, self.source)
        whole = self.source.read_bytes()
        for size in range(len(whole)):
            self.source.write_bytes(whole[:size])
            with self.assertRaises(Exception):
                safetensors.numpy.load_file(self.source)
            if size % 8 == 0:
                result = self.run_copy()
                self.assertEqual(result.returncode, 1, size)
                self.assertIn("python.safetensors", result.stderr)


if __name__ == "__main__":
    SafetensorsTest.program = sys.argv.pop(1)
    unittest.main()
