#!/usr/bin/env bash
# Where AB-training loses accuracy at a short budget, and what wins it back: settings of method ab on
# CIFAR-10 (a quarter of VGG16's width, four MPI ranks in groups of two), one seed each, then three
# seeds for ddp, the paper's setting and the finalists. Distance and reduction are against ddp's fp32
# runs of the same seeds, everything counted.
# Usage: tools/experiments/ablation.sh DIR [key=value ...]
#   DIR      the published binary files (data_batch_1.bin ... test_batch.bin)
#   key=...  settings laid over the config of every run
# Environment: AB_EPOCHS (default 12), AB_SEEDS (of the finalists, default "1 2 3"; the first one is
#   the sweep's), AB_ROWS (names of the sweep, default all), AB_FINALISTS (names; default: the two
#   most accurate that send at least AB_REDUCTION % less than ddp, default 60, and the most accurate
#   of all), AB_OUT (default runs/ablation), AB_BIN. Finished runs in AB_OUT are not repeated.
# Prints two markdown tables with machine and commit.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  sed -n '6,8s/^# //p' "$0" >&2
  exit 2
fi
data=$1
shift
config=models/configs/cifar10/vgg16_quarter.json
out=${AB_OUT:-runs/ablation}
seeds=${AB_SEEDS:-1 2 3}
. tools/experiments/common.sh
common=("train.epochs=${AB_EPOCHS:-12}" "$@")

# name: settings, separated by ";". All that is not named is the paper's.
sweep() {
  cat <<'ROWS'
paper:
merge-learned: ab.merge=learned
merge-mean: ab.merge=mean_of_products
moments-keep: ab.moments=keep
moments-reference: ab.compat.moments=true
outer: ab.outer=nesterov
outer-mild: ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5
outer-double: ab.outer=nesterov;ab.outer_lr=2;ab.outer_momentum=0
rebound-10: ab.rebound_steps=10% of ab_steps
rebound-50: ab.rebound_steps=50% of ab_steps
lr-rebound-0: ab.lr_rebound_steps=0
lr-rebound-10: ab.lr_rebound_steps=10% of ab_steps
cutoff-0.05: ab.sigma_cutoff=0.05
cutoff-0.3: ab.sigma_cutoff=0.3
cycle-1: ab.ab_steps=1%
cycle-10: ab.ab_steps=10%
groups-1: ab.group_size=1
bf16: comm.reduce_dtype=bf16
warm-keep: ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps
warm-learned: ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.merge=learned
warm-outer: ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5
warm-bf16: ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5;comm.reduce_dtype=bf16
warm-bf16-fine: ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5;comm.reduce_dtype=bf16;ab.sigma_cutoff=0.05;ab.ab_steps=1%
warm-bf16-long: ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5;comm.reduce_dtype=bf16;ab.sigma_cutoff=0.05;ab.rebound_steps=50% of ab_steps
late: ab.warmup_steps=60%;ab.ab_steps=4%;ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16
late-outer: ab.warmup_steps=60%;ab.ab_steps=4%;ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5
late-sum: ab.warmup_steps=60%;ab.ab_steps=4%;ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.outer=nesterov;ab.outer_lr=2;ab.outer_momentum=0
late-mean: ab.warmup_steps=60%;ab.ab_steps=4%;ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.merge=mean_of_products
late-long: ab.warmup_steps=60%;ab.ab_steps=10%;ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5
late-groups-1: ab.warmup_steps=60%;ab.ab_steps=4%;ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5;ab.group_size=1
late-70: ab.warmup_steps=70%;ab.ab_steps=4%;ab.moments=keep;ab.lr_rebound_steps=10% of ab_steps;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5;ab.group_size=1
late-73: ab.warmup_steps=73%;ab.ab_steps=4%;ab.lr_rebound_steps=0;ab.rebound_steps=10% of ab_steps;ab.moments=keep;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.group_size=1;ab.outer=nesterov;ab.outer_lr=1;ab.outer_momentum=0.5
late-project: ab.warmup_steps=73%;ab.ab_steps=4%;ab.rebound_steps=10% of ab_steps;ab.moments=project;ab.lr_rebound_steps=0;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.group_size=1
even: ab.warmup_steps=20%;ab.ab_steps=4%;ab.rebound_steps=10%;ab.moments=keep;ab.lr_rebound_steps=0;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.group_size=1
even-project: ab.warmup_steps=20%;ab.ab_steps=4%;ab.rebound_steps=10%;ab.moments=project;ab.lr_rebound_steps=0;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.group_size=1
early: ab.warmup_steps=0;ab.ab_steps=20%;ab.rebound_steps=80%;ab.moments=keep;ab.lr_rebound_steps=0;ab.sigma_cutoff=0.05;comm.reduce_dtype=bf16;ab.group_size=1
ROWS
}
settings_of() {  # name -> one setting a line
  sweep | awk -F': *' -v name="$1" '$1 == name { found = 1; gsub(";", "\n", $2); print $2 }
    END { exit !found }' || { echo "ablation.sh: no row is named $1" >&2; exit 2; }
}
run() {  # name seed
  local settings=() text
  if [ "$1" = ddp ]; then
    train "$out/ddp-$2" ddp "${common[@]}" "train.seed=$2"
    return
  fi
  text=$(settings_of "$1")
  if [ -n "$text" ]; then mapfile -t settings <<<"$text"; fi
  train "$out/$1-$2" ab "${common[@]}" "${settings[@]}" "train.seed=$2"
}
label() {  # name
  local text=
  if [ "$1" != ddp ]; then text=$(settings_of "$1" | paste -s -d ' '); fi
  echo "$1${text:+ (\`$text\`)}"
}

first=${seeds%% *}
rows=${AB_ROWS:-$(sweep | cut -d: -f1)}
for name in ddp $rows; do run "$name" "$first"; done
ddp=$(reference "$out/ddp-$first")
heading "${common[@]}" "train.seed=$first"
for name in ddp $rows; do row "$(label "$name")" "$ddp" "$out/$name-$first"; done
echo

ranked() {  # least reduction in % -> names, the most accurate first
  for name in $rows; do echo "$name $(figures "$out/$name-$first" | paste -s -d ' ')"; done |
    awk -v ddp="$ddp" -v least="$1" '
      BEGIN { split(ddp, of, " ") } 100 * (1 - $4 / of[2]) >= least { print $2, $1 }' |
    sort -k1,1 -g -r | cut -d ' ' -f2
}
finalists=${AB_FINALISTS:-$({ ranked "${AB_REDUCTION:-60}" | head -n 2; ranked -100 | head -n 1; } |
  awk '$1 != "paper" && !seen[$1]++')}
for name in ddp paper $finalists; do
  for seed in $seeds; do run "$name" "$seed"; done
done
folders() {  # of a name
  for seed in $seeds; do echo "$out/$1-$seed"; done
}
ddp=$(reference $(folders ddp))
heading "${common[@]}"
for name in ddp paper $finalists; do row "$(label "$name")" "$ddp" $(folders "$name"); done
