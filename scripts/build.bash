#!/usr/bin/env bash
# Build the messages and install the package into install/, with colcon. Does nothing when that is up to
# date. The Python files are linked, not copied: an edited file needs no build, a new one does.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

lock
# Written last, so that an interrupted build is taken up again.
STAMP=build/colcon/stamp
LOG=$PWD/build/log/colcon.log

# The installed files are links to these: only the list of them matters.
linked() {
  local folder
  for folder in depth_perception config launch; do
    if [ -d "$folder" ]; then find "$folder" -name __pycache__ -prune -o -type f -print; fi
  done | sort
}

wanted=$({
  cat .venv/stamp package.xml CMakeLists.txt setup.cfg msg/*.msg scripts/build.bash scripts/write_executables.py scripts/generate_tf2_msgs.py
  linked
} | digest)
if [ -f "$STAMP" ] && [ "$(<"$STAMP")" = "$wanted" ]; then exit 0; fi

need_compiler
source env.bash || exit 1
# The package is not built on top of an earlier build of itself.
overlay=$PWD/install
AMENT_PREFIX_PATH=$(tr ':' '\n' <<<"$AMENT_PREFIX_PATH" | grep -vxF "$overlay" | paste -sd ':')
export AMENT_PREFIX_PATH
export CMAKE_PREFIX_PATH=$AMENT_PREFIX_PATH

has_package() {
  local prefix
  while read -r prefix; do
    if [ -f "$prefix/share/$1/package.xml" ]; then return 0; fi
  done < <(tr ':' '\n' <<<"$AMENT_PREFIX_PATH")
  return 1
}

packages=(.)
if ! has_package tf2_msgs; then
  python scripts/generate_tf2_msgs.py build/interfaces/tf2_msgs
  packages+=(build/interfaces/tf2_msgs)
fi

say "building the messages and installing the package into install/ (log: ${LOG#"$PWD"/})"
rm -f "$STAMP"
mkdir -p build/log
# Links to files that are no longer there would still be imported as modules of the package.
if [ -d install ]; then find install -xtype l -delete; fi
colcon --log-base build/log build \
  --base-paths "${packages[@]}" \
  --build-base build/colcon --install-base install --merge-install --symlink-install \
  --event-handlers console_direct+ console_cohesion- \
  --cmake-args -G Ninja -DBUILD_TESTING=OFF -DDEPTH_PERCEPTION_TRAINING=ON \
  -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python" \
  >"$LOG" 2>&1 ||
  fail "the build failed: $(grep -m 1 -E 'CMake Error|error:|FAILED:' "$LOG" || tail -n 1 "$LOG") (log: ${LOG#"$PWD"/})"

say "making machine code of the loops, which takes a minute"
(source env.bash && python -m depth_perception.motion.warm_up) >>"$LOG" 2>&1 ||
  fail "the loops do not run: $(tail -n 1 "$LOG") (log: ${LOG#"$PWD"/})"
echo "$wanted" >"$STAMP"
