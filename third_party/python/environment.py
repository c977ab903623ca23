"""Virtual environments of pinned packages, made once per machine: what the install.py of a dependency is made of.

An environment is made under a temporary name and renamed when complete, so an interrupted installation leaves nothing
that looks finished.
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


def say(text: str) -> None:
    print(f"modelbatch: {text}", file=sys.stderr, flush=True)


def lines(path: pathlib.Path) -> list[str]:
    """Of a requirements file, without comments."""
    text = path.read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def name(kind: str, packages: list[str]) -> str:
    """A folder name that changes with the Python and the packages."""
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()
    return f"{kind}-{sys.implementation.cache_tag}-{digest[:8]}"


def create(environment: pathlib.Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)


def _megabytes(folder: pathlib.Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):  # pip moves files while we look
                total += os.lstat(os.path.join(path, file)).st_blocks * 512
    return total >> 20


def pip_install(environment: pathlib.Path, packages: list[str]) -> None:
    """Runs pip on the environment, without dependencies, and says every ten seconds how far it is."""
    temporary = environment / "tmp"
    temporary.mkdir()
    before, start = _megabytes(environment), time.monotonic()
    command = [sys.executable, "-m", "pip", f"--python={environment / 'bin' / 'python'}", "install", "--quiet",
               "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check", *packages]
    pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr,
                           env={**os.environ, "TMPDIR": str(temporary)})
    while True:
        try:
            code = pip.wait(timeout=10)
            break
        except subprocess.TimeoutExpired:
            say(f"{_megabytes(environment) - before} MB on disk after {time.monotonic() - start:.0f} s")
    if code != 0:
        sys.exit(f"modelbatch: pip failed with code {code}; its message is above. Packages: {' '.join(packages)}")
    shutil.rmtree(temporary)


@contextlib.contextmanager
def locked(folder: pathlib.Path):
    """Makes the folder. One at a time: whoever waited finds it done."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def replacing(target: pathlib.Path):
    """Yields a temporary folder beside `target` that becomes `target` if the block succeeds."""
    staging = pathlib.Path(tempfile.mkdtemp(dir=target.parent, prefix=".unfinished-"))
    try:
        yield staging / "environment"
        os.rename(staging / "environment", target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
