#!/usr/bin/env bash
# Add what `depth_perception view` needs (rerun) to the environment in .venv, once. `make setup` goes without: a
# robot needs none of it. WITHOUT_RERUN=1 leaves it out, and the tests that need it skip; so does an environment of a
# distribution whose messages need NumPy 1, which rerun does not run with.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

VENV=.venv
LOG=$PWD/build/log/viewing.log
STAMP=$VENV/viewing_stamp

if [ -n "${WITHOUT_RERUN:-}" ]; then exit 0; fi
lock
wanted=$(digest <requirements/viewing.txt)
if [ -f "$STAMP" ] && [ "$(<"$STAMP")" = "$wanted" ]; then exit 0; fi

# As in environment.bash: the ROS wheels' start-up code must not run inside pip.
in_venv() {
  env -u PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 "$VENV/bin/python" "$@"
}

if [ "$(in_venv -c 'import numpy; print(numpy.__version__.split(".")[0])')" = 1 ]; then
  say "rerun needs NumPy 2, and this environment has NumPy 1: its tests skip"
  exit 0
fi
say "downloading and installing rerun, 200 MB (log: ${LOG#"$PWD"/})"
mkdir -p "$(dirname "$LOG")"
in_venv -m pip install --disable-pip-version-check --no-compile --retries 2 \
  -r requirements/viewing.txt >"$LOG" 2>&1 ||
  fail "pip failed: $(grep -m 1 '^ERROR' "$LOG" || echo 'no reason given') (log: ${LOG#"$PWD"/}); WITHOUT_RERUN=1 make test goes without"
echo "$wanted" >"$STAMP"
