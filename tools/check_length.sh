#!/usr/bin/env bash
# Fails on a source file of more than 500 lines, on more than 400 lines of CMake in all, and on marks
# of unfinished work. Files above the 250 lines aimed at are listed, without failing.
# Usage: tools/check_length.sh [folder]   (default: this repository)
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
mapfile -t files < <(find . \( -name build -o -name runs -o -name .git \) -prune -o -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.in' -o -name '*.sh' \
  -o -name '*.py' -o -name CMakeLists.txt \) -print | sed 's|^\./||' | sort)
if [ ${#files[@]} = 0 ]; then echo "check_length: no sources in $PWD" >&2; exit 2; fi

awk '
  FNR == 1 && NR > 1 { close_file() }
  { name = FILENAME; lines = FNR }
  /(^|[^A-Za-z])(TO[D]O|FIX[M]E|XX[X]|HAC[K])([^A-Za-z]|$)/ {
    printf "%s:%d: mark of unfinished work: %s\n", FILENAME, FNR, $0; bad++
  }
  function close_file() {
    if (name ~ /CMakeLists\.txt$/) cmake += lines
    else if (lines > 500) { printf "%s: %d lines, at most 500\n", name, lines; bad++ }
    else if (lines > 250) printf "%s: %d lines, 250 aimed at\n", name, lines
  }
  END {
    close_file()
    if (cmake > 400) { printf "CMakeLists.txt: %d lines in all, at most 400\n", cmake; bad++ }
    if (bad) { printf "check_length: %d violations\n", bad; exit 1 }
    printf "check_length: %d files within their lengths, %d lines of CMake\n", ARGC - 1, cmake
  }' "${files[@]}"
