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

"""What has arrived from one camera, and why it has no part in frame sets."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from depth_perception.geometry.rig import RigCamera
from depth_perception.messages.image_decoder import ImageDecoder
from depth_perception.rig.camera_topics import CameraTopics

RATE_WINDOW_S = 5.0
GAP = 1.7
"""Images more than this many periods apart have a gap between them."""
NOT_ASKED_FOR = "nobody listens to anything that needs it"


class CameraFeed:
    """What has arrived from one camera.

    Attributes:
        topics: Its topics.
        info: Its latest CameraInfo, or None.
        stamp: Stamp of its latest good image, ns; 0 before the first.
        reason: Why its latest image could not be used; empty when it could.
        mismatch: What is wrong between our QoS and a publisher's; empty when nothing is.
        too_large: Why images of its size may be lost on the way; empty when they may not.
        asked_for: False while nobody needs its images, so that none come.
        received: Images so far.
        refused: Images refused so far, at arrival or while decoding.
        gaps: Times that images were lost between two that came, by their stamps.
        decoder: Makes arrays of its images, and remembers what they have shown.
        camera: It in the rig, as of the latest image; None before the first.
    """

    def __init__(self, topics: CameraTopics, recorded: bool = False) -> None:
        """Start with nothing arrived; how fast a recording is read says nothing of its camera."""
        self.topics = topics
        self.info: Any = None
        self.stamp = 0
        self.reason = ""
        self.mismatch = ""
        self.too_large = ""
        self.asked_for = True
        self.received = 0
        self.refused = 0
        self.gaps = 0
        self.decoder = ImageDecoder(topics.image)
        self.camera: RigCamera | None = None
        self._recorded = recorded
        self._intervals: deque[int] = deque(maxlen=15)
        self._arrivals: deque[float] = deque(maxlen=200)

    def arrived(self, stamp: int) -> None:
        """Count an image; its stamp (ns) is 0 or less where it has none."""
        self.received += 1
        self._arrivals.append(time.monotonic())
        if stamp <= 0:
            return
        interval = stamp - self.stamp
        if self.stamp and 0 < interval < 10**10:
            usual = sorted(self._intervals)[len(self._intervals) // 2] if self._intervals else 0
            self.gaps += bool(usual and interval > GAP * usual)
            self._intervals.append(interval)
        self.stamp = stamp

    def refuse(self, reason: str) -> None:
        """Note that the latest image could not be used."""
        self.refused += 1
        self.reason = reason

    @property
    def doubts(self) -> list[str]:
        """What looks wrong with calibration and pixels that are used all the same."""
        return [*(self.camera.doubts if self.camera else ()), *self.decoder.doubts]

    @property
    def rate(self) -> float:
        """Images a second over the last few seconds."""
        now = time.monotonic()
        recent = [at for at in list(self._arrivals) if now - at <= RATE_WINDOW_S]
        if len(recent) < 2:
            return len(recent) / RATE_WINDOW_S
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)

    @property
    def silence(self) -> float:
        """Seconds since the latest image arrived; infinity before the first."""
        return time.monotonic() - self._arrivals[-1] if self._arrivals else float("inf")

    def absence(self) -> str:
        """Say what is missing when this camera has no part in a frame set."""
        if not self.asked_for:
            return NOT_ASKED_FOR
        if self.received == 0:
            lost = f"; {self.too_large}" if self.too_large else ""
            return self.mismatch or f"{self.topics.image}: no image has arrived{lost}"
        if self.reason:
            return self.reason
        if self.info is None:
            return f"{self.topics.info}: no calibration has arrived"
        if not self._recorded and self.silence > 1.0:
            return f"{self.topics.image}: no image for {self.silence:.0f} s"
        return f"{self.topics.image}: no image within sync.tolerance of the other cameras' images"
