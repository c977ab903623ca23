#!/usr/bin/env bash
# A plugin exports MB_GetPluginApi and no other symbol, and carries the build id that runs are recorded with.
#   exports_test.sh PLUGIN
set -euo pipefail
exported=$(nm -D --defined-only "$1" | awk '{ print $NF }')
if [[ $exported != MB_GetPluginApi ]]; then
  echo "FAILED: $1 exports, where it should export MB_GetPluginApi alone:"
  echo "${exported:-nothing}"
  exit 1
fi
if ! readelf -n "$1" | grep -q 'Build ID: [0-9a-f]\{40\}'; then
  echo "FAILED: $1 has no SHA-1 build id"
  exit 1
fi
