#!/usr/bin/env bash
# Installs what is missing, builds with tests and runs all of them: release, then under the address and
# undefined-behaviour sanitizers, then the tests labelled tsan under the thread sanitizer. Where the
# CUDA toolkit is installed, the second build (standin instead of asan) has the cuda device as well, on
# stand-ins of its libraries: its tests run there, and their coverage of the cuda files is printed. Then
# the cuda device is built and linked with nvcc, warnings being errors (tools/check_cuda.sh).
# Ends with ctest's summaries, release's last. Stops at the first preset that fails.
# Usage: tools/test.sh [arguments for ctest, for example -R optim]
#   AB_PRESETS  presets to run (default: "release asan tsan"; "release standin tsan cuda" with the toolkit)
#   AB_JOBS     compile jobs (default: 2; a job needs up to 2.5 GB)
set -euo pipefail
cd "$(dirname "$0")/.."
presets="release asan tsan"
if command -v nvcc >/dev/null; then presets="release standin tsan cuda"; fi
presets=${AB_PRESETS:-$presets}
jobs=${AB_JOBS:-2}
tools/install_dependencies.sh
export TSAN_OPTIONS="halt_on_error=1:${TSAN_OPTIONS:-}"
# Tests run two at a time: BLAS's own threads would wait for each other's cores, and whole stacks of
# every allocation are a fifth of a sanitized run's time.
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
export ASAN_OPTIONS="malloc_context_size=5:${ASAN_OPTIONS:-}"
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

build() {  # preset targets...
  local preset=$1
  shift
  cmake --preset "$preset" -DAB_TESTS=ON >"$logs/configure" || { cat "$logs/configure"; return 1; }
  cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"}
}

targets_of() {  # label: the programs of its tests
  ctest --test-dir "build/$preset" -N -L "$1" | sed -n 's/^ *Test *#[0-9]*: \([a-z0-9_]*\).*/test_\1/p' |
    sort -u
}

run() {  # preset ctest-arguments...
  local preset=$1
  shift
  echo "== $preset: test"
  ctest --test-dir "build/$preset" --output-on-failure --parallel 2 "$@" | tee "$logs/$preset"
}

summary() {  # what ctest said last under each preset, release last
  local preset
  for preset in ${finished/release/} ${release:+release}; do
    echo "== $preset"
    sed -n '/% tests passed/,$p' "$logs/$preset"
  done
}

finished=""
release=""
for preset in $presets; do
  echo "== $preset: build"
  if [ "$preset" = cuda ]; then  # no tests of its own: what runs without a GPU runs on the stand-ins
    tools/check_cuda.sh
    continue
  fi
  arguments=("$@")
  if [ "$preset" = tsan ]; then
    cmake --preset "$preset" -DAB_TESTS=ON >"$logs/configure" || { cat "$logs/configure"; exit 1; }
    mapfile -t targets < <(targets_of tsan)
    build "$preset" "${targets[@]}"
    arguments=(-L tsan "$@")
  else
    build "$preset"
  fi
  status=0
  run "$preset" "${arguments[@]}" || status=$?
  finished="$finished $preset"
  [ "$preset" != release ] || release=1
  if [ $status != 0 ]; then
    echo "test: failures under $preset" >&2
    exit $status
  fi
  [ "$preset$#" != standin0 ] || tools/standin_coverage.sh build/standin
done
[[ $presets != *" "* ]] || summary
