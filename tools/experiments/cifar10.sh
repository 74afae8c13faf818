#!/usr/bin/env bash
# CIFAR-10 with four MPI ranks in groups of two: ddp, ab and ab-nogroups, same steps and seed.
# Usage: tools/experiments/cifar10.sh DIR [--vit] [key=value ...]
#   DIR      the published binary files (data_batch_1.bin ... test_batch.bin)
#   --vit    a small ViT instead of the quarter-width VGG16
#   key=...  settings laid over the config, for example train.epochs=6 train.seed=2
# Environment: AB_METHODS (default "ddp ab ab-nogroups"), AB_OUT (default runs/cifar10),
#   AB_BIN (default build/release/bin). Finished runs in AB_OUT are not repeated.
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
out=${AB_OUT:-runs/cifar10}
. tools/experiments/common.sh
for method in ${AB_METHODS:-ddp ab ab-nogroups}; do train "$out/$method" "$method" "$@"; done
ddp=
if [ -d "$out/ddp" ]; then ddp=$(reference "$out/ddp"); fi
heading "$@"
for method in ${AB_METHODS:-ddp ab ab-nogroups}; do row "$method" "$ddp" "$out/$method"; done
