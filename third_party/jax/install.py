#!/usr/bin/env python3
"""Installs the pinned JAX once per machine, as a virtual environment: install.py FOLDER [--print], which prints where."""

import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))
sys.dont_write_bytecode = True
from environment import create, lines, locked, name, pip_install, replacing, say  # noqa: E402: after its folder


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    packages = lines(HERE / "requirements.txt")
    target = folder / name("jax", packages)
    with locked(folder):
        if not target.exists():
            start = time.monotonic()
            say(f"installing {', '.join(packages)} (once; a download of 140 MB, 0.6 GB on disk)")
            with replacing(target) as environment:
                create(environment)
                pip_install(environment, packages)
                # Fails here, with the loader's message, rather than in the benchmark.
                subprocess.run([environment / "bin" / "python", "-c", "import jax"], check=True)
            say(f"installed in {time.monotonic() - start:.0f} s")
    if "--print" in sys.argv:
        print(target)


if __name__ == "__main__":
    main()
