"""The backends against each other: the same populations trained on each.

Per tensor two backends may be as far apart, norm-wise, as either may be from PyTorch (trajectories_test.py): 1e-5 or
four times what PyTorch with its batch's rows permuted differs from itself. Compared are the losses of every step, the
weights, the optimizer's state and the trained models' outputs; outcomes must be equal. Populations mix widths, learning
rates and numbers of rows.
"""

import itertools
import sys
import unittest

import numpy

from tests.equivalence import reference
from tests.equivalence.modelbatch_driver import Driver, Model, Spec, main
from tests.equivalence.table import GRAPHS, LOSSES, OPTIMIZERS

STEPS, ROWS, BATCH, OUTPUTS = 20, 96, 16, 5
HIDDEN = (24, 9, 24, 17)
FACTORS = (1, 0.5, 2, 1)  # of each model's learning rate
COUNTS = (15, 11, 0, 5)  # of each model's rows, where they are ragged; odd: trajectories_test.py says why


def _every_operator(shape, h, out) -> Spec:
    return (Spec(*shape).op("flatten").op("linear", out_features=h).op("layer_norm").op("gelu").op("dropout", p=0.2)
            .op("linear", out_features=h).op("tanh").op("add", [6, 3]).op("linear", out_features=h, bias=False)
            .op("gelu", approximate="tanh").op("sigmoid").op("linear", out_features=out))


def _mlp(shape, h, out) -> Spec:
    return Spec(*shape).op("linear", out_features=h).op("relu").op("linear", out_features=out)


def _populations():
    """Name, graph, input shape, loss, optimizer, whether ragged."""
    pairs = list(itertools.product(("cross_entropy", "mse"), OPTIMIZERS))
    for i, (loss, optimizer) in enumerate(pairs):
        yield f"every operator, {loss}, {optimizer}", _every_operator, (3, 4), loss, optimizer, i % 2 == 0
        yield f"mlp, {loss}, {optimizer}", _mlp, (12,), loss, optimizer, i % 2 == 1
    for i, (name, graph) in enumerate(GRAPHS.items()):
        loss, optimizer = pairs[i % len(pairs)]
        inputs = (12,) if len(graph.shapes[0].inputs) == 1 else (3, 4)
        yield f"{name}, {loss}, {optimizer}", graph.build, inputs, loss, optimizer, i % 3 == 0
    others = [loss for loss in LOSSES if loss not in ("cross_entropy", "mse")]
    graphs = itertools.cycle([(_mlp, (12,)), (_every_operator, (3, 4))])
    for loss, optimizer, (graph, inputs) in zip(others, itertools.cycle(OPTIMIZERS), graphs):
        yield f"{graph.__name__}, {loss}, {optimizer}", graph, inputs, loss, optimizer, True


class AgreementTest(unittest.TestCase):
    drivers: list[Driver]
    largest = (0.0, "")  # share of what is allowed

    def train(self, driver: Driver, models: list[Model], loss: str, optimizer: str, data, steps):
        entry = LOSSES[loss]
        return driver.run(models, entry.kind, *data, steps, optimizer, final=["param", *driver.states(optimizer), *driver.numbers(optimizer)],
                          forward=list(range(ROWS)), attributes=entry.attributes(OUTPUTS))

    def setup_run(self, build, inputs, loss: str, optimizer: str, ragged: bool):
        random = numpy.random.default_rng(21)
        data = reference.random_data(ROWS, inputs, OUTPUTS, loss, random)
        models = []
        for i, (hidden, factor) in enumerate(zip(HIDDEN, FACTORS)):
            spec, hyper = build(inputs, hidden, OUTPUTS), OPTIMIZERS[optimizer].trajectory
            hyper = hyper | {"lr": hyper.get("lr", 1e-3) * factor}
            models.append(Model(spec, 1000 + i, weights=reference.random_weights(spec, random), optimizer=hyper))
        if ragged:
            rows = [[random.permutation(ROWS)[:count].tolist() for _ in range(STEPS)] for count in COUNTS]
            ignored = numpy.flatnonzero(~LOSSES[loss].counted(data[1], OUTPUTS))
            if len(ignored) > 0:  # and a step that is none
                rows[-1][STEPS // 2] = random.choice(ignored, COUNTS[-1]).tolist()
            offsets = numpy.cumsum([0, *COUNTS]).tolist()
            steps = [{"rows": sum((own[step] for own in rows), []), "offsets": offsets} for step in range(STEPS)]
        else:
            rows = [[random.permutation(ROWS)[:BATCH].tolist() for _ in range(STEPS)]] * len(models)
            steps = [{"rows": own} for own in rows[0]]
        return models, data, rows, steps

    def run_population(self, drivers: list[Driver], build, inputs, loss: str, optimizer: str, ragged: bool) -> None:
        models, data, rows, steps = self.setup_run(build, inputs, loss, optimizer, ragged)
        results = [self.train(driver, models, loss, optimizer, data, steps) for driver in drivers]
        random = numpy.random.default_rng(22)
        allowed = [reference.train_with_spread(model, loss, optimizer, *data, own, random)[1] if own[0] else None
                   for model, own in zip(models, rows)]
        for (a, ours), (b, theirs) in itertools.combinations(zip(drivers, results), 2):
            for step in range(STEPS):
                numpy.testing.assert_array_equal(ours[f"step.{step}.outcome"], theirs[f"step.{step}.outcome"])
            for i in range(len(models)):
                other = reference.trained(theirs, i, STEPS)
                for tensor, value in reference.trained(ours, i, STEPS).items():
                    if tensor == "output" and not (a.has_forward and b.has_forward):
                        continue
                    # A model without rows stays as it was. What PyTorch does not keep (the buffer of SGD without
                    # momentum) is zero.
                    limit = reference.FLOOR if allowed[i] is None else allowed[i].get(tensor, reference.FLOOR)
                    where = f"{tensor} of model {i}, {a.name} and {b.name}"
                    difference = reference.distance(value, other[tensor])
                    AgreementTest.largest = max(AgreementTest.largest, (difference / limit, where))
                    self.assertLessEqual(difference, limit, where)

    def test_agreement(self):
        tried = {pair: 0 for pair in itertools.combinations([driver.name for driver in self.drivers], 2)}
        for name, build, inputs, loss, optimizer, ragged in _populations():
            drivers = [driver for driver in self.drivers
                       if driver.claims_all(build(inputs, 1, 1), LOSSES[loss].kind, optimizer)]
            for pair in itertools.combinations([driver.name for driver in drivers], 2):
                tried[pair] += 1
            with self.subTest(population=name, ragged=ragged):
                self.run_population(drivers, build, inputs, loss, optimizer, ragged)
        for pair, count in tried.items():
            print(f"{' and '.join(pair)}: {count} populations")
            self.assertGreater(count, 0, pair)
        print("largest difference: {:.2f} of what is allowed, {}".format(*self.largest))

    def test_a_wrong_learning_rate_is_noticed(self):
        """By a thousandth, of one model, on one backend."""
        a, b = [driver for driver in self.drivers if driver.claims_all(_mlp((12,), 1, 1), "cross_entropy", "adam")][:2]
        models, data, rows, steps = self.setup_run(_mlp, (12,), "cross_entropy", "adam", False)
        right = reference.trained(self.train(a, models, "cross_entropy", "adam", data, steps), 1, STEPS)
        models[1].optimizer["lr"] *= 1.001
        wrong = reference.trained(self.train(b, models, "cross_entropy", "adam", data, steps), 1, STEPS)
        _, allowed = reference.train_with_spread(models[1], "cross_entropy", "adam", *data, rows[1],
                                                 numpy.random.default_rng(22))
        self.assertGreater(max(reference.distance(wrong[tensor], value) / allowed.get(tensor, reference.FLOOR)
                               for tensor, value in right.items()), 1)


if __name__ == "__main__":
    main(sys.argv, AgreementTest)
