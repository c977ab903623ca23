#!/usr/bin/env bash
# own_abseil_test.sh FILE: what of this workspace's Abseil the query found among ModelBatch's dependencies.
set -euo pipefail
if [[ $(<"$1") != "@com_google_absl//:debian_abseil" ]]; then
  echo "FAILED: ModelBatch is not built with this workspace's Abseil" >&2
  exit 1
fi
