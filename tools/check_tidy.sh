#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over the rooms' .cpp files; findings are errors. Each room is read as
# one source, since most of the time goes into the headers of the system, once a source. A name that two
# files of a room define differently is an error as well.
# Usage: tools/check_tidy.sh [files]   (default: all)   CLANG_TIDY names another binary, JOBS (2)
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${CLANG_TIDY:-clang-tidy}
if ! command -v "$tool" >/dev/null; then
  echo "check_tidy: no $tool; install it (tools/install_dependencies.sh --checks)" >&2
  exit 2
fi
cmake --preset release -B build/tidy -DAB_TESTS=OFF -DAB_UNITY=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 >/dev/null
files=("$@")
if [ ${#files[@]} = 0 ]; then  # the largest first
  mapfile -t files < <(sed -n 's|.*"file": "\(.*\.c[px][px]\)".*|\1|p' build/tidy/compile_commands.json |
    sort -u | xargs -d '\n' wc -c | grep '/' | sort -nr | sed 's/^ *[0-9]* //')
fi
export tool
check() {
  local log
  log=$("$tool" -p build/tidy --quiet --warnings-as-errors='*' --checks="$checks" "$1" 2>&1) || {
    printf '%s\n' "$log" | grep -E '(warning|error):' | sort -u
    return 1
  }
}
export -f check
bad=0
check_all() {  # checks beside those of .clang-tidy, files
  printf '%s\0' "${@:2}" | checks=$1 xargs -0 -P "${JOBS:-2}" -I{} bash -c 'check {}' || bad=1
}
check_all "" "${files[@]}"
if [ $# = 0 ]; then  # names that are only looked at in a source of their own
  mapfile -t using < <(git grep -lE '^ *using [A-Za-z_:]+::[A-Za-z_]+;' -- '*.cpp' ':!tests' ':!*_cuda*')
  check_all '-*,misc-unused-using-decls' "${using[@]}"
fi
if [ $bad != 0 ]; then
  echo "check_tidy: findings stand above ($("$tool" --version | grep -m1 version))"
  exit 1
fi
echo "check_tidy: no findings in ${#files[@]} sources"
