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
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from depth_perception.messages.headers import stamp_of, zero_stamp
from depth_perception.parameters import QosParameters
from depth_perception.rig.camera_topics import CAMERA_INFO_TYPE, IMAGE_TYPES, CameraTopics
from depth_perception.ros.events import SubscriptionEventCallbacks
from depth_perception.ros.messages import message_class
from depth_perception.ros.qos import calibration_input, image_input, mismatch

RATE_WINDOW_S = 5.0
GAP = 1.7
"""Images more than this many periods apart have a gap between them."""


class CameraInput:
    """What has arrived from one camera.

    Attributes:
        topics: Its topics.
        info: Its latest CameraInfo, or None.
        stamp: Stamp of its latest good image, ns; 0 before the first.
        reason: Why its latest image could not be used; empty when it could.
        mismatch: What is wrong between this node's QoS and a publisher's; empty when nothing is.
        received: Images so far.
        refused: Images refused so far, here or while decoding.
        gaps: Times that images were lost between two that came, by their stamps.
    """

    def __init__(self, topics: CameraTopics) -> None:
        """Start with nothing arrived."""
        self.topics = topics
        self.info: Any = None
        self.stamp = 0
        self.reason = ""
        self.mismatch = ""
        self.received = 0
        self.refused = 0
        self.gaps = 0
        self._intervals: deque[int] = deque(maxlen=15)
        self._arrivals: deque[float] = deque(maxlen=200)

    def arrived(self) -> None:
        """Count an image."""
        self.received += 1
        self._arrivals.append(time.monotonic())

    def stamped(self, stamp: int) -> None:
        """Take the stamp (ns) of an image that was not refused."""
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
            return self.mismatch or f"{self.topics.image}: no image has arrived"
        if self.reason:
            return self.reason
        if self.info is None:
            return f"{self.topics.info}: no calibration has arrived"
        if self.silence > 1.0:
            return f"{self.topics.image}: no image for {self.silence:.0f} s"
        return f"{self.topics.image}: no image within sync.tolerance of the other cameras' images"


class CameraSubscriptions:
    """Subscribes to the topics of one camera and passes messages on.

    Args:
        node: Whose callbacks they are.
        camera: Gets the counts.
        qos: ``qos.input`` and ``qos.input_depth`` hold.
        on_image: Called with (name, stamp ns, message).
        on_info: Called with (name).
        on_labels: Called with (name, stamp ns, message).
        complain: Called with (name, reason) for what is refused.
    """

    def __init__(
        self,
        node: Node,
        camera: CameraInput,
        qos: QosParameters,
        on_image: Callable[[str, int, Any], None],
        on_info: Callable[[str], None],
        on_labels: Callable[[str, int, Any], None],
        complain: Callable[[str, str], None],
    ) -> None:
        """Subscribe."""
        self._node = node
        self._camera = camera
        self._qos = qos
        self._on_image, self._on_info, self._on_labels = on_image, on_info, on_labels
        self._complain = complain
        self._subscriptions: list[Subscription] = []
        topics = camera.topics
        self._labels = topics.labels
        kind = IMAGE_TYPES[1] if topics.compressed else IMAGE_TYPES[0]
        self._subscribe(
            kind,
            topics.image,
            self._image,
            image_input(qos),
            SubscriptionEventCallbacks(incompatible_qos=self._incompatible),
        )
        self._subscribe(
            CAMERA_INFO_TYPE, topics.info, self._info, calibration_input(node, topics.info)
        )
        self.look_for_labels()

    def look_for_labels(self) -> None:
        """Subscribe to the label topic once somebody publishes it: only then is its type known."""
        if not self._labels:
            return
        kinds = dict(self._node.get_topic_names_and_types()).get(self._labels, [])
        kind = next((kind for kind in kinds if kind in IMAGE_TYPES), None)
        if kind is not None:
            self._subscribe(kind, self._labels, self._label, image_input(self._qos))
            self._labels = ""
        elif kinds:
            self._complain(
                self._camera.topics.name,
                f"{self._labels} is a {kinds[0]}; expected {' or '.join(IMAGE_TYPES)}."
                " Fix: correct segmentation.labels_topic",
            )

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Any], None],
        profile: QoSProfile,
        events: SubscriptionEventCallbacks | None = None,
    ) -> None:
        kind = message_class(type_name)
        self._subscriptions.append(
            self._node.create_subscription(kind, topic, callback, profile, event_callbacks=events)
        )

    def _image(self, message: Any) -> None:
        camera, topics = self._camera, self._camera.topics
        camera.arrived()
        stamp = stamp_of(message.header.stamp)
        if stamp <= 0:
            reason = zero_stamp(topics.image, stamp)
            camera.refuse(reason)
            self._complain(topics.name, reason)
        else:
            camera.stamped(stamp)
        # The assembler counts what it leaves out, by reason; this is one of them.
        self._on_image(topics.name, stamp, message)

    def _info(self, message: Any) -> None:
        self._camera.info = message
        self._on_info(self._camera.topics.name)

    def _label(self, message: Any) -> None:
        topics = self._camera.topics
        stamp = stamp_of(message.header.stamp)
        if stamp <= 0:
            self._complain(topics.name, zero_stamp(topics.labels, stamp))
        else:
            self._on_labels(topics.name, stamp, message)

    def _incompatible(self, event: Any) -> None:
        camera = self._camera
        camera.mismatch = mismatch(event.last_policy_kind, camera.topics.image, we_publish=False)
        self._complain(camera.topics.name, camera.mismatch)


class Complaints:
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
