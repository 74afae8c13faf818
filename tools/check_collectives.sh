#!/usr/bin/env bash
# Fails on a call into MPI or NCCL outside distributed/communicator_*: every byte that leaves a rank goes
# through Communicator, which books it before it is sent. Comments and texts may name them. Left out is
# tests/standin: it defines NCCL's functions, and its own tests call those; no program is linked from it.
# Usage: tools/check_collectives.sh [folder]   (default: this repository)
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
mapfile -t files < <(find . \( -name build -o -name runs -o -name .git \) -prune -o -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.in' \) -print |
  sed 's|^\./||' | grep -v -e '^distributed/communicator_' -e '^tests/standin/' | sort)
if [ ${#files[@]} = 0 ]; then echo "check_collectives: no sources in $PWD" >&2; exit 2; fi

awk '
  {
    line = $0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    sub(/\/\/.*/, "", line)
    if (line ~ /(^|[^A-Za-z0-9_])(P?MPI_[A-Z]|P?nccl[A-Z])[A-Za-z0-9_]*[ \t]*\(/) {
      printf "%s:%d: goes past Communicator, so the ledger would miss it: %s\n", FILENAME, FNR, $0
      bad++
    }
  }
  END {
    if (bad) { printf "check_collectives: %d violations\n", bad; exit 1 }
    printf "check_collectives: no call to MPI or NCCL in %d files outside the communicators\n", ARGC - 1
  }' "${files[@]}"
