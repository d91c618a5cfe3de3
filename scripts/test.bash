#!/usr/bin/env bash
# Run the tests with the options and files that are given, and check types beside them: alone, mypy keeps
# one core for most of a minute while the others wait. What it says comes last, and fails the run.
#
# PYTEST, of the Makefile, is the command that runs tests.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

LOG=build/log/types.log
mkdir -p "$(dirname "$LOG")"
scripts/types.bash >"$LOG" 2>&1 &
types=$!
# The shell starts what runs beside it deaf to Ctrl-C.
trap 'kill "$types" 2>/dev/null || true' EXIT

status=0
$PYTEST "$@" || status=$?
wait "$types" || status=1
trap - EXIT
echo "types (scripts/types.bash):"
cat "$LOG"
exit "$status"
