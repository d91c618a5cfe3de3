#!/usr/bin/env bash
# Add what single verbs need beside the rest (requirements/cluster.txt: Ray and its like) to the environment in .venv,
# once. A robot, and the demo, need none of it. WITHOUT_EXTRAS=1 leaves it out, and the tests that need it skip.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

VENV=.venv
LOG=$PWD/build/log/extras.log
STAMP=$VENV/extras_stamp
FILES=(requirements/cluster.txt)

if [ -n "${WITHOUT_EXTRAS:-}" ]; then exit 0; fi
# Ray has wheels for these alone.
case $(uname -m) in x86_64 | aarch64 | arm64) ;; *) say "no Ray for $(uname -m): tests that need it skip" && exit 0 ;; esac
lock
wanted=$(cat "${FILES[@]}" | digest)
if [ -f "$STAMP" ] && [ "$(<"$STAMP")" = "$wanted" ]; then exit 0; fi
say "downloading and installing Ray, half a minute (log: ${LOG#"$PWD"/})"
mkdir -p "$(dirname "$LOG")"
# As in environment.bash: the ROS wheels' start-up code must not run inside pip.
env -u PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 "$VENV/bin/python" -m pip install \
  --disable-pip-version-check --no-compile --retries 2 \
  "${FILES[@]/#/-r}" >"$LOG" 2>&1 ||
  fail "pip failed: $(grep -m 1 '^ERROR' "$LOG" || echo 'no reason given') (log: ${LOG#"$PWD"/}); WITHOUT_EXTRAS=1 make test goes without"
echo "$wanted" >"$STAMP"
