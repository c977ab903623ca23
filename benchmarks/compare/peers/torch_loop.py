#!/usr/bin/env python3
"""One model after another: autograd and torch.optim.Adam(fused=True); with --graph a step of all models is one CUDA
graph, into whose inputs each batch is copied."""

import numpy as np
import torch
import torch.nn.functional as F

import torch_trainer
import worker
from torch_vmap import forward
from workload import Workload


class Model:
    """One model of a stack, its optimizer, and where its batch lies: `inputs` are rewritten in place."""

    def __init__(self, stack, index: int, device: str, graph: bool, products):
        self.operators, self.products = stack.operators, products
        self.initial = {name: torch.from_numpy(value[index][tuple(slice(n) for n in stack.shapes[index][name])]).to(device)
                        for name, value in stack.initial.items()}
        self.parameters = {name: value.clone().requires_grad_() for name, value in self.initial.items()}
        rows = [self.rows(batch, index) for batch in stack.batches]
        self.batches = [tuple(torch.from_numpy(part).to(device) for part in batch) for batch in rows]
        self.inputs = tuple(part.clone() for part in self.batches[0]) if graph else None
        self.optimizer = torch.optim.Adam(list(self.parameters.values()), lr=float(stack.rates[index]), fused=True,
                                          capturable=graph)

    @staticmethod
    def rows(batch: tuple, index: int) -> tuple:
        features, labels, shares = batch
        if shares is None:
            return features, labels
        count = np.count_nonzero(shares[index])
        return features[index, :count], labels[index, :count]

    def step(self, batch: tuple) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        with self.products():
            outputs = forward(self.operators, self.parameters, batch[0])
        F.cross_entropy(outputs.float(), batch[1]).backward()
        self.optimizer.step()

    def reset(self) -> None:
        """In place: a graph knows the addresses."""
        with torch.no_grad():
            for name, value in self.initial.items():
                self.parameters[name].copy_(value)
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()


class LoopTrainer:
    def __init__(self, workload: Workload, device: str, graph: bool, products):
        torch_trainer.check_device(device)
        self.workload, self.device = workload, device
        self.stacks = [[Model(stack, i, device, graph, products) for i in range(len(stack.models))] for stack in workload.stacks]
        self.models = [model for models in self.stacks for model in models]
        self.graph = torch_trainer.record(self.step_all) if graph else None

    def step_all(self) -> None:
        for model in self.models:
            model.step(model.inputs)

    def reset(self) -> None:
        for model in self.models:
            model.reset()
        torch_trainer.wait_for(self.device)

    def run(self, steps: int) -> None:
        for number in range(steps):
            batch = number % self.workload.num_batches
            if self.graph is None:
                for model in self.models:
                    model.step(model.batches[batch])
                continue
            for model in self.models:
                torch._foreach_copy_(list(model.inputs), list(model.batches[batch]))
            self.graph.replay()
        torch_trainer.wait_for(self.device)

    def weights(self) -> np.ndarray:
        values = [{name: [model.parameters[name].detach().cpu().numpy() for model in models] for name in models[0].parameters}
                  for models in self.stacks]
        return self.workload.weights(values)


def main() -> None:
    arguments = worker.parse_arguments(__doc__, graph="a step of all models as one CUDA graph")
    torch.set_num_threads(arguments.threads)

    def make_trainer():
        workload = Workload(arguments.workload, arguments.first, arguments.last, "grouped")
        if arguments.graph and arguments.device != "cuda":
            raise worker.Unsupported("CUDA graphs are of CUDA devices")
        products = torch_trainer.set_precision(arguments.precision, arguments.device)
        return LoopTrainer(workload, arguments.device, arguments.graph, products)

    worker.serve(make_trainer, torch_trainer.versions())


if __name__ == "__main__":
    main()
