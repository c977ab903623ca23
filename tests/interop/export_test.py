"""`modelbatch export` writes what PyTorch and safetensors load; `modelbatch train --init-from` reads what they save."""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import safetensors.torch
import torch

CONFIG = """name = "small"
seed = 5
[data]
path = "{data}"
scale = 0.0625
[model]
layers = [
  {{ kind = "linear", out_features = {{ values = [12, 16] }} }},
  {{ kind = "relu" }},
  {{ kind = "layer_norm" }},
  {{ kind = "dropout", p = 0.1 }},
  {{ kind = "linear", out_features = 10 }},
]
[optimizer]
lr = {{ values = [0.003, 0.01] }}
[train]
epochs = 2
batch_size = 64
"""
MODELS = 4


def network(model: int) -> torch.nn.Module:
    """What model `model` of the config is in PyTorch."""
    width = (12, 16)[model % 2]
    return torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.LayerNorm(width),
                               torch.nn.Dropout(0.1), torch.nn.Linear(width, 10))


class ExportTest(unittest.TestCase):
    command: str
    data: str

    def setUp(self):
        work = pathlib.Path(os.environ["TEST_TMPDIR"]) / self.id().rpartition(".")[2]
        work.mkdir()
        os.chdir(work)
        pathlib.Path("small.toml").write_text(CONFIG.format(data=self.data), encoding="utf-8")

    def run_command(self, *arguments: str, code: int = 0) -> str:
        """What it prints; an error with another exit code."""
        result = subprocess.run([self.command, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout if code == 0 else result.stderr

    def assert_same(self, a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
        self.assertEqual(set(a), set(b))
        for name, value in a.items():
            self.assertEqual(value.dtype, b[name].dtype)
            self.assertEqual(value.shape, b[name].shape)
            self.assertEqual(value.contiguous().numpy().tobytes(), b[name].contiguous().numpy().tobytes(), name)

    def best(self, run: str, model: int) -> dict[str, torch.Tensor]:
        return safetensors.torch.load_file(f"{run}/models/model_{model}.safetensors")

    def test_exported_files_are_state_dicts(self):
        self.run_command("train", "small.toml", "--output", "run", "--quiet")
        self.assertIn("4 models in pt: model_<id>.pt",
                      self.run_command("export", "run", "--format", "pt", "--all", "--output", "pt"))
        for model in range(MODELS):
            state = torch.load(f"pt/model_{model}.pt", weights_only=True)
            self.assert_same(state, self.best("run", model))
            # In the order of the module, all of it and nothing else.
            module = network(model)
            self.assertEqual(list(state), list(module.state_dict()))
            module.load_state_dict(state, strict=True)
        self.run_command("export", "run", "--format", "safetensors", "--models", "all", "--output", "st")
        for model in range(MODELS):
            self.assert_same(safetensors.torch.load_file(f"st/model_{model}.safetensors"), self.best("run", model))
        with safetensors.safe_open("st/model_1.safetensors", "pt") as file:
            self.assertEqual(file.metadata()["model"], "1")

    def test_which_models(self):
        self.run_command("train", "small.toml", "--output", "run", "--quiet", "--set", "train.epochs=1")
        with open("run/results.csv", encoding="utf-8") as file:
            lines = [line.split(",") for line in file.read().splitlines()]
        rank = lines[0].index("rank")
        ranked = [f"model_{line[0]}.pt" for line in sorted(lines[1:], key=lambda line: int(line[rank]))]
        for arguments, expected in (([], ranked[:1]), (["--models", "best"], ranked[:1]), (["--top", "2"], ranked[:2]),
                                    (["--model", "2", "--model", "0"], ["model_0.pt", "model_2.pt"])):
            shutil.rmtree("out", ignore_errors=True)
            self.run_command("export", "run", "--format", "pt", "--output", "out", *arguments)
            self.assertEqual(sorted(os.listdir("out")), sorted(expected))
        # Nothing is written over, and nothing is written when one file is there.
        os.remove("out/model_0.pt")
        before = pathlib.Path("out/model_2.pt").read_bytes()
        error = self.run_command("export", "run", "--format", "pt", "--output", "out", "--all", code=2)
        self.assertIn("out/model_2.pt is there already", error)
        self.assertEqual(os.listdir("out"), ["model_2.pt"])
        self.assertEqual(pathlib.Path("out/model_2.pt").read_bytes(), before)
        for arguments, message in ((["--format", "onnx", "--output", "o"], "onnx"), (["--output", "o"], "--format"),
                                   (["--format", "pt"], "--output"),
                                   (["--format", "pt", "--output", "o", "--model", "9"], "no model 9")):
            self.assertIn(message, self.run_command("export", "run", *arguments, code=2))
            self.assertFalse(os.path.exists("o"))

    def save_networks(self, folder: str) -> list[dict[str, torch.Tensor]]:
        torch.manual_seed(1)
        os.makedirs(folder)
        states = []
        for model in range(MODELS):
            states.append(network(model).state_dict())
            torch.save(states[-1], f"{folder}/model_{model}.pt")
        return states

    def test_training_begins_with_the_files(self):
        """With a learning rate of 0 the weights are those of the files, to the bit."""
        still = ("--set", "optimizer={kind=\"sgd\", momentum={values=[0, 0.5]}, lr=0}", "--quiet")
        states = self.save_networks("start")
        self.run_command("train", "small.toml", "--init-from", "start", "--output", "run", *still)
        for model in range(MODELS):
            self.assert_same(self.best("run", model), states[model])
        # The run holds what it began with: what was there may be gone, and the run moved.
        shutil.rmtree("start")
        os.rename("run", "moved")
        self.run_command("verify", "moved", "--models", "all")
        self.run_command("train", "--resume", "moved", "--set", "train.epochs=3", "--quiet")
        self.run_command("train", "moved/config.resolved.toml", "--output", "again", "--quiet")
        for model in range(MODELS):
            self.assert_same(self.best("again", model), states[model])

    def test_one_file_for_all(self):
        one = ("--set", "model.layers[0].out_features=12", "--set", "population.models=4", "--set",
               "optimizer={kind=\"sgd\", lr=0}", "--quiet")
        torch.manual_seed(2)
        state = network(0).state_dict()
        torch.save(state, "one.pt")
        safetensors.torch.save_file(state, "one.safetensors")
        for file in ("one.pt", "one.safetensors"):
            self.run_command("train", "small.toml", "--set", f"train.init_from=\"{file}\"", "--output", file + ".run",
                             *one)
            for model in range(MODELS):
                self.assert_same(self.best(file + ".run", model), state)
            self.assertTrue(os.path.exists(file + ".run/initial.safetensors"))
            self.run_command("verify", file + ".run", "--models", "all")

    def test_training_goes_on(self):
        """From the best weights of another run, with another seed: better at once, and verified."""
        self.run_command("train", "small.toml", "--output", "first", "--quiet", "--set", "train.epochs=8")
        for name, more in (("cold", ()), ("warm", ("--init-from", "first/models"))):
            self.run_command("train", "small.toml", "--output", name, "--quiet", "--set", "train.epochs=1", *more)
        with open("cold/curves.csv", encoding="utf-8") as cold, open("warm/curves.csv", encoding="utf-8") as warm:
            for before, after in list(zip(cold, warm))[1:]:
                self.assertLess(float(after.split(",")[2]), float(before.split(",")[2]))
        self.run_command("verify", "warm", "--models", "all")
        # A copy that is not what the run began with is refused.
        state = self.best("warm", 0)
        safetensors.torch.save_file(state, "warm/initial/model_0.safetensors")
        error = self.run_command("verify", "warm", code=2)
        self.assertIn("the initial weights are not those of the checkpoint: warm/initial", error)

    def test_errors_name_file_model_and_tensor(self):
        states = self.save_networks("start")

        def refused(*messages: str) -> None:
            error = self.run_command("train", "small.toml", "--init-from", "start", "--output", "run", code=2)
            for message in ("--init-from start: train.init_from: ", *messages):
                self.assertIn(message, error)
            self.assertFalse(os.path.exists("run"))

        name = "start/model_2.pt"
        state = states[2]
        torch.save({k: v for k, v in state.items() if k != "4.bias"}, name)
        refused(f"{name}: model 2: has no 4.bias")
        torch.save({**state, "5.weight": torch.zeros(1)}, name)
        refused(f"{name}: model 2: has 5.weight, which the model does not have")
        torch.save(states[1], name)
        refused(f"{name}: model 2: 0.weight is float32 [16, 64], expected float32 [12, 64]")
        torch.save({k: v.double() for k, v in state.items()}, name)
        refused("model 2: 0.weight is float64 [12, 64], expected float32 [12, 64]")
        pathlib.Path(name).write_bytes(b"not a checkpoint")
        refused(name)
        os.remove(name)
        refused("there is neither start/model_2.pt nor start/model_2.safetensors")
        torch.save(state, name)
        safetensors.torch.save_file(state, "start/model_2.safetensors")
        refused("there are start/model_2.pt and start/model_2.safetensors, expected one of them")
        error = self.run_command("train", "small.toml", "--init-from", "nowhere", code=2)
        self.assertIn("nowhere", error)
        self.run_command("train", "small.toml", "--output", "run", "--quiet")
        error = self.run_command("train", "--resume", "run", "--init-from", "start", code=2)
        self.assertIn("no --init-from", error)


if __name__ == "__main__":
    ExportTest.command, ExportTest.data = map(os.path.abspath, sys.argv[1:3])
    del sys.argv[1:3]
    unittest.main()
