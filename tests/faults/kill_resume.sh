#!/usr/bin/env bash
# Kills one rank of four with kill -9, again and again, and resumes. Every resumed run has to end with
# the very losses and weights of the run that nobody disturbed, and no checkpoint that says DONE may be
# damaged. Kills are aimed at every phase, every border and at checkpoints being written (one is written
# after every step): the script waits for a step in metrics.jsonl, then a random part of a step.
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
# Where kills are aimed at, in turn, and the steps after which they come. An evaluation, a merge, a
# decomposition and the start of a checkpoint follow the line of their step.
places=(merge decompose "writing in ab" warm-up ab rebound "writing in warm-up" "writing in rebound" end
        start)
declare -A steps=(
  [start]="0" [warm-up]="1 2 3 4 5 6 7 8 9 10 11" [decompose]="12 26 40 54"
  [ab]="13 14 15 16 17 18 27 28 30 33 41 44 47 55 57" [merge]="20 34 48 60"
  [rebound]="21 22 23 24 25 35 37 39 49 51 53" [end]="58 59 60"
  ["writing in warm-up"]="2 4 6 8 10" ["writing in ab"]="14 17 29 32 43 46 57"
  ["writing in rebound"]="22 24 36 38 50 52")

# start RUN: on four ranks, into $folder/RUN, going on where there is something to go on from.
start() {
  exec mpirun --bind-to none --oversubscribe -n 4 "$program" train --config "$folder/tiny.json" \
    --resume auto --out "$folder/$1"
}
losses() { sed -nE 's/^\{"step":([0-9]+),.*"loss":([^,]+),"grad_norm.*/\1 \2/p' "$1/metrics.jsonl"; }
finished=checkpoints/step-00000060/weights.safetensors
# The step of the last whole line of a run's metrics.jsonl; no process is started for it.
last_step() {
  local lines=()
  [ -e "$1/metrics.jsonl" ] && mapfile -t lines < "$1/metrics.jsonl"
  step=0
  if [ ${#lines[@]} -gt 0 ] && [[ ${lines[-1]} =~ \"step\":([0-9]+) ]]; then step=${BASH_REMATCH[1]}; fi
}
# Waits up to so many milliseconds, by chance; no process is started for it either.
mkfifo "$folder/silent"
exec 9<> "$folder/silent"
pause() {
  local ms=$((RANDOM % ($1 + 1))) seconds
  printf -v seconds '%d.%03d' $((ms / 1000)) $((ms % 1000))
  read -rt "$seconds" -u 9 || true
}

# aim RUN JOB PLACE STEP: returns when the moment has come, or the run has ended.
aim() {
  local run=$folder/$1 job=$2 place=$3 target=$4 saved
  if [ "$place" = start ]; then pause $((length / 4)); return; fi
  until last_step "$run"; [ "$step" -ge "$target" ]; do kill -0 "$job" 2>/dev/null || return 0; done
  if [[ $place = writing* ]]; then
    printf -v saved '%s/checkpoints/step-%08d' "$run" "$target"
    while [ ! -d "$saved" ]; do kill -0 "$job" 2>/dev/null || return 0; done
  elif [ "$place" != merge ] && [ "$place" != decompose ]; then
    pause $((length / 60))
  fi
}

# Open MPI's mpirun (4.1) at times does not end when a rank was killed while it joined: then it is
# ended, too, once the ranks are gone.
wait_for_end() {
  local until=$((SECONDS + 20))
  while kill -0 "$1" 2>/dev/null && [ $SECONDS -lt $until ]; do sleep 0.05; done
  if kill -9 "$1" 2>/dev/null; then stuck=$((stuck + 1)); fi
  wait "$1" || true
}

# disturb RUN PLACE STEP: starts the run and kills one of its ranks. killed=1 where it was in time.
disturb() {
  local run=$1 job ranks=() victim=$((RANDOM % 4))
  killed=0
  (start "$run") >"$folder/log" 2>&1 &
  job=$!
  until [ ${#ranks[@]} = 4 ] || ! kill -0 $job 2>/dev/null; do mapfile -t ranks < <(pgrep -P $job); done
  aim "$run" $job "$2" "$3"
  if [ ${#ranks[@]} = 4 ] && kill -9 "${ranks[$victim]}" 2>/dev/null; then killed=1; fi
  wait_for_end $job
  last_step "$folder/$run"
}

# same_after_resuming RUN: goes on with it, and compares.
same_after_resuming() {
  local run=$1
  if ! (start "$run") >"$folder/log" 2>&1; then cat "$folder/log"; return 1; fi
  if grep 'is passed over' "$folder/log" | grep -v 'it was not finished'; then return 1; fi
  losses "$folder/$run" > "$folder/again.losses"
  cmp "$folder/whole.losses" "$folder/again.losses" &&
    cmp "$folder/whole/$finished" "$folder/$run/$finished"
}

began=$(date +%s%N)
(start whole) >"$folder/log" 2>&1 || { cat "$folder/log"; echo "the undisturbed run failed"; exit 1; }
length=$((($(date +%s%N) - began) / 1000000))
losses "$folder/whole" > "$folder/whole.losses"
[ "$(wc -l < "$folder/whole.losses")" = 60 ] || { echo "60 losses expected"; exit 1; }
echo "$("$program" --version), seed $seed; undisturbed: 60 losses in $length ms"

declare -A kills on_step unfinished resumed same
all_killed=0 failed=0 stuck=0
for ((i = 0; i < count; ++i)); do
  place=${places[$((i % ${#places[@]}))]}
  read -ra choice <<< "${steps[$place]}"
  # Every border comes in its turn.
  target=${choice[$((i / ${#places[@]} % ${#choice[@]}))]}
  [[ $place = merge || $place = decompose ]] || target=${choice[$((RANDOM % ${#choice[@]}))]}
  disturb "run$i" "$place" "$target"
  kills[$place]=$((${kills[$place]:-0} + killed)) all_killed=$((all_killed + killed))
  if [ "$step" = "$target" ]; then on_step[$place]=$((${on_step[$place]:-0} + 1)); fi
  resumed[$place]=$((${resumed[$place]:-0} + 1))
  if same_after_resuming "run$i"; then
    same[$place]=$((${same[$place]:-0} + 1))
  else
    echo "run $i: differs from the undisturbed run, killed at step $step ($place)"; failed=$((failed + 1))
  fi
  if grep -q 'it was not finished' "$folder/log"; then
    unfinished[$place]=$((${unfinished[$place]:-0} + 1))
  fi
  rm -rf "${folder:?}/run$i"
done

printf '%-20s %6s %12s %12s %8s %10s\n' "aimed at" kills "at its step" "writing then" resumed identical
for place in "${places[@]}"; do
  if [ "${resumed[$place]:-0}" = 0 ]; then continue; fi
  printf '%-20s %6d %12d %12d %8d %10d\n' "$place" "${kills[$place]}" "${on_step[$place]:-0}" \
    "${unfinished[$place]:-0}" "${resumed[$place]}" "${same[$place]:-0}"
done
if [ $stuck != 0 ]; then echo "mpirun that did not end by itself: $stuck"; fi
if [ $failed != 0 ]; then echo "kill_resume: $failed of $count failed"; exit 1; fi
echo "kill_resume: all $count ($all_killed killed in time) ended with the losses and weights of the undisturbed run"
