#!/usr/bin/env bash
# A ResNet-50 and a ViT-B/16 take ten steps on a small folder of ImageNet photographs with two ranks,
# through warm-up, two group phases (groups of one) and a rebound; then the ledger is held against the
# plan that replays the run's layer ranks.
# Usage: tools/experiments/imagenet_sample.sh TAR|DIR [key=value ...]
#   TAR      an archive with one folder that holds train/<class>/*.JPEG; unpacked beside the runs
#   DIR      such a folder; where it has no val/, a copy with train/ as val/ is linked together
#   key=...  settings laid over the configs, for example data.local_batch=2
# Environment: AB_MODELS (default "resnet50 vit"), AB_OUT (default runs/imagenet_sample),
#   AB_BIN (default build/release/bin).
# Needs up to 4 GiB for each of two ranks. Prints a markdown table with machine and commit;
# docs/experiments.md holds what it printed. Exit code 1 when a ledger and its plan differ.
set -euo pipefail
if [ $# -lt 1 ] || [ ! -e "$1" ]; then
  sed -n '5,8s/^# //p' "$0" >&2
  exit 2
fi
source=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."
out=${AB_OUT:-runs/imagenet_sample}
abtrain=${AB_BIN:-build/release/bin}/abtrain
settings=()
for setting in "$@"; do settings+=(--set "$setting"); done
rm -rf "$out"
mkdir -p "$out/images"

if [ -f "$source" ]; then
  tar xf "$source" -C "$out" --one-top-level=unpacked
  source=$(realpath "$(dirname "$(find "$out/unpacked" -type d -name train | head -n 1)")")
fi
ln -s "$source/train" "$out/images/train"
# Evaluation wants its own split: the training images once more, where there is no other.
if [ -d "$source/val" ]; then ln -s "$source/val" "$out/images/val"; else ln -s "$source/train" "$out/images/val"; fi
classes=$(find "$out/images/train/" -mindepth 1 -maxdepth 1 -type d | wc -l)

number() {  # file key
  awk -F: -v RS='[,{}]' -v key="$2" '
    { gsub(/[ \t\n"]/, "", $1) } $1 == key { gsub(/[ \t\n]/, "", $2); print $2; exit }' "$1"
}

echo "$classes classes, 2 local ranks in groups of 1${*:+, $*}; $("$abtrain" --version);"
echo "$(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' /proc/cpuinfo), $(nproc) cores"
echo
echo "| model | phases | first loss | last loss | peak memory per rank | ledger | plan | equal |"
echo "|---|---|---|---|---|---|---|---|"
status=0
for model in ${AB_MODELS:-resnet50 vit}; do
  case $model in
    resnet50) config=models/configs/imagenet/resnet50_4k.json batch=4 ;;
    vit) config=models/configs/imagenet/vit_b16_4k.json batch=2 ;;
    *) echo "AB_MODELS: $model; known: resnet50, vit" >&2; exit 2 ;;
  esac
  run=$out/$model
  arguments=(--config "$config" --method ab --set "data.dir=$out/images" "model.classes=$classes"
    "data.local_batch=$batch" train.steps=10 train.steps_per_epoch=10 train.eval_every=0
    train.precision=fp32 schedule.warmup_epochs=0.2 ab.group_size=1 ab.warmup_steps=2
    ab.ab_steps=3 ab.rebound_steps=1 ab.lr_rebound_steps=2 ab.compat.schedule=null
    "${settings[@]}")
  echo "training $model -> $run (log: $run.log)" >&2
  "$abtrain" train "${arguments[@]}" --local-ranks 2 --out "$run" >"$run.log" 2>&1 ||
    { tail -n 5 "$run.log" >&2; exit 1; }
  "$abtrain" plan "${arguments[@]}" --nodes 1 --ranks-per-node 2 --ranks-from "$run" \
    --json >"$run.plan.json"
  ledger=$(number "$run/ledger.json" total_sent_bytes)
  plan=$(number "$run.plan.json" total_sent_bytes)
  phases=$(sed -n 's/.*"phase":"\([a-z]*\)".*/\1/p' "$run/metrics.jsonl" | uniq -c |
    awk '{ printf "%s%s %d", (NR > 1 ? ", " : ""), $2, $1 }')
  losses=$(sed -n 's/.*"loss":\([^,}]*\),"grad_norm".*/\1/p' "$run/metrics.jsonl")
  equal=yes
  if [ "$ledger" != "$plan" ] || grep -q null <<<"$losses"; then equal=no; status=1; fi
  awk -v model="$model" -v phases="$phases" -v first="$(head -n 1 <<<"$losses")" \
    -v last="$(tail -n 1 <<<"$losses")" -v memory="$(number "$run/summary.json" peak_memory_bytes)" \
    -v ledger="$ledger" -v plan="$plan" -v equal=$equal 'BEGIN {
      printf "| %s | %s | %.4f | %.4f | %.2f GB | %s B | %s B | %s |\n", model, phases, first,
        last, memory / 1e9, ledger, plan, equal }'
done
exit $status
