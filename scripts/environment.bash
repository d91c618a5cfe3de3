#!/usr/bin/env bash
# Make the virtual environment .venv: Python packages, build tools, and ROS 2 unless a sourced distribution
# provides it. Does nothing when it is there and up to date.
#
# PYTHON, if set, names the interpreter; PIP_INDEX_URL and the like are pip's own.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

VENV=$PWD/.venv
LOG=$PWD/build/log/pip.log
# Written last. An environment without it was interrupted, and is made anew.
STAMP=$VENV/stamp

# Run a command without our own environment, which may be active in the shell that called make.
outside() {
  local path
  path=$(tr ':' '\n' <<<"$PATH" | grep -vxF -e "$VENV/bin" -e "$PWD/install/bin" | paste -sd ':')
  env -u VIRTUAL_ENV -u _ROS_WHEELS_BOOTSTRAP_COMPLETE PATH="$path" "$@"
}

# Print "executable X.Y" of an interpreter; fail where it does not start.
describe() {
  outside "$1" -c 'import sys; print(sys.executable, "%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# Print what a command says first when it fails, for a message of one line.
first_words() {
  local output
  output=$(outside "$1" -c '' 2>&1) || true
  head -n 1 <<<"${output:-it says nothing}"
}

supported() {
  case $1 in
    3.10 | 3.11 | 3.12 | 3.13) return 0 ;;
    *) return 1 ;;
  esac
}

# Print the set-up file of the sourced distribution if Python $1 imports its rclpy; else fail.
distribution_of() {
  local prefix
  prefix=$(outside "$1" -c 'import rclpy, ament_index_python as index; print(index.get_package_prefix("rclpy"))' 2>/dev/null) &&
    [ -f "$prefix/setup.bash" ] && echo "$prefix/setup.bash"
}

# Set `python`, `version` and `origin`. Python is PYTHON if given, else python3 if supported, else the newest
# on the PATH; but with a sourced distribution, the first that imports its rclpy. The origin of ROS 2 is the
# set-up file of the distribution, or "wheels".
select_python() {
  local candidate found
  if [ -n "${PYTHON:-}" ]; then
    found=$(describe "$PYTHON") ||
      fail "PYTHON=$PYTHON does not start ($(first_words "$PYTHON")); give the path of a Python 3.10 to 3.13"
    supported "${found##* }" ||
      fail "PYTHON=$PYTHON is Python ${found##* }, and 3.10 to 3.13 are supported; give one of those, as in: make PYTHON=python3.12 setup"
    set -- "$PYTHON"
  else
    # A distribution belongs to the Python of the system, whatever comes first on the PATH.
    set -- python3 ${ROS_DISTRO:+/usr/bin/python3} python3.13 python3.12 python3.11 python3.10
  fi

  python='' origin=wheels
  for candidate; do
    found=$(describe "$candidate") && supported "${found##* }" || continue
    if [ -z "$python" ]; then python=${found% *} version=${found##* }; fi
    if [ -z "${ROS_DISTRO:-}" ]; then return; fi
    if origin=$(distribution_of "$candidate"); then
      python=${found% *} version=${found##* }
      return
    fi
    origin=wheels
  done
  if [ -z "$python" ]; then
    fail "no Python 3.10 to 3.13 on the PATH; install one (Debian, Ubuntu: apt install python3 python3-venv python3-dev) or give its path, as in: make PYTHON=/path/to/python3 setup"
  fi
  say "ROS_DISTRO is $ROS_DISTRO, but $python cannot import its rclpy: ROS 2 comes from wheels instead"
}

# Say in one line why pip failed.
explain_pip() {
  if grep -qE 'NewConnectionError|ConnectTimeout|ReadTimeout|Read timed out|NameResolutionError|Temporary failure in name resolution|Max retries exceeded|ProxyError|SSLError|\(from versions: none\)' "$LOG"; then
    fail "pip cannot reach the package index; check the network, the proxy and PIP_INDEX_URL, then run make setup again (log: ${LOG#"$PWD"/})"
  fi
  if grep -q 'No space left on device' "$LOG"; then
    fail "the disk is full; the environment needs 2 GB (log: ${LOG#"$PWD"/})"
  fi
  fail "pip failed: $(grep -m 1 '^ERROR' "$LOG" || echo 'no reason given') (log: ${LOG#"$PWD"/})"
}

# Run the Python of the environment. The wheels make it start itself again, to find libraries that are not
# needed here, unless it is told that this is done; the modules of a sourced distribution are not its own.
in_venv() {
  env -u PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 "$VENV/bin/python" "$@"
}

install() {
  mkdir -p "$(dirname "$LOG")"
  # Compiling every module takes as long as installing them, and Python does it at the first import.
  in_venv -m pip install --disable-pip-version-check --no-compile --retries 2 "$@" >"$LOG" 2>&1 || explain_pip
}

lock

recorded=
if [ -x "$VENV/bin/python" ] && [ -f "$STAMP" ]; then recorded=$(<"$STAMP"); fi

if [ -n "$recorded" ] && [ -z "${PYTHON:-}" ]; then
  # An environment keeps its Python and its ROS, whatever shell make is started from.
  read -r _ python version origin <<<"$recorded"
else
  select_python
fi

# The number goes up when this script comes to make the environment differently. The folder belongs to it
# because a virtual environment cannot be moved.
contents=$({ echo "1 $PWD"; cat requirements/{runtime,runtime-numpy1,dev,ros-jazzy}.txt scripts/relocate_ros_wheels.py; } | digest)
wanted="$contents $python $version $origin"
if [ "$recorded" = "$wanted" ]; then exit 0; fi

if [ "$(uname -s)" != Linux ]; then fail "ROS 2 is set up on Linux only; this is $(uname -s)"; fi
if [ "$origin" = wheels ] && [ "$(uname -m)" != x86_64 ]; then
  fail "the ROS 2 wheels are for x86_64 and this is $(uname -m); source a ROS 2 distribution first, as in: source /opt/ros/jazzy/setup.bash"
fi
outside "$python" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "$python has no venv module; install it (Debian, Ubuntu: apt install python$version-venv), or choose another Python, as in: make PYTHON=/path/to/python3 setup"
header=$(outside "$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
[ -f "$header" ] ||
  fail "$python lacks its C headers ($header), which the messages are compiled with; install them (Debian, Ubuntu: apt install python$version-dev)"
# The build needs it, later: better said before the download than after.
need_compiler

# What was built for another interpreter or another ROS loads into neither.
rm -rf "$VENV" build/colcon build/interfaces install
say "making .venv with Python $version ($python) and ROS 2 from ${origin/#wheels/the Jazzy wheels}"
say "downloading and installing packages, a minute or two (log: ${LOG#"$PWD"/})"
if [ "$origin" = wheels ]; then
  outside "$python" -m venv --prompt depth_perception "$VENV"
  requirements=(-r requirements/runtime.txt -r requirements/dev.txt -r requirements/ros-jazzy.txt)
else
  outside "$python" -m venv --prompt depth_perception --system-site-packages "$VENV"
  # The compiled messages of a distribution need the major version of NumPy that they were built with.
  numpy_major=$(outside "$python" -c 'import numpy; print(numpy.__version__.split(".")[0])' 2>/dev/null || echo 1)
  if [ "$numpy_major" = 1 ]; then
    requirements=(-r requirements/runtime-numpy1.txt -r requirements/dev.txt)
  else
    requirements=(-r requirements/runtime.txt -r requirements/dev.txt)
  fi
fi
# Keeps colcon, started by hand in this folder or above it, out of the environment.
touch "$VENV/COLCON_IGNORE"
install "${requirements[@]}"
if [ "$origin" = wheels ]; then
  in_venv scripts/relocate_ros_wheels.py
fi
echo "$origin" >"$VENV/ros_origin"
echo "$wanted" >"$STAMP"
