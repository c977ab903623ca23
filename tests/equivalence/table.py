"""What is compared with PyTorch: every operator, loss and optimizer, what PyTorch has for it, and the cases it is tried in.

All tests of this folder run from these three tables. coverage_test.py compares them with what the core knows and what
the plugins claim: what is added there fails until it has an entry here, which is all that it needs.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable

import numpy
import torch
from torch import nn
from torch.nn import functional

from tests.equivalence.modelbatch_driver import Spec


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a case: one model for each hidden width."""

    rows: int
    inputs: tuple[int, ...]
    hidden: tuple[int, ...]
    outputs: int


VECTORS = (
    Shape(1, (1,), (1, 2), 1),
    Shape(1, (5,), (7, 1, 16), 3),
    Shape(3, (1,), (8, 5), 2),
    Shape(8, (8,), (8, 24), 8),
    Shape(17, (33,), (65, 9, 31), 5),
    Shape(64, (64,), (128, 100), 10),
    Shape(130, (300,), (17, 40), 1),
)
IMAGES = (
    Shape(1, (1, 1), (1, 3), 1),
    Shape(5, (3, 7), (9, 20), 4),
    Shape(20, (2, 3, 4), (11,), 3),
)


@dataclasses.dataclass(frozen=True)
class Graph:
    """A model around an operator."""

    build: Callable  # (input shape, hidden width, output width) -> Spec
    shapes: tuple[Shape, ...] = VECTORS


def _between(kind: str, **attributes) -> Graph:
    """The operator between two linears."""
    return Graph(lambda shape, h, out: (Spec(*shape).op("linear", out_features=h).op(kind, **attributes)
                                        .op("linear", out_features=out)))


def _first(kind: str, **attributes) -> Graph:
    """The operator on the model's input, by which nobody wants a derivative."""
    return Graph(lambda shape, h, out: Spec(*shape).op(kind, **attributes).op("linear", out_features=out))


def _last(kind: str, **attributes) -> Graph:
    """The operator just before the loss."""
    return Graph(lambda shape, h, out: Spec(*shape).op("linear", out_features=out).op(kind, **attributes))


def _everywhere(kind: str, **attributes) -> dict[str, Graph]:
    name = ", ".join([kind, *(f"{key} {value}" for key, value in attributes.items())])
    return {f"{name}, between": _between(kind, **attributes), f"{name}, first": _first(kind, **attributes),
            f"{name}, last": _last(kind, **attributes)}


def _residual(shape, h, out):
    return (Spec(*shape).op("linear", out_features=h).op("relu").op("linear", out_features=h).op("add", [2, 1])
            .op("tanh").op("linear", out_features=out))


def _fan_out(shape, h, out):
    """A value with four readers."""
    return (Spec(*shape).op("linear", out_features=h).op("tanh", [0]).op("linear", [0], out_features=h)
            .op("gelu", [0]).op("add", [1, 2]).op("add", [4, 3]).op("add", [0, 5]).op("linear", out_features=out))


def _relu_with_two_readers(shape, h, out):
    """The linear's own output is read beside the relu that could be fused into it."""
    return (Spec(*shape).op("linear", out_features=h).op("relu", [0]).op("add", [1, 0])
            .op("linear", out_features=out))


def _pre_norm(shape, h, out):
    """A transformer's block without its attention."""
    return (Spec(*shape).op("linear", out_features=h).op("layer_norm", [0]).op("linear", out_features=2 * h)
            .op("gelu", approximate="tanh").op("linear", out_features=h).op("add", [0, 4]).op("layer_norm", eps=1e-3)
            .op("linear", out_features=out))


def _deep(shape, h, out):
    spec = Spec(*shape)
    for _ in range(4):
        spec.op("linear", out_features=h).op("relu")
    return spec.op("linear", out_features=out)


@dataclasses.dataclass(frozen=True)
class Operator:
    compute: Callable  # (inputs, attributes, parameter by its last name) -> output; dropout's mask is the caller's
    module: Callable | None  # (input width, attributes) -> what torch.nn has for it; None: nothing
    graphs: dict[str, Graph]
    # (input shape, attributes, random) -> values by the parameter's last name, larger than the default initial ones so
    # that activations leave their linear part
    parameters: Callable = lambda shape, attributes, random: {}
    # Of an elementwise function: (z, y, attributes) -> the rounding of its value and of its derivative in units of the
    # last place of 1. What the others round is in rounding.py.
    rounding: tuple[Callable, Callable] | None = None
    kinks: tuple[float, ...] = ()  # where the derivative jumps


def _linear_parameters(shape, attributes, random):
    bound, outputs = 2 / shape[0]**0.5, attributes["out_features"]
    weight = {"weight": random.uniform(-bound, bound, (outputs, shape[0]))}
    return weight | ({"bias": random.uniform(-bound, bound, outputs)} if attributes.get("bias", True) else {})


def _layer_norm_parameters(shape, attributes, random):
    return {"weight": 1 + 0.3 * random.standard_normal(shape), "bias": 0.3 * random.standard_normal(shape)}


def _gelu_derivative_rounding(z, y, attributes):
    if attributes.get("approximate", "none") == "none":
        return 2 + 0 * z
    # z / 2 (1 - t^2) k, t = tanh(...) near 1 with an error of one unit or two, k = sqrt(2 / pi) (1 + 3 * 0.044715 z^2)
    return 2 + z.abs() * (0.8 + 0.11 * z.square())


OPERATORS = {
    "linear": Operator(
        lambda x, a, p: functional.linear(x[0], p("weight"), p("bias") if a.get("bias", True) else None),
        lambda n, a: nn.Linear(n, a["out_features"], bias=a.get("bias", True)),
        {"linear": Graph(lambda shape, h, out: Spec(*shape).op("linear", out_features=out)),
         "linear, no bias": Graph(lambda shape, h, out: Spec(*shape).op("linear", out_features=out, bias=False)),
         "two linears": Graph(lambda shape, h, out: (Spec(*shape).op("linear", out_features=h)
                                                     .op("linear", out_features=out))),
         "two linears, no bias": Graph(lambda shape, h, out: (Spec(*shape).op("linear", out_features=h, bias=False)
                                                              .op("linear", out_features=out, bias=False)))},
        _linear_parameters),
    "relu": Operator(
        lambda x, a, p: torch.relu(x[0]), lambda n, a: nn.ReLU(),
        _everywhere("relu") | {"relu with two readers": Graph(_relu_with_two_readers), "deep": Graph(_deep)},
        rounding=(lambda z, y, a: 0 * z, lambda z, y, a: 0 * z), kinks=(0.0,)),
    "gelu": Operator(
        lambda x, a, p: functional.gelu(x[0], approximate=a.get("approximate", "none")), lambda n, a: nn.GELU(**a),
        _everywhere("gelu") | _everywhere("gelu", approximate="tanh"),
        rounding=(lambda z, y, a: 2 * z.abs(), _gelu_derivative_rounding)),
    "tanh": Operator(
        lambda x, a, p: torch.tanh(x[0]), lambda n, a: nn.Tanh(), _everywhere("tanh"),
        rounding=(lambda z, y, a: 2 * y.abs(), lambda z, y, a: 2 + 0 * z)),
    "sigmoid": Operator(
        lambda x, a, p: torch.sigmoid(x[0]), lambda n, a: nn.Sigmoid(), _everywhere("sigmoid"),
        rounding=(lambda z, y, a: 2 * y.abs(), lambda z, y, a: 2 * y.abs())),
    "dropout": Operator(
        lambda x, a, p: x[0], lambda n, a: nn.Dropout(**a),
        {**{f"dropout {p}": _between("dropout", p=p) for p in (0.0, 0.1, 0.5)},
         "dropout after relu": Graph(lambda shape, h, out: (Spec(*shape).op("linear", out_features=h).op("relu")
                                                            .op("dropout", p=0.3).op("linear", out_features=out))),
         "dropout of the input": _first("dropout", p=0.2)}),
    "flatten": Operator(
        lambda x, a, p: x[0].flatten(1), lambda n, a: nn.Flatten(),
        {"flatten of a vector": _between("flatten"),
         "flatten": Graph(lambda shape, h, out: (Spec(*shape).op("flatten").op("linear", out_features=h).op("relu")
                                                 .op("linear", out_features=out)), IMAGES),
         "flatten after tanh": Graph(lambda shape, h, out: (Spec(*shape).op("tanh").op("flatten")
                                                            .op("linear", out_features=out)), IMAGES)}),
    "add": Operator(
        lambda x, a, p: x[0] + x[1], None,
        {"residual": Graph(_residual),
         "residual from the input": Graph(lambda shape, h, out: (Spec(*shape).op("linear", out_features=shape[0])
                                                                 .op("add", [0, -1]).op("linear", out_features=out))),
         "x + x": Graph(lambda shape, h, out: (Spec(*shape).op("linear", out_features=h).op("add", [0, 0])
                                               .op("linear", out_features=out))),
         "fan-out": Graph(_fan_out)}),
    "layer_norm": Operator(
        lambda x, a, p: functional.layer_norm(x[0], x[0].shape[1:], p("weight"), p("bias"), a.get("eps", 1e-5)),
        lambda n, a: nn.LayerNorm(n, **a),
        _everywhere("layer_norm") | {"layer norm, eps 0.1": _between("layer_norm", eps=0.1),
                                     "pre-norm block": Graph(_pre_norm)},
        _layer_norm_parameters),
}
GRAPHS = {name: graph for operator in OPERATORS.values() for name, graph in operator.graphs.items()}


def root(n: int) -> float:
    """A sum of n numbers, itself included: how far its rounding goes, by rounding.py's rule."""
    return n**0.5 + 1


@dataclasses.dataclass(frozen=True)
class Loss:
    kind: str
    function: Callable  # (output, targets, attributes by name) -> the mean, in the output's dtype
    targets: Callable  # (rows, outputs, attributes, random) -> float32 or int64
    # (output, targets, gradient by the output, attributes) -> the loss's own rounding and that of its gradient, in
    # units of the last place of 1. What the output's error becomes rounding.py knows from the derivatives.
    rounding: Callable
    # (outputs) -> the loss's attributes. Lists hold float32 values, so that both sides compute with the same numbers.
    attributes: Callable = lambda outputs: {}
    classes: bool = False  # whether targets are class indices, and evaluation counts the correct ones
    kinks: tuple[float, ...] = ()  # where, by output - target, a derivative jumps
    # The graphs it is tried with: a loss sees of a model only its output.
    graphs: tuple[str, ...] = ("linear", "two linears", "relu, last", "dropout 0.5", "flatten")

    def compute(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        attributes = {name: torch.tensor(value, dtype=output.dtype) if isinstance(value, list) else value
                      for name, value in self.attributes(output.shape[1]).items()}
        return self.function(output, targets, **attributes)

    def counted(self, targets, outputs: int) -> numpy.ndarray:
        """Which rows are not ignored."""
        targets = numpy.asarray(targets)
        if not self.classes:
            return numpy.ones(len(targets), bool)
        return targets != self.attributes(outputs).get("ignore_index", -100)

    def total(self, targets, outputs: int) -> float:
        """What the rows weigh together. At 0 PyTorch gives NaN and ModelBatch makes no step."""
        counted = self.counted(targets, outputs)
        weight = self.attributes(outputs).get("weight")
        return counted.sum() if weight is None else numpy.array(weight)[numpy.asarray(targets)[counted]].sum()


def _class_indices(rows, outputs, attributes, random):
    targets = random.integers(0, outputs, rows)
    if "ignore_index" in attributes:
        targets[random.random(rows) < 0.25] = attributes["ignore_index"]
    return targets


def _reals(rows, outputs, attributes, random):
    return random.standard_normal((rows, outputs)).astype(numpy.float32)


def _probabilities(rows, outputs, attributes, random):
    """Half of them certain."""
    shape = (rows, outputs)
    return numpy.where(random.random(shape) < 0.5, random.integers(0, 2, shape),
                       random.random(shape)).astype(numpy.float32)


def _class_weights(outputs: int) -> list[float]:
    """From 0 to 3; one of several is 0."""
    random = numpy.random.default_rng(outputs)
    weight = random.uniform(0, 3, outputs).astype(numpy.float32)
    if outputs > 1:
        weight[random.integers(outputs)] = 0
    return weight.tolist()


def _pos_weight(outputs: int) -> list[float]:
    return numpy.random.default_rng(outputs).uniform(0.1, 5, outputs).astype(numpy.float32).tolist()


def _class_weighting(z, targets, attributes):
    """By row, whether it counts, its class (0 where it does not) and its weight; and the weight of each class."""
    counted = targets != attributes.get("ignore_index", -100)
    targets = torch.where(counted, targets, 0)
    weight = torch.tensor(attributes.get("weight", [1.0] * z.shape[1]), dtype=z.dtype)
    return counted, targets, weight[targets] * counted, weight


def _cross_entropy_rounding(z, targets, gradient, attributes):
    rows, classes = z.shape
    counted, targets, row_weight, weight = _class_weighting(z, targets, attributes)
    smoothing = attributes.get("label_smoothing", 0.0)
    # A row's loss is the sum over the classes of shares of -log p, all of the same sign.
    hard, soft = (1 - smoothing) * row_weight, smoothing / classes * weight * counted[:, None]
    shares = soft.scatter_add(1, targets[:, None], hard[:, None])
    weighs = row_weight.sum()
    # What attributes add: 1 - s or s / C, its product with a weight and that with -log p; sums over the classes; the
    # sum of the rows' weights.
    share_units = 3 if {"label_smoothing", "weight"} & attributes.keys() else 0
    sum_units = root(classes) if smoothing else 0
    weighs_units = root(rows) if "weight" in attributes else 0
    largest = z.max(1, keepdim=True).values
    losses = z.logsumexp(1, keepdim=True) - z  # -log p
    row_losses = (shares * losses).sum(1)
    class_errors = root(classes) + 2 * z.abs().amax(1, keepdim=True) + losses
    row_errors = (shares * (class_errors + share_units * losses)).sum(1) + sum_units * row_losses
    loss = row_losses.sum() / weighs
    total = shares.sum(1, keepdim=True)
    units = root(classes) + (z - largest).abs() + 4 + share_units + sum_units
    gradient_errors = (z.softmax(1) * total * units + share_units * shares) / weighs
    return (row_errors.sum() / weighs + (root(rows) + weighs_units) * loss,
            gradient_errors + (2 + weighs_units) * gradient.abs())


def _nll_rounding(z, targets, gradient, attributes):
    """Terms have either sign; a term and its derivative are products with a weight, by the sum of the weights."""
    rows = len(z)
    _, targets, row_weight, _ = _class_weighting(z, targets, attributes)
    terms = row_weight * z.gather(1, targets[:, None])[:, 0]
    weighs_units = root(rows) if "weight" in attributes else 0
    return (((root(rows) + 1) * terms.abs().sum() + weighs_units * terms.sum().abs()) / row_weight.sum(),
            (2 + weighs_units) * gradient.abs())


def _bce_rounding(z, targets, gradient, attributes):
    """Of (1 - t) z + w softplus(-z), w = 1 + (p - 1) t, term by term: those of different signs may cancel.

    w is off by 2 |p - 1| t + w units; softplus by 4 with its product, and so is a sigmoid. The derivative is
    (1 - t) - w sigmoid(-z) or, as PyTorch has it, w sigmoid(z) - p t, which cancels where the other does not.
    """
    pos_weight = torch.tensor(attributes.get("pos_weight", [1.0] * z.shape[1]), dtype=z.dtype)
    change = (pos_weight - 1) * targets
    weight_errors = 2 * change.abs() + 5 * (1 + change)
    softplus = functional.softplus(-z)
    values = (1 - targets) * z + (1 + change) * softplus
    errors = 2 * (1 - targets) * z.abs() + weight_errors * softplus + values
    gradient_errors = torch.maximum(2 * (1 - targets) + weight_errors * torch.sigmoid(-z),
                                    pos_weight * targets + weight_errors * torch.sigmoid(z)) / z.numel()
    return errors.mean() + root(z.numel()) * values.mean(), gradient_errors + 2 * gradient.abs()


def _relative_rounding(function, value_units: int, gradient_units: int):
    """Of a mean of elements that are none negative, each with a relative error, and so their derivatives."""
    return lambda z, targets, gradient, attributes: (
        (root(z.numel()) + value_units) * function(z, targets, **attributes), gradient_units * gradient.abs())


def _classes(kind, function, rounding, attributes=lambda outputs: {}, **others) -> Loss:
    return Loss(kind, function, _class_indices, rounding, attributes, classes=True, **others)


def _smooth_l1(**attributes) -> Loss:
    """d / beta, d / 2 and a product, or |d| - beta / 2, which is at least |d| / 2: four units."""
    beta = attributes.get("beta", 1.0)
    return Loss("smooth_l1", functional.smooth_l1_loss, _reals, _relative_rounding(functional.smooth_l1_loss, 4, 4),
                lambda outputs: attributes, kinks=(-beta, beta))


def _huber(**attributes) -> Loss:
    """As smooth_l1's, with a product more beyond the corner."""
    delta = attributes.get("delta", 1.0)
    return Loss("huber", functional.huber_loss, _reals, _relative_rounding(functional.huber_loss, 5, 4),
                lambda outputs: attributes, kinks=(-delta, delta))


_cross_entropy = functools.partial(_classes, "cross_entropy", functional.cross_entropy, _cross_entropy_rounding)
_nll = functools.partial(_classes, "nll", functional.nll_loss, _nll_rounding)
_bce = functools.partial(Loss, "bce_with_logits", functional.binary_cross_entropy_with_logits, _probabilities,
                         _bce_rounding)

# A loss with several attributes worth trying has several entries.
LOSSES = {
    "cross_entropy": _cross_entropy(graphs=tuple(GRAPHS)),
    "cross_entropy, smoothed": _cross_entropy(lambda outputs: {"label_smoothing": 0.1}),
    "cross_entropy, weighted": _cross_entropy(lambda outputs: {"weight": _class_weights(outputs)}),
    "cross_entropy, ignoring": _cross_entropy(lambda outputs: {"ignore_index": 0}),
    "cross_entropy, all attributes": _cross_entropy(
        lambda outputs: {"label_smoothing": 0.1, "weight": _class_weights(outputs), "ignore_index": -1}),
    "nll": _nll(),
    "nll, all attributes": _nll(lambda outputs: {"weight": _class_weights(outputs), "ignore_index": -100}),
    "bce_with_logits": _bce(),
    "bce_with_logits, weighted": _bce(lambda outputs: {"pos_weight": _pos_weight(outputs)}),
    "mse": Loss("mse", functional.mse_loss, _reals, _relative_rounding(functional.mse_loss, 2, 3),
                graphs=tuple(GRAPHS)),
    "l1": Loss("l1", functional.l1_loss, _reals, _relative_rounding(functional.l1_loss, 2, 3), kinks=(0.0,)),
    "huber": _huber(),
    "huber, delta 0.25": _huber(delta=0.25),
    "smooth_l1": _smooth_l1(),
    "smooth_l1, beta 0.25": _smooth_l1(beta=0.25),
    "smooth_l1, beta 0": _smooth_l1(beta=0.0),
}


@dataclasses.dataclass(frozen=True)
class Optimizer:
    make: Callable  # (parameters, hyper-parameters by ModelBatch's names) -> torch.optim.Optimizer
    # What to try; a hyper-parameter not named has its default, which must be torch.optim's.
    cases: tuple[dict[str, float], ...]
    # With these the weights of a trajectory move as far as Adam's at 1e-3.
    trajectory: dict[str, float] = dataclasses.field(default_factory=dict)
    # With columns that came after the optimizer: plugins need not have them.
    optional: tuple[dict[str, float], ...] = ()


FLAGS = ("nesterov", "amsgrad", "maximize", "centered", "decoupled_weight_decay")


def _torch(cls, **others):
    """An optimizer of torch.optim. It has a pair of betas where ModelBatch has two names."""
    def make(parameters, hyper):
        hyper = {name: bool(value) if name in FLAGS else value for name, value in hyper.items()}
        if "beta1" in hyper or "beta2" in hyper:
            defaults = inspect.signature(cls).parameters["betas"].default
            hyper["betas"] = (hyper.pop("beta1", defaults[0]), hyper.pop("beta2", defaults[1]))
        return cls(parameters, **others, **hyper)
    return make


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", as it is written there.

    torch.optim has none.
    """

    def __init__(self, parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=0, maximize=False):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
            for p in group["params"]:
                g = -p.grad if group["maximize"] else p.grad
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * g
                p.sub_(lr * (torch.sign(c) + decay * p))
                m.copy_(beta2 * m + (1 - beta2) * g)


_ADAM_CASES = (
    {},
    {"lr": 1e-2},
    {"lr": 3e-4, "beta1": 0.5, "beta2": 0.9},
    {"lr": 1e-2, "beta1": 0.0},
    {"lr": 1e-2, "beta1": 0.3, "beta2": 0.5},
    {"lr": 1e-3, "beta1": 0.0, "beta2": 0.0},
    {"lr": 1e-2, "beta1": 0.99, "beta2": 0.9999},
    {"lr": 1e-2, "eps": 1e-3},
    {"lr": 1e-2, "weight_decay": 0.0},
    {"lr": 1e-2, "weight_decay": 0.1},
    {"lr": 5e-2, "beta1": 0.8, "eps": 1e-6, "weight_decay": 0.5},
    {"lr": 0.0, "weight_decay": 0.1},
)
_AMSGRAD_CASES = (
    {"amsgrad": 1},
    {"lr": 1e-2, "beta1": 0.3, "beta2": 0.5, "amsgrad": 1},
    {"lr": 1e-2, "weight_decay": 0.1, "amsgrad": 1, "maximize": 1},
    {"lr": 1e-2, "weight_decay": 0.1, "maximize": 1},
)
_DECOUPLED_CASES = (
    {"lr": 1e-2, "weight_decay": 0.1, "decoupled_weight_decay": 1},
    {"lr": 1e-2, "beta2": 0.8, "weight_decay": 0.5, "decoupled_weight_decay": 1, "maximize": 1},
    {"lr": 1e-2, "weight_decay": 0.1, "maximize": 1},
    {"decoupled_weight_decay": 1},
)

OPTIMIZERS = {
    "sgd": Optimizer(_torch(torch.optim.SGD, foreach=False), (
        {},
        {"lr": 0.3},
        {"lr": 0.1, "weight_decay": 0.05},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        {"lr": 0.1, "momentum": 0.9, "dampening": 1.0},
        {"lr": 0.1, "momentum": 0.9, "nesterov": 1},
        {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.99, "dampening": 0.1, "weight_decay": 0.01},
        {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.3, "nesterov": 1},
        {"lr": 0.0, "momentum": 0.9},
    ), {"lr": 0.1, "momentum": 0.9}, (
        {"lr": 1e-2, "maximize": 1},
        {"lr": 2e-3, "momentum": 0.8, "weight_decay": 0.3, "nesterov": 1, "maximize": 1},
    )),
    "adam": Optimizer(_torch(torch.optim.Adam, foreach=False), _ADAM_CASES, optional=_AMSGRAD_CASES),
    "adamw": Optimizer(_torch(torch.optim.AdamW, foreach=False), _ADAM_CASES, optional=_AMSGRAD_CASES),
    "nadam": Optimizer(_torch(torch.optim.NAdam, foreach=False), _ADAM_CASES + _DECOUPLED_CASES + (
        {"momentum_decay": 0.0},
        {"lr": 1e-2, "momentum_decay": 0.5},
        {"lr": 1e-2, "beta1": 0.5, "momentum_decay": 30.0, "maximize": 1},
    ), {"lr": 1e-3}),
    "radam": Optimizer(_torch(torch.optim.RAdam, foreach=False), _ADAM_CASES + _DECOUPLED_CASES, {"lr": 5e-3}),
    "rmsprop": Optimizer(_torch(torch.optim.RMSprop, foreach=False), (
        {},
        {"lr": 1e-3},
        {"alpha": 0.9, "eps": 1e-3},
        {"alpha": 0.0},
        {"weight_decay": 0.1},
        {"momentum": 0.9},
        {"centered": 1},
        {"lr": 1e-3, "alpha": 0.5, "centered": 1, "eps": 1e-4},
        {"lr": 1e-3, "alpha": 0.9, "momentum": 0.5, "centered": 1, "weight_decay": 0.1},
        {"maximize": 1},
        {"lr": 1e-3, "momentum": 0.8, "centered": 1, "maximize": 1, "weight_decay": 0.5},
        {"lr": 0.0, "momentum": 0.9},
    ), {"lr": 1e-3, "alpha": 0.9, "momentum": 0.5}),
    "adagrad": Optimizer(_torch(torch.optim.Adagrad, foreach=False), (
        {},
        {"lr": 0.1},
        {"lr": 0.1, "lr_decay": 0.1},
        {"weight_decay": 0.1},
        {"initial_accumulator_value": 0.5},
        {"eps": 1e-2},
        {"lr": 0.05, "lr_decay": 1.0, "weight_decay": 0.5, "initial_accumulator_value": 1e-3, "eps": 1e-6},
        {"maximize": 1},
        {"lr": 0.1, "weight_decay": 0.1, "maximize": 1},
        {"lr": 0.0},
    ), {"lr": 1e-2}),
    "adadelta": Optimizer(_torch(torch.optim.Adadelta, foreach=False), (
        {},
        {"lr": 0.1},
        {"rho": 0.5},
        {"rho": 0.0},
        {"rho": 1.0},
        {"eps": 1e-3},
        {"lr": 0.5, "weight_decay": 0.1},
        {"maximize": 1},
        {"lr": 0.5, "rho": 0.95, "eps": 1e-5, "weight_decay": 0.3, "maximize": 1},
        {"lr": 0.0},
    ), {"lr": 0.5}),
    "lion": Optimizer(_torch(Lion), (
        {},
        {"lr": 1e-2},
        {"lr": 1e-3, "beta1": 0.5},
        {"lr": 1e-3, "beta1": 0.0, "beta2": 0.0},
        {"lr": 1e-3, "beta2": 0.5},
        {"lr": 1e-2, "weight_decay": 0.1},
        {"maximize": 1},
        {"lr": 1e-2, "beta1": 0.95, "beta2": 0.98, "weight_decay": 1.0, "maximize": 1},
        {"lr": 0.0, "weight_decay": 0.1},
    ), {"lr": 1e-3}),
}
