#!/usr/bin/env bash
# Fails on an #include against the arrows of the architecture, on a vendor's header outside its seam,
# and on `#if AB_WITH_*` outside the registries.
#   tools -> models -> layers -> engine -> kernels;  optim, distributed, data -> engine, kernels
# Usage: tools/check_arrows.sh [folder]   (default: this repository)
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
rooms="kernels engine layers models optim distributed data tools"
folders=()
for room in $rooms; do [ -d "$room" ] && folders+=("$room"); done
if [ ${#folders[@]} = 0 ]; then echo "check_arrows: no room ($rooms) in $PWD" >&2; exit 2; fi
mapfile -t files < <(find "${folders[@]}" -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.in' \) | sort)

awk -v rooms="$rooms tests" '
  BEGIN {
    split(rooms, list, " "); for (i in list) is_room[list[i]] = 1
    below["kernels"] = " kernels "
    below["engine"] = " engine kernels "
    below["layers"] = " layers engine kernels "
    below["models"] = " models layers engine kernels "
    below["optim"] = " optim engine kernels "
    below["distributed"] = " distributed engine kernels "
    below["data"] = " data engine kernels "
    below["tools"] = " tools models layers optim distributed data engine kernels "
    # header pattern -> files that may include it; the first match decides
    n = 0
    header[++n] = "^(oneapi/)?dnnl"; home[n] = "^engine/(onednn|gemm_host|convolution_host)[a-z_]*\\."
    header[++n] = "^(lapacke|lapack|cblas)"; home[n] = "^engine/decomposition_host[a-z_]*\\."
    header[++n] = "^cublas"; home[n] = "^engine/gemm_cuda[a-z_]*\\."
    header[++n] = "^cudnn"; home[n] = "^engine/convolution_cuda[a-z_]*\\."
    header[++n] = "^cusolver"; home[n] = "^engine/decomposition_cuda[a-z_]*\\."
    header[++n] = "^cuda_runtime"; home[n] = "^(kernels/stream\\.h|engine/[a-z_]+_cuda[a-z_]*\\.[a-z]+)$"
    header[++n] = "^(cuda|mma|cooperative_groups|cub/)"; home[n] = "^kernels/[a-z_]+\\.cu$"
    header[++n] = "^nccl"; home[n] = "^distributed/communicator_nccl[a-z_]*\\."
    header[++n] = "^mpi\\.h$"; home[n] = "^distributed/communicator_mpi[a-z_]*\\."
    header[++n] = "^(jpeglib|jerror|png\\.h)"; home[n] = "^data/"
    header[++n] = "^zlib"; home[n] = "^(data/|tools/train/checkpoint)"
    header[++n] = "^(nlohmann/|CLI/)"; home[n] = "^tools/"
    registry = "^(kernels/(launch|block)\\.h|engine/device\\.cpp|distributed/(world|communicator)\\.cpp)$"
  }
  function complain(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; bad++ }
  /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
    match($0, /[<"][^>"]*[>"]/); path = substr($0, RSTART + 1, RLENGTH - 2)
    here = FILENAME; sub("/.*", "", here)
    there = path; sub("/.*", "", there)
    if (path ~ "/" && there in is_room && !index(below[here], " " there " "))
      complain(here " may not include " path " (allowed:" below[here] ")")
    if (path ~ /\.\.\//) complain("include " path " from the root of the repository instead")
    for (i = 1; i <= n; ++i)
      if (path ~ header[i]) {
        if (FILENAME !~ home[i]) complain("vendor header " path " outside its seam (" home[i] ")")
        break
      }
  }
  /^[ \t]*#[ \t]*(el)?if(n?def)?[^a-zA-Z].*AB_WITH_/ && FILENAME !~ registry {
    complain("#if AB_WITH_* outside the registries (" registry ")")
  }
  END {
    if (bad) { printf "check_arrows: %d violations\n", bad; exit 1 }
    printf "check_arrows: %d files keep to the arrows\n", ARGC - 1
  }' "${files[@]}"
