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

"""A node ends with the launch that started it, however that ended. No ROS is imported.

``ros2 launch`` passes SIGINT on to its processes, but not SIGTERM, with which systemd, containers
and ``kill`` end it: they would run on, unseen, with the GPU and the topics of the next start.
"""

from __future__ import annotations

import os

LAUNCHER = "DEPTH_PERCEPTION_LAUNCHER"
"""Environment variable: id of the process with which a node ends."""


def ends_with_us() -> dict[str, str]:
    """Return the environment of a node that is to end when this process does."""
    return {LAUNCHER: str(os.getpid())}
