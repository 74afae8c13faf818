#!/usr/bin/env bash
# abtrain under Slurm: the daemons of Debian's packages are started for this test and stopped again
# (tools/cluster/slurm.sh), four ranks train through srun, and flavours of PMI that cannot work are told.
# Usage: slurm_test.sh BIN_DIR; exit code 77: Slurm cannot be started here (the reason is printed)
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$1
[ -z "${SLURM_JOB_ID:-}" ] || { echo "skipped: this is a job of Slurm already"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
code=0
tools/cluster/slurm.sh run -- bash tests/slurm/cases.sh "$bin" "$folder" || code=$?
ours="abtrain-slur[m]\|${folder%?}[${folder: -1}]"  # grep does not find itself
for _ in {1..50}; do
  grep -qsl "$ours" /proc/[0-9]*/cmdline || break
  sleep 0.1
done
if left=$(grep -sl "$ours" /proc/[0-9]*/cmdline); then
  echo "FAILED: processes stay: $left"
  exit 1
fi
[ $code != 77 ] || echo "skipped: Slurm cannot be started here (the reason stands above)"
exit $code
