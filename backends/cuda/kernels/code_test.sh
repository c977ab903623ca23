#!/usr/bin/env bash
# Looks at the code that the kernels became: no kernel spills or uses local memory, the products leave room for sixteen
# warps a multiprocessor, every operation is IEEE's, none contracted (docs/arithmetic.md), and tensor cores are in the
# products of tf32 and bf16, with these roundings and sums in fp32, and nowhere else.
#   code_test.sh FILE...   (.ptx and .ptxas.txt, as the rule cuda_code makes them)
set -euo pipefail
failed=0
fail() {
  echo "FAILED: $1"
  failed=1
}

declare -A kernels=([sm_80]=0 [sm_90a]=0)
for report in "$@"; do
  [[ $report == *.ptxas.txt ]] || continue
  arch=sm_${report##*_sm_}
  arch=${arch%.ptxas.txt}
  found=$(grep -c 'Compiling entry function' "$report") || fail "$report has no kernel"
  kernels[$arch]=$((kernels[$arch] + found))
  bad=$(awk '/Compiling entry function/ { name = $6 }
             /bytes stack frame/ && !/ 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads/ { print name, $0 }
             /Used [0-9]+ registers/ && name ~ /Multiply(Tensor)?Tiles/ {
               for (i = 1; i < NF; ++i) if ($i == "Used" && $(i + 1) > 128) print name, $0
             }' "$report")
  [[ -z $bad ]] || fail "$report: $bad"
done
((${#kernels[@]} == 2)) || fail "reports for ${!kernels[*]}, expected sm_80 and sm_90a"
for arch in "${!kernels[@]}"; do
  ((kernels[$arch] >= 77)) || fail "${kernels[$arch]} kernels for $arch, expected all of them, 77 or more"
done

tensor_files=0
for ptx in "$@"; do
  [[ $ptx == *.ptx ]] || continue
  [[ $ptx != *_tf32_* && $ptx != *_bf16_* ]] || tensor_files=$((tensor_files + 1))
  # Only what rounds to nearest and keeps denormals. (Products of integers and conversions have names of their own.)
  bad=$(grep -oE '\b(fma|mad|mul|add|sub|div|sqrt|rcp|rsqrt|sin|cos|lg2|ex2|tanh)\.[a-z0-9.]*f(32|64)\b' "$ptx" | sort -u |
    grep -vxE '[a-z]+\.rn\.f(32|64)' || true)
  [[ -z $bad ]] || fail "$ptx: inexact operations: ${bad//$'\n'/ }"
  grep -q 'fma\.rn\.f32' "$ptx" || fail "$ptx has no fma.rn.f32: is it the kernels' code?"
  ! grep -qE '\.(ftz|approx|full)\b' "$ptx" || fail "$ptx flushes or approximates"
  # Precision 1 is tf32, 2 is bf16: each in a file of its own, of products in three kinds, of which
  # one also updates, and four shapes of tile.
  bad=$(awk -v file="$ptx" '
             BEGIN { wanted = file ~ /_tf32_/ ? "tf32" : file ~ /_bf16_/ ? "bf16" : "" }
             /\.entry/ { name = $0; precision = "" }
             /\.entry/ && /MultiplyTensorTiles/ {
               precision = name ~ /PrecisionE1E/ ? "tf32" : "bf16"
               ++tensor[precision]
             }
             { op = $1 ~ /^@/ ? $2 : $1 }
             op ~ /^(wmma|wgmma|mma)/ || op ~ /(tf32|bf16)/ {
               ok = precision == "tf32" && (op == "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" ||
                                            op == "cvt.rna.tf32.f32") ||
                    precision == "bf16" && (op == "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" ||
                                            op == "cvt.rn.bf16x2.f32")
               if (!ok) print op, "in", name
               if (op ~ /^mma/ && !(name in multiplies)) { multiplies[name]; ++found[precision] }
             }
             END {
               if (wanted != "" && (tensor[wanted] != 16 || found[wanted] != 16)) {
                 print found[wanted], "of", tensor[wanted], wanted, "kernels multiply, expected 16"
               }
               for (p in tensor) if (p != wanted) print tensor[p], "kernels of", p
             }' "$ptx")
  [[ -z $bad ]] || fail "$ptx: tensor cores: $bad"
  # Reductions have one order.
  ! grep -qE '^\s*(@\S+ )?(atom|red)\.' "$ptx" || fail "$ptx has atomic operations"
done
((tensor_files == 4)) || fail "$tensor_files files of tf32 and bf16, expected one each for two architectures"
exit $failed
