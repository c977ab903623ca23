"""`modelbatch predict` from start to end: its numbers are those that PyTorch and NumPy find from a run's weights.

A run is trained on digits; the rows that it was tested on are written to a file of their own and predicted.
"""

import csv
import os
import pathlib
import re
import subprocess
import sys
import unittest

import numpy
import safetensors.torch
import torch

# Of a forward pass in float32, for probabilities.
FORWARD = 1e-5
# Of sums in double.
EXACT = 1e-12

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
epochs = 4
batch_size = 64
"""

REGRESSION = """name = "sums"
[data]
path = "sums.csv"
header = true
label = ["y", "z"]
task = "regression"
[model]
layers = [
  {{ kind = "linear", out_features = {{ values = [8, 12] }} }},
  {{ kind = "tanh" }},
  {{ kind = "linear", out_features = 2 }},
]
[population]
[optimizer]
lr = {{ values = [0.003, 0.03] }}
[train]
epochs = 5
""".replace("{{", "{").replace("}}", "}")


def read(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def columns(rows: list[dict[str, str]], *names: str) -> numpy.ndarray:
    return numpy.array([[float(row[name]) for name in names] for row in rows])


def forward(run: str, model: int, features: numpy.ndarray, activation: type[torch.nn.Module]) -> numpy.ndarray:
    """The outputs of the run's model of best weights, in double."""
    weights = safetensors.torch.load_file(f"{run}/models/model_{model}.safetensors")
    layers = sorted({int(name.split(".")[0]) for name in weights})
    x = torch.from_numpy(features)
    for layer in layers:
        x = torch.nn.functional.linear(x, weights[f"{layer}.weight"].double(), weights[f"{layer}.bias"].double())
        if layer != layers[-1]:
            x = activation()(x)
    return x.numpy()


class PredictTest(unittest.TestCase):
    command: str
    data: str
    split_rows: str

    @classmethod
    def setUpClass(cls):
        work = pathlib.Path(os.environ["TEST_TMPDIR"]) / "predict"
        work.mkdir()
        os.chdir(work)
        pathlib.Path("digits.toml").write_text(DIGITS.format(data=cls.data), encoding="utf-8")
        cls.run_command("train", "digits.toml", "--output", "run", "--quiet")
        cls.results = {int(row["model"]): row for row in read("run/results.csv")}
        cls.ranked = sorted(cls.results, key=lambda model: int(cls.results[model]["rank"]))
        lines = pathlib.Path(cls.data).read_text(encoding="utf-8").splitlines()
        rows = subprocess.run([cls.split_rows, "run/config.resolved.toml"], check=True, capture_output=True, text=True)
        test = [lines[int(row)] for row in rows.stdout.split()]
        pathlib.Path("test.csv").write_text("\n".join(test) + "\n", encoding="utf-8")
        cls.labels = numpy.array([int(line.split(",")[-1]) for line in test])
        cls.features = numpy.array([[float(x) for x in line.split(",")[:-1]] for line in test]) * 0.0625

    @classmethod
    def run_command(cls, *arguments: str) -> str:
        result = subprocess.run([cls.command, *arguments], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def accuracy(self, text: str) -> float:
        correct, rows = re.search(r"^Accuracy .* \((\d+) of (\d+) rows\)", text, re.MULTILINE).groups()
        self.assertEqual(int(rows), len(self.labels))
        return int(correct) / int(rows)

    def probabilities(self, model: int) -> numpy.ndarray:
        return torch.softmax(torch.from_numpy(forward("run", model, self.features, torch.nn.ReLU)), -1).numpy()

    def test_every_model_has_the_accuracy_of_the_leaderboard(self):
        self.assertEqual(len(self.results), 8)
        for model, result in self.results.items():
            text = self.run_command("predict", "run", "test.csv", "--model", str(model))
            self.assertEqual(self.accuracy(text), float(result["test_accuracy"]), model)
            loss = float(re.search(r"cross-entropy ([\d.]+)", text)[1])
            self.assertAlmostEqual(loss, float(result["test_loss"]), delta=1e-3 * loss)

    def test_the_best_is_the_default(self):
        best = self.ranked[0]
        text = self.run_command("predict", "run", "test.csv", "--output", "best.csv")
        self.assertEqual(self.accuracy(text), float(self.results[best]["test_accuracy"]))
        self.assertIn(f"{len(self.labels)} rows of test.csv, model {best} (", text)
        rows = read("best.csv")
        p = columns(rows, *(f"probability_{c}" for c in range(10)))
        numpy.testing.assert_allclose(p, self.probabilities(best), rtol=0, atol=FORWARD)
        numpy.testing.assert_array_equal(columns(rows, "row")[:, 0], numpy.arange(len(rows)))
        numpy.testing.assert_array_equal(columns(rows, "label")[:, 0], self.labels)
        numpy.testing.assert_array_equal(columns(rows, "predicted")[:, 0], p.argmax(1))
        self.assertNotIn("votes_0", rows[0])

    def test_ensembles(self):
        for arguments, models in ((["--all"], self.ranked), (["--top", "3"], self.ranked[:3]),
                                  (["--model", "6", "--model", "1"], [6, 1])):
            with self.subTest(arguments=arguments):
                text = self.run_command("predict", "run", "test.csv", *arguments, "--per-model", "--output", "all.csv")
                rows = read("all.csv")
                self.assertEqual([int(m) for m in re.findall(r"model_(\d+)_predicted", ",".join(rows[0]))], models)
                p = numpy.stack([columns(rows, *(f"model_{m}_probability_{c}" for c in range(10))) for m in models])
                for i, model in enumerate(models):
                    numpy.testing.assert_allclose(p[i], self.probabilities(model), rtol=0, atol=FORWARD)
                self.check_ensemble(rows, p, text)

    def check_ensemble(self, rows: list[dict[str, str]], p: numpy.ndarray, text: str) -> None:
        """`p`: what the file has of each model, [models, rows, classes]."""
        def check(expected: numpy.ndarray, *names: str) -> None:
            numpy.testing.assert_allclose(columns(rows, *names), expected, rtol=0, atol=EXACT)

        def entropy(x: numpy.ndarray) -> numpy.ndarray:
            return torch.special.entr(torch.from_numpy(x)).sum(-1).numpy()

        mean = p.mean(0)
        check(mean, *(f"probability_{c}" for c in range(10)))
        check(mean.argmax(1)[:, None], "predicted")
        check(p.std(0), *(f"spread_{c}" for c in range(10)))
        votes = (p.argmax(2)[..., None] == numpy.arange(10)).sum(0)
        check(votes, *(f"votes_{c}" for c in range(10)))
        check(entropy(mean)[:, None], "entropy")
        check((entropy(mean) - entropy(p).mean(0))[:, None], "mutual_information")
        self.assertEqual(self.accuracy(text), (mean.argmax(1) == self.labels).mean())
        correct = int(re.search(r"^Majority vote .* \((\d+) of", text, re.MULTILINE)[1])
        self.assertEqual(correct, (votes.argmax(1) == self.labels).sum())

    def test_without_labels(self):
        with open("test.csv", encoding="utf-8") as source, open("bare.csv", "w", encoding="utf-8") as target:
            target.writelines(line.rpartition(",")[0] + "\n" for line in source)
        self.run_command("predict", "run", "test.csv", "--output", "with.csv", "--quiet")
        text = self.run_command("predict", "run", "bare.csv", "--output", "without.csv")
        self.assertNotIn("Accuracy", text)
        self.assertIn("Most frequent classes", text)
        labelled = read("with.csv")
        for row in labelled:
            del row["label"]
        self.assertEqual(read("without.csv"), labelled)

    def test_many_rows_are_the_same_rows(self):
        """More rows than are predicted at once: 2^21 numbers, of 8 models with 10 outputs each."""
        text = pathlib.Path("test.csv").read_text(encoding="utf-8")
        copies = 2**21 // 80 // len(self.labels) + 2
        pathlib.Path("many.csv").write_text(text * copies, encoding="utf-8")
        once = self.run_command("predict", "run", "test.csv", "--all", "--output", "once.csv")
        often = self.run_command("predict", "run", "many.csv", "--all", "--output", "often.csv")
        expected = pathlib.Path("once.csv").read_text(encoding="utf-8").splitlines()
        found = pathlib.Path("often.csv").read_text(encoding="utf-8").splitlines()
        self.assertEqual(len(found), 1 + copies * len(self.labels))
        self.assertEqual(found[: len(expected)], expected)
        for i, line in enumerate(found[1:]):
            self.assertEqual(line, f"{i}," + expected[1 + i % len(self.labels)].partition(",")[2])
        share = re.compile(r"(Accuracy|Majority vote|One model alone).* %")
        self.assertEqual([m[0].partition("(")[0] for m in share.finditer(often)],
                         [m[0].partition("(")[0] for m in share.finditer(once)])

    def test_regression(self):
        random = numpy.random.default_rng(1)
        x = random.uniform(-1, 1, (300, 3))
        targets = numpy.stack([x.sum(1), x[:, 0] * x[:, 1]], 1)
        # The targets stand between the features.
        with open("sums.csv", "w", encoding="utf-8") as file:
            file.write("a,z,b,y,c\n")
            for (a, b, c), (y, z) in zip(x, targets):
                file.write(f"{a},{z},{b},{y},{c}\n")
        pathlib.Path("sums.toml").write_text(REGRESSION, encoding="utf-8")
        self.run_command("train", "sums.toml", "--output", "sums", "--quiet")
        text = self.run_command("predict", "sums", "sums.csv", "--all", "--per-model", "--output", "sums_out.csv")
        rows = read("sums_out.csv")
        values = numpy.stack([columns(rows, f"model_{m}_prediction_0", f"model_{m}_prediction_1") for m in range(4)])
        for m in range(4):
            numpy.testing.assert_allclose(values[m], forward("sums", m, x, torch.nn.Tanh), rtol=0, atol=FORWARD)
        for name, expected in (("prediction", values.mean(0)), ("spread", values.std(0)), ("min", values.min(0)),
                               ("max", values.max(0))):
            numpy.testing.assert_allclose(columns(rows, f"{name}_0", f"{name}_1"), expected, rtol=0, atol=EXACT)
        numpy.testing.assert_allclose(columns(rows, "target_0", "target_1"), targets, rtol=0, atol=1e-6)
        error = float(re.search(r"^Mean squared error ([\d.e-]+)$", text, re.MULTILINE)[1])
        self.assertAlmostEqual(error, ((values.mean(0) - targets) ** 2).mean(), delta=1e-3 * error)
        # Without the targets, by the names in the header.
        pathlib.Path("new.csv").write_text("a,b,c\n" + "\n".join(",".join(map(str, row)) for row in x) + "\n",
                                           encoding="utf-8")
        self.run_command("predict", "sums", "new.csv", "--all", "--output", "new_out.csv")
        names = ("prediction_0", "prediction_1", "spread_0", "spread_1")
        numpy.testing.assert_array_equal(columns(read("new_out.csv"), *names), columns(rows, *names))

    def test_logits_of_probabilities(self):
        """bce_with_logits: predictions are what the targets are, probabilities."""
        random = numpy.random.default_rng(2)
        x = random.uniform(-1, 1, (200, 3))
        targets = numpy.stack([x.sum(1) > 0, x[:, 0] > 0], 1).astype(int)
        with open("signs.csv", "w", encoding="utf-8") as file:
            file.write("a,b,c,y,z\n")
            for row, target in zip(x, targets):
                file.write(",".join(map(str, [*row, *target])) + "\n")
        config = 'loss = "bce_with_logits"\n' + REGRESSION.replace("sums", "signs")
        pathlib.Path("signs.toml").write_text(config, encoding="utf-8")
        self.run_command("train", "signs.toml", "--output", "signs", "--quiet")
        text = self.run_command("predict", "signs", "signs.csv", "--all", "--output", "signs_out.csv")
        rows = read("signs_out.csv")
        p = numpy.stack([torch.sigmoid(torch.from_numpy(forward("signs", m, x, torch.nn.Tanh))).numpy()
                         for m in range(4)])
        numpy.testing.assert_allclose(columns(rows, "prediction_0", "prediction_1"), p.mean(0), rtol=0, atol=FORWARD)
        error = float(re.search(r"^Mean squared error ([\d.e-]+)$", text, re.MULTILINE)[1])
        self.assertAlmostEqual(error, ((p.mean(0) - targets) ** 2).mean(), delta=1e-3 * error)

    def test_ignored_labels_do_not_count(self):
        """As in training: not in the accuracy of the leaderboard, not in that of predictions."""
        with open("test.csv", encoding="utf-8") as source, open("some.csv", "w", encoding="utf-8") as target:
            for i, line in enumerate(source):
                target.write(line if i % 3 else line.rpartition(",")[0] + ",-100\n")
        self.run_command("predict", "run", "test.csv", "--output", "full.csv", "--quiet")
        text = self.run_command("predict", "run", "some.csv")
        predicted = columns(read("full.csv"), "predicted")[:, 0]
        counted = numpy.arange(len(predicted)) % 3 != 0
        correct, rows = re.search(r"^Accuracy .* \((\d+) of (\d+) rows\)", text, re.MULTILINE).groups()
        self.assertEqual(int(rows), counted.sum())
        self.assertEqual(int(correct), (predicted == self.labels)[counted].sum())

    def refused(self, *arguments: str) -> str:
        result = subprocess.run([self.command, "predict", *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def write_formats(self) -> dict[str, tuple[str, list[str], list[str]]]:
        """The digits in each format: what [data] says, the features to predict, the option with their targets."""
        digits = numpy.loadtxt(self.data, delimiter=",").astype(numpy.uint8)
        images, labels = digits[:, :-1].reshape(-1, 8, 8), digits[:, -1]
        new, targets = images[:100], labels[:100]
        numpy.savetxt("formats.csv", digits[:100], fmt="%d", delimiter=",")
        numpy.savetxt("bare_formats.csv", digits[:100, :-1], fmt="%d", delimiter=",")
        # Other types and shapes of the same numbers.
        numpy.save("x.npy", images.astype(numpy.float32))
        numpy.save("y.npy", labels.astype(numpy.int64))
        numpy.save("new_x.npy", new.reshape(-1, 64).astype(numpy.float64))
        numpy.save("new_y.npy", targets)
        numpy.savez_compressed("digits.npz", x=images, y=labels, x_test=new, y_test=targets, none=numpy.zeros((3, 7)))
        numpy.savez("new.npz", x=new, y=targets)
        for name, array in (("x", images), ("y", labels), ("new_x", new), ("new_y", targets)):
            with open(f"{name}.idx", "wb") as file:
                file.write(bytes([0, 0, 8, array.ndim]))
                file.write(b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes())
        return {
            "csv": (f'path = "{self.data}"', ["bare_formats.csv"], ["formats.csv"]),
            "npy": ('features = "x.npy"\ntargets = "y.npy"', ["new_x.npy"], ["new_x.npy", "--targets", "new_y.npy"]),
            "npz": ('path = "digits.npz"\nfeatures = "x"\ntargets = "y"', [],
                    ["digits.npz", "--features", "x_test", "--targets", "y_test"]),
            "idx": ('features = "x.idx"\ntargets = "y.idx"', ["new_x.idx"], ["new_x.idx", "--targets", "new_y.idx"]),
        }

    def test_every_format(self):
        """The same rows give the same numbers, in whatever format a run is trained and rows are predicted."""
        for name, (data, bare, labelled) in self.write_formats().items():
            text = re.sub(r"\[data\][^[]*", f"[data]\n{data}\nscale = 0.0625\n", DIGITS.format(data=""))
            pathlib.Path(f"{name}.toml").write_text(text.replace("[model]", "[model]\ninput = [64]"), encoding="utf-8")
            self.run_command("train", f"{name}.toml", "--output", name, "--quiet", "--set", "train.epochs=1")
            out = self.run_command("predict", name, *labelled, "--all", "--output", f"{name}_out.csv")
            self.assertIn("of 100 rows", out)
            self.assertEqual(pathlib.Path(f"{name}_out.csv").read_text(encoding="utf-8"),
                             pathlib.Path("csv_out.csv").read_text(encoding="utf-8"), name)
            if bare:
                out = self.run_command("predict", name, *bare, "--all", "--output", f"{name}_bare.csv")
                self.assertNotIn("Accuracy", out)
                self.assertEqual(pathlib.Path(f"{name}_bare.csv").read_text(encoding="utf-8"),
                                 pathlib.Path("csv_bare.csv").read_text(encoding="utf-8"), name)
        # An archive with the arrays' names of the run.
        self.run_command("predict", "npz", "new.npz", "--all", "--output", "new_npz.csv")
        self.assertEqual(pathlib.Path("new_npz.csv").read_text(encoding="utf-8"),
                         pathlib.Path("csv_out.csv").read_text(encoding="utf-8"))
        for arguments, message in (
                (("npy", "test.csv"), "test.csv: not a valid NPY file"),
                (("npy", "new_x.npy", "new_y.npy"), "2 files of rows, expected one of the format \"npy\""),
                (("npy", "y.npy"), "y.npy: rows of the shape [1], expected 64 numbers a row"),
                (("npy", "new_x.npy", "--targets", "y.npy"), "y.npy: has 1797 rows, expected 100 as in new_x.npy"),
                (("npy", "new_x.npy", "--features", "x"), "--features is for runs on npz"),
                (("csv", "formats.csv", "--targets", "y"), "--targets is for runs on npy, npz and idx"),
                (("npz", "new.npz", "--targets", "z"), 'new.npz: has no array "z"'),
                (("npz", "digits.npz", "--features", "none"), "has 1797 rows, expected 3"),
                (("npy", "new_x.npy", "--output", "new_x.npy"), "is the file to predict"),
                (("npy", "new_x.npy", "--targets", "new_y.npy", "--output", "new_y.npy"), "is the file to predict")):
            self.assertIn(message, self.refused(*arguments))

    def test_cifar(self):
        random = numpy.random.default_rng(3)
        records = random.integers(0, 256, (60, 3073), dtype=numpy.uint8)
        records[:, 0] %= 10
        for i in range(3):
            records[20 * i:20 * i + 20].tofile(f"batch_{i}.bin")
        pathlib.Path("cifar.toml").write_text("""[data]
files = ["batch_0.bin", "batch_1.bin", "batch_2.bin"]
scale = 0.00390625
[model]
layers = [{ kind = "flatten" }, { kind = "linear", out_features = 10 }]
[train]
epochs = 1
""", encoding="utf-8")
        self.run_command("train", "cifar.toml", "--output", "cifar", "--quiet")
        text = self.run_command("predict", "cifar", "batch_2.bin", "batch_0.bin", "--output", "cifar.csv")
        rows = read("cifar.csv")
        order = numpy.concatenate([records[40:], records[:20]])
        numpy.testing.assert_array_equal(columns(rows, "label")[:, 0], order[:, 0])
        p = torch.softmax(torch.from_numpy(forward("cifar", 0, order[:, 1:] / 256, torch.nn.ReLU)), -1).numpy()
        numpy.testing.assert_allclose(columns(rows, *(f"probability_{c}" for c in range(10))), p, rtol=0, atol=FORWARD)
        self.assertIn("40 rows of batch_2.bin, batch_0.bin, model 0", text)


if __name__ == "__main__":
    PredictTest.command, PredictTest.data, PredictTest.split_rows = map(os.path.abspath, sys.argv[1:4])
    del sys.argv[1:4]
    unittest.main()
