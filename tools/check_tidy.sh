#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over the rooms' .cpp files, with the flags of build/release; findings
# are errors. About four seconds a file and core.
# Usage: tools/check_tidy.sh [files]   (default: all)   CLANG_TIDY names another binary, JOBS (2)
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${CLANG_TIDY:-clang-tidy}
if ! command -v "$tool" >/dev/null; then
  echo "check_tidy: no $tool; install it (tools/install_dependencies.sh --checks)" >&2
  exit 2
fi
cmake --preset release >/dev/null  # writes build/release/compile_commands.json
files=("$@")
if [ ${#files[@]} = 0 ]; then
  # What this preset compiles: files of a device that it does not have have no flags either.
  mapfile -t files < <(sed -n "s|.*\"file\": \"$PWD/\(.*\.cpp\)\".*|\1|p" build/release/compile_commands.json |
    grep -v '^tests/' | sort -u)
fi
export tool
check() {
  local log
  log=$("$tool" -p build/release --quiet --warnings-as-errors='*' "$1" 2>&1) || {
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
