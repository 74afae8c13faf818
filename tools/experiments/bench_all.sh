#!/usr/bin/env bash
# Speed on this machine, part by part, as markdown tables with machine and commit, each aim marked
# reached or missed; docs/benchmarks.md holds what it printed.
# Usage: tools/experiments/bench_all.sh [PART ...]       default: steps and ab, and startup with AB_DATA
#   steps    bench_step, every model of the paper, both precisions: share of the GEMM ceiling (aims
#            for fp32: vgg16 0.75, resnet50 0.65, vit 0.80, mini-vit 0.75), gain of bf16 on CPUs that
#            have it (vgg16 and vit 1.5, resnet50 1.3)
#   pytorch  the same steps in turns with PyTorch's (pytorch_compare.py): 1.2 times its images/s, 0.8
#            of its memory; needs AB_PYTHON, a Python that has torch
#   ddp      four ranks of one thread beside DistributedDataParallel over Gloo; needs AB_PYTHON
#   ab       AB-training's own work (bench_ab): a group step at most 0.85 of a full-rank one, borders at
#            most 3 % of the guideline schedule
#   overlap  gradients hidden behind the backward pass on a limited link (overlap.sh)
#   startup  from the command to the end of the first step, CIFAR-10 models: 2 s; needs AB_DATA, the
#            folder of CIFAR-10's binary files
#   build    a clean build of a clone with the release preset: 6 minutes
# Environment: AB_BIN (default build/release/bin), AB_SECONDS a row of steps (6), AB_PYTHON, AB_DATA
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${AB_BIN:-build/release/bin} seconds=${AB_SECONDS:-6}

heading() { printf '\n### %s\n\n' "$1"; }
table() {  # column titles
  local title
  printf '|'; for title in "$@"; do printf ' %s |' "$title"; done
  printf '\n|'; for title in "$@"; do printf -- '---|'; done; echo
}
field() {  # key, of the JSON object on standard input
  tr -d '\n" ' | tr '{},' '\n\n\n' | sed -n "s/^$1://p" | head -n 1
}
models() { printf '%s\n' 'vgg16 128 32 0.75 1.5' 'resnet50 16 224 0.65 1.3' 'vit 8 224 0.80 1.5' 'mini-vit 128 32 0.75 -'; }

steps() {
  heading "Training steps"
  table model batch image precision images/s GF/s "GEMM ceiling" share "aim" "times fp32" aim "peak MB" "planned MB" "resident MB"
  local model batch image share gain precision json has_bf16=0
  if grep -qE '^flags.* (avx512_bf16|amx_bf16)' /proc/cpuinfo; then has_bf16=1; fi
  while read -r model batch image share gain; do
    local fp32=0
    for precision in fp32 bf16; do
      json=$("$bin/bench_step" --model "$model" --batch "$batch" --precision "$precision" --threads 2 \
        --seconds "$seconds" --json)
      local key values=()
      for key in images_per_s gflops ceiling_gflops share peak_bytes planned_bytes resident_bytes; do
        values+=("$(field "$key" <<<"$json")")
      done
      if [ $precision = fp32 ]; then fp32=${values[0]}; fi
      awk -v has_bf16=$has_bf16 -v row="$model $batch $image $precision $share $gain $fp32 ${values[*]}" 'BEGIN {
        split(row, v, " "); mark[0] = "missed"; mark[1] = "reached"
        first = (v[4] == "fp32"); times = v[8] / v[7]
        printf "| %s | %d | %d px | %s | %.1f | %.0f | %.0f | %.3f | %s | %s | %s | %.0f | %.0f | %.0f |\n",
          v[1], v[2], v[3], v[4], v[8], v[9], v[10], v[11],
          first ? v[5] " " mark[(v[11] >= v[5])] : "", first ? "" : sprintf("%.2f", times),
          (first || v[6] == "-") ? "" : v[6] (has_bf16 ? " " mark[(times >= v[6])] : ", for CPUs that have bf16"), v[12] / 1e6, v[13] / 1e6, v[14] / 1e6 }'
    done
  done < <(models)
}
pytorch() {
  heading "Beside PyTorch"
  tools/experiments/pytorch_compare.py --bin "$bin" --python "$AB_PYTHON"
}
ddp() {
  heading "Four ranks beside DistributedDataParallel"
  tools/experiments/pytorch_compare.py --ddp --bin "$bin" --python "$AB_PYTHON"
}
ab() {
  heading "AB-training's own work (a quarter of the full rank kept)"
  table model batch compression "full-rank step" "trains A" "trains B" "group step / full" "aim 0.85" \
    "decompose, group of 4" merge "border's share" "aim 3 %"
  local model batch json key
  while read -r model batch; do
    json=$("$bin/bench_ab" --model "$model" --batch "$batch" --threads 2 --keep 0.25 --json)
    local values=()
    for key in compression full_step_s a_step_s b_step_s decompose_busiest_rank_s merge_s border_share; do
      values+=("$(field "$key" <<<"$json")")
    done
    awk -v row="$model $batch ${values[*]}" 'BEGIN {
      split(row, v, " "); mark[0] = "missed"; mark[1] = "reached"; step = (v[5] + v[6]) / 2 / v[4]
      printf "| %s | %d | %.2f : 1 | %.3f s | %.3f s | %.3f s | %.2f | %s | %.2f s | %.2f s | %.2f %% | %s |\n",
        v[1], v[2], v[3], v[4], v[5], v[6], step, mark[(step <= 0.85)], v[7], v[8], 100 * v[9], mark[(v[9] <= 0.03)] }'
  done < <(printf '%s\n' 'vgg16 128' 'resnet50 16' 'vit 8')
}
overlap() {
  heading "Gradients hidden behind the backward pass"
  AB_BIN=$bin tools/experiments/overlap.sh
}
first_step_ms() {  # config: milliseconds from the command to the line of its first step; then killed
  local folder start
  folder=$(mktemp -d) start=$(date +%s%N)
  "$bin/abtrain" train --config "$1" --data "$AB_DATA" --set train.log_every=1 --out "$folder/run" \
    >"$folder/log" 2>&1 &
  until grep -q '^step 1/' "$folder/log" || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
  echo $((($(date +%s%N) - start) / 1000000))
  kill -9 $! && wait $! 2>/dev/null || true
  rm -rf "$folder"
}
startup() {
  heading "Start to first step"
  table config seconds "aim 2 s"
  local config times
  for config in models/configs/cifar10/*.json; do
    times=$(for _ in 1 2 3; do first_step_ms "$config"; done | sort -n | sed -n 2p)
    awk -v c="$(basename "$config")" -v ms="$times" \
      'BEGIN { printf "| %s | %.2f | %s |\n", c, ms / 1000, (ms <= 2000) ? "reached" : "missed" }'
  done
}
build() {
  heading "Clean build, release preset, two jobs"
  local folder start
  folder=$(mktemp -d)
  git clone -q . "$folder/clone"
  start=$SECONDS
  (cd "$folder/clone" && cmake --preset release >/dev/null && cmake --build build/release -j 2 >/dev/null)
  awk -v s=$((SECONDS - start)) 'BEGIN {
    printf "%d s, aim 360 s: %s\n", s, (s <= 360) ? "reached" : "missed" }'
  rm -rf "$folder"
}

for part in "$@"; do
  case $part in
    steps | pytorch | ddp | ab | overlap | startup | build) ;;
    *) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"; case $part in -h | --help) exit 0 ;; *) exit 2 ;; esac ;;
  esac
  if [[ $part =~ ^(pytorch|ddp)$ ]]; then : "${AB_PYTHON:?names a Python that has torch}"; fi
  if [ "$part" = startup ]; then : "${AB_DATA:?names the folder of the binary files of CIFAR-10}"; fi
done
if [ $# = 0 ]; then set -- steps ab ${AB_DATA:+startup}; fi
echo "$("$bin/abtrain" --version), $(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' \
  /proc/cpuinfo), $(nproc) cores, two threads"
for part in "$@"; do "$part"; done
