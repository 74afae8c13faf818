#!/usr/bin/env bash
# Tests the scripts for Slurm without Slurm: stand-ins for srun, sbatch and scontrol record how they were
# called. Prints one line per case; exit 1 if any case fails.
#   ABTRAIN  the program, for the rows' plans; left out, and said to be, where there is none
set -euo pipefail
cd "$(dirname "$0")/../.."
repository=$PWD
program=$(realpath -m "${ABTRAIN:-build/release/bin/abtrain}")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failures=0

# check NAME CONDITION...: a case, which holds if the command does
check() {
  local name=$1
  shift
  if "$@"; then
    echo "ok      $name"
  else
    echo "FAILED  $name: $*"
    failures=$((failures + 1))
  fi
}
# says TEXT COMMAND...: its output, both streams together, holds TEXT
says() {
  local text=$1 output
  shift
  output=$("$@" 2>&1) || true
  [[ $output == *"$text"* ]] || { echo "        it said: $output"; return 1; }
}
ends() {  # ends STATUS COMMAND...
  local wanted=$1 status=0
  shift
  "$@" >/dev/null 2>&1 || status=$?
  [ $status = "$wanted" ] || { echo "        it ended with $status"; return 1; }
}

for script in tools/slurm/paper.sh tools/slurm/train.sbatch; do
  check "bash -n $script" bash -n $script
  if command -v shellcheck >/dev/null; then
    check "shellcheck $script" shellcheck --shell=bash $script
  else
    echo "skipped shellcheck $script: not installed"
  fi
done

paper=tools/slurm/paper.sh
check "a row of the table" says "sbatch --nodes=4 --ntasks-per-node=4 --gpus-per-node=4 \
--job-name=resnet50-4k-ab tools/slurm/train.sbatch --config models/configs/imagenet/resnet50_4k.json \
--method ab --set checkpoint.every_steps=1500 --out runs/paper/resnet50-4k-ab" $paper resnet50 4k ab
check "constant global batch" says "--nodes=64 " $paper vit 4k@64 ddp
check "constant global batch is set" says "--set data.global_batch=4096" $paper vit 4k@64 ddp
check "the paper's counting" says "--config models/overlays/guideline_schedule.json" \
  $paper --counting paper --data /d --runs /r vgg16 cifar10 ab --seed 7
check "what follows goes to abtrain" says "--data /d --set checkpoint.every_steps=500 \
--out /r/vgg16-cifar10-ab-paper --seed 7" \
  $paper --counting paper --data /d --runs /r vgg16 cifar10 ab --seed 7
check "an unknown row" ends 2 $paper resnet50 64k ab
check "an unknown row names the list" says "--list" $paper resnet50 64k ab
# Two models with ten sizes, VGG16 and the mini-ViT, three methods each.
check "66 rows" test "$($paper --list | wc -l)" = 66
while read -r model size method; do
  config=$($paper "$model" "$size" "$method" | sed 's/.*--config \([^ ]*\).*/\1/')
  [ -f "$config" ] || check "$model $size $method: $config" false
done < <($paper --list)
if [ -x "$program" ]; then
  export ABTRAIN=$program
  check "the plan of a row" says "vit, method ab-nogroups, 128 ranks on 32 nodes" \
    $paper --plan vit 32k ab-nogroups
  check "the plan of a row of constant global batch" says '"traffic_reduction"' \
    $paper --plan resnet50 4k@8 ab --compression 1.39 --json
else
  echo "skipped the rows' plans: no $program"
fi

# srun ends with $SRUN_STATUS and, like the others, writes its arguments down.
# shellcheck disable=SC2016
{
  mkdir "$root/bin"
  for name in srun scontrol sbatch squeue; do
    printf '#!/bin/sh\necho "%s $*" >>"$CALLS"\n' $name >"$root/bin/$name"
    chmod +x "$root/bin/$name"
  done
  echo 'echo "end=$SLURM_JOB_END_TIME" >>"$CALLS"; exit "$SRUN_STATUS"' >>"$root/bin/srun"
  echo 'echo 2030-01-02T03:04:05' >>"$root/bin/squeue"
}
export PATH=$root/bin:$PATH CALLS=$root/calls
printf '#!/bin/sh\n' >"$root/abtrain"
chmod +x "$root/abtrain"

job() {  # job STATUS ARGUMENTS...: train.sbatch as Slurm would run it
  : >"$CALLS"
  local status=$1
  shift
  env -u SLURM_JOB_END_TIME SRUN_STATUS="$status" SLURM_JOB_ID=42 SLURM_SUBMIT_DIR="$root" \
    SLURM_CPUS_PER_TASK=9 ABTRAIN="$root/abtrain" bash "$repository/tools/slurm/train.sbatch" "$@"
}
called() { grep -qF -- "$1" "$CALLS" || { echo "        calls: $(cat "$CALLS")"; return 1; }; }
not_called() { ! called "$1" >/dev/null; }

check "a finished run ends with 0" ends 0 job 0 --config c.json --out o
check "ranks start under srun" called "--cpus-per-task=9 --cpu-bind=cores --gpu-bind=none \
--kill-on-bad-exit=0 $root/abtrain train --config c.json --out o --device cuda --resume auto"
check "they know when the job ends" called "end=$(date --date 2030-01-02T03:04:05 +%s)"
check "and it is not queued again" not_called "scontrol"
check "75 ends with 0" ends 0 job 75 --config c.json --out o
check "and queues the job again" called "scontrol requeue 42"
check "any other status stays" ends 4 job 4 --config c.json --out o
check "and does not" not_called "scontrol"
check "enough restarts" ends 75 env SLURM_RESTART_COUNT=3 AB_MOST_RESTARTS=3 bash -c \
  "$(declare -f job); repository=$repository root=$root; job 75 --out o"
check "--out is needed" says "--out DIR is needed" job 0 --config c.json
check "submitting calls sbatch" ends 0 env CALLS="$root/submitted" $paper --submit resnet50 2k ddp
check "with the row" grep -q "^sbatch --nodes=2 .*resnet50_2k.json --method ddp" "$root/submitted"

if [ $failures -gt 0 ]; then echo "slurm_test: $failures cases failed"; exit 1; fi
echo "slurm_test: all cases passed"
