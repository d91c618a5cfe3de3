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

"""What a measurement of the transport sends, and the figures that come out. No ROS is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from depth_perception.errors import ConfigurationError
from depth_perception.parameters import QosParameters

MOST_BYTES = 2**30
"""Images of all cameras at one instant may take so much."""


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes:
        cameras: How many, all published by one process at the same instants.
        width, height: Of each bgr8 image, pixels.
        rate: Images of each camera a second.
        seconds: For how long.
        warm_up: So long images are sent before those that count, seconds: memory touched for the
            first time is slow.
        input_depth: Images of each camera that wait to be taken by the subscriber.
    """

    cameras: int = 6
    width: int = 1600
    height: int = 900
    rate: float = 12.0
    seconds: float = 10.0
    input_depth: int = QosParameters.input_depth
    warm_up: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot be sent.

        Raises:
            ConfigurationError: A value is out of its range.
        """
        for name, value, low, high in (
            ("--cameras", self.cameras, 1, 64),
            ("--size (width)", self.width, 1, 16384),
            ("--size (height)", self.height, 1, 16384),
            ("--rate", self.rate, 0.1, 1000.0),
            ("--seconds", self.seconds, 0.1, 86400.0),
            ("--input-depth", self.input_depth, 1, 1000),
        ):
            if not low <= value <= high:
                raise ConfigurationError(
                    f"{name}: {value:g}", expected=f"{low:g} to {high:g}", fix="correct the value"
                )
        if self.cameras * self.image_bytes > MOST_BYTES:
            raise ConfigurationError(
                f"--cameras {self.cameras} --size {self.width}x{self.height}:"
                f" {self.cameras * self.image_bytes / 2**30:.1f} GiB at every instant",
                expected=f"at most {MOST_BYTES / 2**30:g} GiB",
                fix="take fewer, smaller images",
            )
        if self.instants < 1:
            raise ConfigurationError(
                f"--rate {self.rate:g} --seconds {self.seconds:g}: not one image",
                expected="rate times seconds of 1 or more",
                fix="measure longer",
            )

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return 3 * self.width * self.height

    @property
    def instants(self) -> int:
        """Images of each camera in all."""
        return round(self.rate * self.seconds)

    def __str__(self) -> str:
        """Describe it in a few words."""
        return (
            f"{self.cameras} x {self.width}x{self.height} bgr8 at {self.rate:g} Hz for"
            f" {self.seconds:g} s"
        )


@dataclass(frozen=True)
class Delivery:
    """What became of one camera's images, or of all.

    Attributes:
        sent: Images published.
        arrived: Images that reached the subscriber's callback.
        p50_ms, p95_ms, max_ms: From just before ``publish`` to the callback; None without images.
    """

    sent: int
    arrived: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None

    @property
    def share(self) -> float:
        """Arrived of sent, 0 to 1."""
        return self.arrived / self.sent if self.sent else 0.0


@dataclass(frozen=True)
class Measurement:
    """The outcome of one measurement.

    Attributes:
        load: What was to be sent.
        rmw: Identifier of the middleware.
        profile: Fast DDS profile in force; empty for its defaults or another middleware.
        warm_up: Images that were sent and that arrived before those that count.
        rate: Images of each camera a second that the publisher managed.
        cameras: By camera name.
        total: Of all cameras.
        sets, complete: Frame sets of any size, and with every camera.
        publisher_cpu, subscriber_cpu: CPU time as a share of one core.
        publisher_stall, subscriber_stall: The longest time that each process stood still by load on
            the machine, seconds.
        matched: False when not every camera's topic was connected after `START_S`.
    """

    load: Load
    rmw: str
    profile: str
    warm_up: tuple[int, int]
    rate: float
    cameras: Mapping[str, Delivery]
    total: Delivery
    sets: int
    complete: int
    publisher_cpu: float
    subscriber_cpu: float
    publisher_stall: float
    subscriber_stall: float
    matched: bool

    @property
    def instants(self) -> int:
        """Frame sets that were sent."""
        return self.total.sent // self.load.cameras

    @property
    def complete_share(self) -> float:
        """Complete frame sets of those sent, 0 to 1."""
        return self.complete / self.instants if self.instants else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        out = asdict(self)
        for entry, delivery in [
            (out["total"], self.total),
            *((out["cameras"][name], delivery) for name, delivery in self.cameras.items()),
        ]:
            entry["share"] = round(delivery.share, 5)
        out["sets_sent"] = self.instants
        return out


def delivery_of(sent: int, latencies_ms: list[float]) -> Delivery:
    """Sum up how many of the images sent arrived, and how late."""
    if not latencies_ms:
        return Delivery(sent, 0, None, None, None)
    p50, p95, most = (round(float(np.percentile(latencies_ms, q)), 2) for q in (50, 95, 100))
    return Delivery(sent, len(latencies_ms), p50, p95, most)
