#!/usr/bin/env python3
"""JAX: a jitted step of vmap and grad with donated buffers; with --scan all steps of a run in one jitted loop."""

import functools
import os

import worker

ARGUMENTS = worker.parse_arguments(__doc__, scan="all steps in one jax.lax.scan")
if ARGUMENTS.threads == 1 and ARGUMENTS.device == "cpu":
    # XLA has a thread for each CPU that the process may use.
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[ARGUMENTS.process % len(cpus)]})
os.environ.setdefault("JAX_PLATFORMS", ARGUMENTS.device)
# The device's memory is for all contenders.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

try:
    import jax  # noqa: E402: after its environment
    import jax.numpy as jnp  # noqa: E402
except ModuleNotFoundError as error:
    worker.serve_refusal(f"Python here cannot import jax: {error}")
import numpy as np  # noqa: E402

from workload import Workload  # noqa: E402

BETAS, EPS = (0.9, 0.999), 1e-8
# What fp32 operands of products are: on a GPU the default is less.
jax.config.update("jax_default_matmul_precision", "tensorfloat32" if ARGUMENTS.precision == "tf32" else "highest")
# What they are cast to, weights that stay fp32 included; results and activations are that too.
PRODUCTS = jnp.bfloat16 if ARGUMENTS.precision == "bf16" else jnp.float32


def forward(operators: list[dict], parameters: dict, x: jax.Array, key: jax.Array) -> jax.Array:
    """One model."""
    for number, operator in enumerate(operators):
        kind, attributes = operator["kind"], operator["attributes"]
        weight, bias = (parameters.get(f'{operator["name"]}.{p}') for p in ("weight", "bias"))
        if kind == "linear":
            x = x.astype(PRODUCTS) @ weight.T.astype(PRODUCTS)
            x = x if bias is None else x + bias.astype(PRODUCTS)
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind == "gelu":
            x = jax.nn.gelu(x, approximate=attributes["approximate"] == "tanh")
        elif kind == "layer_norm":
            x = x.astype(jnp.float32)
            centred = x - x.mean(-1, keepdims=True)
            x = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + attributes["eps"]) * weight + bias
        elif kind == "dropout" and attributes["p"] > 0:
            kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - attributes["p"], x.shape)
            x = jnp.where(kept, x / (1 - attributes["p"]), 0)
    return x.astype(jnp.float32)


def make_step(stack):
    def loss(parameters, x, labels, shares, key):
        rows = jnp.take_along_axis(jax.nn.log_softmax(forward(stack.operators, parameters, x, key)), labels[:, None], 1)
        return -rows.mean() if shares is None else -(rows[:, 0] * shares).sum()

    rows = None if stack.shared_rows else 0
    gradient = jax.vmap(jax.grad(loss), in_axes=(0, rows, rows, rows, 0))

    def step(state, batch):
        parameters, averages, squares, rates, time, keys = state
        time = time + 1
        gradients = gradient(parameters, *batch, jax.vmap(jax.random.fold_in, (0, None))(keys, time))
        averages = jax.tree.map(lambda m, g: m + (1 - BETAS[0]) * (g - m), averages, gradients)
        squares = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, squares, gradients)
        step_size, correction = 1 / (1 - BETAS[0]**time), jnp.sqrt(1 - BETAS[1]**time)
        parameters = jax.tree.map(
            lambda p, m, v: p - (rates * step_size).reshape([-1] + [1] * (p.ndim - 1)) * m /
            (jnp.sqrt(v) / correction + EPS), parameters, averages, squares)
        return parameters, averages, squares, rates, time, keys

    return step


class JaxTrainer:
    def __init__(self, workload: Workload, scan: bool):
        self.workload, self.scan = workload, scan
        self.batches = [[jax.device_put(batch) for batch in stack.batches] for stack in workload.stacks]
        steps = [make_step(stack) for stack in workload.stacks]
        if not scan:
            self.steps = [jax.jit(step, donate_argnums=0) for step in steps]
            return
        self.batches = [jax.tree.map(lambda *parts: jnp.stack(parts), *batches) for batches in self.batches]

        def make_loop(step):
            @functools.partial(jax.jit, donate_argnums=0, static_argnums=2)
            def loop(state, batches, count):
                def body(state, number):
                    batch = jax.tree.map(lambda part: part[number % workload.num_batches], batches)
                    return step(state, batch), None
                return jax.lax.scan(body, state, jnp.arange(count))[0]
            return loop

        self.loops = [make_loop(step) for step in steps]

    def reset(self) -> None:
        self.states = []
        for stack in self.workload.stacks:
            # Copies: the buffers are donated.
            parameters = {name: jnp.array(value, copy=True) for name, value in stack.initial.items()}
            averages, squares = ({name: jnp.zeros_like(value) for name, value in parameters.items()} for _ in range(2))
            # XLA's own generator: JAX's default is several times slower on a CPU.
            seeds = [self.workload.models[i]["seed"] % 2**32 for i in stack.models]
            keys = jnp.stack([jax.random.key(seed, impl="unsafe_rbg") for seed in seeds])
            self.states.append((parameters, averages, squares, jnp.array(stack.rates), jnp.float32(0), keys))
        jax.block_until_ready(self.states)

    def run(self, steps: int) -> None:
        if self.scan:
            self.states = [loop(state, batches, steps)
                           for loop, state, batches in zip(self.loops, self.states, self.batches)]
        else:
            for number in range(steps):
                for s, step in enumerate(self.steps):
                    self.states[s] = step(self.states[s], self.batches[s][number % self.workload.num_batches])
        jax.block_until_ready(self.states)

    def weights(self) -> np.ndarray:
        return self.workload.weights([{name: np.asarray(value) for name, value in state[0].items()}
                                      for state in self.states])


def main() -> None:
    def make_trainer():
        if ARGUMENTS.precision == "tf32" and ARGUMENTS.device != "cuda":
            raise worker.Unsupported("tf32 is of CUDA devices")
        try:
            jax.devices()
        except RuntimeError as error:
            raise worker.Unsupported(f"jax has no {ARGUMENTS.device} device: {error}".splitlines()[0])
        return JaxTrainer(Workload(ARGUMENTS.workload, ARGUMENTS.first, ARGUMENTS.last, ARGUMENTS.stacks),
                          ARGUMENTS.scan)

    worker.serve(make_trainer, {"jax": jax.__version__, "jaxlib": jax.lib.__version__, "numpy": np.__version__})


if __name__ == "__main__":
    main()
