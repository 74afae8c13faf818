#!/usr/bin/env bash
# Builds the fuzz targets with clang's libFuzzer and runs all of them for a while at the same time: readers of
# untrusted bytes (tests/fuzz) must refuse or read them, never crash, hang or take more than 1 GiB.
# Usage: tools/fuzz.sh [SECONDS]     default 60 each; the first crash ends it, its input is kept
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
tools/install_dependencies.sh --fuzz
cmake --preset fuzz -DAB_TESTS=ON >/dev/null
targets=()
for source in tests/fuzz/fuzz_*.cpp; do targets+=("$(basename "$source" .cpp)"); done
cmake --build build/fuzz -j "${AB_JOBS:-2}" --target "${targets[@]}" | tail -n 1
work=$PWD/build/fuzz/corpus
mkdir -p "$work"
fuzz() {  # target
  mkdir -p "$work/$1"
  AB_FUZZ_SEEDS=$work/$1 ASAN_OPTIONS=detect_leaks=0 "build/fuzz/bin/$1" -max_total_time="$seconds" \
    -rss_limit_mb=1024 -malloc_limit_mb=1024 -timeout=10 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$work/$1-" "$work/$1" >"$work/$1.log" 2>&1
}
export -f fuzz
export work seconds
status=0
printf '%s\n' "${targets[@]}" | xargs -P 0 -I{} bash -c 'fuzz {}' || status=1
for target in "${targets[@]}"; do
  log=$work/$target.log
  if runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log") && [ -n "$runs" ]; then
    echo "$target: $runs inputs in $seconds s, $(ls "$work/$target" | wc -l) kept for their coverage"
  else
    echo "$target: no final statistics" >&2
  fi
  if grep -qE 'ERROR: (AddressSanitizer|libFuzzer)|runtime error|^fuzz: ' "$log"; then
    grep -m 5 -E 'ERROR|runtime error|^fuzz: |Test unit written' "$log" >&2
    status=1
  fi
done
exit $status
