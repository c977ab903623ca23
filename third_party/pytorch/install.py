#!/usr/bin/env python3
"""Installs the pinned PyTorch once per machine: install.py FOLDER cpp|python [--print], which prints where.

`cpp` is LibTorch: the torch wheel and the CUDA libraries that libtorch_cpu links. `python` adds what `import torch`
needs; it shares the wheel's files with `cpp` by hard links. Each is a virtual environment made under a temporary name
in FOLDER and renamed when complete, so an interrupted installation leaves nothing that looks finished.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
NVIDIA = HERE / "nvidia_libraries.txt"


def say(text: str) -> None:
    print(f"pytorch: {text}", file=sys.stderr, flush=True)


def lines(path: pathlib.Path) -> list[str]:
    text = path.read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def libraries_of_the_system() -> set[str]:
    """The names that the dynamic loader resolves without being told a folder."""
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if ldconfig is None:
        return set()
    listing = subprocess.run([ldconfig, "-p"], check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in listing.splitlines() if "=>" in line}


def nvidia_packages(kind: str) -> list[str]:
    present = libraries_of_the_system()
    entries = [line.split() for line in lines(NVIDIA)]
    return [package for wanted_by, library, package in entries if wanted_by == kind and library not in present]


def megabytes(folder: pathlib.Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):  # pip moves files while we look
                total += os.lstat(os.path.join(path, file)).st_blocks * 512
    return total >> 20


def pip_install(environment: pathlib.Path, packages: list[str]) -> None:
    """Runs pip on the environment and says every ten seconds how far it is."""
    temporary = environment / "tmp"
    temporary.mkdir()
    before, start = megabytes(environment), time.monotonic()
    command = [sys.executable, "-m", "pip", f"--python={environment / 'bin' / 'python'}", "install", "--quiet",
               "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check", *packages]
    pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr,
                           env={**os.environ, "TMPDIR": str(temporary)})
    while True:
        try:
            code = pip.wait(timeout=10)
            break
        except subprocess.TimeoutExpired:
            say(f"{megabytes(environment) - before} MB on disk after {time.monotonic() - start:.0f} s")
    if code != 0:
        sys.exit(f"pytorch: pip failed with code {code}; its message is above. Packages: {' '.join(packages)}")
    shutil.rmtree(temporary)


@contextlib.contextmanager
def replacing(target: pathlib.Path):
    """Yields a temporary folder beside `target` that becomes `target` if the block succeeds."""
    staging = pathlib.Path(tempfile.mkdtemp(dir=target.parent, prefix=".unfinished-"))
    try:
        yield staging / "environment"
        os.rename(staging / "environment", target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def install_cpp(target: pathlib.Path, packages: list[str]) -> None:
    say(f"installing {', '.join(packages)} (once; a download of 530 MB, 1.2 GB on disk)")
    with replacing(target) as environment:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        pip_install(environment, packages)


def install_python(target: pathlib.Path, cpp: pathlib.Path, packages: list[str]) -> None:
    nvidia = sum(package.startswith("nvidia-") for package in packages)
    cost = "0.7 GB on disk" if nvidia < 6 else "2.8 GB on disk, most of it CUDA libraries"
    say(f"installing {len(packages)} packages for `import torch` (once; {cost})")
    with replacing(target) as environment:
        shutil.copytree(cpp, environment, symlinks=True, copy_function=os.link)
        pip_install(environment, packages)
        # Fails here, with the loader's message, rather than in every test.
        subprocess.run([environment / "bin" / "python", "-c", "import numpy, safetensors, torch"], check=True)


def name(kind: str, packages: list[str]) -> str:
    """A folder name that changes with the Python and the packages."""
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()
    return f"{kind}-{sys.implementation.cache_tag}-{digest[:8]}"


def main() -> None:
    folder, kind = pathlib.Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    torch, *others = lines(REQUIREMENTS)
    cpp_packages = [torch, *nvidia_packages("cpp")]
    python_packages = [*others, *nvidia_packages("python")]
    cpp = folder / name("cpp", cpp_packages)
    python = folder / name("python", cpp_packages + python_packages)
    target = python if kind == "python" else cpp
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever waited finds it done
        if not target.exists():
            start = time.monotonic()
            if not cpp.exists():
                install_cpp(cpp, cpp_packages)
            if kind == "python":
                install_python(python, cpp, python_packages)
            say(f"installed in {time.monotonic() - start:.0f} s")
    if "--print" in sys.argv:
        (torch_package,) = target.glob("lib/python*/site-packages/torch")
        print(target, torch_package, sep="\n")


if __name__ == "__main__":
    main()
