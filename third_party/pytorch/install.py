#!/usr/bin/env python3
"""Installs the pinned PyTorch once per machine: install.py FOLDER cpp|python [--print], which prints where.

`cpp` is LibTorch: the torch wheel and the CUDA libraries that libtorch_cpu links. `python` adds what `import torch`
needs; it shares the wheel's files with `cpp` by hard links. Each is a virtual environment in FOLDER.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))
sys.dont_write_bytecode = True
from environment import create, lines, locked, name, pip_install, replacing, say  # noqa: E402: after its folder

REQUIREMENTS = HERE / "requirements.txt"
NVIDIA = HERE / "nvidia_libraries.txt"


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


def install_cpp(target: pathlib.Path, packages: list[str]) -> None:
    say(f"installing {', '.join(packages)} (once; a download of 530 MB, 1.2 GB on disk)")
    with replacing(target) as environment:
        create(environment)
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


def main() -> None:
    folder, kind = pathlib.Path(sys.argv[1]), sys.argv[2]
    torch, *others = lines(REQUIREMENTS)
    cpp_packages = [torch, *nvidia_packages("cpp")]
    python_packages = [*others, *nvidia_packages("python")]
    cpp = folder / name("cpp", cpp_packages)
    python = folder / name("python", cpp_packages + python_packages)
    target = python if kind == "python" else cpp
    with locked(folder):
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
