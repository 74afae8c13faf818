#!/usr/bin/env bash
# Compiles every .cu file with nvcc for one GPU architecture; warnings are errors. Needs no GPU.
# Usage: tools/check_nvcc.sh [folder]   CUDA_ARCH (default sm_80), NVCC and JOBS may be set.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
nvcc=${NVCC:-nvcc}
arch=${CUDA_ARCH:-sm_80}
if ! command -v "$nvcc" >/dev/null; then
  echo "check_nvcc: no $nvcc on PATH; a machine with the CUDA toolkit runs this check" >&2
  exit 2
fi
mapfile -t files < <(find . \( -name build -o -name runs -o -name .git \) -prune -o \
  -type f -name '*.cu' -print | sort)
if [ ${#files[@]} = 0 ]; then echo "check_nvcc: no .cu files in $PWD" >&2; exit 2; fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export nvcc arch out
compile() {
  local log
  log=$("$nvcc" -x cu -std=c++20 -O3 -arch="$arch" -I. -Xcompiler -Wall,-fopenmp --Werror all-warnings \
    -c "$1" -o "$out/$(echo "$1" | tr / _).o" 2>&1) || { printf '%s: nvcc fails\n%s\n' "$1" "$log"; return 1; }
}
export -f compile
if ! printf '%s\0' "${files[@]}" | xargs -0 -P "${JOBS:-2}" -I{} bash -c 'compile {}'; then
  echo "check_nvcc: not every .cu file compiles for $arch"
  exit 1
fi
echo "check_nvcc: ${#files[@]} files compile for $arch"
