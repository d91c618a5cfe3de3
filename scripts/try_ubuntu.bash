#!/usr/bin/env bash
# Run tests with the library versions of an Ubuntu release, installed as README.md says for a robot, but from
# wheels and without ROS: apt's packages in one place, a virtual environment with what pip adds over it.
#
#   scripts/try_ubuntu.bash 22.04                     # all that needs neither ROS nor PyTorch nor the world
#   scripts/try_ubuntu.bash 24.04 test/test_camera.py # any selection
#
# Needs python3.10 for 22.04, python3.12 for 24.04, or its path in PYTHON.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/common.bash

case ${1:-} in
  22.04) python=python3.10 distribution=humble ;;
  24.04) python=python3.12 distribution=jazzy ;;
  *) fail "'${1:-}' is no release that is supported; say 22.04 or 24.04" ;;
esac
python=${PYTHON:-$python}
command -v "$python" >/dev/null || fail "there is no $python on the PATH; give its path, as in: PYTHON=/path/to/$python $0 $1"
folder=$PWD/build/ubuntu-$1 release=$1
shift
if [ $# = 0 ]; then
  set -- test -m "not long" --ignore=test/ros
  for part in world system training targets self_supervised photometric foundation network; do
    set -- "$@" "--ignore-glob=*test_$part*"
  done
fi

# Nothing of an environment that is active, nor of a sourced ROS 2.
unset VIRTUAL_ENV PYTHONPATH AMENT_PREFIX_PATH ROS_DISTRO
pip_install() {
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" || fail "pip cannot install $2 into $1"
}

mkdir -p "$folder"
if [ ! -f "$folder/complete" ]; then
  say "making $folder with $("$python" --version)"
  rm -rf "$folder/apt" "$folder/venv"
  "$python" -m venv "$folder/apt"
  pip_install "$folder/apt" "requirements/ubuntu-$release.txt"
  "$python" -m venv --system-site-packages "$folder/venv"
  # Python sees the first as it sees apt's packages: behind what lies in the environment itself.
  packages=$("$folder/apt/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "$packages" >"$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/apt.pth"
  pip_install "$folder/venv" "requirements/$distribution.txt"
  touch "$folder/complete"
fi
PYTHONPATH=$PWD exec "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider "$@"
