# Copyright 2026 depth_perception contributors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The launch file included by another one, with namespaces pushed and topics remapped.

With the real launch and launch_ros, where they are installed; what they start is described, and
tested without them, in test_launch.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Listener, wait_for
from tiny_drive import write_drive

pytest.importorskip("launch_ros")

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "surround.launch.py"
INCLUDES = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace, SetRemap

path, bag = sys.argv[1:]
common = {"bag": bag, "exit_after_bag": "true", "estimator": "embodied", "queue_size": "10"}

def car(actions, **arguments):
    source = PythonLaunchDescriptionSource(path)
    included = IncludeLaunchDescription(source, launch_arguments={**common, **arguments}.items())
    return GroupAction([*actions, included])

service = LaunchService()
service.include_launch_description(LaunchDescription([
    car(
        [
            PushRosNamespace("fleet"),
            PushRosNamespace("car1"),
            SetRemap(src="surround_depth/front/depth/image_rect", dst="/front_depth"),
            SetRemap(src="surround_depth/points", dst="cloud"),
        ],
        namespace="top",
    ),
]))
sys.exit(service.run())
"""


def test_a_pushed_namespace_holds_for_node_player_and_what_they_say(
    needs_executables: None, ros_environment: dict[str, str], listener: Listener, tmp_path: Path
) -> None:
    bag = write_drive(tmp_path / "drive", frames=5)
    (tmp_path / "includes.py").write_text(INCLUDES)
    front = listener.listen("/front_depth", "sensor_msgs/msg/Image")
    rear = listener.listen(
        "/fleet/car1/top/surround_depth/rear/depth/image_rect", "sensor_msgs/msg/Image"
    )
    clock = listener.listen("/fleet/car1/top/clock", "rosgraph_msgs/msg/Clock")
    stray: dict[str, list[Any]] = {
        topic: listener.listen(topic, kind)
        for topic, kind in (
            ("/clock", "rosgraph_msgs/msg/Clock"),
            ("/tf_static", "tf2_msgs/msg/TFMessage"),
            ("/rear/camera_info", "sensor_msgs/msg/CameraInfo"),
        )
    }
    done = subprocess.run(
        [sys.executable, "includes.py", str(LAUNCH_FILE), str(bag)],
        env=ros_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    wait_for(lambda: len(front) == len(rear) == 5 and clock, 5, said)
    assert not any(stray.values())
    assert "/fleet/car1/top/cloud" in said and "Traceback" not in said
