#!/usr/bin/env bash
# Kills one rank of four with kill -9 at a random moment, again and again, and resumes. Every resumed
# run has to end with the very losses and weights of the run that nobody disturbed, and no checkpoint
# that says DONE may be damaged. A checkpoint is written after every step, so that kills meet them
# being written; phases are short, so that they meet borders.
# Usage: tests/faults/kill_resume.sh [COUNT]     (50)
#   AB_SEED=N repeats the choices of rank and moment; ABTRAIN is the program (build/release/bin/abtrain)
set -euo pipefail
cd "$(dirname "$0")/../.."
count=${1:-50}
seed=${AB_SEED:-$(date +%s)}
RANDOM=$((seed % 32768))
program=${ABTRAIN:-build/release/bin/abtrain}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0
echo "seed $seed"

# Warm-up 1 to 12, then 8 AB and 6 rebound steps in turn.
cat > "$folder/tiny.json" <<'JSON'
{"method": "ab",
 "model": {"name": "vit", "classes": 4, "image": 8, "patch": 4, "dim": 32, "depth": 2, "heads": 2,
           "drop_path": 0.0},
 "data": {"format": "synthetic", "synthetic_images": 96, "local_batch": 4, "augment": "none",
          "workers": 1},
 "train": {"steps": 60, "eval_every": 2}, "schedule": {"warmup_epochs": 0.5},
 "ab": {"warmup_steps": 12, "ab_steps": 8, "rebound_steps": 6, "lr_rebound_steps": 3,
        "sigma_cutoff": 0.3, "group_size": 2},
 "checkpoint": {"every_steps": 1}}
JSON

# start RUN: on four ranks, into $folder/RUN, going on where there is something to go on from.
start() {
  exec mpirun --bind-to none --oversubscribe -n 4 "$program" train --config "$folder/tiny.json" \
    --resume auto --out "$folder/$1"
}
losses() { sed -nE 's/^\{"step":([0-9]+),.*"loss":([^,]+),"grad_norm.*/\1 \2/p' "$1/metrics.jsonl"; }
finished=checkpoints/step-00000060/weights.safetensors

began=$(date +%s%N)
(start whole) >"$folder/log" 2>&1 || { cat "$folder/log"; echo "the undisturbed run failed"; exit 1; }
length=$((($(date +%s%N) - began) / 1000000))
losses "$folder/whole" > "$folder/whole.losses"
[ "$(wc -l < "$folder/whole.losses")" = 60 ] || { echo "60 losses expected"; exit 1; }
echo "undisturbed: $length ms, 60 losses"

declare -A where
killed=0 unfinished=0 late=0 failed=0
for ((i = 1; i <= count; ++i)); do
  run=run$i
  (start $run) >"$folder/log" 2>&1 &
  job=$!
  moment=$((RANDOM * 32768 + RANDOM))
  sleep "$(awk -v m=$((moment % length)) 'BEGIN { printf "%.3f", m / 1000 }')"
  mapfile -t ranks < <(pgrep -P $job || true)
  victim=$((RANDOM % 4))
  if [ ${#ranks[@]} = 4 ] && kill -9 "${ranks[$victim]}" 2>/dev/null; then killed=$((killed + 1)); else late=$((late + 1)); fi
  wait $job || true
  phase=before
  if [ -s "$folder/$run/metrics.jsonl" ]; then
    phase=$(tail -n 1 "$folder/$run/metrics.jsonl" | sed -nE 's/.*"phase":"([a-z]+)".*/\1/p')
  fi
  where[${phase:-evaluation}]=$((${where[${phase:-evaluation}]:-0} + 1))
  if ! (start $run) >"$folder/log" 2>&1; then
    echo "run $i: did not end well after rank $victim was killed (last line: $phase)"; cat "$folder/log"
    failed=$((failed + 1)); continue
  fi
  unfinished=$((unfinished + $(grep -c 'it was not finished' "$folder/log" || true)))
  if grep 'is passed over' "$folder/log" | grep -v 'it was not finished'; then
    echo "run $i: a checkpoint that says DONE is damaged"; failed=$((failed + 1)); continue
  fi
  losses "$folder/$run" > "$folder/again.losses"
  if ! cmp "$folder/whole.losses" "$folder/again.losses" ||
     ! cmp "$folder/whole/$finished" "$folder/$run/$finished"; then
    echo "run $i: ends otherwise than the undisturbed run"; failed=$((failed + 1)); continue
  fi
  rm -rf "${folder:?}/$run"
done
summary=""
for phase in "${!where[@]}"; do summary+=" $phase ${where[$phase]}"; done
echo "$count runs: $killed killed, $late not yet or no longer there; last line in metrics.jsonl:$summary"
echo "checkpoints met while being written: $unfinished"
if [ $failed != 0 ]; then echo "kill_resume: $failed of $count failed"; exit 1; fi
echo "kill_resume: all $count ended with the losses and weights of the undisturbed run"
