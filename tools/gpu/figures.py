"""What the figures of a run say: how much of what the device can do was done, and which goals were reached.

All are of one report (run.py): parts that have failed count for nothing.
"""

import math
import re
import statistics

# What one model's Adam step must move at least: p, m and v, read and written.
BYTES_PER_PARAMETER = 24
# Who has wgmma may do more than mma.sync: the rate of a precision is the best of all that were measured.
MATRIX_RATES = {"fp32": ("fp32", "fp32_matmul"), "tf32": ("tf32_mma", "tf32_matmul"),
                "bf16": ("bf16_mma", "bf16_matmul")}
LARGE, SMALL = 20e6, 2e6  # parameters of all models: at least, below


def passed(parts, prefix):
    return [part for part in parts if part["name"].startswith(prefix) and part.get("outcome", "passed") == "passed"]


def benchmarks(parts, prefix):
    """The single repetitions of Google Benchmark's JSON, without what it appends to names."""
    for part in passed(parts, prefix):
        for file in part.get("figures", []):
            for run in file.get("benchmarks", []):
                if run.get("run_type") != "aggregate" and not run.get("error_occurred"):
                    yield re.sub(r"/manual_time$", "", run["name"]), run


def cells(parts):
    for part in passed(parts, "compare/"):
        for file in part.get("figures", []):
            yield from file.get("cells", [])


# ---- How much of what the device can do


def limits_of(parts):
    """{"copy": [(bytes of the set, bytes a second)], "flops": {what: FLOP a second}}."""
    limits = {"copy": [], "flops": {}}
    for name, run in benchmarks(parts, "limits/"):
        if name.startswith("Copy/"):
            limits["copy"].append((run["set_bytes"], run["bytes_per_second"]))
        elif name.startswith("Flops/"):
            what = name.split("/")[1]
            limits["flops"][what] = max(limits["flops"].get(what, 0), run["flops_per_second"])
    return limits


def copy_rate(limits, set_bytes):
    """The fastest of the sets measured that are at least as large: a set of its size may lie in a cache. None: no set."""
    fitting = [rate for size, rate in limits["copy"] if size >= set_bytes]
    rates = fitting or [rate for _, rate in limits["copy"]]
    return max(rates) if rates else None


def matrix_rate(limits, precision):
    rates = [limits["flops"][what] for what in MATRIX_RATES[precision] if what in limits["flops"]]
    return max(rates) if rates else None


def judged(share):
    """More than all of it is an error of the measurement."""
    above = [key for key, value in share.items() if key.startswith("of_") and value > 1]
    if above:
        share["error"] = f"{', '.join(above)} above 1: what was counted or timed is wrong"
    return share


def step_share(cell, contender, limits):
    """What a training step did of what the device can do."""
    seconds = contender["median_ms_per_step"] * 1e-3
    share = {"workload": cell["workload"], "models": cell["models"], "precision": cell["precision"],
             "contender": contender["name"]}
    bandwidth = copy_rate(limits, 12 * cell["parameters"])
    if bandwidth:
        share["of_copy"] = BYTES_PER_PARAMETER * cell["parameters"] / seconds / bandwidth
        if is_ours(contender) and "scheduled_bytes" in cell:
            share["of_copy_by_schedule"] = cell["scheduled_bytes"]["total"] / seconds / bandwidth
    rate = matrix_rate(limits, cell["precision"])
    if rate:
        share["of_matrix_rate"] = cell["flop_per_step"] / seconds / rate
    return judged(share)


def gemm_shares(parts, limits):
    """Of products that found nothing in the cache."""
    found = []
    for (who, case), times in sorted(gemm_times(parts, "cold").items()):
        share = {"contender": who, "case": case}
        bandwidth = copy_rate(limits, times["bytes"])
        if bandwidth:
            share["of_copy"] = times["bytes"] / times["seconds"] / bandwidth
        rate = matrix_rate(limits, case.split("/")[1].split("_")[0])
        if rate:
            share["of_matrix_rate"] = times["flops"] / times["seconds"] / rate
        found.append(judged(share))
    return found


def shares(parts):
    limits = limits_of(parts)
    return [step_share(cell, contender, limits) for cell in cells(parts) for contender in cell["contenders"]
            if "median_ms_per_step" in contender] + gemm_shares(parts, limits)


# ---- Goals


def is_ours(contender):
    return contender["peer"].startswith("modelbatch-")


def gemm_times(parts, cache):
    """{(who, "forward/bf16/width:64/..."): {"seconds", "bytes", "flops"}}, medians of the repetitions."""
    runs = {}
    for name, run in benchmarks(parts, "gemm/"):
        who, _, rest = name.partition("/")
        case, _, found = rest.rpartition("/L2:")
        if found == cache:
            runs.setdefault((who, case), []).append(run)
    times = {}
    for key, repetitions in runs.items():
        seconds = statistics.median(run["real_time"] for run in repetitions) * 1e-6  # time_unit: us
        rates = {what: statistics.median(run[f"{what}_per_second"] * run["real_time"] * 1e-6 for run in repetitions)
                 for what in ("counted_bytes", "flops")}
        times[key] = {"seconds": seconds, "bytes": rates["counted_bytes"], "flops": rates["flops"]}
    return times


def gemm_ratios(parts, peer, precision, kind, cache="cold"):
    """{case: the peer's time over ours}. Ours of operands that are bf16 in memory where there is such a kernel, else of
    fp32 in memory."""
    times = gemm_times(parts, cache)
    ratios = {}
    for (who, case), time in times.items():
        if who != peer or case.split("/")[1] != precision or not case.endswith("/" + kind):
            continue
        ours = times.get(("ours", case)) or times.get(("ours", case.replace("/bf16/", "/bf16_of_fp32/")))
        if ours:
            ratios[case] = time["seconds"] / ours["seconds"]
    return ratios


def step_ratios(parts, peers, precisions, parameters=lambda count: True, only=None):
    """{"mlp_small, 32 models, bf16": the fastest of the peers' times over ours}. The first of `peers` must be there."""
    ratios = {}
    for cell in cells(parts):
        name = f"{cell['workload']}, {cell['models']} models, {cell['precision']}"
        if cell["precision"] not in precisions or not parameters(cell["parameters"]) or (only and name != only):
            continue
        times = {}
        for contender in cell["contenders"]:
            if "median_ms_per_step" not in contender:
                continue
            who = "ours" if is_ours(contender) else contender["peer"]
            times[who] = min(times.get(who, math.inf), contender["median_ms_per_step"])
        if "ours" not in times or peers[0] not in times:
            continue
        fastest = min(times[peer] for peer in peers if peer in times)
        ratios[name] = max(ratios.get(name, 0), fastest / times["ours"])
    return ratios


def schedule_shares(parts):
    limits = limits_of(parts)
    found = {}
    for cell in cells(parts):
        if cell["precision"] != "bf16" or cell["parameters"] < LARGE:
            continue
        for contender in cell["contenders"]:
            if "median_ms_per_step" in contender and is_ours(contender):
                share = step_share(cell, contender, limits).get("of_copy_by_schedule")
                if share:
                    found[f"{cell['workload']}, {cell['models']} models, bf16"] = share
    return found


def geometric_mean(values):
    return math.exp(statistics.mean(math.log(value) for value in values))


def goal(name, values, mean=None, least=None, unit="x"):
    """`mean`: what the geometric mean of the cells must be; `least`: what each must be."""
    wanted = " and ".join(filter(None, [f"geometric mean >= {mean:g}{unit}" if mean else "",
                                        f"every cell >= {least:g}{unit}" if least else ""]))
    found = {"goal": name, "wanted": wanted, "cells": values}
    if not values:
        return {**found, "verdict": "not measured", "why": "no part that passed has figures of both sides"}
    found["geometric_mean"], found["least"] = geometric_mean(values.values()), min(values.values())
    found["least_cell"] = min(values, key=values.get)
    misses = []
    if mean and found["geometric_mean"] < mean:
        misses.append(f"the mean is {found['geometric_mean']:.3g}{unit}")
    if least and found["least"] < least:
        misses.append(f"{found['least_cell']} has {found['least']:.3g}{unit}")
    return {**found, "verdict": "not reached" if misses else "reached", "why": "; ".join(misses)}


def goals(parts):
    def large(count):
        return count >= LARGE

    def small(count):
        return count < SMALL

    compiled = ("torch-compile-graph", "torch-compile")
    jax = ("jax", "jax-scan")
    alone = "mlp_small, 1024 models, fp32"
    found = []
    for precision, operands in (("bf16_of_fp32", "fp32 in memory"), ("bf16", "cuBLAS's in bf16 in memory")):
        found.append(goal(f"cublasGemmStridedBatchedEx, bf16, uniform products, operands {operands}",
                          gemm_ratios(parts, "strided", precision, "uniform"), mean=1.0, least=0.9))
    for precision, operands in (("bf16_of_fp32", "fp32 in memory"), ("bf16", "cuBLAS's in bf16 in memory")):
        found.append(goal(f"cublasGemmGroupedBatchedEx, bf16, ragged products, operands {operands}",
                          gemm_ratios(parts, "grouped", precision, "ragged"), mean=1.5))
    found.append(goal("the schedule's bytes over time, of the copy bandwidth, bf16 steps, N P >= 20 M",
                      schedule_shares(parts), least=0.8, unit=""))
    found.append(goal("torch.compile of vmap, one CUDA graph, bf16 steps, N P >= 20 M",
                      step_ratios(parts, compiled, ("bf16",), large), mean=1.4))
    found.append(goal("torch.compile of vmap, one CUDA graph, bf16 steps, N P < 2 M",
                      step_ratios(parts, compiled, ("bf16",), small), mean=3))
    found.append(goal("torch.compile of vmap, one CUDA graph, fp32 steps",
                      step_ratios(parts, compiled, ("fp32",)), mean=1.15))
    found.append(goal("JAX vmap and jit, steps of the same precision",
                      step_ratios(parts, jax, ("fp32", "tf32", "bf16")), mean=1.4))
    found.append(goal("torch one after another, 1,024 of 64-128-10, eager",
                      step_ratios(parts, ("torch-loop",), ("fp32",), only=alone), mean=1500))
    found.append(goal("torch one after another, 1,024 of 64-128-10, as a CUDA graph",
                      step_ratios(parts, ("torch-graph",), ("fp32",), only=alone), mean=100))
    return found


def goal_table(found):
    lines = []
    for one in found:
        value = f"{one['geometric_mean']:.3g}, least {one['least']:.3g}" if one["cells"] else "-"
        lines.append(f"{one['verdict']:12}  {value:22}  {one['wanted']}: {one['goal']} ({len(one['cells'])} cells)"
                     + (f"; {one['why']}" if one["why"] else ""))
    return "\n".join(lines)
