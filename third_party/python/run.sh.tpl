#!/usr/bin/env bash
# Runs a Python file of the runfiles, named from the workspace's root, with the packages that are pinned.
set -euo pipefail
export PYTHONPATH=${TEST_SRCDIR:+$TEST_SRCDIR/$TEST_WORKSPACE}
[[ -n $PYTHONPATH ]] || export PYTHONPATH=$PWD
export PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1
exec "%{python}" "$@"
