"""Shows that the Python environment holds the versions that are pinned, and that they work together."""

import pathlib
import sys
import tempfile

import numpy
import safetensors.torch
import torch

assert torch.__version__.split("+")[0] == sys.argv[1], torch.__version__

weights = torch.arange(6, dtype=torch.float32).reshape(2, 3)
assert numpy.array_equal(torch.vmap(torch.sum)(weights).numpy(), [3.0, 12.0])

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "weights.safetensors"
    safetensors.torch.save_file({"w": weights}, path)
    assert torch.equal(safetensors.torch.load_file(path)["w"], weights)
