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

"""Nothing is computed while nobody listens: what says so, and how to begin. No ROS is imported."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

IDLE = "idle: nobody listens, so no images are subscribed to"
PATIENCE_S = 5.0
"""Somebody who starts with the node needs a while to be discovered."""


def how_to_listen(topic: str) -> str:
    """Say what a person can do to see something, with what is installed here.

    Args:
        topic: An output, with its whole name.
    """
    ways = []
    if shutil.which("ros2"):
        ways.append(f"ros2 topic hz {topic}")
    if shutil.which("rviz2"):
        ways.append("launch with rviz:=true")
    if not ways:
        ways.append(f"subscribe to {topic}")
        ways.append("'depth_perception replay BAG --output OUT', which computes a bag without ROS")
    return ", or ".join(ways)


class IdleNotice:
    """Says in the log that nothing is computed, once for each time that it is so."""

    def __init__(
        self, topic: str, warn: Callable[[str], None], inform: Callable[[str], None]
    ) -> None:
        """Begin to watch.

        Args:
            topic: An output to listen to, with its whole name.
            warn: Says it when nobody has ever listened: that is hardly meant.
            inform: Says it when those who listened have gone.
        """
        self._topic, self._warn, self._inform = topic, warn, inform
        self._ever_heard = False
        self._since: float | None = None
        self._said = False

    def update(self, cameras: bool, heard: bool) -> None:
        """Note what is so now; call it often.

        Args:
            cameras: There are some to compute from.
            heard: Somebody listens to an output.
        """
        self._ever_heard |= heard
        if heard or not cameras:
            self._since, self._said = None, False
            return
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if self._said or now - self._since < PATIENCE_S:
            return
        self._said = True
        if self._ever_heard:
            self._inform("nobody listens any more: nothing is computed until somebody does")
        else:
            self._warn(
                "nobody listens to any output: nothing is computed. Fix: "
                + how_to_listen(self._topic)
            )
