#!/usr/bin/env bash
# The cases of slurm_test.sh, run where Slurm is up. Usage: cases.sh BIN_DIR FOLDER
set -euo pipefail
abtrain=$1/abtrain folder=$2
export ASAN_OPTIONS=detect_leaks=0 OMP_WAIT_POLICY=passive  # more threads than cores
passed=0
check() {  # what command...
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    echo "FAILED: $what"
    tail -n 90 "$folder/log" "$folder/job.log" 2>/dev/null
    squeue
    exit 1
  fi
}
exits() {  # code command...: runs it, output in $folder/log
  local wanted=$1 code=0
  shift
  timeout 40 "$@" >"$folder/log" 2>&1 || code=$?
  [ $code = "$wanted" ] || { echo "exit code $code instead of $wanted"; return 1; }
}
says() { grep -q -- "$1" "$folder/log"; }
errors() { grep -c "abtrain: error:" "$folder/log"; }
losses() { sed -n 's/.*"loss":\([^,]*\),"grad_norm":\([^,]*\),.*/\1 \2/p' "$1/metrics.jsonl"; }
train=("$abtrain" train --config models/configs/mnist/resnet_quickstart.json
  --set ab.warmup_steps=2 --set ab.ab_steps=4 --set ab.rebound_steps=2 --set train.eval_every=1000
  --set data.local_batch=2)
srun=(srun -n 4 --quiet)

# Begun first, looked at last: a job that is warned by USR1, queued again because it ended with 75,
# goes on, and is cancelled. Slurm looks at time limits every 30 s.
long=("${train[@]}" --method ab --steps 100000)
train+=(--steps 8)
cat >"$folder/job.sh" <<JOB
#!/usr/bin/env bash
#SBATCH --ntasks=4 --time=5 --signal=USR1@299 --requeue --open-mode=append
#SBATCH --job-name=again --output=$folder/job.log
srun --mpi=pmix ${long[@]@Q} --out "$folder/job" --resume auto
JOB
job=$(sbatch --parsable "$folder/job.sh")

check "threads as ranks" exits 0 "${train[@]}" --method ab --local-ranks 4 --out "$folder/threads"
check "srun --mpi=pmix" exits 0 "${srun[@]}" --mpi=pmix "${train[@]}" --method ab --out "$folder/pmix"
check "eight steps" [ "$(losses "$folder/pmix" | wc -l)" = 8 ]
check "the same losses as threads" diff <(losses "$folder/threads") <(losses "$folder/pmix")
check "one world of four ranks on one node" \
  [ "$(tr -d ' \n' <"$folder/pmix/ledger.json" | sed 's/.*"nodes":\[\([0-9,]*\)\].*/\1/')" = 0,0,0,0 ]

# MpiDefault is pmix, so no flag is needed where the site has chosen well.
check "doctor" exits 0 "${srun[@]}" "$abtrain" doctor
check "doctor finds rank, world and flavour" says "launcher srun, pmi pmix, rank 0, world 4"
check "doctor finds the node" says "node_of_rank 0 0 0 0"
check "one rank speaks" [ "$(grep -c "^mpi:" "$folder/log")" = 1 ]
check "cores per rank" exits 0 "${srun[@]}" -c 2 "$abtrain" doctor
check "doctor counts threads" says "threads_per_rank 1"

for flavour in none pmi2; do
  check "--mpi=$flavour is refused" exits 2 "${srun[@]}" --mpi=$flavour "${train[@]}" \
    --out "$folder/$flavour"
  check "one line for $flavour" [ "$(errors)" = 1 ]
  check "it names what works" says "srun started 4 tasks.*\"$flavour\".*srun --mpi=pmix"
  check "no run was begun" [ ! -e "$folder/$flavour" ]
  check "doctor under $flavour" exits 0 "${srun[@]}" --mpi=$flavour "$abtrain" doctor
  check "doctor names the mend" says "problem: srun started 4 tasks.*--mpi=pmix"
done
check "a wrong key ends every rank" exits 2 "${srun[@]}" --mpi=pmix "${train[@]}" --set train.lr=3
check "one rank alone needs no PMI" exits 0 srun -n 1 -c 1 --quiet --mpi=none "${train[@]}" \
  --method ddp --out "$folder/alone"

steps() { wc -l <"$folder/${1:-job}/metrics.jsonl"; }
restarts() { scontrol show job "$job" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'; }
state() { scontrol show job "$job" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'; }
newest() { ls -d "$folder"/job/checkpoints/step-*/DONE 2>/dev/null | tail -n 1 | grep -o '[0-9]*/DONE'; }
until_true() {  # seconds condition...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}
cp "$folder/job.log" "$folder/log"
check "USR1 ends the job with 75 and Slurm queues it again" until_true 60 eval '[ "$(restarts)" = 1 ]'
first=$(newest)
first=$((10#${first%/DONE}))
check "a whole checkpoint was left" [ $first -gt 0 ]
sleep 2  # credentials of the second in which the job ended are refused
scontrol update "jobid=$job" StartTime=now  # else Slurm lets it wait for two minutes
check "it goes on" until_true 60 eval '[ "$(steps)" -gt $((first + 5)) ]'
cp "$folder/job.log" "$folder/log"
check "from that checkpoint" says "goes on from .*$first\$"
scancel "$job"
check "scancel ends it" until_true 15 eval '[ "$(state)" = CANCELLED ]'
cp "$folder/job.log" "$folder/log"
second=$(newest)
second=$((10#${second%/DONE}))
check "and leaves a newer checkpoint" [ $second -gt $((first + 5)) ]

# Threads as ranks, not disturbed until they are past the first stop.
"${long[@]}" --local-ranks 4 --out "$folder/calm" >"$folder/log" 2>&1 &
calm=$!
until_true 30 eval '[ -s "$folder/calm/metrics.jsonl" ] && [ "$(steps calm)" -gt $((first + 5)) ]'
kill $calm
wait $calm || check "threads end with 75 on TERM" [ $? = 75 ]
check "the losses of a run that nobody disturbed" \
  diff <(losses "$folder/job" | head -n $((first + 5))) <(losses "$folder/calm" | head -n $((first + 5)))
echo "stopped after step $first, cancelled after step $second"
echo "$passed passed, 0 failed"
