#!/usr/bin/env bash
# Fails where clang-format would change a source file (.clang-format); --fix changes the files.
# Usage: tools/check_format.sh [--fix] [folder]   CLANG_FORMAT names another binary.
set -euo pipefail
fix=0
if [ "${1:-}" = --fix ]; then fix=1; shift; fi
cd "${1:-$(dirname "$0")/..}"
tool=${CLANG_FORMAT:-clang-format}
if ! command -v "$tool" >/dev/null; then
  echo "check_format: no $tool; install it (tools/install_dependencies.sh --checks)" >&2
  exit 2
fi
mapfile -t files < <(find . \( -name build -o -name runs -o -name .git \) -prune -o -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print | sort)
if [ ${#files[@]} = 0 ]; then echo "check_format: no sources in $PWD" >&2; exit 2; fi
if [ $fix = 1 ]; then
  "$tool" -i "${files[@]}"
  exit 0
fi
bad=0
for file in "${files[@]}"; do
  "$tool" --dry-run --Werror "$file" 2>/dev/null || { echo "$file: not formatted"; bad=$((bad + 1)); }
done
if [ $bad -gt 0 ]; then
  echo "check_format: $bad of ${#files[@]} files differ from $("$tool" --version); mend with --fix"
  exit 1
fi
echo "check_format: ${#files[@]} files formatted"
