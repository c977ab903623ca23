#!/usr/bin/env python3
"""torch.bmm on the cases of cuda_gemm_benchmark: the same products of the same data, held to the same gate, timed in the
same way, hot and cold, by CUDA events. Uniform groups alone: torch.bmm wants models of one size.

    torch_bmm_benchmark.py [--filter=forward/fp32/width:64] [--repetitions=5] [--min_time=0.02] --out=FILE.json

With --limits it times one large product in each precision instead: what the device's matrix units reach.

Writes Google Benchmark's JSON. Exit code: 0, 1 when a product was wrong, 3 without a device.
"""

import argparse
import json
import random
import re
import sys

import torch

PRODUCTS = ("forward", "input_gradient", "weight_gradient")
PRECISIONS = ("fp32", "tf32", "bf16")
WIDTHS, ROWS, MODELS = (64, 128, 256, 512, 1024), (32, 128, 512), (8, 64, 256, 1024)
SEED_OF_A, SEED_OF_B = 1, 2
HOT_LAUNCHES = 10
LARGE = 8192  # of the limits: m, n and k
FILLED_AT_ONCE = 1 << 24
MEMORY_SHARE = 0.4  # of the device's, for the matrices


# ---- Cases, as gemm_case.h has them


def cases(most_bytes: float) -> list[dict]:
    found = []
    for precision in PRECISIONS:
        for product in PRODUCTS:
            for width in WIDTHS:
                for rows in ROWS:
                    for models in MODELS:
                        weights = product == "weight_gradient"
                        case = {"product": product, "precision": precision, "models": models,
                                "m": width if weights else rows, "n": width, "k": rows if weights else width,
                                "name": f"{product}/{precision}/width:{width}/rows:{rows}/models:{models}/uniform"}
                        if counted_bytes(case) <= most_bytes:
                            found.append(case)
    return found


def dtype_of(case: dict) -> torch.dtype:
    return torch.bfloat16 if case["precision"] == "bf16" else torch.float32


def counted_bytes(case: dict) -> int:
    """Each matrix moved once."""
    m, n, k = case["m"], case["n"], case["k"]
    return case["models"] * (m * k + k * n + m * n) * dtype_of(case).itemsize


def flops(case: dict) -> int:
    return 2 * case["models"] * case["m"] * case["n"] * case["k"]


# ---- Data, as exact_data.h has it: splitmix64's finalizer, in integers that wrap


def signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def mix_bits(seed: int, first: int, count: int, device: str) -> torch.Tensor:
    def shifted(z, bits):  # without sign
        return (z >> bits) & ((1 << (64 - bits)) - 1)

    z = (torch.arange(first, first + count, dtype=torch.int64, device=device) + (seed << 48)) * signed(0x9E3779B97F4A7C15)
    z = (z ^ shifted(z, 30)) * signed(0xBF58476D1CE4E5B9)
    z = (z ^ shifted(z, 27)) * signed(0x94D049BB133111EB)
    return z ^ shifted(z, 31)


def exact(bits: torch.Tensor) -> torch.Tensor:
    """Multiples of 1/128 in [-1, 1): exact in every precision, as their sums are in fp32."""
    return ((bits & 255) - 128).float() / 128


def random_values(bits: torch.Tensor) -> torch.Tensor:
    return ((bits >> 40) & 0xFFFFFF).float() * (1 / 8388608) - 1


class Matrices:
    """a, b and c of a case as they lie in memory, and as torch.bmm takes them: x w^T, dy w, dy^T x."""

    def __init__(self, case: dict, device: str):
        self.case, self.device = case, device
        n, m, k, count = case["n"], case["m"], case["k"], case["models"]
        product, dtype = case["product"], dtype_of(case)
        self.a = torch.empty((count, k, m) if product == "weight_gradient" else (count, m, k), dtype=dtype, device=device)
        self.b = torch.empty((count, n, k) if product == "forward" else (count, k, n), dtype=dtype, device=device)
        self.c = torch.empty((count, m, n), dtype=dtype, device=device)

    def fill(self, values) -> None:
        """In parts: what is on the way takes more memory than a matrix."""
        for matrix, seed in ((self.a, SEED_OF_A), (self.b, SEED_OF_B)):
            for part in matrix.view(-1).split(FILLED_AT_ONCE):
                first = part.storage_offset()
                part.copy_(values(mix_bits(seed, first, part.numel(), self.device)))

    def operands(self) -> tuple[torch.Tensor, torch.Tensor]:
        product = self.case["product"]
        return (self.a.transpose(1, 2) if product == "weight_gradient" else self.a,
                self.b.transpose(1, 2) if product == "forward" else self.b)

    def multiply(self) -> None:
        torch.bmm(*self.operands(), out=self.c)


def check(matrices: Matrices, multiply) -> str:
    """Of exact data, into a c of NaN: "" or what is wrong. Some models, every element, by products in double, which are
    exact."""
    matrices.fill(exact)
    matrices.c.fill_(float("nan"))
    multiply()
    c = matrices.c
    not_written = int(torch.isnan(c).sum())
    if not_written:
        return f"{not_written} elements were not written"
    count = c.shape[0]
    models = sorted({0, count - 1, *random.Random(11).sample(range(count), min(8, count))})
    a, b = (operand[models].double() for operand in matrices.operands())
    wrong = torch.nonzero(c[models] != torch.bmm(a, b).to(c.dtype))
    if len(wrong):
        model, row, col = wrong[0].tolist()
        return f"{len(wrong)} elements are wrong, the first of model {models[model]} at [{row}, {col}]"
    return ""


# ---- Times


class Clock:
    """CUDA events, and what is read to empty the L2 cache."""

    device = "cuda"

    def __init__(self):
        properties = torch.cuda.get_device_properties(0)
        self.name, self.l2, self.memory = properties.name, properties.L2_cache_size, properties.total_memory
        self.flush = torch.zeros(3 * self.l2 // 4, device="cuda")
        self.start, self.stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def seconds(self, multiply, cold: bool) -> float:
        """Of one product."""
        launches = 1 if cold else HOT_LAUNCHES
        if cold:
            self.flush.sum()
        self.start.record()
        for _ in range(launches):
            multiply()
        self.stop.record()
        self.stop.synchronize()
        return self.start.elapsed_time(self.stop) * 1e-3 / launches


def sample(clock: Clock, multiply, cold: bool, min_time: float) -> tuple[int, float]:
    """(iterations, mean seconds): as many as take min_time, as Google Benchmark counts them."""
    clock.seconds(multiply, cold)
    total, count = 0.0, 0
    while total < min_time or count < 3:
        total += clock.seconds(multiply, cold)
        count += 1
    return count, total / count


def entry(case: dict, cold: bool, repetition: int, count: int, seconds: float) -> dict:
    return {"name": f"torch_bmm/{case['name']}/L2:{'cold' if cold else 'hot'}", "run_type": "iteration",
            "repetition_index": repetition, "iterations": count, "real_time": seconds * 1e6, "time_unit": "us",
            "flops_per_second": flops(case) / seconds, "counted_bytes_per_second": counted_bytes(case) / seconds}


def limits(clock: Clock, arguments) -> list[dict]:
    results = []
    for precision in PRECISIONS:
        set_precision(precision)
        case = {"precision": precision, "product": "input_gradient", "models": 1, "m": LARGE, "n": LARGE, "k": LARGE}
        matrices = Matrices(case, clock.device)
        matrices.fill(random_values)
        for repetition in range(arguments.repetitions):
            count, seconds = sample(clock, matrices.multiply, False, arguments.min_time)
            results.append({"name": f"Flops/{precision}_matmul", "run_type": "iteration", "repetition_index": repetition,
                            "iterations": count, "real_time": seconds * 1e6, "time_unit": "us",
                            "flops_per_second": flops(case) / seconds})
    return results


def set_precision(precision: str) -> None:
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def products(clock: Clock, arguments) -> tuple[list[dict], bool]:
    """(results, whether one was wrong)."""
    most_bytes = MEMORY_SHARE * clock.memory
    wanted = re.compile(arguments.filter)
    results, wrong = [], False
    for case in cases(most_bytes):
        if not wanted.search(f"torch_bmm/{case['name']}/"):
            continue
        set_precision(case["precision"])
        matrices = Matrices(case, clock.device)
        error = check(matrices, matrices.multiply)
        if error:
            wrong = True
            results.append({"name": f"torch_bmm/{case['name']}", "run_type": "iteration", "error_occurred": True,
                            "error_message": f"{case['name']}: {error}"})
            continue
        matrices.fill(random_values)
        for repetition in range(arguments.repetitions):
            for cold in random.sample([False, True], 2):
                count, seconds = sample(clock, matrices.multiply, cold, arguments.min_time)
                results.append(entry(case, cold, repetition, count, seconds))
    return results, wrong


def run(arguments, clock: Clock) -> int:
    results, wrong = (limits(clock, arguments), False) if arguments.limits else products(clock, arguments)
    context = {"device": clock.name, "torch": torch.__version__, "l2_bytes": clock.l2}
    with open(arguments.out, "w") as file:
        json.dump({"context": context, "benchmarks": results}, file, indent=1)
    return int(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default="", help="a regular expression of names")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--min_time", type=float, default=0.02, help="seconds of a sample at least")
    parser.add_argument("--out", help="the file that is written")
    parser.add_argument("--limits", action="store_true", help="one large product in each precision")
    parser.add_argument("--list", action="store_true", help="names all cases and ends; needs no device")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(case["name"] for case in cases(float("inf"))))
        return 0
    if not arguments.out:
        parser.error("--out is missing")
    if not torch.cuda.is_available():
        print("torch_bmm_benchmark: no device: torch sees none", file=sys.stderr)
        return 3
    return run(arguments, Clock())


if __name__ == "__main__":
    sys.exit(main())
