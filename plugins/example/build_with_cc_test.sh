#!/usr/bin/env bash
# Builds the example plugin with one call of cc, against the ABI's header alone, and runs the conformance suite on it.
#   build_with_cc_test.sh EXAMPLE_C C_API_H CONFORMANCE_TEST
set -euo pipefail
example=$1 header=$2 conformance=$3

# A folder with nothing but the header: no other header of ours may be needed.
include=$TEST_TMPDIR/include
mkdir -p "$include/modelbatch/plugin"
cp "$header" "$include/modelbatch/plugin/c_api.h"

plugin=$TEST_TMPDIR/libmodelbatch_example.so
cc -std=c11 -Wall -Wextra -Werror -pedantic -O2 -ffp-contract=off -fPIC -shared -fvisibility=hidden \
  -I"$include" "$example" -o "$plugin" -lm

# The suite's own arguments name the plugin that Bazel built: the last --plugin counts.
"$conformance" "--plugin=$plugin"
