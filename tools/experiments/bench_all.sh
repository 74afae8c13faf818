#!/usr/bin/env bash
# Speed of whole training steps on this machine: bench_step for every model of the paper, both
# precisions, as a markdown table with machine and commit; docs/benchmarks.md holds what it printed.
# Usage: tools/experiments/bench_all.sh [bench_step arguments, for example --threads 2]
# Environment: AB_BIN (default build/release/bin), AB_PRECISIONS (default "fp32 bf16")
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${AB_BIN:-build/release/bin}
echo "$("$bin/abtrain" --version), $(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' \
  /proc/cpuinfo), $(nproc) cores; command: $0 $*"
echo
echo "| model | batch | image | precision | threads | images/s | GF/s | GEMM ceiling | share | peak MB | planned MB |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
for precision in ${AB_PRECISIONS:-fp32 bf16}; do
  while read -r model batch image; do
    "$bin/bench_step" --model "$model" --batch "$batch" --precision "$precision" --json "$@" |
      awk -v image="$image" -F'[:,{}]' '{
        for (i = 1; i < NF; ++i) { key = $i; gsub(/"/, "", key); value[key] = $(i + 1) }
        gsub(/"/, "", value["model"]); gsub(/"/, "", value["precision"])
        printf "| %s | %d | %d px | %s | %d | %.1f | %.0f | %.0f | %.3f | %.0f | %.0f |\n", value["model"],
          value["batch"], image, value["precision"], value["threads"], value["images_per_s"],
          value["gflops"], value["ceiling_gflops"], value["share"], value["peak_bytes"] / 1e6,
          value["planned_bytes"] / 1e6 }'
  done <<'MODELS'
vgg16 128 32
resnet50 16 224
vit 8 224
mini-vit 128 32
MODELS
done
