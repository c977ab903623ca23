#!/usr/bin/env python3
"""Checks ModelBatch's cuda backend on this machine: every test that wants a GPU, the same under compute-sanitizer, the
comparisons with PyTorch, the benchmarks. Made by tools/gpu_check; it needs a driver and Python, for some parts torch.

    ./run [--output results.json] [--only WORD]... [--list]

What fails or is missing does not stop the rest. results.json has the machine, the outcome and the seconds of each part,
and what the benchmarks measured. Exit code: 0 all that could run passed, 1 something failed, 2 there is no device.
"""

import argparse
import ctypes
import dataclasses
import datetime
import importlib.util
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

FORMAT = "modelbatch.gpu_check.1"
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")
# The tests of this name are as few as a sanitizer has time for.
FEW = "*Few*"
# What one model's Adam step must move at least: p, m and v, read and written.
BYTES_PER_PARAMETER = 24
# Workloads (benchmarks/workload_table.cc) and numbers of models.
COMPARISONS = (("mlp_small", "8,32,128,512,1024"), ("mlp_deep", "8,32,64"), ("mlp_ragged", "32"), ("ragged_rows", "32"))


@dataclasses.dataclass
class Part:
    """One command and what it needs. `figures` is a JSON file that it writes."""

    name: str
    kind: str  # "test", "sanitizer", "equivalence" or "benchmark"
    command: list
    timeout: float = 1800
    modules: tuple = ()  # of Python, which must be there
    gtest: bool = False  # its output says how many tests passed
    missing: str = ""  # why it cannot run here
    figures: str = ""
    torch_libraries: bool = False  # it loads libtorch_cpu.so
    cublas: bool = False  # it loads libcublas.so, which torch brings


# ---- The machine


def find_device():
    """(number of devices, "") or (0, why there is none), as the driver says."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return 0, f"no CUDA driver: {error}"
    code = driver.cuInit(0)
    if code != 0:
        return 0, f"the CUDA driver does not start: cuInit gives error {code}"
    count = ctypes.c_int()
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code != 0 or count.value == 0:
        return 0, f"the CUDA driver has no device (error {code})"
    return count.value, ""


def nvidia_smi():
    """Name, driver, memory, clocks and temperature of each device; or why not."""
    keys = ("name", "driver_version", "memory.total", "memory.used", "clocks.sm", "clocks.max.sm", "clocks.mem",
            "clocks_throttle_reasons.active", "temperature.gpu", "power.draw", "power.limit", "utilization.gpu")
    try:
        out = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(keys)}", "--format=csv,noheader"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return {"not_known": f"nvidia-smi: {error}"}
    return {"devices": [dict(zip(keys, (word.strip() for word in line.split(",")))) for line in out.splitlines()]}


def python_module(name):
    """Its version; "" where it is not installed."""
    if importlib.util.find_spec(name) is None:
        return ""
    asked = subprocess.run([sys.executable, "-c", f"import {name}; print({name}.__version__)"], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def describe_machine(devices):
    return {
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "modules": {name: python_module(name) for name in ("torch", "numpy", "safetensors", "jax")},
        "cuda_devices": devices,
        "compute_sanitizer": find_sanitizer(),
        "before": nvidia_smi(),
    }


def find_sanitizer():
    """Its path, or ""."""
    homes = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    places = [f"{home}/{folder}/compute-sanitizer" for home in homes if home for folder in ("bin", "compute-sanitizer")]
    found = shutil.which("compute-sanitizer")
    return found or next((place for place in places if os.access(place, os.X_OK)), "")


# ---- What there is to run, by what lies in the folder


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
    parts = []
    for test in test_parts(folder):
        if not lists_few(test.command):
            continue
        for tool in SANITIZERS:
            command = [sanitizer or "compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *test.command,
                       f"--gtest_filter={FEW}"]
            parts.append(Part(f"{tool} of {test.name}", "sanitizer", command, gtest=True, missing=missing))
    return parts


def equivalence_parts(folder):
    driver, plugins = folder / "bin/driver", folder / "plugins"
    parts = []
    for script in sorted((folder / "python/tests/equivalence").glob("*_test.py")):
        names = ["cpu", "cuda"] if script.name == "agreement_test.py" else ["cuda"]
        command = [sys.executable, str(script), str(driver)] + [f"{plugins}/libmodelbatch_{name}.so" for name in names]
        parts.append(Part(f"equivalence/{script.stem}", "equivalence", command,
                          modules=("torch", "numpy", "safetensors")))
    return parts


def google_benchmark(folder, output, name, *flags):
    figures = f"{output}/{name}.json"
    command = [f"{folder}/bin/{name}", *flags, f"--benchmark_out={figures}", "--benchmark_out_format=json"]
    return Part(name, "benchmark", command, figures=figures, timeout=7200, cublas=True)


def comparison(folder, output, workload, models):
    results = f"{output}/{workload}"
    command = [f"{folder}/bin/compare", "--device=cuda", "--backend=cuda", f"--workload={workload}",
               f"--models={models}", f"--output={results}"]
    return Part(f"compare/{workload}", "benchmark", command, figures=results, modules=("torch", "numpy"),
                torch_libraries=True, timeout=7200)


def benchmark_parts(folder, output):
    have = {program.name for program in (folder / "bin").glob("*")}
    parts = [google_benchmark(folder, output, name) for name in ("cuda_limits_benchmark", "cuda_gemm_benchmark")
             if name in have]
    if "training_step_benchmark" in have:
        parts.append(google_benchmark(folder, output, "training_step_benchmark", "--backend=cuda",
                                      "--benchmark_repetitions=5", "--benchmark_enable_random_interleaving=true"))
    if "compare" in have:
        parts += [comparison(folder, output, workload, models) for workload, models in COMPARISONS]
    return parts


def all_parts(folder, output):
    return test_parts(folder) + sanitizer_parts(folder) + equivalence_parts(folder) + benchmark_parts(folder, output)


# ---- Running it


def use_packed_modules(folder):
    """The package's Python modules, for this program and those it starts."""
    packed = f"{folder}/python"
    sys.path.insert(0, packed)
    os.environ["PYTHONPATH"] = ":".join(filter(None, [packed, os.environ.get("PYTHONPATH")]))


def torch_folder():
    spec = importlib.util.find_spec("torch")
    return f"{pathlib.Path(spec.origin).parent}/lib" if spec else ""


def cublas_folders():
    """Where torch's wheels have it: nvidia/cu13/lib, nvidia/cublas/lib."""
    if not torch_folder():
        return []
    packages = pathlib.Path(torch_folder()).parents[1]
    return sorted({str(library.parent) for library in packages.glob("nvidia/*/lib/libcublas.so.*")})


def environment(folder, part):
    env = dict(os.environ)
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["MODELBATCH_PLUGIN_PATH"] = f"{folder}/plugins"
    env["MODELBATCH_PYTHON"] = sys.executable
    folders = ([torch_folder()] if part.torch_libraries else []) + (cublas_folders() if part.cublas else [])
    if folders:
        env["LD_LIBRARY_PATH"] = ":".join(filter(None, [*folders, env.get("LD_LIBRARY_PATH")]))
    return env


def gtest_counts(log):
    """{"passed", "skipped", "failed"} of a GoogleTest program's output."""
    counts = {}
    for word in ("PASSED", "SKIPPED", "FAILED"):
        found = re.search(rf"\[ *{word} *\] (\d+) tests?", log)
        counts[word.lower()] = int(found[1]) if found else 0
    return counts


def outcome_of(part, code, counts):
    """("passed" or "failed", why)."""
    if code != 0:
        return "failed", f"it ended with exit code {code}"
    if part.gtest and counts["passed"] == 0:
        return "failed", "no test of it has run"
    return "passed", ""


def read_figures(path):
    """What a benchmark wrote: a JSON file, or the one in a folder of results."""
    place = pathlib.Path(path)
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def missing_modules(part):
    lacking = [name for name in part.modules if not python_module(name)]
    return f"Python here lacks {', '.join(lacking)}" if lacking else ""


def run_command(part, env):
    """(exit code or None after the time limit, output)."""
    try:
        run = subprocess.run(part.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                             timeout=part.timeout, stdin=subprocess.DEVNULL)
        return run.returncode, run.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        return None, (error.stdout or b"").decode(errors="replace")
    except OSError as error:
        return 127, str(error)


def run_part(folder, part):
    result = {"name": part.name, "kind": part.kind, "seconds": 0.0, "reason": part.missing or missing_modules(part)}
    if result["reason"]:
        result["outcome"] = "skipped"
        return result
    start = time.monotonic()
    code, log = run_command(part, environment(folder, part))
    result["seconds"] = round(time.monotonic() - start, 3)
    result["command"] = part.command
    counts = gtest_counts(log) if part.gtest else {}
    if counts:
        result["tests"] = counts
    if code is None:
        result["outcome"], result["reason"] = "failed", f"not done after {part.timeout:g} s"
    else:
        result["outcome"], result["reason"] = outcome_of(part, code, counts)
    if result["outcome"] == "failed":
        result["log"] = log[-8000:]
    if part.figures:
        add_figures(part, result)
    return result


def add_figures(part, result):
    try:
        result["figures"] = read_figures(part.figures)
    except ValueError as error:
        result["figures"] = []
        result["outcome"], result["reason"] = "failed", f"its figures are no JSON: {error}"
        return
    if result["outcome"] == "failed":
        return
    if not result["figures"]:
        result["outcome"], result["reason"] = "failed", "it has written no figures"
        return
    runs = [run for file in result["figures"] for run in file.get("benchmarks", [])]
    errors = [run for run in runs if run.get("error_occurred")]
    if not errors:
        return
    result["reason"] = f"{len(errors)} of {len(runs)} did not run: {errors[0]['name']}: {errors[0]['error_message']}"
    if len(errors) == len(runs):
        result["outcome"] = "failed"


# ---- How much of what the device can do


def limits_of(results):
    """{"copy": [(bytes of the set, bytes a second)], "flops": {precision: FLOP a second}} of cuda_limits_benchmark."""
    limits = {"copy": [], "flops": {}}
    for part in results:
        if part["name"] != "cuda_limits_benchmark":
            continue
        for file in part.get("figures", []):
            for run in file.get("benchmarks", []):
                if run.get("run_type") == "aggregate" or run.get("error_occurred"):
                    continue
                if run["name"].startswith("Copy/"):
                    limits["copy"].append((run["set_bytes"], run["bytes_per_second"]))
                elif run["name"].startswith("Flops/"):
                    precision = run["name"].split("/")[1]
                    limits["flops"][precision] = max(limits["flops"].get(precision, 0), run["flops_per_second"])
    return limits


def copy_rate(limits, set_bytes):
    """The fastest of the sets measured that are at least as large: a set of its size may lie in a cache. None: no set."""
    fitting = [rate for size, rate in limits["copy"] if size >= set_bytes]
    rates = fitting or [rate for _, rate in limits["copy"]]
    return max(rates) if rates else None


def step_share(cell, contender, limits):
    """What a training step did of what the device can do; more than all of it is an error of the measurement."""
    seconds = contender["median_ms_per_step"] * 1e-3
    share = {"workload": cell["workload"], "models": cell["models"], "contender": contender["name"]}
    bandwidth = copy_rate(limits, 12 * cell["parameters"])
    if bandwidth:
        share["of_copy"] = BYTES_PER_PARAMETER * cell["parameters"] / seconds / bandwidth
    peak = limits["flops"].get("fp32")
    if peak:
        share["of_flops"] = cell["flop_per_step"] / seconds / peak
    above = [key for key in ("of_copy", "of_flops") if share.get(key, 0) > 1]
    if above:
        share["error"] = f"{', '.join(above)} above 1: what was counted or timed is wrong"
    return share


def shares(results):
    limits = limits_of(results)
    found = []
    for part in results:
        if not part["name"].startswith("compare/"):
            continue
        for file in part.get("figures", []):
            for cell in file.get("cells", []):
                found += [step_share(cell, contender, limits) for contender in cell["contenders"]
                          if "median_ms_per_step" in contender]
    return found


# ---- Main


def parse_arguments(arguments, folder):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default=str(folder / "results.json"), help="the file that is written")
    parser.add_argument("--only", action="append", default=[], help="parts whose kind or name has this word")
    parser.add_argument("--list", action="store_true", help="names the parts and ends")
    return parser.parse_args(arguments)


def chosen(parts, words):
    return [part for part in parts if not words or any(word in f"{part.kind} {part.name}" for word in words)]


def write(path, report):
    """Whole or not at all: it is written after every part."""
    pathlib.Path(path + ".tmp").write_text(json.dumps(report, indent=1) + "\n")
    os.replace(path + ".tmp", path)


def say(result):
    tests = result.get("tests")
    detail = result["reason"] or (f"{tests['passed']} tests, {tests['skipped']} skipped" if tests else "")
    print(f"{result['outcome']:8} {result['seconds']:8.1f} s  {result['name']}{': ' if detail else ''}{detail}", flush=True)
    if "log" in result:
        print("\n".join(f"    {line}" for line in result["log"].splitlines()[-30:]), flush=True)


def main(arguments=None, folder=None, device=find_device):
    folder = folder or pathlib.Path(__file__).resolve().parent
    options = parse_arguments(arguments, folder)
    scratch = pathlib.Path(options.output).resolve().with_suffix(".parts")
    use_packed_modules(folder)
    if options.list:
        print("\n".join(f"{part.kind:12} {part.name}" for part in all_parts(folder, scratch)))
        return 0
    devices, why_none = device()
    report = {"format": FORMAT, "package": json.loads((folder / "package.json").read_text()),
              "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "machine": describe_machine(devices), "parts": [], "shares": [], "passed": False}
    if devices == 0:
        report["reason"] = why_none
        write(options.output, report)
        print(f"NO DEVICE: {why_none}. Nothing was run.", file=sys.stderr)
        return 2
    parts = chosen(all_parts(folder, scratch), options.only)
    if not parts:
        print(f"no part has {' or '.join(options.only)}; --list names them", file=sys.stderr)
        return 2
    scratch.mkdir(parents=True, exist_ok=True)
    for part in parts:
        report["parts"].append(run_part(folder, part))
        say(report["parts"][-1])
        write(options.output, report)
    report["shares"] = shares(report["parts"])
    report["machine"]["after"] = nvidia_smi()
    wrong = [share for share in report["shares"] if "error" in share]
    for share in wrong:
        print(f"error    {share['contender']}, {share['workload']}, {share['models']} models: {share['error']}")
    report["passed"] = not wrong and all(part["outcome"] != "failed" for part in report["parts"])
    write(options.output, report)
    print(f"{'passed' if report['passed'] else 'FAILED'}; written: {options.output}")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
