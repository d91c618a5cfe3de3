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
