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

"""A log that says each problem once, and again when it comes back or lasts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable


class ThrottledLog:
    """Logs each problem once, and again when it comes back or lasts. Any thread may call."""

    REPEAT_S = 30.0
    """A problem that lasts is said again after this time,"""
    RETURN_S = 5.0
    """and one that comes back after this time: every other image may be broken, for hours."""
    _KEPT = 200

    def __init__(self, log: Callable[[str], None]) -> None:
        """Set where the lines go."""
        self._log = log
        self._said: dict[tuple[str, str], float] = {}
        self._cleared: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def add(self, camera: str, reason: str) -> None:
        """Log a problem of a camera (or of none: an empty name) unless it was said a moment ago."""
        # The same fault with other numbers (bytes, ages) is the same fault.
        key = (camera, re.sub(r"\d+", "#", reason))
        now = time.monotonic()
        with self._lock:
            pause = self.RETURN_S if key in self._cleared else self.REPEAT_S
            if now - self._said.get(key, -self.REPEAT_S) < pause:
                return
            self._said.pop(key, None)
            self._said[key] = now
            self._cleared.discard(key)
            while len(self._said) > self._KEPT:
                oldest = next(iter(self._said))
                del self._said[oldest]
                self._cleared.discard(oldest)
        self._log(f"camera {camera}: {reason}" if camera else reason)

    def clear(self, camera: str) -> None:
        """Note that a camera delivers again: its problems are news when they come back."""
        with self._lock:
            self._cleared.update(key for key in self._said if key[0] == camera)
