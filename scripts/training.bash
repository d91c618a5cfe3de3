#!/usr/bin/env bash
# Add what training needs (PyTorch and its like) to the environment in .venv, once. `make setup` goes without:
# a robot, and the demo, need none of it. WITHOUT_TORCH=1 leaves it out, and the tests that need it skip.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

VENV=.venv
LOG=$PWD/build/log/training.log
STAMP=$VENV/training_stamp

if [ -n "${WITHOUT_TORCH:-}" ]; then exit 0; fi
lock
wanted=$(digest <requirements/training.txt)
if [ -f "$STAMP" ] && [ "$(<"$STAMP")" = "$wanted" ]; then exit 0; fi
say "downloading and installing PyTorch, some minutes where it comes with CUDA (log: ${LOG#"$PWD"/})"
mkdir -p "$(dirname "$LOG")"
# As in environment.bash: the ROS wheels' start-up code must not run inside pip.
env -u PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 "$VENV/bin/python" -m pip install \
  --disable-pip-version-check --no-compile --retries 2 \
  -r requirements/training.txt >"$LOG" 2>&1 ||
  fail "pip failed: $(grep -m 1 '^ERROR' "$LOG" || echo 'no reason given') (log: ${LOG#"$PWD"/}); WITHOUT_TORCH=1 make test goes without PyTorch"
echo "$wanted" >"$STAMP"
