#!/usr/bin/env bash
# Builds and links the CUDA device with nvcc and the vendors' libraries, then runs it where no GPU can
# be seen. Needs the toolkit and no GPU. A warning of nvcc, g++ or a linker is an error. Without a GPU
# doctor has to say so; a program asked for cuda has to end with 6 and one line, on threads and under
# mpirun, and must not hang.
# The programs alone and one architecture: every instruction set is made from the same sources, and the
# tests run on stand-ins. Its build tree is its own, so that build/cuda keeps sm_80, sm_90 and PTX.
# Usage: tools/check_cuda.sh   CUDA_ARCH (default 80-real) and AB_JOBS (default 2) may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/cuda_check
bin=$build/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
complain() { echo "check_cuda: $*"; exit 1; }

cmake --preset cuda -B $build -DAB_CUDA=ON -DAB_TESTS=OFF -DAB_UNITY=ON -DCMAKE_COMPILE_WARNING_AS_ERROR=ON \
  -DCMAKE_CUDA_ARCHITECTURES="${CUDA_ARCH:-80-real}" >"$work/configure" 2>&1 ||
  { cat "$work/configure"; complain "the cuda preset is not configured"; }
cmake --build $build -j "${AB_JOBS:-2}" --target abtrain bench_kernels bench_step 2>&1 | tee "$work/log"
if grep -niE '\bwarning\b' "$work/log"; then complain "warnings in the build of the cuda preset"; fi

# refused COMMAND...: ends in time with exit code 6 and one line on stderr that says what is missing.
refused() {
  local code=0 lines
  timeout -k 5 60 "$@" >"$work/out" 2>"$work/err" || code=$?
  lines=$(grep -c '^[a-z_]*: error: ' "$work/err" || true)
  if [ $code != 6 ] || [ "$lines" != 1 ] || ! grep -q 'no GPU can be used' "$work/err"; then
    cat "$work/err"
    complain "$* ended with $code and $lines error lines; 6 and one line are wanted"
  fi
  echo "exit 6  $*"
  echo "        $(grep 'error: ' "$work/err")"
}

export CUDA_VISIBLE_DEVICES="" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
timeout -k 5 60 $bin/abtrain doctor >"$work/doctor" || complain "doctor ended with $?"
grep '^device cuda: no GPU can be used' "$work/doctor" ||
  { cat "$work/doctor"; complain "doctor does not say that there is no GPU"; }
train=($bin/abtrain train --config models/configs/mnist/resnet_quickstart.json --device cuda)
refused "${train[@]}" --out "$work/run"
refused "${train[@]}" --local-ranks 4 --out "$work/run"
refused mpirun --oversubscribe -n 2 "${train[@]}" --out "$work/run"
refused $bin/bench_step --device cuda --model resnet50 --batch 1
refused $bin/bench_kernels --device cuda
[ ! -e "$work/run" ] || complain "a run that could not start left $work/run behind"
echo "check_cuda: the CUDA device builds without a warning, and says where it has no GPU"
