#!/usr/bin/env python3
"""The figures of tools/gpu_check's runner, of made-up results: what it computes is what the goals say, by formulas written
out here, and what was not measured is none of it."""

import math
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import figures  # noqa: E402: after its folder


def part(name, file, outcome="passed"):
    return {"name": name, "outcome": outcome, "figures": [file]}


LIMITS = part("limits/kernels", {"benchmarks": [
    {"name": "Copy/bytes:1000000/manual_time", "set_bytes": 1e6, "bytes_per_second": 9e12},
    {"name": "Copy/bytes:1000000000/manual_time", "set_bytes": 1e9, "bytes_per_second": 4e12},
    {"name": "Copy/bytes:1000000000/manual_time", "set_bytes": 1e9, "bytes_per_second": 99e12, "run_type": "aggregate"},
    {"name": "Flops/fp32/manual_time", "flops_per_second": 6e13},
    {"name": "Flops/bf16_mma/manual_time", "flops_per_second": 4e14}]})
MATMUL = part("limits/torch", {"benchmarks": [{"name": "Flops/bf16_matmul", "flops_per_second": 8e14}]})


def gemm(who, case, cache, microseconds, moved=1e8, flops=1e9):
    return [{"name": f"{who}/{case}/L2:{cache}/manual_time", "run_type": "iteration", "real_time": t, "time_unit": "us",
             "counted_bytes_per_second": moved / (t * 1e-6), "flops_per_second": flops / (t * 1e-6)} for t in microseconds]


def cell(workload, models, precision, parameters, times, scheduled=None, flops=1e9):
    """`times`: milliseconds of each peer."""
    contenders = [{"name": f"{peer}, 1 thread", "peer": peer, "median_ms_per_step": ms} if ms else
                  {"name": peer, "peer": peer, "not_run": "why"} for peer, ms in times]
    found = {"workload": workload, "models": models, "precision": precision, "parameters": parameters,
             "flop_per_step": flops, "contenders": contenders}
    if scheduled:
        found["scheduled_bytes"] = {"total": scheduled}
    return part(f"compare/{precision}/{workload}/{models}", {"cells": [found]})


class SharesTest(unittest.TestCase):
    def test_a_steps_shares(self):
        step = cell("w", 8, "bf16", 30e6, [("modelbatch-cuda", 0.5), ("jax", 1.0), ("torch-vmap", None)], 1.2e9, 4e10)
        ours, jax = figures.shares([LIMITS, MATMUL, step])
        # 12 x 30 MB fit the larger set alone; 24 x 30 M bytes in 0.5 ms of 4 TB/s.
        self.assertAlmostEqual(ours["of_copy"], 24 * 30e6 / 0.5e-3 / 4e12)
        self.assertAlmostEqual(ours["of_copy_by_schedule"], 1.2e9 / 0.5e-3 / 4e12)
        # The best that was measured of the precision.
        self.assertAlmostEqual(ours["of_matrix_rate"], 4e10 / 0.5e-3 / 8e14)
        self.assertNotIn("error", ours)
        # The schedule is ours.
        self.assertNotIn("of_copy_by_schedule", jax)
        self.assertAlmostEqual(jax["of_copy"], 24 * 30e6 / 1e-3 / 4e12)

    def test_a_set_that_fits_a_cache_is_held_to_the_caches_bandwidth(self):
        (share,) = figures.shares([LIMITS, cell("w", 8, "fp32", 1000, [("modelbatch-cuda", 1.0)])])
        self.assertAlmostEqual(share["of_copy"], 24000 / 1e-3 / 9e12)

    def test_more_than_the_device_can_do_is_an_error_of_each_kind(self):
        for step, what in ((cell("w", 8, "bf16", 30e6, [("modelbatch-cuda", 0.1)]), "of_copy above 1"),
                           (cell("w", 8, "bf16", 30e6, [("modelbatch-cuda", 1.0)], 5e9), "of_copy_by_schedule above 1"),
                           (cell("w", 8, "fp32", 1, [("jax", 1.0)], flops=7e10), "of_matrix_rate above 1")):
            (share,) = figures.shares([LIMITS, MATMUL, step])
            self.assertEqual(share["error"], f"{what}: what was counted or timed is wrong")

    def test_a_products_shares_are_those_of_a_cold_cache(self):
        case = "forward/bf16_of_fp32/width:64/rows:128/models:64/uniform"
        runs = gemm("ours", case, "cold", [50, 90, 40]) + gemm("ours", case, "hot", [1])
        (share,) = figures.shares([LIMITS, MATMUL, part("gemm/bf16/key", {"benchmarks": runs})])
        self.assertEqual(share["case"], case)
        # The median of three: 100 MB in 50 us of 4 TB/s, 1 GFLOP of 800 T.
        self.assertAlmostEqual(share["of_copy"], 1e8 / 50e-6 / 4e12)
        self.assertAlmostEqual(share["of_matrix_rate"], 1e9 / 50e-6 / 8e14)
        self.assertNotIn("error", share)
        runs = gemm("strided", case, "cold", [20])
        (share,) = figures.shares([LIMITS, MATMUL, part("gemm/bf16/key", {"benchmarks": runs})])
        self.assertIn("of_copy above 1", share["error"])

    def test_without_limits_there_are_no_shares(self):
        (share,) = figures.shares([cell("w", 8, "bf16", 30e6, [("modelbatch-cuda", 0.001)])])
        self.assertEqual([key for key in share if key.startswith("of_")], [])


class GoalsTest(unittest.TestCase):
    def goal(self, parts, *words):
        (found,) = [goal for goal in figures.goals(parts) if all(word in goal["goal"] for word in words)]
        return found

    def test_nothing_measured_is_said_of_each(self):
        for goal in figures.goals([]):
            self.assertEqual((goal["verdict"], goal["cells"]), ("not measured", {}))
            self.assertIn("no part", goal["why"])

    def product(self, ours, strided, case="forward/{}/width:64/rows:128/models:{}/uniform", who="strided"):
        """A part with a product for each pair of times; the peer's of either kind of operands."""
        runs = []
        for models, (mine, theirs) in enumerate(zip(ours, strided)):
            runs += gemm("ours", case.format("bf16_of_fp32", models), "cold", [mine])
            runs += gemm(who, case.format("bf16_of_fp32", models), "cold", [theirs])
            runs += gemm(who, case.format("bf16", models), "cold", [theirs / 2])
            runs += gemm(who, case.format("tf32", models), "cold", [1])
            runs += gemm(who, case.format("bf16_of_fp32", models), "hot", [1])
            runs += gemm("ours", case.format("bf16_of_fp32", models), "hot", [1000])
        return part("gemm/bf16/key", {"benchmarks": runs})

    def test_uniform_products(self):
        parts = [self.product([10, 10], [9, 40])]
        goal = self.goal(parts, "Strided", "fp32 in memory")
        # 0.9 and 4: the mean is their product's root.
        self.assertAlmostEqual(goal["geometric_mean"], math.sqrt(0.9 * 4))
        self.assertAlmostEqual(goal["least"], 0.9)
        self.assertEqual((goal["verdict"], len(goal["cells"])), ("reached", 2))
        # cuBLAS's own operands are half as long here, so that it takes half.
        goal = self.goal(parts, "Strided", "in bf16 in memory")
        self.assertAlmostEqual(goal["geometric_mean"], math.sqrt(0.45 * 2))
        self.assertEqual(goal["verdict"], "not reached")
        self.assertIn("the mean is 0.949x", goal["why"])
        self.assertIn("models:0/uniform has 0.45x", goal["why"])
        # One cell below is enough.
        goal = self.goal([self.product([10, 10], [8.9, 40])], "Strided", "fp32 in memory")
        self.assertEqual(goal["verdict"], "not reached")
        self.assertNotIn("the mean", goal["why"])
        # So is the mean.
        goal = self.goal([self.product([10, 10], [9.5, 9.6])], "Strided", "fp32 in memory")
        self.assertEqual((goal["verdict"], goal["why"]), ("not reached", "the mean is 0.955x"))

    def test_ours_of_operands_in_bf16_is_compared_where_there_is_one(self):
        case = "forward/bf16/width:64/rows:128/models:64/uniform"
        runs = (gemm("ours", case, "cold", [5]) + gemm("ours", case.replace("bf16", "bf16_of_fp32"), "cold", [10]) +
                gemm("strided", case, "cold", [15]))
        goal = self.goal([part("gemm/bf16/key", {"benchmarks": runs})], "Strided", "in bf16 in memory")
        self.assertAlmostEqual(goal["cells"][case], 3)

    def test_ragged_products(self):
        case = "forward/{}/width:64/rows:128/models:{}/ragged"
        for theirs, verdict in (([15, 15], "reached"), ([14, 15], "not reached")):
            goal = self.goal([self.product([10, 10], theirs, case, "grouped")], "Grouped", "fp32 in memory")
            self.assertEqual(goal["verdict"], verdict)
        self.assertEqual(self.goal([self.product([10], [90], who="grouped")], "Grouped", "fp32 in memory")["verdict"],
                         "not measured")

    def test_bytes_of_the_schedule(self):
        # 1.7 GB and 1.5 GB in 0.5 ms of 4 TB/s: 0.85 and 0.75 of it.
        large = [LIMITS, cell("a", 8, "bf16", 20e6, [("modelbatch-cuda", 0.5)], 1.7e9)]
        goal = self.goal(large, "schedule")
        self.assertEqual(goal["verdict"], "reached")
        self.assertAlmostEqual(goal["cells"]["a, 8 models, bf16"], 0.85)
        others = [cell("b", 8, "bf16", 30e6, [("modelbatch-cuda", 0.5)], 1.5e9)]
        self.assertEqual(self.goal(large + others, "schedule")["verdict"], "not reached")
        # Other precisions and smaller populations are none of it.
        others = [cell("b", 8, "fp32", 30e6, [("modelbatch-cuda", 0.5)], 1.5e9),
                  cell("c", 8, "bf16", 19e6, [("modelbatch-cuda", 0.5)], 1.5e9)]
        self.assertEqual(self.goal(large + others, "schedule")["verdict"], "reached")
        self.assertEqual(self.goal(large[1:], "schedule")["verdict"], "not measured")

    def step(self, parameters, precision, ours, *peers, workload="w", models=8):
        return cell(workload, models, precision, parameters, [("modelbatch-cuda", ours), *peers])

    def test_compiled_steps(self):
        graph = "torch-compile-graph"
        for parameters, precision, words, wanted in ((20e6, "bf16", ("bf16", ">= 20 M", "torch.compile"), 1.4),
                                                     (1.9e6, "bf16", ("bf16", "< 2 M"), 3),
                                                     (5e6, "fp32", ("fp32", "torch.compile"), 1.15)):
            for ratio, verdict in ((wanted + 0.01, "reached"), (wanted - 0.01, "not reached")):
                goal = self.goal([self.step(parameters, precision, 2.0, (graph, 2 * ratio))], *words)
                self.assertEqual(goal["verdict"], verdict, words)
                self.assertAlmostEqual(goal["geometric_mean"], ratio)
        # The sizes between, and what only another precision has.
        self.assertEqual(self.goal([self.step(2e6, "bf16", 2.0, (graph, 20))], "< 2 M")["verdict"], "not measured")
        self.assertEqual(self.goal([self.step(3e7, "fp32", 2.0, (graph, 20))], "bf16", "torch.compile", "20 M")["verdict"],
                         "not measured")

    def test_the_faster_of_a_peers_ways_counts_and_its_main_one_must_be_there(self):
        both = self.step(20e6, "bf16", 1.0, ("torch-compile-graph", 3), ("torch-compile", 2))
        self.assertAlmostEqual(self.goal([both], "torch.compile", ">= 20 M")["geometric_mean"], 2)
        eager = self.step(20e6, "bf16", 1.0, ("torch-compile-graph", None), ("torch-compile", 2))
        self.assertEqual(self.goal([eager], "torch.compile", ">= 20 M")["verdict"], "not measured")

    def test_jax_in_every_precision(self):
        parts = [self.step(1e6, precision, 1.0, ("jax", ratio), ("jax-scan", 9), workload=precision)
                 for precision, ratio in (("fp32", 1.0), ("tf32", 2.0), ("bf16", 4.0))]
        goal = self.goal(parts, "JAX")
        self.assertAlmostEqual(goal["geometric_mean"], 2.0)
        self.assertEqual((goal["verdict"], len(goal["cells"])), ("reached", 3))

    def test_one_after_another_is_one_cell(self):
        small = {"workload": "mlp_small", "models": 1024}
        parts = [self.step(9.8e6, "fp32", 0.2, ("torch-loop", 301), ("torch-graph", 19), **small),
                 self.step(9.8e6, "bf16", 0.2, ("torch-loop", 1), ("torch-graph", 1), **small),
                 self.step(9.8e6, "fp32", 0.2, ("torch-loop", 1), workload="mlp_small", models=32)]
        eager, graph = self.goal(parts, "eager"), self.goal(parts, "as a CUDA graph")
        self.assertEqual((eager["verdict"], graph["verdict"]), ("reached", "not reached"))
        self.assertAlmostEqual(eager["geometric_mean"], 1505)
        self.assertAlmostEqual(graph["geometric_mean"], 95)
        parts[0] = self.step(9.8e6, "fp32", 0.2, ("torch-loop", 299), ("torch-graph", 20.1), **small)
        eager, graph = self.goal(parts, "eager"), self.goal(parts, "as a CUDA graph")
        self.assertEqual((eager["verdict"], graph["verdict"]), ("not reached", "reached"))

    def test_parts_that_failed_count_for_nothing(self):
        parts = [self.product([10], [90]), self.step(20e6, "bf16", 1.0, ("torch-compile-graph", 3))]
        for failed in parts:
            failed["outcome"] = "failed"
        self.assertTrue(all(goal["verdict"] == "not measured" for goal in figures.goals(parts)))
        self.assertEqual(figures.shares([LIMITS, *parts]), [])

    def test_the_table_has_a_line_for_each(self):
        found = figures.goals([self.product([10, 10], [8.9, 40])])
        lines = figures.goal_table(found).splitlines()
        self.assertEqual(len(lines), len(found))
        self.assertRegex(lines[0], r"^not reached +1\.89, least 0\.89 .*>= 1x and every cell >= 0\.9x: .*\(2 cells\); .*has 0.89x")
        self.assertRegex(lines[-1], "^not measured +- +geometric mean >= 100x: .*; no part")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
