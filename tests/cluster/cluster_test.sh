#!/usr/bin/env bash
# tools/cluster/run on 2 hosts x 2 ranks: two clusters at once, wire against ledger on each host, and
# nothing left behind, whichever way a run ends.
# Usage: cluster_test.sh BIN_DIR; exit code 77: namespaces cannot be made here (the reason is printed)
set -euo pipefail
cd "$(dirname "$0")/../.."
export AB_BIN=$1 ASAN_OPTIONS=detect_leaks=0
folder=$(mktemp -d)
export CLUSTER_TEST_MARK=mark-$$-$RANDOM
trap 'rm -rf "$folder"' EXIT
fail() { echo "FAILED: $*"; cat "$folder"/*.log 2>/dev/null | tail -n 20; exit 1; }
marked() {  # processes that a run started, this script and its children left out
  local file
  for file in /proc/[0-9]*/environ; do
    [ "$file" = /proc/$$/environ ] || grep -qs "CLUSTER_HOSTS=" "$file" || continue
    [ "$file" = /proc/$$/environ ] || ! grep -qs "$CLUSTER_TEST_MARK" "$file" || echo "$file"
  done
}
expect_nobody() {
  for _ in {1..50}; do
    [ -n "$(marked)" ] || return 0
    sleep 0.1
  done
  fail "processes stay after $1: $(marked | xargs)"
}
run() {  # name options... ; the run's folder is $folder/name
  local name=$1
  shift
  exec tools/cluster/run --hosts 2 --ranks-per-host 2 --csv "$folder/$name.csv" -- abtrain train \
    --config models/configs/mnist/resnet_quickstart.json --out "$folder/$name" \
    --set data.local_batch=1 --set train.eval_every=1000000 --set ab.group_size=node "$@" \
    >"$folder/$name.log" 2>&1
}

code=0
reason=$(tools/cluster/run --hosts 1 --ranks-per-host 1 -- true 2>&1) || code=$?
[ $code != 77 ] || { echo "skipped: $reason"; exit 77; }
[ $code = 0 ] || fail "a cluster of one host: $reason"

# ab spends 8 of 14 steps inside the hosts: if those bytes were on the wire, it would be far above.
# Data is what is counted, MPI's start (some 60 kB) and its headers.
(run ddp --method ddp --steps 6) &
first=$!
(run ab --method ab --steps 14 --set ab.warmup_steps=4 --set ab.ab_steps=8 --set ab.rebound_steps=2) &
second=$!
wait $first || fail "the ddp run"
wait $second || fail "the ab run"
for name in ddp ab; do
  awk -F, -v name=$name 'NR > 1 { ++hosts
      printf "%s %s: counted %d, wire %d, %.4f, data %d, %.4f\n", name, $1, $2, $3, $3 / $2, $4, $4 / $2
      if ($2 < 1e7 || $4 < $2 || $4 > 1.01 * $2 || $3 > 1.08 * $2) bad = 1 }
    END { exit bad || hosts != 2 }' "$folder/$name.csv" || fail "wire against ledger"
  hosts=$(tr -d ' \n"' <"$folder/$name/config.json" | sed 's/.*hosts:\[\([^]]*\)\].*/\1/')
  expected=$(awk -F, 'NR > 1 { printf "%s%s,%s", sep, $1, $1; sep = "," }' "$folder/$name.csv")
  [ "$hosts" = "$expected" ] || fail "config.json: hosts $hosts, expected $expected"
done
expect_nobody "two runs that ended well"

code=0
(run refused --steps 6 --set train.lr=1) || code=$?
[ $code = 2 ] || fail "exit code $code instead of the program's 2"
expect_nobody "a run that failed"

for signal in TERM KILL; do
  (run $signal --method ddp --steps 100000) &
  running=$!
  for _ in {1..200}; do
    [ ! -s "$folder/$signal/metrics.jsonl" ] || break
    sleep 0.1
  done
  [ -s "$folder/$signal/metrics.jsonl" ] || fail "no step before SIG$signal"
  [ "$(marked | wc -l)" -gt 6 ] || fail "the search for processes finds none"
  kill -s $signal $running
  code=0
  wait $running 2>/dev/null || code=$?
  [ $code != 0 ] || fail "SIG$signal ended in success"
  expect_nobody "SIG$signal"
done
echo "no process stayed"
