#!/usr/bin/env bash
# CIFAR-10 with four MPI ranks in groups of two: ddp, ab and ab-nogroups, same steps and seed.
# Usage: tools/experiments/cifar10.sh DIR [--vit] [key=value ...]
#   DIR      the published binary files (data_batch_1.bin ... test_batch.bin)
#   --vit    a small ViT instead of the quarter-width VGG16
#   key=...  settings laid over the config, for example train.epochs=6 train.seed=2
# Environment: AB_METHODS (default "ddp ab ab-nogroups"), AB_OUT (default runs/cifar10),
#   AB_BIN (default build/release/bin).
# Prints a markdown table with machine and commit; docs/experiments.md holds what it printed.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  sed -n '3,6s/^# //p' "$0" >&2
  exit 2
fi
data=$1
shift
config=models/configs/cifar10/vgg16_quarter.json
if [ "${1:-}" = --vit ]; then
  config=models/configs/cifar10/vit_small.json
  shift
fi
settings=()
for setting in "$@"; do settings+=(--set "$setting"); done
methods=${AB_METHODS:-ddp ab ab-nogroups}
out=${AB_OUT:-runs/cifar10}
abtrain=${AB_BIN:-build/release/bin}/abtrain
ranks=4

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir -p "$out"
for method in $methods; do
  rm -rf "${out:?}/$method"
  echo "training $method -> $out/$method (log: $out/$method.log)" >&2
  mpirun --oversubscribe --bind-to none -n $ranks "$abtrain" train --config "$config" \
    --method "$method" --data "$data" --out "$out/$method" "${settings[@]}" >"$out/$method.log" 2>&1 ||
    { tail -n 5 "$out/$method.log" >&2; exit 1; }
done

number() {  # file key
  awk -F: -v RS='[,{}]' -v key="$2" '
    { gsub(/[ \t\n"]/, "", $1) } $1 == key { gsub(/[ \t\n]/, "", $2); print $2; exit }' "$1"
}
echo "$(basename "$config"), $ranks MPI ranks, groups of 2${*:+, $*}; $("$abtrain" --version);"
echo "$(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' /proc/cpuinfo), $(nproc) cores"
echo
echo "| method | top-1 last | top-1 best | sent by all ranks | reduction | compression | steps | minutes |"
echo "|---|---|---|---|---|---|---|---|"
for method in $methods; do
  file=$out/$method/summary.json
  awk -v method="$method" -v last="$(number "$file" top1_last)" \
    -v best="$(number "$file" top1_best)" -v sent="$(number "$file" total_sent_bytes)" \
    -v less="$(number "$file" traffic_reduction)" -v ratio="$(number "$file" compression)" \
    -v steps="$(number "$file" steps)" -v seconds="$(number "$file" seconds)" 'BEGIN {
      printf "| %s | %.2f %% | %.2f %% | %.2f GB | %.1f %% | %.2f : 1 | %d | %.1f |\n", method,
        100 * last, 100 * best, sent / 1e9, 100 * less, ratio, steps, seconds / 60 }'
done
