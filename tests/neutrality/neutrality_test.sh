#!/usr/bin/env bash
# Nothing under //modelbatch depends on LibTorch or CUDA: asks what Bazel says of the libraries, and the BUILD files of
# everything else (tests, the command).
#   neutrality_test.sh DEPENDENCIES
set -euo pipefail
forbidden='@(libtorch|pytorch|cuda_toolkit)\b'
failed=0

# refuse WHERE: fails for every line of the input that names something forbidden.
refuse() {
  local line
  while read -r line; do
    echo "FAILED: $1: $line"
    failed=1
  done < <(grep -E "$forbidden" || true)
}

# The search itself finds what it should.
for label in @libtorch//:torch_cpu @pytorch//:run.sh @cuda_toolkit//:cudart; do
  grep -qE "$forbidden" <<<"$label" || { echo "FAILED: $label is not recognised"; exit 1; }
done

grep -q '^//modelbatch/tensor:tensor$' "$1" || { echo "FAILED: $1 holds no dependencies"; exit 1; }
refuse "the core depends on" <"$1"

# The source tree, to which links of the runfiles lead.
source=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
mapfile -t builds < <(find "$source/modelbatch" -name BUILD -o -name BUILD.bazel)
((${#builds[@]})) || { echo "FAILED: no BUILD files below $source/modelbatch"; exit 1; }
for build in "${builds[@]}"; do
  package=//$(realpath --relative-to="$source" "$(dirname "$build")")
  refuse "$package" <"$build"
  # A library that the query did not reach was not looked at.
  while read -r name; do
    grep -qxF "$package:$name" "$1" && continue
    echo "FAILED: add $package:$name to ROOTS of //tests/neutrality"
    failed=1
  done < <(awk '/^cc_library\(/ { inside = 1; testonly = 0 }
                inside && /^ *name = / { name = $0; gsub(/^[^"]*"|".*/, "", name) }
                inside && /^ *testonly = / { testonly = 1 }
                inside && /^\)/ { if (!testonly) print name; inside = 0 }' "$build")
done
exit $failed
