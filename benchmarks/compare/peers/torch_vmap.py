#!/usr/bin/env python3
"""torch.func: vmap of grad over stacked parameters; with --compile both the gradient and the update are compiled, with
--graph besides a step of all models is one CUDA graph."""

import contextlib

import torch
import torch.nn.functional as F

import torch_trainer
import worker
from workload import Workload


def forward(operators: list[dict], parameters: dict, x: torch.Tensor) -> torch.Tensor:
    """One model."""
    for operator in operators:
        kind, attributes = operator["kind"], operator["attributes"]
        weight, bias = (parameters.get(f'{operator["name"]}.{p}') for p in ("weight", "bias"))
        if kind == "linear":
            x = F.linear(x, weight, bias)
        elif kind == "relu":
            x = F.relu(x)
        elif kind == "gelu":
            x = F.gelu(x, approximate=attributes["approximate"])
        elif kind == "layer_norm":
            x = F.layer_norm(x.float(), x.shape[-1:], weight, bias, attributes["eps"])
        elif kind == "dropout" and attributes["p"] > 0:
            x = F.dropout(x, attributes["p"])
    return x


def make_gradients(stack, compiled: bool, products=contextlib.nullcontext):
    def loss(parameters, x, labels, shares):
        with products():
            outputs = forward(stack.operators, parameters, x)
        outputs = outputs.float()
        if shares is None:
            return F.cross_entropy(outputs, labels)
        return (F.cross_entropy(outputs, labels, reduction="none") * shares).sum()

    rows = None if stack.shared_rows else 0
    batched = torch.func.vmap(torch.func.grad(loss), in_dims=(0, rows, rows, None if stack.shared_rows else 0),
                              randomness="different")
    if compiled:
        batched = torch.compile(batched, dynamic=False, fullgraph=True)
    return lambda parameters, *batch: list(batched(parameters, *batch).values())


def main() -> None:
    arguments = worker.parse_arguments(__doc__, compile="compile with torch.compile",
                                       graph="with --compile: a step as one CUDA graph")
    torch.set_num_threads(arguments.threads)

    def make_trainer():
        products = torch_trainer.set_precision(arguments.precision, arguments.device)
        workload = Workload(arguments.workload, arguments.first, arguments.last, arguments.stacks)
        if arguments.graph:
            if arguments.device != "cuda":
                raise worker.Unsupported("CUDA graphs are of CUDA devices")
            return torch_trainer.GraphTrainer(workload, lambda stack: make_gradients(stack, True, products),
                                              arguments.device)
        return torch_trainer.TorchTrainer(
            workload, lambda stack: make_gradients(stack, arguments.compile, products),
            torch_trainer.CompiledAdam if arguments.compile else torch_trainer.FusedAdam, device=arguments.device)

    worker.serve(make_trainer, torch_trainer.versions())


if __name__ == "__main__":
    main()
