"""Every learning-rate schedule against its class in torch.optim.lr_scheduler, tick by tick.

A population has a model for each of many random sets of arguments; torch has an optimizer and a scheduler for each
alone. Rates may differ by 1e-12 of the initial one, which is rounding (torch takes cosines and powers from libm), and so
may the momentum that one_cycle_lr sets. Continued from its saved state, a schedule gives the same bits.
"""

import inspect
import json
import math
import random
import subprocess
import sys
import unittest
import warnings

import torch
from torch.optim import lr_scheduler as torch_schedulers

TOLERANCE = 1e-12
TICKS = 2500
CLASSES = {
    "step_lr": "StepLR",
    "multi_step_lr": "MultiStepLR",
    "constant_lr": "ConstantLR",
    "linear_lr": "LinearLR",
    "exponential_lr": "ExponentialLR",
    "polynomial_lr": "PolynomialLR",
    "cosine_annealing_lr": "CosineAnnealingLR",
    "cosine_annealing_warm_restarts": "CosineAnnealingWarmRestarts",
    "one_cycle_lr": "OneCycleLR",
    "reduce_lr_on_plateau": "ReduceLROnPlateau",
    "lambda_lr": "LambdaLR",
    "sequential_lr": "SequentialLR",
    "chained_scheduler": "ChainedScheduler",
}
LAMBDAS = {"inverse": lambda e: 1.0 / (1.0 + e), "sawtooth": lambda e: 0.25 + (e % 7) / 8.0}


class Arguments:
    """Random arguments of each kind."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def some(self, **choices) -> dict:
        """Each with probability 0.7: otherwise the default is meant."""
        return {name: value() for name, value in choices.items() if self.random.random() < 0.7}

    def count(self, low: int = 1, high: int = 300) -> int:
        return round(math.exp(self.random.uniform(math.log(low), math.log(high))))

    def small(self) -> float:
        return self.random.choice([0, 0, 10**self.random.uniform(-6, -1)])

    def of(self, kind: str) -> dict:
        r = self.random
        gamma = lambda: r.choice([0.1, 0.5, r.uniform(0.2, 1), 1, 1.05])
        if kind == "step_lr":
            return {"step_size": self.count(20), **self.some(gamma=gamma)}
        if kind == "multi_step_lr":
            return {"milestones": [r.randint(0, 200) for _ in range(r.randint(1, 6))], **self.some(gamma=gamma)}
        if kind == "constant_lr":
            return self.some(factor=lambda: r.choice([1, r.uniform(0.01, 1)]), total_iters=self.count)
        if kind == "linear_lr":
            return self.some(start_factor=lambda: r.choice([1, r.uniform(0.001, 1)]),
                             end_factor=lambda: r.choice([0, 1, r.random()]), total_iters=self.count)
        if kind == "exponential_lr":
            return {"gamma": r.choice([0, 1, r.uniform(0.9, 1.01)])}
        if kind == "polynomial_lr":
            return self.some(total_iters=lambda: self.count(1, 2000), power=lambda: r.choice([0, 1, 2, r.uniform(0, 4)]))
        if kind == "cosine_annealing_lr":
            return {"T_max": self.count(1, 3000), **self.some(eta_min=self.small)}
        if kind == "cosine_annealing_warm_restarts":
            return {"T_0": self.count(), **self.some(T_mult=lambda: r.randint(1, 3), eta_min=self.small)}
        if kind == "one_cycle_lr":
            while True:
                result = {"max_lr": 10**r.uniform(-4, 1), "total_steps": self.count(2, TICKS),
                          **self.some(pct_start=r.random, anneal_strategy=lambda: r.choice(["cos", "linear"]),
                                      cycle_momentum=lambda: r.random() < 0.5, base_momentum=lambda: r.uniform(0, 0.9),
                                      max_momentum=lambda: r.uniform(0, 0.99), div_factor=lambda: r.uniform(1, 50),
                                      final_div_factor=lambda: 10**r.uniform(0, 5),
                                      three_phase=lambda: r.random() < 0.5)}
                if result.get("pct_start", 0.3) * result["total_steps"] != 1:  # torch divides by zero
                    return result
        if kind == "reduce_lr_on_plateau":
            return self.some(mode=lambda: r.choice(["min", "max"]), factor=lambda: r.uniform(0, 0.99),
                             patience=lambda: r.randint(0, 12), threshold=lambda: r.choice([0, 10**r.uniform(-5, -1)]),
                             threshold_mode=lambda: r.choice(["rel", "abs"]), cooldown=lambda: r.randint(0, 9),
                             min_lr=self.small, eps=lambda: r.choice([0, 1e-8, 1e-3]))
        if kind == "lambda_lr":
            return {"lr_lambda": r.choice(list(LAMBDAS))}
        raise KeyError(kind)


PLAIN = [kind for kind in CLASSES if kind not in ("sequential_lr", "chained_scheduler")]
INSIDE = [kind for kind in PLAIN if kind != "reduce_lr_on_plateau"]


def make(spec: dict, optimizer: torch.optim.Optimizer):
    """torch's own."""
    cls = getattr(torch_schedulers, CLASSES[spec["kind"]])
    arguments = dict(spec["arguments"])
    if spec["kind"] == "lambda_lr":
        arguments["lr_lambda"] = LAMBDAS[arguments["lr_lambda"]]
    if spec["kind"] == "one_cycle_lr" and "pct_start" in arguments:
        arguments["pct_start"] = float(arguments["pct_start"])
    if "schedulers" in spec:
        inner = [make(s, optimizer) for s in spec["schedulers"]]
        if spec["kind"] == "chained_scheduler":
            return cls(inner)
        return cls(optimizer, inner, **arguments)
    return cls(optimizer, **arguments)


def ticks_of(spec: dict) -> int:
    """How often it may tick: a cycle ends. (The tick after its last step is ModelBatch's own affair.)"""
    limits = [TICKS]
    if spec["kind"] == "one_cycle_lr":
        limits.append(spec["arguments"]["total_steps"] - 1)
    if spec["kind"] == "chained_scheduler":
        limits += [ticks_of(s) for s in spec["schedulers"]]
    if spec["kind"] == "sequential_lr":
        starts = [0, *spec["arguments"]["milestones"]]
        limits += [start + ticks_of(s) for start, s in zip(starts, spec["schedulers"])]
    return min(limits)


def torch_optimizer(kind: str, config: dict) -> torch.optim.Optimizer:
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    if kind == "sgd":
        return torch.optim.SGD(parameters, **config)
    return torch.optim.Adam(parameters, lr=config["lr"], betas=(config["beta1"], 0.999))


class SchedulesTest(unittest.TestCase):
    program: str
    largest = (0.0, "")
    equal = 0
    compared = 0

    def ask(self, job: dict) -> dict:
        answer = subprocess.run([self.program], input=json.dumps(job), stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(answer.stdout)

    def expect_torch(self, optimizer: str, configs: list, specs: list, metrics=None) -> None:
        ticks = min(map(ticks_of, specs))
        job = {"optimizer": optimizer, "configs": configs, "schedules": specs, "ticks": ticks, "metrics": metrics}
        answer = self.ask(job)
        self.assertNotIn("error", answer, f"{answer.get('error')}: {specs}")
        for i, (config, spec) in enumerate(zip(configs, specs)):
            alone = torch_optimizer(optimizer, config)
            scheduler = make(spec, alone)
            initial = max(config["lr"], alone.param_groups[0].get("max_lr", 0))
            for tick in range(ticks + 1):
                if tick > 0:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        if metrics is None:
                            scheduler.step()
                        else:
                            metric = metrics[tick - 1][i]
                            scheduler.step(math.nan if metric is None else metric)
                group = alone.param_groups[0]
                where = f"{spec} with {config} after {tick} ticks"
                self.close(answer["lr"][tick][i], group["lr"], initial, where)
                momentum = group["betas"][0] if "betas" in group else group["momentum"]
                self.close(answer["momentum"][tick][i], momentum, 1, f"momentum of {where}")
        resumed = self.ask(job | {"resume": ticks // 3})
        self.assertEqual(resumed, answer, "after a resume")

    def close(self, actual: float, expected: float, scale: float, where: str) -> None:
        error = abs(actual - expected) / scale
        SchedulesTest.largest = max(SchedulesTest.largest, (error, where))
        SchedulesTest.compared += 1
        SchedulesTest.equal += actual == expected
        self.assertLessEqual(error, TOLERANCE, f"{where}: {actual!r}, expected {expected!r}")

    def configs(self, arguments: Arguments, optimizer: str, count: int) -> list:
        r = arguments.random
        name = "momentum" if optimizer == "sgd" else "beta1"
        return [{"lr": 10**r.uniform(-4, 1), name: r.uniform(0.1, 0.9)} for _ in range(count)]

    def test_plain(self):
        for seed, kind in enumerate(PLAIN):
            arguments = Arguments(seed)
            for optimizer in ("sgd", "adam"):
                with self.subTest(kind=kind, optimizer=optimizer):
                    # Those that may tick as often tick together.
                    specs = [{"kind": kind, "arguments": arguments.of(kind)} for _ in range(8)]
                    metrics = None
                    if kind == "reduce_lr_on_plateau":
                        metrics = [[None if arguments.random.random() < 0.02
                                    else arguments.random.choice([1, -1]) *
                                    (3 / (1 + tick / 30) + arguments.random.gauss(0, 0.2)) for _ in specs]
                                   for tick in range(TICKS)]
                    configs = self.configs(arguments, optimizer, len(specs))
                    if kind == "one_cycle_lr":
                        for spec, config in zip(specs, configs):
                            self.expect_torch(optimizer, [config], [spec])
                    else:
                        self.expect_torch(optimizer, configs, specs, metrics)

    # A tick changes nothing but what is its own: kinds of all sorts in one population.
    def test_mixed_kinds_in_one_population(self):
        arguments = Arguments(50)
        kinds = [kind for kind in INSIDE if kind != "one_cycle_lr"]
        specs = [{"kind": kind, "arguments": arguments.of(kind)} for kind in kinds]
        self.expect_torch("sgd", self.configs(arguments, "sgd", len(specs)), specs)

    def made_of_others(self, kind: str, seed: int) -> None:
        arguments = Arguments(seed)
        for _ in range(25):
            count = arguments.random.randint(1, 4)
            # torch keeps max_lr and min_lr in the group, so that of two cycles the second would rule the first.
            kinds = ["one_cycle_lr"] * 2
            while kinds.count("one_cycle_lr") > 1:
                kinds = arguments.random.choices(INSIDE, k=count)
            inner = [{"kind": k, "arguments": arguments.of(k)} for k in kinds]
            spec = {"kind": kind, "arguments": {}, "schedulers": inner}
            if kind == "sequential_lr":
                spec["arguments"]["milestones"] = sorted(arguments.random.sample(range(1, 400), count - 1))
            optimizer = arguments.random.choice(["sgd", "adam"])
            configs = self.configs(arguments, optimizer, 1)
            with self.subTest(spec=spec):
                self.expect_torch(optimizer, configs, [spec])

    def test_sequential(self):
        self.made_of_others("sequential_lr", 60)

    def test_chained(self):
        self.made_of_others("chained_scheduler", 70)

    def test_after_the_last_step_of_a_cycle_the_rate_stays(self):
        for arguments in ({}, {"anneal_strategy": "linear"}, {"pct_start": 1.0}, {"three_phase": True}):
            with self.subTest(arguments=arguments):
                cycle = {"kind": "one_cycle_lr", "arguments": {"max_lr": 1.0, "total_steps": 7, **arguments}}
                rates = self.ask({"optimizer": "sgd", "configs": [{"lr": 0.1}], "metrics": None, "ticks": 7,
                                  "schedules": [cycle]})["lr"]
                self.assertAlmostEqual(rates[7][0], 1 / 25 / 1e4, delta=1e-15)

    def test_defaults_are_torchs(self):
        kinds = json.loads(subprocess.run([self.program, "--kinds"], stdout=subprocess.PIPE, check=True).stdout)
        self.assertEqual(kinds.keys(), CLASSES.keys())
        # Of one_cycle_lr, epochs x steps_per_epoch is another way to say total_steps.
        others = {"self", "optimizer", "last_epoch", "schedulers", "epochs", "steps_per_epoch"}
        for kind, arguments in kinds.items():
            parameters = inspect.signature(getattr(torch_schedulers, CLASSES[kind]).__init__).parameters
            expected = {name: None if p.default is inspect.Parameter.empty else p.default
                        for name, p in parameters.items() if name not in others}
            self.assertEqual(arguments, expected, kind)

    def test_refusals(self):
        sgd, linear = {"lr": 0.1}, {"kind": "linear_lr", "arguments": {}}
        cases = {
            "no learning-rate schedule \"StepLR\"; there are: step_lr, ": {"kind": "StepLR", "arguments": {}},
            "step_lr: step_size is missing": {"kind": "step_lr", "arguments": {}},
            "step_lr: step_size is 0, expected an integer from 1 to": {"kind": "step_lr", "arguments": {"step_size": 0}},
            "step_lr: step_size has another type, expected an integer":
                {"kind": "step_lr", "arguments": {"step_size": 1.5}},
            "step_lr: has no argument \"gama\"; it has: step_size, gamma":
                {"kind": "step_lr", "arguments": {"step_size": 1, "gama": 0.1}},
            "linear_lr: start_factor is 0, expected a number in (0, 1]":
                {"kind": "linear_lr", "arguments": {"start_factor": 0}},
            "reduce_lr_on_plateau: factor is 1, expected a number in [0, 1)":
                {"kind": "reduce_lr_on_plateau", "arguments": {"factor": 1.0}},
            "reduce_lr_on_plateau: mode is \"mn\", expected one of: min, max":
                {"kind": "reduce_lr_on_plateau", "arguments": {"mode": "mn"}},
            "reduce_lr_on_plateau: a tick needs a metric": {"kind": "reduce_lr_on_plateau", "arguments": {}},
            "no function \"mine\" is registered in this process":
                {"kind": "lambda_lr", "arguments": {"lr_lambda": "mine"}},
            "one_cycle_lr: pct_start 0.25 of total_steps 4 is one step":
                {"kind": "one_cycle_lr", "arguments": {"max_lr": 1, "total_steps": 4, "pct_start": 0.25}},
            "tick 6 of one_cycle_lr, whose total_steps is 5":
                {"kind": "one_cycle_lr", "arguments": {"max_lr": 1, "total_steps": 5}},
            "lr is ": {"kind": "exponential_lr", "arguments": {"gamma": 1e200}},
            "sequential_lr: 2 schedulers with 0 milestones, expected 1 of these":
                {"kind": "sequential_lr", "arguments": {"milestones": []}, "schedulers": [linear, linear]},
            "sequential_lr: milestones has 3 after 3, expected them in ascending order":
                {"kind": "sequential_lr", "arguments": {"milestones": [3, 3]}, "schedulers": [linear] * 3},
            "chained_scheduler: cannot be made of a reduce_lr_on_plateau":
                {"kind": "chained_scheduler", "arguments": {},
                 "schedulers": [{"kind": "reduce_lr_on_plateau", "arguments": {}}]},
            "chained_scheduler: schedulers is missing": {"kind": "chained_scheduler", "arguments": {}},
        }
        for message, spec in cases.items():
            with self.subTest(message=message):
                # The model is named, here the second.
                answer = self.ask({"optimizer": "sgd", "configs": [sgd, sgd], "metrics": None, "ticks": 20,
                                   "schedules": [{"kind": "constant_lr", "arguments": {}}, spec]})
                self.assertIn(message, answer.get("error", "no error"))
                self.assertTrue(answer["error"].startswith("model 1: "), answer["error"])
        answer = self.ask({"optimizer": "sgd", "configs": [sgd], "metrics": [[1.0]], "ticks": 1, "schedules": [linear]})
        self.assertEqual(answer["error"], "model 0: linear_lr: a tick takes no metric")


if __name__ == "__main__":
    SchedulesTest.program = sys.argv[1]
    result = unittest.main(argv=sys.argv[:1], exit=False).result
    print("largest error: {:.2g} of the initial rate, {}".format(*SchedulesTest.largest))
    print(f"{SchedulesTest.equal} of {SchedulesTest.compared} values are equal bit for bit")
    sys.exit(not result.wasSuccessful())
