#!/usr/bin/env python3
"""Checks ModelBatch's cuda backend on this machine: every test that wants a GPU, the same under compute-sanitizer, the
comparisons with PyTorch, the benchmarks. Made by tools/gpu_check; it needs a driver and Python, for some parts torch.

    ./run [--output results.json] [--only WORD]... [--minutes 9.5] [--continue] [--list]

What fails or is missing does not stop the rest. results.json has the machine, the outcome and the seconds of each part,
what the benchmarks measured, how much that is of what the device can do, and which goals were reached. Where time is
short, it runs in slices: --minutes ends in time, and --continue does what the results have not, on the same device.

Exit code: 0 all that could run passed, 1 something failed, 2 there is no device, or nothing to do as asked, 3 nothing
failed but time was up: parts are left.
"""

import argparse
import ctypes
import datetime
import importlib.util
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import figures  # noqa: E402: after its folder
import parts as packed  # noqa: E402

FORMAT = "modelbatch.gpu_check.2"
# A part that is not over when it must be counts as left: that much before the end none is begun.
LEAST_SECONDS = 5


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


def device_names(machine):
    """What figures may be compared on."""
    return [(device["name"], device["driver_version"]) for device in machine["before"].get("devices", [])]


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
        "compute_sanitizer": packed.find_sanitizer(),
        "before": nvidia_smi(),
    }


# ---- Running a part


def use_packed_modules(folder):
    """The package's Python modules, for this program and those it starts."""
    modules = f"{folder}/python"
    sys.path.insert(0, modules)
    os.environ["PYTHONPATH"] = ":".join(filter(None, [modules, os.environ.get("PYTHONPATH")]))


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
    """What a benchmark wrote: a JSON file, or those in a folder of results."""
    place = pathlib.Path(path)
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def remove_figures(path):
    """What an earlier run wrote is none of this one's."""
    place = pathlib.Path(path)
    for file in sorted(place.glob("*.json")) if place.is_dir() else [place]:
        file.unlink(missing_ok=True)


def missing_modules(part):
    lacking = [name for name in part.modules if not python_module(name)]
    return f"Python here lacks {', '.join(lacking)}" if lacking else ""


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run_command(command, env, timeout):
    """(exit code or None after the time limit, output). What the command has started ends with it."""
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, stdin=subprocess.DEVNULL,
                                       start_new_session=True)
        except OSError as error:
            return 127, str(error)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:  # after Ctrl-C too, which it does not get
            end_group(process)
        log.seek(0)
        return code, log.read().decode(errors="replace")


def run_part(folder, part, seconds=None):
    """`seconds`: what there is left; a part that it ends is "left"."""
    result = {"name": part.name, "kind": part.kind, "seconds": 0.0, "reason": part.missing or missing_modules(part)}
    if result["reason"]:
        result["outcome"] = "skipped"
        return result
    if part.figures:
        remove_figures(part.figures)
    start = time.monotonic()
    in_time = seconds is None or seconds >= part.timeout
    code, log = run_command(part.command, environment(folder, part), part.timeout if in_time else seconds)
    result["seconds"] = round(time.monotonic() - start, 3)
    result["command"] = part.command
    counts = gtest_counts(log) if part.gtest else {}
    if counts:
        result["tests"] = counts
    if code is None and not in_time:
        result["outcome"], result["reason"] = "left", f"time was up after {result['seconds']:.0f} s of it"
        return result
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


# ---- The report


def write(path, report):
    """Whole or not at all: it is written after every part."""
    pathlib.Path(path + ".tmp").write_text(json.dumps(report, indent=1) + "\n")
    os.replace(path + ".tmp", path)


def earlier_results(path, report):
    """(the parts that an earlier call has, "") or ([], why they are none to go on from)."""
    if not os.path.exists(path):
        return [], ""
    try:
        before = json.loads(pathlib.Path(path).read_text())
        if before.get("format") != FORMAT:
            return [], f"it is no {FORMAT}"
        if before["package"] != report["package"]:
            return [], f"it is of package {before['package']}, this is {report['package']}"
        if before["parts"] and device_names(before["machine"]) != device_names(report["machine"]):
            return [], (f"it is of {device_names(before['machine'])}, this is {device_names(report['machine'])}: "
                        "figures of two devices cannot be compared")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [], f"it cannot be read: {error!r}"
    report["calls"] = before["calls"]
    return before["parts"], ""


def keep(report, result):
    """In the place of an earlier result of that part, if it has run."""
    names = [part["name"] for part in report["parts"]]
    if result["outcome"] in ("left", "skipped") and is_done(report, result["name"]):
        return
    if result["name"] in names:
        report["parts"][names.index(result["name"])] = result
    else:
        report["parts"].append(result)


def is_done(report, name):
    """Whether that part has run. What lacked something may have it now."""
    return any(result["name"] == name and result["outcome"] in ("passed", "failed") for result in report["parts"])


def left_of(parts, report):
    """What has not run, with the seconds it takes, about; what this machine lacks something for is not left."""
    skipped = {result["name"] for result in report["parts"] if result["outcome"] == "skipped"}
    return [{"name": part.name, "estimate": part.estimate} for part in parts
            if not is_done(report, part.name) and part.name not in skipped]


def learn(parts, report):
    """A part that time has ended takes longer than was thought: it is begun where there is half as much again."""
    spent = {result["name"]: result["seconds"] for result in report["parts"] if result["outcome"] == "left"}
    for part in parts:
        part.estimate = max(part.estimate, 1.5 * spent.get(part.name, 0))


def judge(report, everything):
    """What follows from the parts: shares, goals, what is left, whether all is well."""
    report["shares"] = figures.shares(report["parts"])
    report["goals"] = figures.goals(report["parts"])
    report["left"] = left_of(everything, report)
    wrong = any("error" in share for share in report["shares"])
    report["passed"] = not wrong and all(part["outcome"] != "failed" for part in report["parts"])


def say(result):
    tests = result.get("tests")
    detail = result["reason"] or (f"{tests['passed']} tests, {tests['skipped']} skipped" if tests else "")
    print(f"{result['outcome']:8} {result['seconds']:8.1f} s  {result['name']}{': ' if detail else ''}{detail}", flush=True)
    if "log" in result:
        print("\n".join(f"    {line}" for line in result["log"].splitlines()[-30:]), flush=True)


def say_left(left):
    if left:
        minutes = sum(part["estimate"] for part in left) / 60
        print(f"left: {len(left)} parts, about {minutes:.0f} minutes: {', '.join(part['name'] for part in left)}")


# ---- Main


def parse_arguments(arguments, folder):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default=str(folder / "results.json"), help="the file that is written")
    parser.add_argument("--only", action="append", default=[], help="parts whose kind or name has this word")
    parser.add_argument("--minutes", type=float, help="the time there is: what does not fit is left")
    parser.add_argument("--continue", dest="go_on", action="store_true",
                        help="adds to the results of an earlier call, and runs what they have not")
    parser.add_argument("--again", action="store_true", help="with --continue: runs the chosen parts even so")
    parser.add_argument("--list", action="store_true", help="names the parts and ends")
    options = parser.parse_args(arguments)
    if options.minutes is not None and not options.minutes > 0:
        parser.error("--minutes must be above 0")
    return options


def chosen(parts, words):
    return [part for part in parts if not words or any(word in f"{part.kind} {part.name}" for word in words)]


def refuse(message):
    print(message, file=sys.stderr)
    return 2


def run_all(folder, parts, report, options, everything):
    """Runs one part after another, what does not fit the time later."""
    end = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    for part in parts:
        seconds = None if end is None else end - time.monotonic()
        if seconds is not None and seconds < max(LEAST_SECONDS, part.estimate):
            continue
        result = run_part(folder, part, seconds)
        keep(report, result)
        say(result)
        judge(report, everything)
        write(options.output, report)


def main(arguments=None, folder=None, device=find_device):
    folder = folder or pathlib.Path(__file__).resolve().parent
    options = parse_arguments(arguments, folder)
    scratch = pathlib.Path(options.output).resolve().with_suffix(".parts")
    use_packed_modules(folder)
    if options.list:
        print("\n".join(f"{part.kind:12} {part.estimate:5.0f} s  {part.name}"
                        for part in packed.all_parts(folder, scratch)))
        return 0
    devices, why_none = device()
    report = {"format": FORMAT, "package": json.loads((folder / "package.json").read_text()), "calls": [],
              "machine": describe_machine(devices), "parts": [], "left": [], "shares": [], "goals": [], "passed": False}
    if devices == 0:
        report["reason"] = why_none
        if not (options.go_on and os.path.exists(options.output)):
            write(options.output, report)
        return refuse(f"NO DEVICE: {why_none}. Nothing was run.")
    if options.go_on:
        report["parts"], why_not = earlier_results(options.output, report)
        if why_not:
            return refuse(f"--continue: {options.output}: {why_not}")
    everything = packed.all_parts(folder, scratch)
    learn(everything, report)
    parts = chosen(everything, options.only)
    if not parts:
        return refuse(f"no part has {' or '.join(options.only)}; --list names them")
    if not options.again:
        parts = [part for part in parts if not is_done(report, part.name)]
    scratch.mkdir(parents=True, exist_ok=True)
    call = {"started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "only": options.only,
            "minutes": options.minutes, "before": report["machine"]["before"]}
    report["calls"].append(call)
    start = time.monotonic()
    run_all(folder, parts, report, options, everything)
    call["seconds"], call["after"] = round(time.monotonic() - start, 3), nvidia_smi()
    judge(report, everything)
    write(options.output, report)
    for share in report["shares"]:
        if "error" in share:
            print(f"error    {', '.join(str(value) for key, value in share.items() if not key.startswith('of_'))}")
    print(figures.goal_table(report["goals"]))
    say_left(report["left"])
    now = {part.name for part in parts}
    unfinished = any(part["name"] in now for part in report["left"])
    print(f"{'FAILED' if not report['passed'] else 'passed, as far as it went' if report['left'] else 'passed'}; "
          f"written: {options.output}")
    return 1 if not report["passed"] else 3 if unfinished else 0


if __name__ == "__main__":
    sys.exit(main())
