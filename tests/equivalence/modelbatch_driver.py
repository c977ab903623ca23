"""Runs training jobs on ModelBatch from Python: writes jobs for driver.cc and reads what it wrote.

    backend = Driver(program, "plugins/cpu/libmodelbatch_cpu.so")
    result = backend.run([Model(mlp)], "mse", x, y, steps=[{"rows": [0, 1, 2], "keep_gradients": True}])
    result["step.0.loss"]

A test's main is `main(sys.argv, MyTest)`; its arguments are the program and the plugins.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy
import safetensors.numpy


class Spec:
    """A model as ModelBatch describes it: operators with names, kinds, inputs and attributes."""

    def __init__(self, *input_shape: int):
        self.input_shape = list(input_shape)
        self.operators = []

    def op(self, kind: str, inputs: list[int] | None = None, name: str = "", **attributes) -> "Spec":
        """Appends an operator, by default on the last one's output (-1: the model's input)."""
        index = len(self.operators)
        inputs = [index - 1] if inputs is None else inputs
        self.operators.append(
            {"name": name or str(index), "kind": kind, "inputs": inputs, "attributes": attributes})
        return self


@dataclasses.dataclass
class Model:
    """One model of a population. Parameters not in `weights` keep ModelBatch's own initial values."""

    spec: Spec
    seed: int = 0
    id: int | None = None
    weights: dict[str, numpy.ndarray] = dataclasses.field(default_factory=dict)
    optimizer: dict[str, float] = dataclasses.field(default_factory=dict)
    step: int = 0  # the count of updates to start with


# Plugins that have not the optional call session_forward; coverage_test.py looks.
WITHOUT_FORWARD = ("example",)
# Plugins that refuse the columns that optimizers may do without (amsgrad, maximize); coverage_test.py looks.
WITHOUT_OPTIONAL_COLUMNS = ("example",)


class Driver:
    """A plugin, in a process of its own that runs one job after another."""

    def __init__(self, program: str, plugin: str):
        self.program = program
        self.plugin = plugin
        self.name = pathlib.Path(plugin).stem.removeprefix("libmodelbatch_")
        self.has_forward = self.name not in WITHOUT_FORWARD
        self.has_optional_columns = self.name not in WITHOUT_OPTIONAL_COLUMNS
        self.process = None
        self.claims = self._ask("--capabilities", plugin)  # by "operators", "losses" and "optimizers"
        self.kinds = self._ask("--kinds")  # what the core knows

    def _ask(self, *arguments: str):
        return json.loads(subprocess.run([self.program, *arguments], check=True, stdout=subprocess.PIPE).stdout)

    def claims_all(self, spec: Spec | None = None, loss: str | None = None, optimizer: str | None = None) -> bool:
        """Whether the plugin says that it has what is given: the operators, the loss's kind, the optimizer."""
        operators = {op["kind"] for op in spec.operators} if spec else set()
        return (operators <= set(self.claims["operators"]) and (loss is None or loss in self.claims["losses"])
                and (optimizer is None or optimizer in self.claims["optimizers"]))

    def states(self, optimizer: str) -> list[str]:
        """The slots of the optimizer's state that hold a tensor a parameter."""
        return self.kinds["optimizers"][optimizer]["states"]

    def numbers(self, optimizer: str) -> list[str]:
        """Those that hold one number a model."""
        return self.kinds["optimizers"][optimizer]["numbers"]

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate()
            self.process = None

    def _run_job(self, path: pathlib.Path) -> None:
        if self.process is None:
            self.process = subprocess.Popen([self.program, self.plugin], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            text=True)
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer == "":
            raise RuntimeError(f"the driver ended with {self.process.wait()}")
        if answer != "\n":
            raise RuntimeError(f"the job failed: {answer.rstrip()}")

    def run(self, models: list[Model], loss: str, features, targets, steps=(), optimizer="sgd", max_rows=None,
            final=(), evaluate=None, forward=None, attributes=None, schedules=None) -> dict[str, numpy.ndarray]:
        """Trains and returns arrays by name.

        `loss` is a kind, `attributes` are the loss's.
        A step is {"rows": [...]} with, as wanted, "offsets", "active", "keep_gradients", "update" and "record" (slots
        to return after it). `final`: slots to return at the end. `evaluate`, `forward`: rows to do it on at the end; a
        plugin without forward leaves it out. `schedules`: one a model, which ticks after every update.

        Names: initial.param.MODEL.PARAMETER, step.S.loss, step.S.outcome, step.S.SLOT.MODEL.PARAMETER,
        final.SLOT.MODEL.PARAMETER, evaluate.loss, evaluate.correct, forward.MODEL; without .PARAMETER for slots that
        hold one number a model.
        """
        tensors = {"features": numpy.asarray(features), "targets": numpy.asarray(targets)}
        for i, model in enumerate(models):
            for name, value in model.weights.items():
                tensors[f"param.{i}.{name}"] = numpy.asarray(value)
            if model.step:
                tensors[f"step.{i}"] = numpy.array(model.step, numpy.int64)
        tensors = {name: numpy.ascontiguousarray(value).reshape(value.shape) for name, value in tensors.items()}
        if max_rows is None:
            max_rows = max([len(step["rows"]) for step in steps], default=1)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            job = {
                "models": [{"id": i if model.id is None else model.id, "seed": model.seed,
                            "input_shape": model.spec.input_shape, "operators": model.spec.operators}
                           for i, model in enumerate(models)],
                "loss": {"kind": loss, "attributes": attributes or {}},
                "optimizer": {"kind": optimizer, "configs": [model.optimizer for model in models]},
                "max_rows": max_rows,
                "steps": list(steps),
                "final": list(final),
                "input": str(folder / "input.safetensors"),
                "output": str(folder / "output.safetensors"),
            }
            if schedules is not None:
                job["schedules"] = schedules
            if evaluate is not None:
                job["evaluate"] = {"rows": evaluate}
            if forward is not None and self.has_forward:
                job["forward"] = {"rows": forward}
            safetensors.numpy.save_file(tensors, job["input"])
            (folder / "job.json").write_text(json.dumps(job))
            self._run_job(folder / "job.json")
            return safetensors.numpy.load_file(job["output"])


def main(arguments: list[str], test: type[unittest.TestCase]) -> None:
    """Runs a test: `drivers` has one for each plugin among the arguments, `driver` is the first."""
    program, *plugins = arguments[1:]
    test.drivers = [Driver(program, plugin) for plugin in plugins]
    test.driver = test.drivers[0]
    result = unittest.main(module="__main__", argv=arguments[:1], exit=False).result
    for driver in test.drivers:
        driver.close()
    sys.exit(not result.wasSuccessful())
