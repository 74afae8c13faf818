#!/usr/bin/env bash
# Tests the checkers: each must pass a clean tree and fail on a violation planted in a copy of it, with
# file and line. Prints one line per case; exit 1 if any case fails.
set -euo pipefail
tools=$(cd "$(dirname "$0")/../../tools" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failures=0

clean_tree() {
  rm -rf "$root/tree"
  mkdir -p "$root"/tree/{kernels,engine,layers,models,optim,distributed,data,tools/train,build}
  cd "$root/tree"
  echo '#include <cuda_runtime.h>' >kernels/stream.h
  echo '#include "kernels/stream.h"' >kernels/launch.h
  echo '#include "kernels/launch.h"' >engine/tensor.h
  printf '#include <dnnl.h>\n#include "engine/tensor.h"\n' >engine/gemm_host.cpp
  printf '#if AB_WITH_CUDA\n#endif\n' >engine/device.cpp
  echo '#include "engine/tensor.h"' >layers/linear.h
  echo '#include "layers/linear.h"' >models/vit.h
  echo '#include "engine/tensor.h"' >optim/adamw.h
  printf '#include <mpi.h>\nvoid f() { MPI_Barrier(MPI_COMM_WORLD); }\n' >distributed/communicator_mpi.cpp
  echo '#include "kernels/stream.h"' >data/loader.h
  printf '#include "models/vit.h"\n#include "optim/adamw.h"\n' >tools/train/main.cpp
  printf '// says MPI_Allreduce(x)\nconst char* s = "MPI_Init(";  // OMPI_COMM_WORLD_SIZE\n' >tools/train/text.cpp
  echo '#include "models/vit.h"' >build/generated.h  # never looked at
}

# expect STATUS TEXT CHECK: the check exits with STATUS and prints TEXT
expect() {
  local status=0 output
  output=$("$tools/check_$3.sh" "$root/tree" 2>&1) || status=$?
  if [ $status = "$1" ] && [[ $output == *"$2"* ]]; then
    echo "ok      check_$3: $2"
  else
    echo "FAILED  check_$3: wanted exit $1 and '$2', got exit $status and: $output"
    failures=$((failures + 1))
  fi
}

# planted CHECK FILE LINE TEXT: with LINE appended to FILE, the check fails and prints FILE and TEXT
planted() {
  clean_tree
  echo "$3" >>"$2"
  expect 1 "$2:$(wc -l <"$2"): $4" "$1"
}

clean_tree
expect 0 "keep to the arrows" arrows
expect 0 "no call to MPI or NCCL" collectives
expect 0 "within their lengths" length

planted arrows kernels/launch.h '#include "engine/tensor.h"' "kernels may not include engine/tensor.h"
planted arrows engine/tensor.h '#include "layers/linear.h"' "engine may not include"
planted arrows layers/linear.h '  #  include "optim/adamw.h"' "layers may not include"
planted arrows optim/adamw.h '#include "distributed/ledger.h"' "optim may not include"
planted arrows data/loader.h '#include "models/vit.h"' "data may not include"
planted arrows models/vit.h '#include "tools/train/config.h"' "models may not include"
planted arrows engine/tensor.h '#include "tests/catch.h"' "engine may not include"
planted arrows tools/train/main.cpp '#include "../train/x.h"' "include ../train/x.h from the root"
planted arrows layers/linear.h '#include <dnnl.hpp>' "vendor header dnnl.hpp"
planted arrows engine/tensor.h '#include <cuda_runtime.h>' "vendor header cuda_runtime.h"
planted arrows engine/gemm_host.cpp '#include <lapacke.h>' "vendor header lapacke.h"
planted arrows tools/train/main.cpp '#include <mpi.h>' "vendor header mpi.h"
planted arrows engine/tensor.h '#include <nccl.h>' "vendor header nccl.h"
planted arrows optim/adamw.h '#include <nlohmann/json.hpp>' "vendor header nlohmann/json.hpp"
planted arrows tools/train/main.cpp '#if defined(AB_WITH_MPI)' "#if AB_WITH_*"
planted arrows layers/linear.h '#ifdef AB_WITH_CUDA' "#if AB_WITH_*"

planted collectives tools/train/main.cpp '  MPI_Allreduce(a, b);' "goes past Communicator"
planted collectives distributed/ledger.cpp 'int r = PMPI_Comm_rank (c, &r);' "goes past Communicator"
planted collectives optim/adamw.h 'ncclAllReduce(a);' "goes past Communicator"

clean_tree
seq 501 | sed 's/^/int x/; s/$/;/' >layers/long.cpp
expect 1 "layers/long.cpp: 501 lines" length
clean_tree
seq 500 | sed 's/^/int x/; s/$/;/' >layers/long.cpp
expect 0 "layers/long.cpp: 500 lines, 250 aimed at" length
clean_tree
seq 401 >tools/CMakeLists.txt
expect 1 "401 lines in all" length
planted length layers/linear.h "// TO""DO: later" "mark of unfinished work"

clean_tree
mkdir docs
printf '# A (tree) of `docs`\n[`f`](../distributed/communicator_mpi.cpp) [here](#a-tree-of-docs)\n' >docs/README.md
expect 0 "2 links in 1 files" docs
printf '#!/bin/sh\necho "# Keys"\n' >build/abtrain
chmod +x build/abtrain
echo '# Keys' >docs/configuration.md
export ABTRAIN=$root/tree/build/abtrain
expect 0 "2 links in 2 files" docs
echo 'an older key' >>docs/configuration.md
expect 1 "docs/configuration.md: differs" docs
unset ABTRAIN
rm docs/configuration.md
echo 'See [gone](gone.md).' >>docs/README.md
expect 1 "docs/README.md:3: link to gone.md" docs
printf '# T\n\n[x](#no-such)\n' >docs/README.md
expect 1 "docs/README.md:3: link to #no-such" docs
echo 'Run `tools/gone.sh`.' >docs/README.md
expect 1 "docs/README.md:1: tools/gone.sh does not exist" docs
printf '[`C::gone()`](../distributed/communicator_mpi.cpp)\n' >docs/README.md
expect 1 "docs/README.md:1: ../distributed/communicator_mpi.cpp does not mention gone" docs

if command -v "${CLANG_FORMAT:-clang-format}" >/dev/null; then
  clean_tree
  rm distributed/*.cpp tools/train/*.cpp engine/*.cpp
  expect 0 "files formatted" format
  echo 'int  f( ){return 1;}' >layers/bad.h
  expect 1 "layers/bad.h: not formatted" format
fi
if [ $failures -gt 0 ]; then echo "checks_test: $failures cases failed"; exit 1; fi
echo "checks_test: all cases passed"
