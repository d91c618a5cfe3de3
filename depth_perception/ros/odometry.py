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

"""Takes nav_msgs/Odometry and TF for what measures by the vehicle's motion."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node

from depth_perception.errors import TransformError
from depth_perception.geometry.transforms import Matrix, inverse
from depth_perception.messages.sensors import stamp_of
from depth_perception.messages.transforms import decode_pose, of_another_frame
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline
from depth_perception.rig.fixed_frame import FixedFrame
from depth_perception.ros.qos import ODOMETRY
from depth_perception.ros.transforms import TransformSubscriptions


class OdometrySubscription:
    """Poses of the base frame, from a topic that may have poses of another frame of the vehicle."""

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        lookup: Callable[[str, str], Matrix],
        take: Callable[[int, Matrix, str], None],
        problem: Callable[[str, str], None],
    ) -> None:
        """Subscribe.

        Args:
            node: Whose subscription it is.
            parameters: ``base_frame`` and ``motion.odometry_topic`` hold.
            lookup: Returns T_base_frame of a frame, for this topic; raises `TransformError`.
            take: Called with stamp (ns), T_odom_base and topic of each pose.
            problem: Called with ("", reason) when a message cannot be used.
        """
        self._node = node
        self._base_frame = parameters.base_frame
        self._lookup, self._take, self._problem = lookup, take, problem
        self._topic = node.resolve_topic_name(parameters.motion.odometry_topic)
        self._subscription = node.create_subscription(
            Odometry, parameters.motion.odometry_topic, self._on_pose, ODOMETRY
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _on_pose(self, message: Any) -> None:
        child = message.child_frame_id.lstrip("/") or self._base_frame
        try:
            T_odom_base = decode_pose(message.pose.pose, self._topic)
            if child != self._base_frame:
                try:
                    T_base_child = self._lookup(child, self._topic)
                except TransformError as error:
                    raise of_another_frame(self._topic, child, self._base_frame, error) from None
                T_odom_base = T_odom_base @ inverse(T_base_child)
        except TransformError as error:
            self._problem("", str(error))
            return
        self._take(stamp_of(message.header.stamp), T_odom_base, self._topic)


def odometry_of(
    node: Node,
    parameters: Parameters,
    transforms: TransformSubscriptions,
    pipeline: SurroundPipeline,
    problem: Callable[[str, str], None],
) -> OdometrySubscription | None:
    """Let a pipeline know how the vehicle moves: by a topic, by TF, or by both.

    Args:
        node: Whose subscriptions they are.
        parameters: ``motion`` holds; unless it is enabled, nothing is subscribed to.
        transforms: What hears TF.
        pipeline: Takes the poses.
        problem: Called with ("", reason) for what is wrong.

    Returns:
        The subscription to the topic; None without one.
    """
    motion = parameters.motion
    if not motion.enabled:
        return None
    if motion.fixed_frame:
        transforms.fixed_frame = FixedFrame(
            parameters.base_frame,
            motion.fixed_frame,
            partial(pipeline.add_odometry, by_tf=True),
            lambda text: problem("", text),
            transforms.namespaces,
        )
    if not motion.odometry_topic:
        return None
    return OdometrySubscription(
        node, parameters, transforms.rig.mounting, pipeline.add_odometry, problem
    )


def why_images(node: Node, parameters: Parameters, transforms: TransformSubscriptions) -> str:
    """Say why the images alone tell how the vehicle moves: nobody publishes odometry.

    Args:
        node: Whose graph is looked at.
        parameters: ``motion`` holds.
        transforms: What hears TF.

    Returns:
        The end of a sentence; empty where odometry is published, so that something else is wrong.
    """
    motion, base_frame = parameters.motion, parameters.base_frame
    topic = node.resolve_topic_name(motion.odometry_topic) if motion.odometry_topic else ""
    by_tf = transforms.fixed_frame.name if transforms.fixed_frame is not None else ""
    if by_tf or (topic and node.count_publishers(topic)):
        return ""
    others = [
        name
        for name, types in node.get_topic_names_and_types()
        if "nav_msgs/msg/Odometry" in types and name != topic and node.count_publishers(name)
    ]
    absent = f"nobody publishes {topic}" if topic else "motion.odometry_topic is empty"
    by_tf = f"nothing on /tf moves '{base_frame}'" if motion.fixed_frame else "TF is not asked"
    fix = "publish odometry" if not others else f"set motion.odometry_topic: {others[0]}"
    there = f"; there is {', '.join(others)}" if others else ""
    return f": {absent}, and {by_tf}{there}. For exact lengths: {fix}"
