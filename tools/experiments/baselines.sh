#!/usr/bin/env bash
# CIFAR-10 at a quarter of VGG16's width, four MPI ranks in groups of two, three seeds: ddp, ab,
# ab-nogroups, powersgd, local-sgd. Reduction and distance are against ddp's runs of this table.
# Usage: tools/experiments/baselines.sh DIR [key=value ...]
#   DIR      the published binary files (data_batch_1.bin ... test_batch.bin)
#   key=...  settings laid over the config of every run, for example powersgd.rank=2
# Environment: AB_EPOCHS (default 12), AB_SEEDS (default "1 2 3"), AB_METHODS, AB_OUT (default
#   runs/baselines), AB_BIN (default build/release/bin). Finished runs in AB_OUT are not repeated.
# Prints a markdown table with machine and commit.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  sed -n '4,6s/^# //p' "$0" >&2
  exit 2
fi
data=$1
shift
config=models/configs/cifar10/vgg16_quarter.json
out=${AB_OUT:-runs/baselines}
seeds=${AB_SEEDS:-1 2 3}
methods=${AB_METHODS:-ddp ab ab-nogroups powersgd local-sgd}
. tools/experiments/common.sh
common=("train.epochs=${AB_EPOCHS:-12}" "$@")
for seed in $seeds; do
  for method in $methods; do
    own=()
    if [ "$method" = local-sgd ]; then own=(local_sgd.group_size=2); fi
    train "$out/$method-$seed" "$method" "${common[@]}" "${own[@]}" "train.seed=$seed"
  done
done
folders() {  # of a method
  for seed in $seeds; do echo "$out/$1-$seed"; done
}
ddp=
if [ -d "$out/ddp-${seeds%% *}" ]; then ddp=$(reference $(folders ddp)); fi
heading "${common[@]}"
for method in $methods; do row "$method" "$ddp" $(folders "$method"); done
