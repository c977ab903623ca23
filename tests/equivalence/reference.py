"""PyTorch's version of what ModelBatch does: the operators, losses and optimizers by ModelBatch's names.

The tests compare the keys of these tables with what a plugin claims, so that nothing claimed goes without a reference.
"""

import numpy
import torch
from torch.nn import functional

from tests.equivalence import philox
from tests.equivalence.modelbatch_driver import Model, Spec

# The tensors are small: threads would only wait for each other.
torch.set_num_threads(1)

# kind: (inputs, attributes, parameter by its last name) -> output. Dropout is in `forward`.
OPERATORS = {
    "linear": lambda x, a, p: functional.linear(x[0], p("weight"), p("bias") if a.get("bias", True) else None),
    "relu": lambda x, a, p: torch.relu(x[0]),
    "gelu": lambda x, a, p: functional.gelu(x[0], approximate=a.get("approximate", "none")),
    "tanh": lambda x, a, p: torch.tanh(x[0]),
    "sigmoid": lambda x, a, p: torch.sigmoid(x[0]),
    "dropout": lambda x, a, p: x[0],
    "flatten": lambda x, a, p: x[0].flatten(1),
    "add": lambda x, a, p: x[0] + x[1],
    "layer_norm": lambda x, a, p: functional.layer_norm(x[0], x[0].shape[1:], p("weight"), p("bias"),
                                                        a.get("eps", 1e-5)),
}

LOSSES = {
    "cross_entropy": functional.cross_entropy,
    "mse": functional.mse_loss,
}


def _adam(cls):
    def make(parameters, hyper):
        betas = (hyper.get("beta1", 0.9), hyper.get("beta2", 0.999))
        others = {name: value for name, value in hyper.items() if name not in ("beta1", "beta2")}
        return cls(parameters, betas=betas, foreach=False, **others)
    return make


def _sgd(parameters, hyper):
    return torch.optim.SGD(parameters, foreach=False, **(hyper | {"nesterov": bool(hyper.get("nesterov", 0))}))


# kind: (parameters, ModelBatch's hyper-parameters) -> torch.optim.Optimizer
OPTIMIZERS = {
    "sgd": _sgd,
    "adam": _adam(torch.optim.Adam),
    "adamw": _adam(torch.optim.AdamW),
}


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
        value = OPERATORS[op["kind"]](inputs, op["attributes"], lambda name: parameters[f"{op['name']}.{name}"])
        if masks is not None and index in masks:
            value = value * masks[index].to(value.dtype)
        values.append(value)
    return values


def widths(spec: Spec, parameters: dict[str, torch.Tensor]) -> dict[int, int]:
    """The width of every operator's output."""
    x = torch.zeros(1, *spec.input_shape, dtype=next(iter(parameters.values())).dtype)
    return {index: value[0].numel() for index, value in enumerate(forward(spec, parameters, x))}


def random_weights(spec: Spec, random: numpy.random.Generator) -> dict[str, numpy.ndarray]:
    """Values for every parameter, larger than the default initial ones so that activations leave their linear part."""
    weights, shapes = {}, []
    for op in spec.operators:
        inputs = [spec.input_shape if i < 0 else shapes[i] for i in op["inputs"]]
        shape, name, attributes = inputs[0], op["name"], op["attributes"]
        if op["kind"] == "linear":
            shape = [attributes["out_features"]]
            bound = 2 / inputs[0][0]**0.5
            weights[f"{name}.weight"] = random.uniform(-bound, bound, (shape[0], inputs[0][0]))
            if attributes.get("bias", True):
                weights[f"{name}.bias"] = random.uniform(-bound, bound, shape)
        elif op["kind"] == "layer_norm":
            weights[f"{name}.weight"] = 1 + 0.3 * random.standard_normal(shape)
            weights[f"{name}.bias"] = 0.3 * random.standard_normal(shape)
        elif op["kind"] == "flatten":
            shape = [int(numpy.prod(shape))]
        shapes.append(shape)
    return {name: value.astype(numpy.float32) for name, value in weights.items()}


def random_data(rows: int, input_shape: list[int], outputs: int, loss: str, random: numpy.random.Generator):
    """Features and the targets that the loss wants."""
    x = random.standard_normal((rows, *input_shape)).astype(numpy.float32)
    if loss == "cross_entropy":
        return x, random.integers(0, outputs, rows)
    return x, random.standard_normal((rows, outputs)).astype(numpy.float32)


def train(model: Model, loss: str, optimizer: str, x, targets, row_sets, orders=None,
          dtype=torch.float32) -> dict[str, torch.Tensor]:
    """Trains one model with PyTorch, with ModelBatch's dropout masks. Returns the parameters and "loss" by step.

    `orders`: a permutation of each step's rows, which take their masks with them.
    """
    parameters = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in model.weights.items()}
    optimize = OPTIMIZERS[optimizer](list(parameters.values()), model.optimizer)
    x, targets = torch.from_numpy(x).to(dtype), torch.from_numpy(targets)
    if targets.is_floating_point():
        targets = targets.to(dtype)
    with torch.no_grad():
        sizes = widths(model.spec, parameters)
    losses = []
    for step, rows in enumerate(row_sets):
        masks = dropout_masks(model, step, len(rows), sizes)
        if orders is not None:
            rows = [rows[i] for i in orders[step]]
            masks = {index: mask[orders[step]] for index, mask in masks.items()}
        value = LOSSES[loss](forward(model.spec, parameters, x[rows], masks)[-1], targets[rows])
        optimize.zero_grad()
        value.backward()
        optimize.step()
        losses.append(value.item())
    return {name: value.detach() for name, value in parameters.items()} | {"loss": torch.tensor(losses)}
