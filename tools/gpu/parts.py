"""What there is to run in a folder that tools/gpu_check made: correctness first, then the figures that matter most."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys

SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
# The tests of this name are as few as a sanitizer has time for.
FEW = "*Few*"
# Workloads (benchmarks/workload_table.cc) and numbers of models: N P >= 20 M and < 2 M in turns.
CELLS = (("mlp_deep", 128), ("mlp_small", 128), ("mlp_512", 64), ("mlp_64", 64), ("mlp_1024", 16), ("mlp_small", 32),
         ("mlp_256", 128), ("mlp_64", 128))
PEERS = "torch-vmap,torch-compile-graph,jax"
OTHER_PEERS = "torch-compile,torch-baddbmm,torch-loop,torch-graph,jax-scan"
# Of the grid of products: those of a layer in the middle of each width.
KEY_CASES = "/width:[0-9]+/rows:128/models:(64|256)/uniform/L2:cold"


@dataclasses.dataclass
class Part:
    """One command and what it needs. `figures` is a JSON file, or a folder of them, that it writes."""

    name: str
    kind: str  # "test", "sanitizer", "equivalence" or "benchmark"
    command: list
    estimate: float = 30  # seconds: a guess until it was run
    timeout: float = 600
    modules: tuple = ()  # of Python, which must be there
    gtest: bool = False  # its output says how many tests passed
    missing: str = ""  # why it cannot run here
    figures: str = ""
    torch_libraries: bool = False  # it loads libtorch_cpu.so
    cublas: bool = False  # it loads libcublas.so, which torch brings


def find_sanitizer():
    """Its path, or ""."""
    homes = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    places = [f"{home}/{folder}/compute-sanitizer" for home in homes if home for folder in ("bin", "compute-sanitizer")]
    found = shutil.which("compute-sanitizer")
    return found or next((place for place in places if os.access(place, os.X_OK)), "")


def test_command(folder, program):
    plugin = re.fullmatch(r"(\w+)_conformance_test", program.name)
    return [str(program)] + ([f"--plugin={folder}/plugins/libmodelbatch_{plugin[1]}.so"] if plugin else [])


def test_parts(folder):
    return [Part(program.name, "test", test_command(folder, program), gtest=True)
            for program in sorted((folder / "tests").glob("*_test"))]


def lists_few(command):
    """Whether the program has tests for the sanitizers."""
    try:
        names = subprocess.run([*command, "--gtest_list_tests", f"--gtest_filter={FEW}"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return any("Few" in line and line.startswith(" ") for line in names.splitlines())


def sanitizer_parts(folder):
    sanitizer = find_sanitizer()
    missing = "" if sanitizer else "there is no compute-sanitizer here"
    tests = [test for test in test_parts(folder) if lists_few(test.command)]
    return [Part(f"{tool} of {test.name}", "sanitizer",
                 [sanitizer or "compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *test.command,
                  f"--gtest_filter={FEW}"], gtest=True, missing=missing, estimate=40)
            for tool in SANITIZERS for test in tests]


def equivalence_parts(folder):
    driver, plugins = folder / "bin/driver", folder / "plugins"
    parts = []
    for script in sorted((folder / "python/tests/equivalence").glob("*_test.py")):
        names = ["cpu", "cuda"] if script.name == "agreement_test.py" else ["cuda"]
        command = [sys.executable, str(script), str(driver)] + [f"{plugins}/libmodelbatch_{name}.so" for name in names]
        parts.append(Part(f"equivalence/{script.stem}", "equivalence", command,
                          modules=("torch", "numpy", "safetensors")))
    return parts


# ---- Benchmarks


def google_benchmark(folder, output, program, name, *flags, estimate=60, repetitions=3):
    figures = f"{output}/{name.replace('/', '_')}.json"
    command = [f"{folder}/bin/{program}", *flags, f"--benchmark_repetitions={repetitions}",
               f"--benchmark_out={figures}", "--benchmark_out_format=json"]
    return Part(name, "benchmark", command, figures=figures, cublas=True, estimate=estimate)


def gemm(folder, output, name, pattern, estimate):
    """Ours and cuBLAS."""
    return google_benchmark(folder, output, "cuda_gemm_benchmark", f"gemm/{name}", f"--benchmark_filter={pattern}",
                            "--benchmark_min_time=0.003", "--benchmark_enable_random_interleaving=true",
                            estimate=estimate)


def torch_bmm(folder, output, name, *flags, estimate=30):
    figures = f"{output}/{name.replace('/', '_')}.json"
    command = [sys.executable, f"{folder}/python/torch_bmm_benchmark.py", "--repetitions=3", "--min_time=0.003", *flags,
               f"--out={figures}"]
    return Part(name, "benchmark", command, figures=figures, modules=("torch",), estimate=estimate)


def gemm_parts(folder, output, precision, key):
    """The cases that the goals are about, or all of the precision."""
    pattern = f"/{precision}(_of_fp32)?"
    if key:
        return [gemm(folder, output, f"{precision}/key", pattern + KEY_CASES, 60),
                gemm(folder, output, f"{precision}/ragged", pattern + "/.*/ragged/L2:cold", 30),
                torch_bmm(folder, output, f"gemm/{precision}/torch.bmm/key", f"--filter=/{precision}" +
                          KEY_CASES.rsplit("/", 1)[0])]
    parts = []
    for product in ("forward", "input_gradient", "weight_gradient"):
        parts.append(gemm(folder, output, f"{precision}/{product}", product + pattern + "/", 200))
        parts.append(torch_bmm(folder, output, f"gemm/{precision}/torch.bmm/{product}",
                               f"--filter={product}/{precision}/", estimate=60))
    return parts


def comparison(folder, output, workload, models, precision, peers=PEERS, label="", estimate=90, rounds=5):
    name = f"compare/{precision}/{workload}/{models}{label}"
    results = f"{output}/{name.replace('/', '_')}"
    command = [f"{folder}/bin/compare", "--device=cuda", "--backend=cuda", "--compile", f"--precision={precision}",
               f"--workload={workload}", f"--models={models}", f"--peers={peers}", f"--rounds={rounds}", "--neighbour_rounds=0",
               "--sample_seconds=0.2", "--patience=0", "--retries=0", f"--output={results}"]
    return Part(name, "benchmark", command, figures=results, modules=("torch", "numpy"), torch_libraries=True,
                estimate=estimate)


def benchmark_parts(folder, output):
    have = {program.name for program in (folder / "bin").glob("*")}
    bmm = (folder / "python/torch_bmm_benchmark.py").exists()
    parts = []

    def add(more):
        for part in more:
            program = part.command[0].rsplit("/", 1)[-1]
            if program in have or (bmm and "torch_bmm_benchmark.py" in part.command[1]):
                parts.append(part)

    def compare(precision, some):
        return [comparison(folder, output, workload, models, precision) for workload, models in CELLS[some]]

    # Every goal has a figure before any has all of its cells.
    first, others = slice(0, 4), slice(4, None)

    add([google_benchmark(folder, output, "cuda_limits_benchmark", "limits/kernels", estimate=40),
         torch_bmm(folder, output, "limits/torch", "--limits", estimate=20)])
    add(gemm_parts(folder, output, "bf16", key=True))
    add(compare("bf16", first))
    add([comparison(folder, output, "mlp_small", 1024, "fp32", "torch-loop,torch-graph", estimate=150, rounds=3)])
    add(compare("fp32", first) + compare("bf16", others) + compare("fp32", others))
    for precision in ("tf32", "fp32"):
        add(gemm_parts(folder, output, precision, key=True))
    add(compare("tf32", slice(None)))
    for precision in ("bf16", "fp32"):
        add([comparison(folder, output, workload, models, precision, "torch-vmap,torch-compile-graph,jax", estimate=150)
             for workload, models in (("mlp_ragged", 32), ("ragged_rows", 32), ("mlp_norm", 128))])
        add([comparison(folder, output, workload, models, precision, OTHER_PEERS, "/others", 150)
             for workload, models in (("mlp_small", 32), ("mlp_512", 64))])
    for precision in ("bf16", "tf32", "fp32"):
        add(gemm_parts(folder, output, precision, key=False))
    add([google_benchmark(folder, output, "training_step_benchmark", f"training_step/{precision}", "--backend=cuda",
                          f"--precision={precision}", "--large=1", estimate=120) for precision in ("fp32", "bf16")])
    return parts


def all_parts(folder, output):
    return test_parts(folder) + sanitizer_parts(folder) + equivalence_parts(folder) + benchmark_parts(folder, output)
