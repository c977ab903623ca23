#!/usr/bin/env python3
"""Stacked by hand: a batched product a layer (torch.baddbmm), autograd, one update."""

import torch
import torch.nn.functional as F

import torch_trainer
import worker
from workload import Workload


def forward(operators: list[dict], parameters: dict, x: torch.Tensor) -> torch.Tensor:
    """All models of a stack: x is [models, rows, ...], weights are [models, in, out]."""
    for operator in operators:
        kind, attributes = operator["kind"], operator["attributes"]
        weight, bias = (parameters.get(f'{operator["name"]}.{p}') for p in ("weight", "bias"))
        if kind == "linear" and bias is None:
            x = torch.bmm(x, weight)
        elif kind == "linear":
            x = torch.baddbmm(bias.unsqueeze(1), x, weight)
        elif kind == "relu":
            x = F.relu(x)
        elif kind == "gelu":
            x = F.gelu(x, approximate=attributes["approximate"])
        elif kind == "layer_norm":
            normalised = F.layer_norm(x.float(), x.shape[-1:], None, None, attributes["eps"])
            x = torch.addcmul(bias.unsqueeze(1), normalised, weight.unsqueeze(1))
        elif kind == "dropout" and attributes["p"] > 0:
            x = F.dropout(x, attributes["p"])
    return x


def make_gradients(stack, products):
    models = len(stack.models)

    def gradients(parameters, x, labels, shares):
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        if shares is None:
            x, labels = x.expand(models, *x.shape), labels.expand(models, -1)
        with products():
            outputs = forward(stack.operators, leaves, x)
        outputs = outputs.float()
        losses = F.cross_entropy(outputs.flatten(0, 1), labels.reshape(-1),
                                 reduction="sum" if shares is None else "none")
        # A sum over models: each one's gradient is that of its own loss.
        loss = losses / labels.shape[1] if shares is None else (losses * shares.view(-1)).sum()
        return list(torch.autograd.grad(loss, list(leaves.values())))

    return gradients


def main() -> None:
    arguments = worker.parse_arguments(__doc__)
    torch.set_num_threads(arguments.threads)

    def make_trainer():
        products = torch_trainer.set_precision(arguments.precision, arguments.device)
        workload = Workload(arguments.workload, arguments.first, arguments.last, arguments.stacks)
        return torch_trainer.TorchTrainer(workload, lambda stack: make_gradients(stack, products),
                                          torch_trainer.FusedAdam, transpose=True, device=arguments.device)

    worker.serve(make_trainer, torch_trainer.versions())


if __name__ == "__main__":
    main()
