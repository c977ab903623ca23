"""`modelbatch train` with [train.log]: what it writes is what TensorBoard, Python and PyTorch find, also after a kill."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import numpy
import safetensors.torch
import sklearn.metrics
import torch

from tests.loggers import event_files

DIGITS = """name = "digits"
seed = 5
[data]
path = "{data}"
scale = 0.0625
[model]
layers = [
  {{ kind = "linear", out_features = {{ values = [16, 24] }} }},
  {{ kind = "relu" }},
  {{ kind = "dropout", p = {{ values = [0.0, 0.2] }} }},
  {{ kind = "linear", out_features = 10 }},
]
[optimizer]
lr = {{ min = 1e-3, max = 0.01, scale = "log", count = 2 }}
[train]
epochs = 40
batch_size = 64
checkpoint_every = 3
[train.log]
writers = ["csv", "jsonl", "tensorboard"]
every = 7
confusion = true
"""


def read(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class LogTest(unittest.TestCase):
    command: str
    data: str
    split_rows: str

    @classmethod
    def setUpClass(cls):
        work = pathlib.Path(os.environ["TEST_TMPDIR"]) / "log"
        work.mkdir()
        os.chdir(work)
        pathlib.Path("digits.toml").write_text(DIGITS.format(data=cls.data), encoding="utf-8")
        cls.train("digits.toml", "--output", "whole")
        cls.curves = read("whole/curves.csv")
        cls.results = {int(row["model"]): row for row in read("whole/results.csv")}

    @classmethod
    def train(cls, *arguments: str) -> None:
        result = subprocess.run([cls.command, "train", "--quiet", *arguments], capture_output=True, text=True,
                                check=False)
        assert result.returncode == 0, result.stderr

    def logged(self) -> dict[tuple[int, int], dict[str, float]]:
        """What metrics.csv has of step and model, epochs and steps together."""
        result: dict[tuple[int, int], dict[str, float]] = {}
        for row in read("whole/metrics.csv"):
            values = result.setdefault((int(row["step"]), int(row["model"])), {})
            values |= {name: float(value) for name, value in row.items()
                       if value and name not in ("step", "epoch", "model")}
        return result

    def test_epochs_are_the_curves(self):
        logged = self.logged()
        steps = max(step for step, _ in logged) // 40
        for row in self.curves:
            values = logged[int(row["epoch"]) * steps, int(row["model"])]
            for name in ("train_loss", "validation_loss", "validation_accuracy"):
                self.assertEqual(values[name], float(row[name]))

    def test_the_files_agree(self):
        logged = self.logged()
        self.assertEqual({step % 7 for (step, _), values in logged.items() if "loss" in values}, {0})
        lines: dict[tuple[int, int], dict[str, float]] = {}
        for line in pathlib.Path("whole/metrics.jsonl").read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            key = values.pop("step"), values.pop("model")
            values.pop("epoch")
            lines.setdefault(key, {}).update(values)
        self.assertEqual(lines, logged)
        events: dict[tuple[int, int], dict[str, float]] = {}
        for model, tags in event_files.scalars("whole/tensorboard").items():
            for tag, points in tags.items():
                for step, value in points:
                    events.setdefault((step, model), {})[tag] = value
        self.assertEqual(events, {key: {name: float(numpy.float32(value)) for name, value in values.items()}
                                  for key, values in logged.items()})

    def test_hyper_parameters(self):
        sessions = event_files.sessions("whole/tensorboard")
        self.assertEqual(sessions.keys(), self.results.keys())
        swept = ("optimizer.lr", "model.layers[0].out_features", "model.layers[2].p")
        for model, (values, metrics) in sessions.items():
            self.assertEqual(values, {name: float(self.results[model][name]) for name in swept})
            last = [row for row in self.curves if int(row["model"]) == model][-1]
            self.assertEqual(metrics["validation_accuracy"], float(numpy.float32(float(last["validation_accuracy"]))))

    def test_confusion(self):
        lines = pathlib.Path(self.data).read_text(encoding="utf-8").splitlines()
        rows = subprocess.run([self.split_rows, "whole/config.resolved.toml"], check=True, capture_output=True,
                              text=True)
        test = numpy.array([[float(x) for x in lines[int(row)].split(",")] for row in rows.stdout.split()])
        labels = test[:, -1].astype(int)
        table = read("whole/confusion.csv")
        self.assertEqual([(int(row["model"]), int(row["label"])) for row in table],
                         [(model, label) for model in range(8) for label in range(10)])
        for model in range(8):
            weights = safetensors.torch.load_file(f"whole/models/model_{model}.safetensors")
            x = torch.from_numpy(test[:, :-1] * 0.0625)
            x = torch.relu(torch.nn.functional.linear(x, weights["0.weight"].double(), weights["0.bias"].double()))
            x = torch.nn.functional.linear(x, weights["3.weight"].double(), weights["3.bias"].double())
            found = numpy.array([[int(row[f"predicted_{c}"]) for c in range(10)]
                                 for row in table[model * 10:model * 10 + 10]])
            expected = sklearn.metrics.confusion_matrix(labels, x.argmax(1).numpy(), labels=numpy.arange(10))
            numpy.testing.assert_array_equal(found, expected)
            self.assertEqual(found.trace() / found.sum(), float(self.results[model]["test_accuracy"]))

    def test_a_stopped_run_resumes_its_logs(self):
        stopped = 0
        for name, number in (("INT", signal.SIGINT), ("KILL", signal.SIGKILL)):
            for wait in (0.02, 0.1, 0.2):
                folder = f"{name}-{wait}"
                with self.subTest(folder=folder):
                    process = subprocess.Popen([self.command, "train", "--quiet", "digits.toml", "--output", folder],
                                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    while not pathlib.Path(folder, "config.resolved.toml").exists():
                        time.sleep(0.01)
                    time.sleep(wait)
                    process.send_signal(number)
                    stopped += process.wait() != 0
                    if pathlib.Path(folder, "tensorboard").exists():
                        event_files.scalars(f"{folder}/tensorboard")  # readable as it is
                    self.train("--resume", folder)
                    for file in ("metrics.csv", "metrics.jsonl", "confusion.csv"):
                        self.assertEqual(pathlib.Path(folder, file).read_bytes(),
                                         pathlib.Path("whole", file).read_bytes())
                    self.assertEqual(event_files.scalars(f"{folder}/tensorboard"),
                                     event_files.scalars("whole/tensorboard"))
        self.assertGreater(stopped, 0)


if __name__ == "__main__":
    LogTest.command, LogTest.data, LogTest.split_rows = map(os.path.abspath, sys.argv[1:4])
    del sys.argv[1:4]
    unittest.main()
