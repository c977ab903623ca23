"""Runs training jobs on ModelBatch from Python: writes a job for driver.cc and reads what it wrote.

    backend = Driver(sys.argv[1], "cpu")
    result = backend.run([Model(mlp)], "mse", x, y, steps=[{"rows": [0, 1, 2], "keep_gradients": True}])
    result["step.0.loss"]
"""

import dataclasses
import json
import pathlib
import subprocess
import tempfile

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


class Driver:
    def __init__(self, program: str, backend: str):
        self.program = program
        self.backend = backend

    def capabilities(self) -> dict[str, list[str]]:
        command = [self.program, "--capabilities", self.backend]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def run(self, models: list[Model], loss: str, features, targets, steps=(), optimizer="sgd", max_rows=None,
            final=(), evaluate=None, forward=None, options=None) -> dict[str, numpy.ndarray]:
        """Trains and returns arrays by name.

        A step is {"rows": [...]} with, as wanted, "offsets", "active", "keep_gradients", "update" and "record" (slots
        to return after it). `final`: slots to return at the end. `evaluate`, `forward`: rows to do it on at the end.

        Names: initial.param.MODEL.PARAMETER, step.S.loss, step.S.outcome, step.S.SLOT.MODEL.PARAMETER,
        final.SLOT.MODEL.PARAMETER, evaluate.loss, evaluate.correct, forward.MODEL.
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
                "backend": self.backend,
                "options": options or {},
                "models": [{"id": i if model.id is None else model.id, "seed": model.seed,
                            "input_shape": model.spec.input_shape, "operators": model.spec.operators}
                           for i, model in enumerate(models)],
                "loss": loss,
                "optimizer": {"kind": optimizer, "configs": [model.optimizer for model in models]},
                "max_rows": max_rows,
                "steps": list(steps),
                "final": list(final),
                "input": str(folder / "input.safetensors"),
                "output": str(folder / "output.safetensors"),
            }
            if evaluate is not None:
                job["evaluate"] = {"rows": evaluate}
            if forward is not None:
                job["forward"] = {"rows": forward}
            safetensors.numpy.save_file(tensors, job["input"])
            (folder / "job.json").write_text(json.dumps(job))
            result = subprocess.run([self.program, folder / "job.json"], stderr=subprocess.PIPE, text=True)
            if result.returncode != 0:
                raise RuntimeError(f"the driver failed ({result.returncode}): {result.stderr}")
            return safetensors.numpy.load_file(job["output"])
