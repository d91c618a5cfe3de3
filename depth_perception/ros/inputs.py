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

"""The subscriptions of the cameras: messages go to the `Ingest`, what that closes is handed on.

Nothing is decoded here, so that callbacks never hold up the executor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from depth_perception.frames.assembler import Now
from depth_perception.frames.debug_text import Debug, silent
from depth_perception.frames.ingest import CameraFeed, Ingest, MessageSet
from depth_perception.parameters import QosParameters
from depth_perception.rig.camera_topics import CAMERA_INFO_TYPE, IMAGE_TYPES
from depth_perception.ros.dds_profile import too_large
from depth_perception.ros.events import SubscriptionEventCallbacks
from depth_perception.ros.graph_qos import unmatched
from depth_perception.ros.messages import message_class
from depth_perception.ros.qos import calibration_input, image_input, mismatch, policy_name
from depth_perception.ros.sim_time import is_simulated
from depth_perception.ros.topic_names import TopicNames


def now_of(node: Node) -> Now:
    """Read the node's time and the steady time, ns.

    Simulated time counts where it is in use. The computer's own clock may be set any moment, which
    is no reason to close a frame set.
    """
    steady = time.monotonic_ns()
    return Now(node.get_clock().now().nanoseconds if is_simulated(node) else steady, steady)


class CameraSubscriptions:
    """Subscribes to the topics of one camera: to calibration always, to images on demand.

    Args:
        names: Of the topics of the node whose callbacks they are.
        ingest: Takes the messages.
        name: Of the camera, as the ingest has it.
        qos: ``qos.input`` and ``qos.input_depth`` hold.
        on_closed: Called with the frame sets that a message closes.
        problem: Called with (name, reason) for what cannot be received.
        debug: Told which topics are subscribed to.
    """

    def __init__(
        self,
        names: TopicNames,
        ingest: Ingest,
        name: str,
        qos: QosParameters,
        on_closed: Callable[[Sequence[MessageSet]], None],
        problem: Callable[[str, str], None],
        debug: Debug = silent,
    ) -> None:
        """Subscribe to the calibration."""
        self._debug = debug
        self._node, self._names, self._ingest, self._qos = names.node, names, ingest, qos
        self._on_closed, self._problem = on_closed, problem
        self.name = name
        topics = self.feed.topics
        self._calibration = self._subscribe(
            CAMERA_INFO_TYPE,
            topics.info,
            self._on_calibration,
            calibration_input(self._node, names.to_ask_for(topics.info)),
        )
        self._image: Subscription | None = None
        self._label: Subscription | None = None

    @property
    def feed(self) -> CameraFeed:
        """What has arrived from the camera."""
        return self._ingest.cameras[self.name]

    def follow_demand(self) -> None:
        """Subscribe to images and labels while they are asked for, and only then.

        To labels once somebody publishes them: only then is their type known.
        """
        topics = self.feed.topics
        if not self.feed.asked_for:
            self._unsubscribe_images()
            return
        if self._image is None:
            self._image = self._subscribe(
                IMAGE_TYPES[1] if topics.compressed else IMAGE_TYPES[0],
                topics.image,
                self._on_image,
                image_input(self._qos),
                SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
            )
        if topics.labels and self._label is None:
            kinds = dict(self._node.get_topic_names_and_types()).get(topics.labels, [])
            kind = next((kind for kind in kinds if kind in IMAGE_TYPES), None)
            if kind is not None:
                profile = image_input(self._qos)
                self._label = self._subscribe(kind, topics.labels, self._on_label, profile)
            elif kinds:
                self._problem(
                    self.name,
                    f"{topics.labels} is a {kinds[0]}; expected {' or '.join(IMAGE_TYPES)}."
                    " Fix: correct segmentation.labels_topic",
                )

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._unsubscribe_images()
        self._node.destroy_subscription(self._calibration)

    def _unsubscribe_images(self) -> None:
        topics = self.feed.topics
        for subscription, topic in ((self._image, topics.image), (self._label, topics.labels)):
            if subscription is not None:
                self._debug("{}: no longer subscribed to {}".format, self.name, topic)
                self._node.destroy_subscription(subscription)
        self._image = self._label = None

    def _subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Any], None],
        profile: QoSProfile,
        events: SubscriptionEventCallbacks | None = None,
    ) -> Subscription:
        self._debug("{}: subscribed to {}".format, self.name, topic)
        kind = message_class(type_name)
        asked_for = self._names.to_ask_for(topic)
        return self._node.create_subscription(
            kind, asked_for, callback, profile, event_callbacks=events
        )

    def _on_image(self, message: Any) -> None:
        self._on_closed(self._ingest.add_image(self.name, message, now_of(self._node)))

    def _on_calibration(self, message: Any) -> None:
        if not self.feed.topics.compressed:
            self.feed.too_large = too_large(message.width, message.height)
        self._on_closed(self._ingest.add_calibration(self.name, message))

    def _on_label(self, message: Any) -> None:
        self._on_closed(self._ingest.add_labels(self.name, message))

    def _on_incompatible(self, event: Any) -> None:
        topic = self.feed.topics.image
        found = unmatched(self._node, self._names.to_ask_for(topic), we_publish=False)
        found = found or [("", (policy_name(event.last_policy_kind),))]
        self.feed.mismatch = mismatch(found[0][1], topic, False, found[0][0])
        self._problem(self.name, self.feed.mismatch)
