"""A workload as compare/workload_folder.h writes it, and its models in stacks.

A stack is models of one shape, whose parameters are arrays [models, ...]. Models of different widths are one stack for
each width ("grouped"), or one stack of the largest widths ("padded"): with weights of zero outside of a model's own
width, relu and gelu give zero there, gradients are zero and Adam moves nothing, so that no mask is needed.
"""

import dataclasses
import json
import pathlib

import numpy as np

from worker import Unsupported

# Operators that give 0 for 0, whatever else is in the row.
_KEEP_ZERO = {"linear", "relu", "gelu", "dropout"}
_KNOWN = _KEEP_ZERO | {"layer_norm"}


@dataclasses.dataclass
class Stack:
    operators: list[dict]  # of all its models: a chain
    models: list[int]  # their numbers, from the worker's first
    shapes: list[dict[str, tuple]]  # of each model's parameters
    initial: dict[str, np.ndarray]  # parameter -> [models, ...]
    rates: np.ndarray  # [models]
    # Of each batch. Rows that all models share: [rows, input], [rows], None. Else, padded to the most rows of a model:
    # [models, rows, input], [models, rows], and the share of each row in the loss of its model, [models, rows].
    batches: list[tuple]

    @property
    def shared_rows(self) -> bool:
        return self.batches[0][2] is None


class Workload:
    def __init__(self, folder: str, first: int, last: int, stacks: str):
        path = pathlib.Path(folder)
        self.json = json.loads((path / "workload.json").read_text())
        self.first = first
        self.models = self.json["models"][first:last]
        self.num_batches = self.json["batches"]
        for model in self.models:
            for index, operator in enumerate(model["operators"]):
                if operator["kind"] not in _KNOWN or operator["inputs"] != [index - 1]:
                    raise Unsupported(f'operator "{operator["name"]}" ({operator["kind"]}) is not one of '
                                      f"{sorted(_KNOWN)}, in a chain")
        self._labels = np.fromfile(path / "labels", np.int64)
        self._features = np.fromfile(path / "features", np.float32).reshape([len(self._labels)] + self.json["input"])
        self._rows = np.fromfile(path / "rows", np.int32).reshape(self.num_batches, -1)
        initial = np.fromfile(path / "initial", np.float32)
        self._initial, at = [], 0
        for number, model in enumerate(self.json["models"][:last]):
            parameters = {}
            for parameter in model["parameters"]:
                size = int(np.prod(parameter["shape"]))
                parameters[parameter["name"]] = initial[at:at + size].reshape(parameter["shape"])
                at += size
            if number >= first:
                self._initial.append(parameters)
        self.stacks = self._padded() if stacks == "padded" else self._grouped()

    def _grouped(self) -> list[Stack]:
        groups = {}
        for number, model in enumerate(self.models):
            groups.setdefault(json.dumps(model["operators"]), []).append(number)
        return [self._stack(numbers) for numbers in groups.values()]

    def _padded(self) -> list[Stack]:
        kinds = {operator["kind"] for model in self.models for operator in model["operators"]}
        if not kinds <= _KEEP_ZERO:
            raise Unsupported(f"{sorted(kinds - _KEEP_ZERO)} cannot be padded without masks")
        return [self._stack(list(range(len(self.models))))]

    def _stack(self, models: list[int]) -> Stack:
        parameters = [self._initial[i] for i in models]
        initial = {}
        for name in parameters[0]:
            shape = np.max([p[name].shape for p in parameters], axis=0)
            initial[name] = np.zeros([len(models), *shape], np.float32)
            for padded, p in zip(initial[name], parameters):
                padded[_corner(p[name].shape)] = p[name]
        return Stack(
            operators=self.models[models[0]]["operators"],
            models=models,
            shapes=[{name: value.shape for name, value in p.items()} for p in parameters],
            initial=initial,
            rates=np.array([self.models[i]["rate"] for i in models], np.float32),
            batches=[self._batch(rows, models) for rows in self._rows])

    def _batch(self, rows: np.ndarray, models: list[int]) -> tuple:
        offsets = self.json["offsets"]
        if not offsets:
            return self._features[rows], self._labels[rows], None
        own = [rows[offsets[self.first + i]:offsets[self.first + i + 1]] for i in models]
        most = max(len(r) for r in own)
        features = np.zeros([len(own), most] + self.json["input"], np.float32)
        labels = np.zeros([len(own), most], np.int64)
        shares = np.zeros([len(own), most], np.float32)
        for i, r in enumerate(own):
            features[i, :len(r)] = self._features[r]
            labels[i, :len(r)] = self._labels[r]
            shares[i, :len(r)] = 1 / len(r)
        return features, labels, shares

    def weights(self, values: list[dict[str, np.ndarray]]) -> np.ndarray:
        """The parameters of all models one by one, from those of each stack."""
        by_model = [None] * len(self.models)
        for stack, parameters in zip(self.stacks, values):
            for i, model in enumerate(stack.models):
                by_model[model] = [parameters[name][i][_corner(shape)].ravel()
                                   for name, shape in stack.shapes[i].items()]
        return np.concatenate([value for parameters in by_model for value in parameters]).astype(np.float32, copy=False)


def _corner(shape: tuple) -> tuple:
    return tuple(slice(size) for size in shape)
