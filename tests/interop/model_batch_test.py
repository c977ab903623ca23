"""ModelBatch::SaveAll's files are state dicts of the same torch modules, and LoadAll reads theirs."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import safetensors.torch
import torch

MODELS = 3


def network(model: int) -> torch.nn.Module:
    width = 5 + model
    return torch.nn.Sequential(torch.nn.Linear(6, width), torch.nn.ReLU(), torch.nn.LayerNorm(width),
                               torch.nn.Linear(width, 4))


class ModelBatchTest(unittest.TestCase):
    program: str

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name) / "weights"

    def run_program(self, what: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.program, what, self.folder], capture_output=True, text=True)

    def check_outputs(self, networks: list[torch.nn.Module]) -> None:
        """The weights to the bit, in both directions, and what they compute."""
        data = safetensors.torch.load_file(self.folder / "data")
        for i, module in enumerate(networks):
            for name, value in module.state_dict().items():
                self.assertTrue(torch.equal(value.view(torch.int32), data[f"{i}.{name}"].view(torch.int32)), name)
        with torch.no_grad():
            for i, module in enumerate(networks):
                torch.testing.assert_close(data["outputs"][i], module(data["inputs"]), rtol=1e-5, atol=1e-6)

    def test_saved_weights_are_state_dicts(self):
        result = self.run_program("save")
        self.assertEqual(result.returncode, 0, result.stderr)
        networks = []
        for i in range(MODELS):
            module = network(i)
            module.load_state_dict(torch.load(self.folder / f"model_{i}.pt", weights_only=True))
            networks.append(module)
        self.check_outputs(networks)

    def test_state_dicts_are_loaded(self):
        self.folder.mkdir()
        torch.manual_seed(1)
        networks = [network(i) for i in range(MODELS)]
        for i, module in enumerate(networks):
            torch.save(module.state_dict(), self.folder / f"model_{i}.pt")
        result = self.run_program("load")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.check_outputs(networks)

    def check_refused(self, state: dict[str, torch.Tensor], *messages: str) -> None:
        self.folder.mkdir(exist_ok=True)
        for i in range(MODELS):
            torch.save(network(i).state_dict(), self.folder / f"model_{i}.pt")
        torch.save(state, self.folder / "model_1.pt")
        result = self.run_program("load")
        self.assertEqual(result.returncode, 1)
        for message in ("model 1: ", "model_1.pt", *messages):
            self.assertIn(message, result.stderr)

    def test_wrong_files_are_refused_by_name(self):
        state = network(1).state_dict()
        self.check_refused(network(2).state_dict(), "0.weight is float32 [7, 6], expected float32 [6, 6]")
        self.check_refused({k: v for k, v in state.items() if k != "3.bias"}, "has no 3.bias")
        self.check_refused({**state, "4.bias": torch.zeros(2)}, "has 4.bias, which the model does not have")
        self.check_refused({**state, "0.bias": torch.zeros(6, dtype=torch.float64)}, "0.bias is float64 [6]")
        (self.folder / "model_1.pt").unlink()
        result = self.run_program("load")
        self.assertEqual(result.returncode, 1)
        self.assertIn("model_1.pt", result.stderr)


if __name__ == "__main__":
    ModelBatchTest.program = sys.argv.pop(1)
    unittest.main()
