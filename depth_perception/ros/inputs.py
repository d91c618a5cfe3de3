"""The subscriptions of the cameras: messages are checked at the door and handed on.

Nothing is decoded here, so that callbacks never hold up the executor.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from depth_perception.discovery import IMAGE_TYPES, CameraTopics
from depth_perception.messages import stamp_of, zero_stamp
from depth_perception.ros.messages import message_class
from depth_perception.ros.qos import SENSOR_INPUT, calibration_input

RATE_WINDOW_S = 5.0


class CameraInput:
    """What has arrived from one camera.

    Attributes:
        topics: Its topics.
        info: Its latest CameraInfo, or None.
        stamp: Stamp of its latest good image, ns; 0 before the first.
        reason: Why its latest image could not be used; empty when it could.
        received: Images so far.
        refused: Images refused so far, here or while decoding.
    """

    def __init__(self, topics: CameraTopics) -> None:
        """Start with nothing arrived."""
        self.topics = topics
        self.info: Any = None
        self.stamp = 0
        self.reason = ""
        self.received = 0
        self.refused = 0
        self._arrivals: deque[float] = deque(maxlen=200)

    def arrived(self) -> None:
        """Count an image."""
        self.received += 1
        self._arrivals.append(time.monotonic())

    def refuse(self, reason: str) -> None:
        """Note that the latest image could not be used."""
        self.refused += 1
        self.reason = reason

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
        if self.received == 0:
            return f"{self.topics.image}: no image has arrived"
        if self.reason:
            return self.reason
        if self.info is None:
            return f"{self.topics.info}: no calibration has arrived"
        if self.silence > 1.0:
            return f"{self.topics.image}: no image for {self.silence:.0f} s"
        return f"{self.topics.image}: no image within sync.tolerance of the other cameras' images"


class CameraSubscriptions:
    """Subscribes to the topics of one camera and passes good messages on.

    Args:
        node: Whose callbacks they are.
        camera: Gets the counts.
        on_image: Called with (name, stamp ns, message).
        on_info: Called with (name).
        on_labels: Called with (name, stamp ns, message).
        complain: Called with (name, reason) for what is refused.
    """

    def __init__(
        self,
        node: Node,
        camera: CameraInput,
        on_image: Callable[[str, int, Any], None],
        on_info: Callable[[str], None],
        on_labels: Callable[[str, int, Any], None],
        complain: Callable[[str, str], None],
    ) -> None:
        """Subscribe."""
        topics = camera.topics
        name = topics.name
        image_class = message_class(IMAGE_TYPES[1] if topics.compressed else IMAGE_TYPES[0])

        def image(message: Any) -> None:
            camera.arrived()
            stamp = stamp_of(message.header.stamp)
            if stamp <= 0:
                reason = zero_stamp(topics.image, stamp)
                camera.refuse(reason)
                complain(name, reason)
                return
            camera.stamp = stamp
            on_image(name, stamp, message)

        def info(message: Any) -> None:
            camera.info = message
            on_info(name)

        def labels(message: Any) -> None:
            stamp = stamp_of(message.header.stamp)
            if stamp <= 0:
                complain(name, zero_stamp(topics.labels, stamp))
                return
            on_labels(name, stamp, message)

        node.create_subscription(image_class, topics.image, image, SENSOR_INPUT)
        node.create_subscription(
            message_class("sensor_msgs/msg/CameraInfo"),
            topics.info,
            info,
            calibration_input(node, topics.info),
        )
        self._node, self._topic, self._labels = node, topics.labels, labels
        self._refuse = lambda reason: complain(name, reason)
        self.look_for_labels()

    def look_for_labels(self) -> None:
        """Subscribe to the label topic once somebody publishes it: only then is its type known."""
        if not self._topic:
            return
        kinds = dict(self._node.get_topic_names_and_types()).get(self._topic, [])
        kind = next((kind for kind in kinds if kind in IMAGE_TYPES), None)
        if kind is not None:
            self._node.create_subscription(
                message_class(kind), self._topic, self._labels, SENSOR_INPUT
            )
            self._topic = ""
        elif kinds:
            self._refuse(
                f"{self._topic} is a {kinds[0]}; expected {' or '.join(IMAGE_TYPES)}."
                " Fix: correct segmentation.labels_topic"
            )


class Complaints:
    """Logs each camera's problem once, and again when it comes back or lasts."""

    REPEAT_S = 30.0

    def __init__(self, log: Callable[[str], None]) -> None:
        """Set where the lines go."""
        self._log = log
        self._since: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def add(self, name: str, reason: str) -> None:
        """Log a problem of a camera unless it was said a moment ago."""
        # The same fault with other numbers (bytes, ages) is the same fault.
        key = (name, re.sub(r"\d+", "#", reason))
        now = time.monotonic()
        with self._lock:
            said = now - self._since.get(key, -self.REPEAT_S) < self.REPEAT_S
            if not said:
                self._since[key] = now
        if not said:
            self._log(f"camera {name}: {reason}")

    def clear(self, name: str) -> None:
        """Forget a camera's problems: it delivers again."""
        with self._lock:
            for key in [key for key in self._since if key[0] == name]:
                del self._since[key]
