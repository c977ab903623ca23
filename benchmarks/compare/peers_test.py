"""What the torch peers multiply in bf16, on the CPU: a linear layer's three products of operands that are rounded to bf16,
with sums in fp32, of weights that stay fp32. (Tf32 is of CUDA devices: no CPU has its products.)

Expectations are products in double of operands that are rounded here.
"""

import pathlib
import sys
import types
import unittest
from unittest import mock

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

import torch_baddbmm  # noqa: E402: after the folder of its modules
import torch_loop  # noqa: E402
import torch_trainer  # noqa: E402
import torch_vmap  # noqa: E402
import worker  # noqa: E402

MODELS, ROWS, WIDTH, CLASSES = 3, 32, 48, 5
# Results are bf16: half a unit in the last of 8 bits.
RESULT = 2.0**-8


def rounded(x: np.ndarray) -> np.ndarray:
    """To 8 bits, ties to even, by IEEE 754's bits."""
    bits = x.astype(np.float32).view(np.uint32)
    bits = bits + 0x7FFF + ((bits >> 16) & 1)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)


class PeersTest(unittest.TestCase):
    def setUp(self):
        random = np.random.default_rng(5)
        self.x = random.standard_normal((ROWS, WIDTH), np.float32)
        self.w = random.standard_normal((MODELS, CLASSES, WIDTH), np.float32) / 8
        self.labels = random.integers(0, CLASSES, ROWS)
        self.stack = types.SimpleNamespace(
            operators=[{"name": "0", "kind": "linear", "attributes": {}}], models=[0, 1, 2], shared_rows=True,
            shapes=[{"0.weight": (CLASSES, WIDTH)}] * MODELS, initial={"0.weight": self.w},
            rates=np.full(MODELS, 1e-3, np.float32), batches=[(self.x, self.labels, None)])
        self.batch = torch.from_numpy(self.x), torch.from_numpy(self.labels), None

    def expected(self, x, w):
        """The gradient by w of the mean cross-entropy of x w^T: in products of what is given, but for the softmax."""
        logits = x @ w.T
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        p[np.arange(ROWS), self.labels] -= 1
        return p / ROWS

    def check(self, gradients: np.ndarray, cast) -> float:
        """The largest difference from dy^T x of cast operands, by the size of its sum of terms."""
        worst = 0
        for model in range(MODELS):
            x, w = cast(self.x), cast(self.w[model])
            dy = cast(self.expected(x.astype(np.float64), w.astype(np.float64)).astype(np.float32)).astype(np.float64)
            size = np.abs(dy).T @ np.abs(x)
            worst = max(worst, np.max(np.abs(gradients[model] - dy.T @ x) / size))
        return worst

    def gradients(self, precision: str) -> dict[str, np.ndarray]:
        products = torch_trainer.set_precision(precision, "cpu")
        w = torch.from_numpy(self.w)
        found = {"vmap": torch_vmap.make_gradients(self.stack, False, products)({"0.weight": w}, *self.batch)[0],
                 "baddbmm": torch_baddbmm.make_gradients(self.stack, products)(
                     {"0.weight": w.transpose(1, 2).contiguous()}, *self.batch)[0].transpose(1, 2)}
        models = [torch_loop.Model(self.stack, i, "cpu", False, products) for i in range(MODELS)]
        for model in models:
            model.step(model.batches[0])
        found["loop"] = torch.stack([model.parameters["0.weight"].grad for model in models])
        for gradient in found.values():
            self.assertEqual(gradient.dtype, torch.float32)  # as the weights that it updates
        return {name: gradient.double().numpy() for name, gradient in found.items()}

    def test_in_bf16_they_multiply_rounded_operands(self):
        exact = lambda x: x.astype(np.float64)  # noqa: E731
        for name, gradient in self.gradients("bf16").items():
            # The softmax is of logits that are rounded to bf16 too: some units beside.
            self.assertLess(self.check(gradient, rounded), 2 * RESULT, name)
            self.assertGreater(self.check(gradient, exact), 2.0**-14, name)

    def test_in_fp32_they_do_not(self):
        exact = lambda x: x.astype(np.float64)  # noqa: E731
        for name, gradient in self.gradients("fp32").items():
            self.assertLess(self.check(gradient, exact), 2.0**-18, name)

    def test_a_product_in_bf16_is_of_rounded_operands_to_the_last_place(self):
        """Forward, without the softmax in between: half a unit of the result."""
        products = torch_trainer.set_precision("bf16", "cpu")
        parameters = {"0.weight": torch.from_numpy(self.w)}
        for name, outputs in {
                "vmap": torch.func.vmap(lambda p: torch_vmap.forward(self.stack.operators, p, self.batch[0])),
                "baddbmm": lambda p: torch_baddbmm.forward(
                    self.stack.operators, {"0.weight": p["0.weight"].transpose(1, 2)},
                    self.batch[0].expand(MODELS, -1, -1))}.items():
            with products():
                y = outputs(parameters)
            self.assertEqual(y.dtype, torch.bfloat16)
            for model in range(MODELS):
                exact = rounded(self.x) @ rounded(self.w[model]).T
                difference = np.abs(y[model].double().numpy() - exact)
                size = np.abs(rounded(self.x)) @ np.abs(rounded(self.w[model]).T)
                self.assertTrue(np.all(difference <= 2.0**-8 * np.abs(exact) * 1.001 + 2.0**-20 * size), name)

    def test_the_adam_that_counts_by_itself_is_torch_optims(self):
        """What is recorded as a CUDA graph, here neither compiled nor recorded."""
        state = torch_trainer.StackState(self.stack, False, "cpu")
        state.reset()
        self.stack.rates[:] = 1e-3, 2e-3, 5e-3
        counting = torch_trainer.CountingAdam(state, compiled=lambda function, **_: function)
        references = [torch.from_numpy(w.copy()).requires_grad_() for w in self.w]
        optimizers = [torch.optim.Adam([w], lr=float(rate)) for w, rate in zip(references, self.stack.rates)]
        random = np.random.default_rng(6)
        for _ in range(7):
            gradient = random.standard_normal(self.w.shape, np.float32)
            counting.update(state, [torch.from_numpy(gradient)])
            for w, optimizer, g in zip(references, optimizers, gradient):
                w.grad = torch.from_numpy(g.copy())
                optimizer.step()
        moved = torch.stack([w.detach() for w in references]) - torch.from_numpy(self.w)
        found = state.parameters["0.weight"] - torch.from_numpy(self.w)
        # The powers of beta are floats.
        torch.testing.assert_close(found, moved, rtol=1e-4, atol=1e-7)

    def test_a_graph_of_a_step_is_given_each_batch_and_starts_anew(self):
        """torch.compile and CUDA graphs left out, GraphTrainer trains what TorchTrainer trains."""
        random = np.random.default_rng(7)
        self.stack.batches = [(random.standard_normal((ROWS, WIDTH), np.float32),
                               random.integers(0, CLASSES, ROWS), None) for _ in range(3)]
        workload = types.SimpleNamespace(stacks=[self.stack], num_batches=3,
                                         weights=lambda values: values[0]["0.weight"].copy())

        def gradients(stack):
            return torch_vmap.make_gradients(stack, False)

        def record(step):
            for _ in range(3):
                step()
            return types.SimpleNamespace(replay=step)

        with mock.patch.object(torch_trainer, "record", record), mock.patch.object(
                torch_trainer.CountingAdam.__init__, "__defaults__", (lambda function, **_: function,)):
            graph = torch_trainer.GraphTrainer(workload, gradients, "cpu")
        loop = torch_trainer.TorchTrainer(workload, gradients, torch_trainer.FusedAdam)
        for steps in (1, 5):
            for trainer in (graph, loop):
                trainer.reset()
                trainer.run(steps)
            np.testing.assert_allclose(graph.weights() - self.w, loop.weights() - self.w, rtol=1e-3, atol=1e-7)
        self.assertGreater(np.abs(loop.weights() - self.w).max(), 1e-3)

    def test_tf32_is_refused_where_there_is_none(self):
        with self.assertRaisesRegex(worker.Unsupported, "tf32 is of CUDA devices"):
            torch_trainer.set_precision("tf32", "cpu")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
