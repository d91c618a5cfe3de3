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

"""Says in the log where the vehicle's motion comes from, and what is wrong with odometry."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from depth_perception.frames.surround_result import MotionState

SETTLED_S = 2.0
"""A source that has lasted so long is worth a line."""
OVER_S = 5.0
"""A fault that was not seen for so long is over."""

_FROM = {"odometry": "odometry", "tf": "TF", "images": "the images alone"}


class MotionLog:
    """One warning for each fault, one line when it is over, and one where the source changes.

    Attributes:
        why_images: Says why neither odometry nor TF is used, for the end of a line.
    """

    def __init__(self, warn: Callable[[str, str], None], say: Callable[[str], None]) -> None:
        """Set where the lines go.

        Args:
            warn: Called with ("", what is wrong); it says nothing twice within some seconds.
            say: Called with what is good to know.
        """
        self._warn, self._say = warn, say
        self.why_images: Callable[[], str] = lambda: ""
        self._open: dict[str, tuple[str, float]] = {}
        """Of each fault, by its words without numbers: what was said, and when it was last so."""
        self._source, self._said = "", ""
        self._since = 0.0

    def add(self, motion: MotionState | None) -> None:
        """Take what a frame set said of the motion; None without ``motion.enabled``."""
        if motion is None:
            return
        now = time.monotonic()
        if motion.problem:
            kind = re.sub(r"\d+", "#", motion.problem)
            self._open[kind] = (motion.problem, now)
            self._warn("", motion.problem)
        for kind, (text, seen) in list(self._open.items()):
            if now - seen > OVER_S:
                del self._open[kind]
                self._say(f"motion: this is over: {text.partition('. Fix:')[0]}")
        if motion.source != self._source:
            self._source, self._since = motion.source, now
        settled = now - self._since >= SETTLED_S
        if settled and motion.source in _FROM and motion.source != self._said:
            self._said = motion.source
            why = self.why_images() if motion.source == "images" else ""
            self._say(f"motion: the vehicle's way is taken from {_FROM[motion.source]}{why}")
