#!/usr/bin/env bash
# Build the documentation site into out/site: pages by scripts/site_pages.py, MkDocs and its parts in a virtual
# environment of their own, in build/site. Every warning (a link or anchor that leads nowhere, a page that is not
# in the navigation) is an error.
#
#   scripts/site.bash                              # out/site, opens from the folder
#   scripts/site.bash mike deploy 0.2 latest -u    # any command of MkDocs or mike: see docs/releasing.md

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

VENV=build/site/venv
LOG=$PWD/build/log/site.log
STAMP=$VENV/stamp
python=${PYTHON:-python3}
if [ -x .venv/bin/python ] && [ -z "${PYTHON:-}" ]; then python=.venv/bin/python; fi

# As in training.bash: the ROS wheels' start-up code must not run inside pip.
plain() {
  env -u PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 "$@"
}

lock
wanted=$(digest <requirements/docs.txt)
if [ ! -f "$STAMP" ] || [ "$(<"$STAMP")" != "$wanted" ]; then
  say "downloading and installing MkDocs, half a minute (log: ${LOG#"$PWD"/})"
  mkdir -p "$(dirname "$LOG")"
  rm -rf "$VENV"
  plain "$python" -m venv "$VENV" || fail "$python makes no virtual environment; give another, as in: PYTHON=python3.12 make docs"
  plain "$VENV/bin/python" -m pip install --disable-pip-version-check --no-compile --retries 2 \
    -r requirements/docs.txt >"$LOG" 2>&1 ||
    fail "pip failed: $(grep -m 1 '^ERROR' "$LOG" || echo 'no reason given') (log: ${LOG#"$PWD"/})"
  echo "$wanted" >"$STAMP"
fi

plain "$VENV/bin/python" scripts/site_pages.py build/site/pages
# What the theme has to say about its successor is in docs/releasing.md.
export NO_MKDOCS_2_WARNING=1 PATH=$PWD/$VENV/bin:$PATH
if [ $# -gt 0 ]; then
  # Behind a web server pages are folders, and search loads its index by itself.
  SITE_OFFLINE=false SITE_DIRECTORY_URLS=true plain "$@"
  exit
fi
plain mkdocs build --strict --quiet
say "built: out/site/index.html"
