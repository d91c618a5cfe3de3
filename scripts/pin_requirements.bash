#!/usr/bin/env bash
# Pin every requirement anew, to the latest versions, for all supported Pythons at once. Needs network, and
# uv, which it installs into a folder of its own below build/.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

if [ ! -x build/uv/bin/uv ]; then
  "${PYTHON:-python3}" -m venv build/uv
  build/uv/bin/python -m pip install --quiet uv
fi

# Pin what one file asks for: compile SOURCE OUTPUT [CONSTRAINTS...]
compile() {
  local source=$1 output=$2 constraints=() file
  shift 2
  for file in requirements/constraints.in "$@"; do constraints+=(--constraint "$file"); done
  say "pinning $output"
  {
    echo "# Written by scripts/pin_requirements.bash from ${source##*/}. Do not edit."
    build/uv/bin/uv pip compile --quiet --no-header --no-annotate \
      --universal --python-version 3.10 "${constraints[@]}" "$source"
  } >"$output.new"
  mv "$output.new" "$output"
}

# Each agrees with those before it, so that pip can install them together.
compile setup.cfg requirements/runtime.txt
compile requirements/ros-jazzy.in requirements/ros-jazzy.txt requirements/runtime.txt
compile requirements/dev.in requirements/dev.txt requirements/runtime.txt requirements/ros-jazzy.txt

# In an environment of its own.
compile requirements/docs.in requirements/docs.txt

# Humble and Jazzy were built with NumPy 1, and their messages load into no other.
echo "numpy<2" >build/numpy1.in
compile setup.cfg requirements/runtime-numpy1.txt build/numpy1.in
rm -rf depth_perception.egg-info
