"""What the torch peers share: Adam on stacked parameters with a learning rate for each model, and the loop.

No optimizer of torch.optim takes a learning rate a model. Of what was tried, fastest on a CPU is the fused kernel with
a learning rate of 1 on a tensor of zeros, whose result times the learning rates is the update.
"""

import contextlib

import numpy as np
import torch

import worker
from workload import Workload

BETAS, EPS = (0.9, 0.999), 1e-8


def check_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise worker.Unsupported("torch sees no CUDA device")


def set_precision(precision: str, device: str):
    """Sets how products are computed, and returns what the forward pass runs in: with bf16 torch.autocast, which casts
    the operands of products, weights that stay fp32 included, and gives results and activations in bf16."""
    if precision == "tf32" and device != "cuda":
        raise worker.Unsupported("tf32 is of CUDA devices")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    # Sums in fp32, as everybody's.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    if precision != "bf16":
        return contextlib.nullcontext
    # A cache of casts outlives a recorded graph; each weight is cast once anyway.
    return lambda: torch.autocast(device, torch.bfloat16, cache_enabled=False)


def wait_for(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


class StackState:
    """Parameters, moments and batches of one stack; `transpose`: with matrices as [models, in, out]."""

    def __init__(self, stack, transpose: bool, device: str):
        self.stack, self.transpose, self.device = stack, transpose, device
        self.initial = {name: self.turn(torch.from_numpy(value).to(device)) for name, value in stack.initial.items()}
        self.parameters = {name: value.clone() for name, value in self.initial.items()}
        self.averages = [torch.zeros_like(value) for value in self.initial.values()]
        self.squares = [torch.zeros_like(value) for value in self.initial.values()]
        self.rates = [torch.from_numpy(stack.rates).to(device).reshape([-1] + [1] * (value.dim() - 1))
                      for value in self.initial.values()]
        self.batches = [tuple(part if part is None else torch.from_numpy(part).to(device) for part in batch)
                        for batch in stack.batches]

    def turn(self, value: torch.Tensor) -> torch.Tensor:
        return value.transpose(1, 2).contiguous() if self.transpose and value.dim() == 3 else value

    def reset(self) -> None:
        for name, value in self.initial.items():
            self.parameters[name].copy_(value)
        for value in self.averages + self.squares:
            value.zero_()
        self.step = 0


class FusedAdam:
    """Gradients must be contiguous: the kernel does not look at strides."""

    def __init__(self, state: StackState):
        self.deltas = [torch.zeros_like(value) for value in state.averages]
        self.steps = [torch.zeros((), device=state.device) for _ in state.averages]

    def update(self, state: StackState, gradients: list[torch.Tensor]) -> None:
        for step in self.steps:
            step.fill_(state.step)
        torch._foreach_zero_(self.deltas)
        torch._fused_adam_(self.deltas, gradients, state.averages, state.squares, [], self.steps, lr=1.0,
                           beta1=BETAS[0], beta2=BETAS[1], weight_decay=0.0, eps=EPS, amsgrad=False, maximize=False)
        for parameter, delta, rate in zip(state.parameters.values(), self.deltas, state.rates):
            parameter.addcmul_(delta, rate)


def adam(parameters, gradients, averages, squares, rates, step_size, correction):
    """In place; step_size = 1 / (1 - beta1^t), correction = sqrt(1 - beta2^t), as tensors: to be compiled."""
    for p, g, m, v, rate in zip(parameters, gradients, averages, squares, rates):
        m.lerp_(g, 1 - BETAS[0])
        v.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
        p.sub_(rate * step_size * m / (v.sqrt() / correction + EPS))


class CompiledAdam:
    def __init__(self, state: StackState):
        # A graph of its own: one graph of gradient and update in place trains wrongly on the CPU in torch 2.11.
        self.function = torch.compile(adam, dynamic=False, fullgraph=True)
        self.step_size, self.correction = (torch.zeros((), device=state.device) for _ in range(2))

    def update(self, state: StackState, gradients: list[torch.Tensor]) -> None:
        self.step_size.fill_(1 / (1 - BETAS[0]**state.step))
        self.correction.fill_((1 - BETAS[1]**state.step)**0.5)
        self.function(list(state.parameters.values()), gradients, state.averages, state.squares, state.rates,
                      self.step_size, self.correction)


def adam_by_count(parameters, gradients, averages, squares, rates, count):
    """The same with the number of the step in a tensor, so that a recorded graph may count."""
    adam(parameters, gradients, averages, squares, rates, 1 / (1 - BETAS[0]**count), (1 - BETAS[1]**count).sqrt())


class CountingAdam:
    """Compiled; `count` goes on by itself, in whatever is recorded."""

    def __init__(self, state: StackState, compiled=torch.compile):
        self.function = compiled(adam_by_count, dynamic=False, fullgraph=True)
        self.count = torch.zeros((), device=state.device)

    def update(self, state: StackState, gradients: list[torch.Tensor]) -> None:
        self.count.add_(1)
        self.function(list(state.parameters.values()), gradients, state.averages, state.squares, state.rates, self.count)


class TorchTrainer:
    """Trains each stack by `gradients(stack)`: a function of (parameters, features, labels, shares) that returns a list
    of gradients, one a parameter, of each model's own loss."""

    def __init__(self, workload: Workload, gradients, optimizer, transpose: bool = False, device: str = "cpu"):
        check_device(device)
        self.workload, self.device = workload, device
        self.states = [StackState(stack, transpose, device) for stack in workload.stacks]
        self.gradients = [gradients(stack) for stack in workload.stacks]
        self.optimizers = [optimizer(state) for state in self.states]

    def reset(self) -> None:
        for state in self.states:
            state.reset()
        wait_for(self.device)

    def run(self, steps: int) -> None:
        for step in range(steps):
            for state, gradients, optimizer in zip(self.states, self.gradients, self.optimizers):
                batch = state.batches[step % self.workload.num_batches]
                state.step += 1
                optimizer.update(state, gradients(state.parameters, *batch))
        wait_for(self.device)

    def weights(self) -> np.ndarray:
        return self.workload.weights([{name: state.turn(value).cpu().numpy() for name, value in state.parameters.items()}
                                      for state in self.states])


class GraphTrainer(TorchTrainer):
    """A step of all stacks, gradients and CountingAdam, as one CUDA graph, into whose inputs each batch is copied."""

    def __init__(self, workload: Workload, gradients, device: str):
        super().__init__(workload, gradients, CountingAdam, device=device)
        self.inputs = [tuple(part if part is None else part.clone() for part in state.batches[0]) for state in self.states]
        self.graph = record(self.step_all)

    def step_all(self) -> None:
        for state, gradients, optimizer, batch in zip(self.states, self.gradients, self.optimizers, self.inputs):
            optimizer.update(state, gradients(state.parameters, *batch))

    def reset(self) -> None:
        for optimizer in self.optimizers:
            optimizer.count.zero_()
        super().reset()

    def run(self, steps: int) -> None:
        for step in range(steps):
            for state, inputs in zip(self.states, self.inputs):
                for to, value in zip(inputs, state.batches[step % self.workload.num_batches]):
                    if to is not None:
                        to.copy_(value)
            self.graph.replay()
        wait_for(self.device)


def record(step) -> "torch.cuda.CUDAGraph":
    """What the step launches, after some that are not recorded: they compile, and make what is made once."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "numpy": np.__version__}
