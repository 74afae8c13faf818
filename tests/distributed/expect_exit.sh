#!/bin/sh
# expect_exit.sh CODE COMMAND...: succeeds when the command ends with exactly that exit code.
expected=$1
shift
"$@"
found=$?
[ "$found" -eq "$expected" ] || { echo "exit code $found, expected $expected" >&2; exit 1; }
