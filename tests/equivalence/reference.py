"""PyTorch's version of what ModelBatch does, by the tables of table.py."""

import numpy
import torch

from tests.equivalence import philox
from tests.equivalence.modelbatch_driver import Model, Spec
from tests.equivalence.table import LOSSES, OPERATORS, OPTIMIZERS

# The tensors are small: threads would only wait for each other.
torch.set_num_threads(1)

# How far a whole training run may be from PyTorch's, norm-wise per tensor. Adam turns rounding noise into whole steps
# where a gradient is near zero, so that PyTorch with its batch's rows permuted differs from itself.
FLOOR, SPREADS, PERMUTATIONS = 1e-5, 4, 4


def dropout_masks(model: Model, step: int, rows: int, widths: dict[int, int]) -> dict[int, torch.Tensor]:
    """By operator: 0 where an element is dropped, 1 / (1 - p) where it is kept."""
    masks = {}
    for index, op in enumerate(model.spec.operators):
        if op["kind"] == "dropout":
            p = op["attributes"]["p"]
            kept = philox.dropout_mask(model.seed, index, step, rows, widths[index], p)
            masks[index] = torch.from_numpy(kept) / (1 - p) if p < 1 else torch.zeros(kept.shape)
    return masks


def forward(spec: Spec, parameters: dict[str, torch.Tensor], x: torch.Tensor,
            masks: dict[int, torch.Tensor] | None = None) -> list[torch.Tensor]:
    """The output of every operator. With `masks` in training mode, else in evaluation mode."""
    values = []
    for index, op in enumerate(spec.operators):
        inputs = [x if i < 0 else values[i] for i in op["inputs"]]
        value = OPERATORS[op["kind"]].compute(inputs, op["attributes"],
                                              lambda name: parameters[f"{op['name']}.{name}"])
        if masks is not None and index in masks:
            value = value * masks[index].to(value.dtype)
        values.append(value)
    return values


def widths(spec: Spec, parameters: dict[str, torch.Tensor]) -> dict[int, int]:
    """The width of every operator's output."""
    x = torch.zeros(1, *spec.input_shape, dtype=next(iter(parameters.values())).dtype)
    return {index: value[0].numel() for index, value in enumerate(forward(spec, parameters, x))}


def random_weights(spec: Spec, random: numpy.random.Generator) -> dict[str, numpy.ndarray]:
    """Values for every parameter."""
    x = torch.zeros(1, *spec.input_shape)
    weights, values = {}, []
    for op in spec.operators:
        inputs = [x if i < 0 else values[i] for i in op["inputs"]]
        operator = OPERATORS[op["kind"]]
        own = {name: value.astype(numpy.float32)
               for name, value in operator.parameters(inputs[0].shape[1:], op["attributes"], random).items()}
        values.append(operator.compute(inputs, op["attributes"], lambda name: torch.from_numpy(own[name])))
        weights |= {f"{op['name']}.{name}": value for name, value in own.items()}
    return weights


def random_data(rows: int, input_shape, outputs: int, loss: str, random: numpy.random.Generator):
    """Features and the targets that the loss wants."""
    x = random.standard_normal((rows, *input_shape)).astype(numpy.float32)
    return x, LOSSES[loss].targets(rows, outputs, LOSSES[loss].attributes(outputs), random)


def away_from_kinks(loss: str, targets: numpy.ndarray, outputs: list[numpy.ndarray]) -> numpy.ndarray:
    """The targets, moved up where an output is within 1e-3 of a kink of the loss: there either side is right."""
    targets = targets.copy()
    while True:
        near = numpy.zeros(targets.shape, bool)
        for output in outputs:
            for kink in LOSSES[loss].kinks:
                near |= numpy.abs(output - targets - kink) < 1e-3
        if not near.any():
            return targets
        targets[near] += 1e-3


def train(model: Model, loss: str, optimizer: str, x, targets, row_sets, orders=None, dtype=torch.float32,
          schedule=None) -> dict[str, torch.Tensor]:
    """Trains one model with PyTorch, with ModelBatch's dropout masks.

    Steps none of whose rows counts are left out, with a loss of 0.
    `orders`: a permutation of each step's rows, which take their masks with them. `schedule` makes a scheduler for the
    optimizer. Returns "loss" by step, "param.NAME", the optimizer's "STATE.NAME" and "output", the trained model's of all rows.
    """
    parameters = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in model.weights.items()}
    optimize = OPTIMIZERS[optimizer].make(list(parameters.values()), model.optimizer)
    scheduler = schedule(optimize) if schedule else None
    x, targets = torch.from_numpy(x).to(dtype), torch.from_numpy(targets)
    if targets.is_floating_point():
        targets = targets.to(dtype)
    with torch.no_grad():
        sizes = widths(model.spec, parameters)
    losses, updates = [], 0
    for step, rows in enumerate(row_sets):
        if LOSSES[loss].total(targets[rows], sizes[len(sizes) - 1]) == 0:
            losses.append(0.0)
            continue
        masks = dropout_masks(model, updates, len(rows), sizes)
        updates += 1
        if orders is not None:
            rows = [rows[i] for i in orders[step]]
            masks = {index: mask[orders[step]] for index, mask in masks.items()}
        value = LOSSES[loss].compute(forward(model.spec, parameters, x[rows], masks)[-1], targets[rows])
        optimize.zero_grad()
        value.backward()
        optimize.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(value.item())
    result = {"loss": torch.tensor(losses)}
    for name, parameter in parameters.items():
        result[f"param.{name}"] = parameter.detach()
        for state, value in optimize.state[parameter].items():
            if state != "step" and value is not None:
                result[f"{state}.{name}" if value.dim() or not parameter.dim() else state] = value
    with torch.no_grad():
        result["output"] = forward(model.spec, parameters, x)[-1]
    return result


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    difference, norm = float((a.double() - b.double()).norm()), float(b.double().norm())
    return difference / norm if difference else 0.0


def train_with_spread(model: Model, loss: str, optimizer: str, x, targets, row_sets, random: numpy.random.Generator,
                      schedule=None):
    """What `train` returns, and how far from it, norm-wise, each tensor may be."""
    expected = train(model, loss, optimizer, x, targets, row_sets, schedule=schedule)
    allowed = dict.fromkeys(expected, FLOOR)
    for _ in range(PERMUTATIONS):
        permuted = train(model, loss, optimizer, x, targets, row_sets, [random.permutation(len(r)) for r in row_sets],
                         schedule=schedule)
        for tensor, value in expected.items():
            allowed[tensor] = max(allowed[tensor], SPREADS * distance(permuted[tensor], value))
    return expected, allowed


def trained(result: dict[str, numpy.ndarray], model: int, steps: int) -> dict[str, torch.Tensor]:
    """The driver's result of a run by the names of `train`; states and outputs as far as the run returned them."""
    named = {"loss": torch.tensor([result[f"step.{step}.loss"][model] for step in range(steps)])}
    if f"forward.{model}" in result:
        named["output"] = torch.from_numpy(result[f"forward.{model}"])
    for name, value in result.items():
        if name.startswith("final."):
            _, slot, index, *parameter = name.split(".", 3)
            if int(index) == model:
                named[".".join([slot, *parameter])] = torch.from_numpy(value)
    return named
