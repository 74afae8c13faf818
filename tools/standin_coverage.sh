#!/usr/bin/env bash
# Prints which share of the lines of the cuda seams' files the stand-in suite has run, file by file
# and in all, and fails below 90 %. Run the suite first: what it ran is counted, whatever it was.
# Usage: tools/standin_coverage.sh [build folder]   (default: build/standin)
#   AB_COVERAGE  least share in per cent (default 90)
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build/standin}")
least=${AB_COVERAGE:-90}
gcov=${GCOV:-gcov}
mapfile -t notes < <(find "$build/engine" "$build/distributed" -name '*_cuda*.gcno' -o \
  -name 'communicator_nccl*.gcno' | sort)
if [ ${#notes[@]} = 0 ]; then
  echo "standin_coverage: no seam was compiled for coverage in $build; build the preset standin" >&2
  exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && "$gcov" --json-format "${notes[@]}" >log 2>&1) || { cat "$work/log" >&2; exit 1; }
python3 - "$PWD" "$least" "$work"/*.gcov.json.gz <<'PY'
import gzip, json, os, re, sys

root, least = sys.argv[1], float(sys.argv[2])
seam = re.compile(r"^(engine/[a-z_]*_cuda[a-z_]*|distributed/communicator_nccl[a-z_]*)\.(cpp|h)$")
ran = {}
for name in sys.argv[3:]:
    with gzip.open(name) as report:
        data = json.load(report)
    for file in data["files"]:
        path = os.path.relpath(os.path.join(data["current_working_directory"], file["file"]), root)
        if not seam.match(path):
            continue
        lines = ran.setdefault(path, {})
        for line in file["lines"]:
            number = line["line_number"]
            lines[number] = lines.get(number, 0) + line["count"]
total = covered = 0
for path, lines in sorted(ran.items()):
    if not lines:
        continue
    hit = sum(count > 0 for count in lines.values())
    missed = [str(n) for n, count in sorted(lines.items()) if count == 0]
    total, covered = total + len(lines), covered + hit
    print(f"{path:45} {hit:4} of {len(lines):4}  {100 * hit / len(lines):5.1f} %"
          + (f"   not run: {', '.join(missed)}" if missed else ""))
share = 100 * covered / max(total, 1)
print(f"standin_coverage: {covered} of {total} lines of the cuda seams ran, {share:.1f} %")
sys.exit(share < least)
PY
