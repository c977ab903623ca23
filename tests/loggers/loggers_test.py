"""Other tools read what the loggers write: Python's csv and json, and TensorBoard itself."""

import csv
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import numpy

from tests.loggers import event_files

COLUMNS = ["loss", "train_loss", "validation/accuracy"]


def entries(models: int, steps: int) -> list[dict]:
    """Some models at some steps, with numbers of every kind."""
    generator = random.Random(1)
    special = ["nan", "inf", "-inf", "0.0", "-0.0", "1e-45", "5e-324", "1e300", "-1e39"]
    result = []
    for step in range(1, steps + 1):
        present = [m for m in range(models) if m % 5 != 4 or step > 3]
        names = COLUMNS[:1] if step % 3 else COLUMNS
        metrics = {name: [generator.choice(special) if generator.random() < 0.2 else repr(generator.gauss(0, 1))
                          for _ in present] for name in names}
        result.append({"step": step, "epoch": 1 + step // 3, "models": present, "metrics": metrics, "flush": False,
                       "kill": False})
    return result


def same(a: float, b: float) -> bool:
    return a == b and math.copysign(1, a) == math.copysign(1, b) or math.isnan(a) and math.isnan(b)


class LoggersTest(unittest.TestCase):
    driver: str

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def log(self, kind: str, path: pathlib.Path, entries_: list[dict], resume: int | None = None,
            hyper_parameters: dict | None = None) -> int:
        script = self.folder / "script.json"
        script.write_text(json.dumps({"columns": COLUMNS, "resume": resume, "entries": entries_,
                                      "hyper_parameters": hyper_parameters or {}}), encoding="utf-8")
        return subprocess.run([self.driver, kind, path, script], check=False).returncode

    def test_csv(self):
        logged = entries(7, 9)
        path = self.folder / "metrics.csv"
        self.assertEqual(self.log("csv", path, logged), 0)
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), ["step", "epoch", "model", *COLUMNS])
        expected = [(entry, i) for entry in logged for i in range(len(entry["models"]))]
        self.assertEqual(len(rows), len(expected))
        for row, (entry, i) in zip(rows, expected):
            self.assertEqual([int(row[key]) for key in ("step", "epoch", "model")],
                             [entry["step"], entry["epoch"], entry["models"][i]])
            for name in COLUMNS:
                if name in entry["metrics"]:
                    self.assertTrue(same(float(row[name]), float(entry["metrics"][name][i])), row)
                else:
                    self.assertEqual(row[name], "")

    def test_json_lines(self):
        logged = entries(7, 9)
        path = self.folder / "metrics.jsonl"
        self.assertEqual(self.log("jsonl", path, logged), 0)

        def refuse(token: str):
            raise ValueError(f"{token} is no JSON")

        lines = [json.loads(line, parse_constant=refuse) for line in path.read_text(encoding="utf-8").splitlines()]
        expected = [(entry, i) for entry in logged for i in range(len(entry["models"]))]
        self.assertEqual(len(lines), len(expected))
        for line, (entry, i) in zip(lines, expected):
            self.assertEqual([line.pop(key) for key in ("step", "epoch", "model")],
                             [entry["step"], entry["epoch"], entry["models"][i]])
            self.assertEqual(line.keys(), entry["metrics"].keys())
            for name, value in line.items():
                number = float(entry["metrics"][name][i])
                if math.isfinite(number):
                    self.assertEqual(value, number)
                else:
                    self.assertIsNone(value)

    def expected_scalars(self, logged: list[dict]) -> dict[int, dict[str, list[tuple[int, float]]]]:
        result = {}
        with numpy.errstate(over="ignore"):  # beyond float32's range is infinite
            for entry in logged:
                for i, model in enumerate(entry["models"]):
                    tags = result.setdefault(model, {})
                    for name, values in entry["metrics"].items():
                        tags.setdefault(name, []).append((entry["step"], float(numpy.float32(float(values[i])))))
        return result

    def check_scalars(self, folder: pathlib.Path, logged: list[dict]) -> None:
        found, expected = event_files.scalars(folder), self.expected_scalars(logged)
        self.assertEqual(found.keys(), expected.keys())
        for model, tags in expected.items():
            self.assertEqual(found[model].keys(), tags.keys())
            for tag, events in tags.items():
                self.assertEqual([step for step, _ in found[model][tag]], [step for step, _ in events])
                for (_, value), (_, wanted) in zip(found[model][tag], events):
                    self.assertTrue(same(value, wanted), (model, tag, value, wanted))

    def test_tensorboard_scalars(self):
        logged = entries(7, 9)
        self.assertEqual(self.log("tensorboard", self.folder / "events", logged), 0)
        self.check_scalars(self.folder / "events", logged)

    def test_tensorboard_of_many_models(self):
        """A run a model: no more than a few files may be open at once."""
        logged = entries(1500, 2)
        logged[0]["flush"] = True
        limited = f'ulimit -n 64; exec "{self.driver}" "$@"'
        script = self.folder / "script.json"
        script.write_text(json.dumps({"columns": COLUMNS, "resume": None, "entries": logged, "hyper_parameters": {}}),
                          encoding="utf-8")
        subprocess.run(["bash", "-c", limited, "driver", "tensorboard", self.folder / "events", script], check=True)
        self.check_scalars(self.folder / "events", logged)

    def test_tensorboard_hyper_parameters(self):
        values = {str(m): {"lr": 10.0 ** -m, "optimizer.kind": "adam" if m % 2 else "sgd", "nesterov": m == 2,
                           "model.layers[0].out_features": 16 * (m + 1)} for m in range(5)}
        metrics = [{"step": step, "epoch": 1, "models": list(range(5)), "flush": False, "kill": False,
                    "metrics": {"validation_loss": [repr(m + 1 / step) for m in range(5)]}} for step in (1, 2, 4)]
        self.assertEqual(self.log("tensorboard", self.folder / "events", metrics, hyper_parameters=values), 0)
        sessions = event_files.sessions(self.folder / "events")
        self.assertEqual({str(model): hyper for model, (hyper, _) in sessions.items()}, values)
        for model, (_, last) in sessions.items():
            self.assertEqual(last, {"validation_loss": model + 0.25})

    def read(self, kind: str, path: pathlib.Path):
        return event_files.scalars(path) if kind == "tensorboard" else path.read_text(encoding="utf-8")

    def test_a_killed_process_resumes(self):
        """What was flushed before the kill is read by everyone; the resumed log is that of a whole run."""
        logged = [dict(entry) for entry in entries(4, 20)]
        for entry in logged:  # no NaN: it is not equal to itself
            entry["metrics"] = {name: ["0.5" if "n" in v else v for v in values]
                                for name, values in entry["metrics"].items()}
        for kind in ("csv", "jsonl", "tensorboard"):
            whole = self.folder / f"whole.{kind}"
            self.assertEqual(self.log(kind, whole, logged), 0)
            for flushed, killed in ((5, 6), (12, 19), (1, 1)):
                with self.subTest(kind=kind, flushed=flushed):
                    path = self.folder / f"killed-{flushed}.{kind}"
                    part = [entry | {"flush": entry["step"] == flushed, "kill": entry["step"] == killed}
                            for entry in logged]
                    self.assertEqual(self.log(kind, path, part), -9)
                    until = [entry for entry in logged if entry["step"] <= flushed]
                    if kind == "tensorboard":
                        self.check_scalars(path, until)
                    else:
                        self.assertTrue(self.read(kind, whole).startswith(self.read(kind, path)))
                        self.assertIn(f"\n{flushed}," if kind == "csv" else f'"step":{flushed},',
                                      self.read(kind, path))
                    # The checkpoint is older than what was flushed, or as old.
                    for checkpoint in (flushed - 1, flushed):
                        rest = [entry for entry in logged if entry["step"] > checkpoint]
                        self.assertEqual(self.log(kind, path, rest, resume=checkpoint), 0)
                        self.assertEqual(self.read(kind, path), self.read(kind, whole))

    def test_tensorboard_reads_cut_files(self):
        """Wherever a kill cuts the last record, TensorBoard shows those before it."""
        logged = entries(1, 3)
        self.assertEqual(self.log("tensorboard", self.folder / "events", logged), 0)
        (file,) = (self.folder / "events").glob("*/*")
        content = file.read_bytes()
        self.assertEqual(self.log("tensorboard", self.folder / "two", logged[:2]), 0)
        (shorter,) = (self.folder / "two").glob("*/*")
        begin = len(shorter.read_bytes())
        self.assertLess(begin, len(content))
        for size in range(begin, len(content), 5):
            file.write_bytes(content[:size])
            self.check_scalars(self.folder / "events", logged[:2])


if __name__ == "__main__":
    LoggersTest.driver = sys.argv.pop(1)
    unittest.main()
