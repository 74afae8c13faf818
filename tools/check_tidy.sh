#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over the rooms' .cpp files, with the flags of the release preset; findings
# are errors. About four seconds a file and core.
# Usage: tools/check_tidy.sh [files]   (default: all)   CLANG_TIDY names another binary, JOBS (2)
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${CLANG_TIDY:-clang-tidy}
if ! command -v "$tool" >/dev/null; then
  echo "check_tidy: no $tool; install it (tools/install_dependencies.sh --checks)" >&2
  exit 2
fi
# Writes build/tidy/compile_commands.json; without precompiled headers a file has only its own to read.
cmake --preset release -B build/tidy -DAB_TESTS=OFF -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null
files=("$@")
if [ ${#files[@]} = 0 ]; then
  # What this preset compiles: files of a device that it does not have have no flags either.
  mapfile -t files < <(sed -n "s|.*\"file\": \"$PWD/\(.*\.cpp\)\".*|\1|p" build/tidy/compile_commands.json |
    sort -u)
fi
export tool
check() {
  local log
  log=$("$tool" -p build/tidy --quiet --warnings-as-errors='*' "$1" 2>&1) || {
    printf '%s\n' "$log" | grep -E '(warning|error):' | sort -u
    return 1
  }
}
export -f check
if ! printf '%s\0' "${files[@]}" | xargs -0 -P "${JOBS:-2}" -I{} bash -c 'check {}'; then
  echo "check_tidy: findings stand above ($("$tool" --version | grep -m1 version))"
  exit 1
fi
echo "check_tidy: no findings in ${#files[@]} files"
