#!/usr/bin/env bash
# Prints, submits or prices a row of the paper's tables.
#   tools/slurm/paper.sh resnet50 4k ab            the sbatch line (nothing is started)
#   tools/slurm/paper.sh --submit resnet50 4k ab   submits it
#   tools/slurm/paper.sh --plan resnet50 4k ab --link-gbit 200 --images-per-second 984
#                                                  abtrain plan for it, with plan's options
#   tools/slurm/paper.sh --list                    all rows
# Models: resnet50, vit (Table II): 2k 4k 8k 16k 32k, 256 images a GPU on 2 to 32 nodes; 4k@4 4k@8 4k@16
# 4k@32 4k@64, 4096 images in all on that many nodes. vgg16 cifar10 (Table I). mini-vit cifar100 (the
# search). Methods: ab, ab-nogroups, ddp. Nodes have four GPUs.
# Options before the row:
#   --counting paper   phases by the paper's percentages instead of the reference's step counts
#   --data DIR         the images (data/imagenet, ...)
#   --runs DIR         where runs are written (runs/paper)
# What follows the row goes to abtrain. Partition, account and time limit: SBATCH_PARTITION,
# SBATCH_ACCOUNT, SBATCH_TIMELIMIT; the program: ABTRAIN.
set -euo pipefail
script=$(realpath "$0")
cd "$(dirname "$script")/../.."
fail() { echo "paper.sh: $*" >&2; exit 2; }

list() {
  local model size method
  for model in resnet50 vit; do
    for size in 2k 4k 8k 16k 32k 4k@4 4k@8 4k@16 4k@32 4k@64; do
      for method in ab ab-nogroups ddp; do echo "$model $size $method"; done
    done
  done
  for method in ab ab-nogroups ddp; do echo "vgg16 cifar10 $method"; done
  for method in ab ab-nogroups ddp; do echo "mini-vit cifar100 $method"; done
}

action=print counting=reference data="" runs=runs/paper
while [[ ${1:-} == -* ]]; do
  case $1 in
    --submit) action=submit ;;
    --plan) action=plan ;;
    --list) list; exit 0 ;;
    --help) sed -n '2,/^set -euo/{/^set/d; s/^# \{0,1\}//; p}' "$script"; exit 0 ;;
    --counting | --data | --runs)
      [ $# -ge 2 ] || fail "$1 needs a value"
      declare "${1#--}=$2"
      shift
      ;;
    *) fail "unknown option $1; see --help" ;;
  esac
  shift
done
[ $# -ge 3 ] || fail "a row is a model, a size and a method, as in: resnet50 4k ab; --list prints all"
model=$1 size=$2 method=$3
shift 3
grep -qxF -- "$model $size $method" <<<"$(list)" || fail "no row \"$model $size $method\"; --list prints all"
case $counting in reference | paper) ;; *) fail "--counting $counting: expected reference or paper" ;; esac

ranks_per_node=4
case $model in
  resnet50) folder=imagenet name=resnet50_${size%@*} ;;
  vit) folder=imagenet name=vit_b16_${size%@*} ;;
  vgg16) folder=cifar10 name=vgg16 ;;
  mini-vit) folder=cifar100 name=mini_vit ;;
esac
case $size in
  cifar10) nodes=2 ;;
  cifar100) nodes=1 ;;
  *@*) nodes=${size#*@} ;;
  *) nodes=${size%k} ;;  # 256 images on each of 4 GPUs: 1k a node
esac

config=models/configs/$folder/$name.json
row=(--config "$config")
[ "$counting" = reference ] || row+=(--config models/overlays/guideline_schedule.json)
row+=(--method "$method")
case $size in *@*) row+=(--set data.global_batch=4096) ;; esac

if [ $action = plan ]; then
  program=${ABTRAIN:-build/release/bin/abtrain}
  exec "$program" plan "${row[@]}" --nodes "$nodes" --ranks-per-node $ranks_per_node "$@"
fi
name=$model-$size-$method
[ "$counting" = reference ] || name+=-paper
steps=$(sed -n 's/.*"steps_per_epoch": \([0-9]*\).*/\1/p' "$config")
line=(sbatch --nodes="$nodes" --ntasks-per-node="$ranks_per_node" --gpus-per-node="$ranks_per_node"
  --job-name="$name" tools/slurm/train.sbatch "${row[@]}")
[ -z "$data" ] || line+=(--data "$data")
line+=(--set checkpoint.every_steps=$((5 * steps)) --out "$runs/$name" "$@")
if [ $action = submit ]; then exec "${line[@]}"; fi
printf '%q ' "${line[@]}" | sed 's/ $//'
echo
