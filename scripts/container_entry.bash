#!/usr/bin/env bash
# The entry of the image that Dockerfile makes: run a command with ROS 2 and the package found, or, of arguments such
# as params_file:=nuscenes alone, launch the nodes with them.
set -eo pipefail

# The set-up files of ROS read variables that may be unset.
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /ros2_ws/install/setup.bash
export PATH=/ros2_ws/venv/bin:$PATH

if [[ "${1:-}" == *:=* ]]; then
  set -- ros2 launch --noninteractive depth_perception surround.launch.py "$@"
fi
exec "$@"
