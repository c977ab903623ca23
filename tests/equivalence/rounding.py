"""How large rounding errors may be: a running error analysis of a training step.

Every value v of the step carries E(v): to first order, a correct fp32 computation stays within c * u * E(v) of the
exact one, u = 2^-24. A sum of K products adds (sqrt(K) + 1) * |A||B| to E, the probabilistic bound of Higham and Mary
(SIAM J. Sci. Comput. 41, 2019); an error in an input comes through with the derivative's absolute value. Exact values
are PyTorch's in float64.
"""

import dataclasses

import torch

from tests.equivalence import reference
from tests.equivalence.modelbatch_driver import Spec
from tests.equivalence.table import LOSSES, OPERATORS, root

UNIT = 2.0**-24

@dataclasses.dataclass
class Bounded:
    """An exact value and E of it."""

    value: torch.Tensor
    error: torch.Tensor


def _derivatives(kind: str, attributes: dict, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    z = z.detach().requires_grad_()
    first, = torch.autograd.grad(OPERATORS[kind].compute([z], attributes, None).sum(), z, create_graph=True)
    second = torch.autograd.grad(first.sum(), z)[0] if first.requires_grad else torch.zeros_like(z)
    return first.detach(), second.detach()


class Analysis:
    """One training step of one model in float64, with error bounds.

    `outputs`: the model's output, `loss` and `gradients` (by parameter), each a Bounded.
    """

    def __init__(self, spec: Spec, weights: dict, x, targets, loss: str, masks=None):
        self.spec, self.masks = spec, masks or {}
        self.parameters = {name: torch.from_numpy(value).double().requires_grad_() for name, value in weights.items()}
        self.x = torch.from_numpy(x).double()
        self.values = reference.forward(spec, self.parameters, self.x, self.masks)
        for value in self.values:
            if value.requires_grad:
                value.retain_grad()
        targets = torch.from_numpy(targets)
        targets = targets.double() if targets.is_floating_point() else targets
        total = LOSSES[loss].compute(self.values[-1], targets)
        total.backward()
        self.errors = []  # E of every operator's output
        with torch.no_grad():
            for index in range(len(spec.operators)):
                self.errors.append(self._forward(index))
        self.output = Bounded(self.values[-1], self.errors[-1])
        loss_error, output_error = self._at_loss(loss, targets)
        self.loss = Bounded(total, loss_error)
        self.value_errors = {len(self.values) - 1: output_error}  # E of the gradient by a value
        self.gradient_errors = {}
        for index in reversed(range(len(spec.operators))):
            self._backward(index)
        self.gradients = {name: Bounded(value.grad, self.gradient_errors[name])
                          for name, value in self.parameters.items()}

    def _input(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        if i < 0:
            return self.x, torch.zeros_like(self.x)
        return self.values[i].detach(), self.errors[i]

    def _parameter(self, op: dict, name: str) -> torch.Tensor:
        return self.parameters[f"{op['name']}.{name}"].detach()

    def _forward(self, index: int) -> torch.Tensor:
        op, y = self.spec.operators[index], self.values[index].detach()
        inputs = [self._input(i) for i in op["inputs"]]
        z, e = inputs[0]
        kind, attributes = op["kind"], op["attributes"]
        if kind == "linear":
            w = self._parameter(op, "weight").abs()
            magnitude = z.abs() @ w.T
            if attributes.get("bias", True):
                magnitude = magnitude + self._parameter(op, "bias").abs()
            return root(w.shape[1]) * magnitude + e @ w.T
        if kind == "dropout":
            mask = self.masks.get(index)
            return e if mask is None else e * mask + 2 * y.abs()
        if kind == "flatten":
            return e.flatten(1)
        if kind == "add":
            return e + inputs[1][1] + y.abs()
        if kind == "layer_norm":
            _, normal, normal_error, _, _ = self._normalize(op)
            w = self._parameter(op, "weight")
            return w.abs() * normal_error + (w * normal).abs() + y.abs()
        with torch.enable_grad():
            first, _ = _derivatives(kind, attributes, z)
        return first.abs() * e + OPERATORS[kind].rounding[0](z, y, attributes)

    def _normalize(self, op: dict):
        """Layer norm's deviation d, normalised value and 1 / sqrt(variance), the latter two with their E."""
        z, e = self._input(op["inputs"][0])
        n = z.shape[1]
        mean = z.mean(1, keepdim=True)
        d = z - mean
        d_error = e + e.mean(1, keepdim=True) + root(n) * z.abs().mean(1, keepdim=True) + d.abs()
        if n == 1:
            d_error = 0 * d_error  # x - x is exact
        variance = d.square().mean(1, keepdim=True)
        r = (variance + op["attributes"].get("eps", 1e-5)).rsqrt()
        variance_error = 2 * (d.abs() * d_error).mean(1, keepdim=True) + root(n) * variance
        r_error = 0.5 * r**3 * variance_error + 2 * r
        normal = d * r
        normal_error = r * d_error + d.abs() * r_error + normal.abs()
        return d, normal, normal_error, r, r_error

    def _at_loss(self, loss: str, targets: torch.Tensor):
        """E of the loss and of its gradient: the output's error by the first and second derivatives, and own rounding.

        The latter are those within a row: rows do not see each other.
        """
        _, e = self._input(len(self.values) - 1)
        z = self.values[-1].detach().requires_grad_()
        first, = torch.autograd.grad(LOSSES[loss].compute(z, targets), z, create_graph=True)
        gradient_error = torch.zeros_like(e)
        if first.requires_grad:
            for column in range(z.shape[1]):
                second, = torch.autograd.grad(first[:, column].sum(), z, retain_graph=True)
                gradient_error[:, column] = (second.abs() * e).sum(1)
        z, first = z.detach(), first.detach()
        own_loss_error, own_gradient_error = LOSSES[loss].rounding(
            z, targets, first, LOSSES[loss].attributes(z.shape[1]))
        return (first.abs() * e).sum() + own_loss_error, gradient_error + own_gradient_error

    def _add_gradient(self, i: int, error: torch.Tensor) -> None:
        if i < 0 or self.values[i].grad is None:
            return
        if i in self.value_errors:  # one rounding for the sum
            error = error + self.value_errors[i] + self.values[i].grad.abs()
        self.value_errors[i] = error

    @torch.no_grad()
    def _backward(self, index: int) -> None:
        if self.values[index].grad is None:  # nothing before it has parameters
            return
        op, y = self.spec.operators[index], self.values[index].detach()
        dy, e = self.values[index].grad, self.value_errors[index]
        z, z_error = self._input(op["inputs"][0])
        kind, attributes = op["kind"], op["attributes"]

        def parameter_error(name, error):
            self.gradient_errors[f"{op['name']}.{name}"] = error

        if kind == "linear":
            w, rows = self._parameter(op, "weight").abs(), len(dy)
            parameter_error("weight", root(rows) * dy.abs().T @ z.abs() + e.T @ z.abs() + dy.abs().T @ z_error)
            if attributes.get("bias", True):
                parameter_error("bias", root(rows) * dy.abs().sum(0) + e.sum(0))
            self._add_gradient(op["inputs"][0], root(len(w)) * dy.abs() @ w + e @ w)
        elif kind == "dropout":
            mask = self.masks.get(index)
            self._add_gradient(op["inputs"][0], e if mask is None else e * mask + 2 * (dy * mask).abs())
        elif kind == "flatten":
            self._add_gradient(op["inputs"][0], e.reshape(z.shape))
        elif kind == "add":
            for i in op["inputs"]:
                self._add_gradient(i, e)
        elif kind == "layer_norm":
            self._backward_layer_norm(op, dy, e, parameter_error)
        else:
            with torch.enable_grad():
                first, second = _derivatives(kind, attributes, z)
            error = first.abs() * e + dy.abs() * (second.abs() * z_error + OPERATORS[kind].rounding[1](z, y, attributes))
            for kink in OPERATORS[kind].kinks:  # near it either derivative is right
                error = error + torch.where((z - kink).abs() <= 4 * UNIT * z_error, dy.abs() / UNIT, 0.0)
            self._add_gradient(op["inputs"][0], error + (first * dy).abs())

    def _backward_layer_norm(self, op: dict, dy, e, parameter_error) -> None:
        _, normal, normal_error, r, r_error = self._normalize(op)
        w = self._parameter(op, "weight")
        rows, n = dy.shape
        parameter_error("weight", root(rows) * (dy * normal).abs().sum(0)
                        + (e * normal.abs() + dy.abs() * normal_error).sum(0))
        parameter_error("bias", root(rows) * dy.abs().sum(0) + e.sum(0))
        g = dy * w
        g_error = w.abs() * e + g.abs()
        mean1, mean2 = g.mean(1, keepdim=True), (g * normal).mean(1, keepdim=True)
        error1 = g_error.mean(1, keepdim=True) + root(n) * g.abs().mean(1, keepdim=True)
        error2 = ((g_error * normal.abs() + g.abs() * normal_error).mean(1, keepdim=True)
                  + root(n) * (g * normal).abs().mean(1, keepdim=True))
        t = g - mean1 - normal * mean2
        t_error = (g_error + error1 + normal_error * mean2.abs() + normal.abs() * error2
                   + g.abs() + mean1.abs() + (normal * mean2).abs())
        self._add_gradient(op["inputs"][0], r * t_error + t.abs() * r_error + (r * t).abs())
