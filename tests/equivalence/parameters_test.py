"""Parameters' names, shapes and default initial values against torch.nn's."""

import math
import sys
import unittest

import numpy
import torch
from torch import nn

from tests.equivalence import reference
from tests.equivalence.modelbatch_driver import Driver, Model, Spec, main
from tests.equivalence.table import GRAPHS, OPERATORS

# Beside the table's graphs.
EVERYTHING = (Spec(4, 5).op("flatten").op("linear", out_features=30).op("layer_norm").op("relu")
              .op("linear", out_features=12, bias=False).op("gelu", approximate="tanh").op("dropout", p=0.25)
              .op("linear", out_features=9).op("tanh").op("layer_norm", eps=1e-3).op("gelu").op("sigmoid")
              .op("linear", out_features=3))


def kolmogorov_smirnov(values: numpy.ndarray, bound: float) -> float:
    """The distance of the values' distribution from U(-bound, bound)."""
    values = numpy.sort(values.ravel().astype(numpy.float64))
    exact = numpy.clip((values + bound) / (2 * bound), 0, 1)
    below, n = numpy.arange(len(values)) / len(values), len(values)
    return max((exact - below).max(), (below + 1 / n - exact).max())


def critical(n: int, alpha: float = 1e-4) -> float:
    """What the distance exceeds with probability alpha where the distribution is right."""
    return math.sqrt(-math.log(alpha / 2) / (2 * n))


class ParametersTest(unittest.TestCase):
    driver: Driver

    def initial(self, spec: Spec, seeds) -> list[dict[str, numpy.ndarray]]:
        features = numpy.zeros((1, *spec.input_shape), numpy.float32)
        outputs = self.modules(spec)(torch.zeros(1, *spec.input_shape)).shape[1]
        result = self.driver.run([Model(spec, seed=seed) for seed in seeds], "mse", features,
                                 numpy.zeros((1, outputs), numpy.float32))
        models = [{} for _ in seeds]
        for name, value in result.items():
            _, _, model, parameter = name.split(".", 3)
            models[int(model)][parameter] = value
        return models

    def modules(self, spec: Spec) -> nn.Sequential:
        """Spec's operators must be one after another."""
        x, modules = torch.zeros(1, *spec.input_shape), []
        for op in spec.operators:
            modules.append(OPERATORS[op["kind"]].module(x.shape[1], op["attributes"]))
            x = modules[-1](x)
        return nn.Sequential(*modules)

    def sequences(self) -> dict[str, Spec]:
        """The models of operators one after another, each with a module in torch.nn, that the plugin claims."""
        specs = {name: graph.build(graph.shapes[1].inputs, 6, 4) for name, graph in GRAPHS.items()}
        specs["everything"] = EVERYTHING
        return {name: spec for name, spec in specs.items() if self.driver.claims_all(spec)
                and all(op["inputs"] == [i - 1] and OPERATORS[op["kind"]].module
                        for i, op in enumerate(spec.operators))}

    def test_state_dict(self):
        """PyTorch's module takes our weights, by their names and shapes, and computes our outputs with them."""
        random = numpy.random.default_rng(2)
        tried = set()
        for graph, spec in self.sequences().items():
            tried |= {op["kind"] for op in spec.operators}
            module = self.modules(spec).eval()
            outputs = module(torch.zeros(1, *spec.input_shape)).shape[1]
            x, targets = reference.random_data(7, spec.input_shape, outputs, "mse", random)
            result = self.driver.run([Model(spec, seed=9)], "mse", x, targets, forward=list(range(7)))
            prefix = "initial.param.0."
            ours = {name.removeprefix(prefix): torch.from_numpy(value) for name, value in result.items()
                    if name.startswith(prefix)}
            with self.subTest(graph=graph):
                self.assertEqual({name: value.shape for name, value in ours.items()},
                                 {name: value.shape for name, value in module.state_dict().items()})
                module.load_state_dict(ours)
                with torch.no_grad():
                    numpy.testing.assert_allclose(result["forward.0"], module(torch.from_numpy(x)), rtol=1e-5,
                                                  atol=1e-6)
        self.assertEqual({kind for kind in self.driver.claims["operators"] if OPERATORS[kind].module} - tried, set())

    def test_initial_distribution(self):
        inputs, outputs = 50, 40
        spec = Spec(inputs).op("linear", out_features=outputs).op("relu").op("linear", out_features=1)
        models = self.initial(spec, range(1, 41))
        torch.manual_seed(1)
        theirs = [self.modules(spec).state_dict() for _ in models]
        for name, bound in {"0.weight": 50**-0.5, "0.bias": 50**-0.5, "2.weight": 40**-0.5, "2.bias": 40**-0.5}.items():
            for whose, values in (("ours", numpy.stack([model[name] for model in models])),
                                  ("PyTorch's", numpy.stack([model[name].numpy() for model in theirs]))):
                where = f"{name}, {whose}"
                self.assertLessEqual(numpy.abs(values).max(), numpy.float32(bound), where)
                self.assertLess(kolmogorov_smirnov(values, bound), critical(values.size), where)

    def test_layer_norm_starts_as_the_identity(self):
        spec = Spec(5).op("layer_norm").op("linear", out_features=1)
        if not self.driver.claims_all(spec):
            self.skipTest(f"{self.driver.name} has no layer_norm")
        model, = self.initial(spec, [3])
        numpy.testing.assert_array_equal(model["0.weight"], 1)
        numpy.testing.assert_array_equal(model["0.bias"], 0)

    def test_the_distribution_test_tells_a_wrong_bound(self):
        values = numpy.random.default_rng(1).uniform(-1, 1, 40 * 2000)
        self.assertLess(kolmogorov_smirnov(values, 1), critical(values.size))
        self.assertGreater(kolmogorov_smirnov(values, 1.05), critical(values.size))
        self.assertGreater(kolmogorov_smirnov(values, 0.95), critical(values.size))

    def test_parameters_are_independent(self):
        """No two tensors of one model, and no two models', share their draws."""
        spec = Spec(64).op("linear", out_features=64).op("linear", out_features=64).op("linear", out_features=1)
        drawn = numpy.stack([model[name].ravel() for model in self.initial(spec, [0, 1, 2, 2**32, 2**63])
                             for name in ("0.weight", "1.weight")])
        correlation = numpy.corrcoef(drawn) - numpy.eye(len(drawn))
        self.assertLess(numpy.abs(correlation).max(), 5 / 64)  # five standard deviations


if __name__ == "__main__":
    main(sys.argv, ParametersTest)
