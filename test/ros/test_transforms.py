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

"""Mountings by tf2_ros, as on a robot, and by own subscriptions: the same rig either way.

And what is wrong with transforms on a running graph: two parents, two robots, nothing latched.
Where tf2_ros is not installed, a stand-in of its interface takes its place, so that what a robot
runs is run here, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from tiny_drive import mounting, transform  # noqa: E402
from vehicle import CAMERAS, Vehicle, sent_until  # noqa: E402

from depth_perception.errors import ContradictionError, TransformError  # noqa: E402
from depth_perception.geometry.transform_tree import TransformTree  # noqa: E402
from depth_perception.messages.transforms import decode_transform, transform_message  # noqa: E402
from depth_perception.parameters import Parameters  # noqa: E402
from depth_perception.rig.tracker import RigTracker  # noqa: E402
from depth_perception.ros import tf2 as tf2_module  # noqa: E402
from depth_perception.ros.messages import RclpyTypes, message_class  # noqa: E402
from depth_perception.ros.qos import LATCHED, TRANSFORMS  # noqa: E402

FRONT_DEPTH = ("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")
STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
DIAGNOSTICS = ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
TYPES = RclpyTypes()


class TransformException(Exception):
    """As tf2_ros names the base of its errors."""


class Buffer:
    """`tf2_ros.Buffer`: look-ups by target, source and time; the last transform holds."""

    def __init__(self) -> None:
        self.tree = TransformTree()

    def set_transform_static(self, message: Any, authority: str) -> None:
        self.tree.set(*decode_transform(message))

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        assert not target.startswith("/") and not source.startswith("/"), "tf2 refuses slashes"
        try:
            T = self.tree.lookup(target, source)
        except TransformError as error:
            raise TransformException(str(error)) from None
        return transform_message(RclpyTypes(), 0, target, source, T)


class TransformListener:
    """`tf2_ros.TransformListener`: fills a buffer from /tf_static."""

    def __init__(self, buffer: Buffer, node: Any, *, spin_thread: bool) -> None:
        assert not spin_thread, "callbacks belong to the node's executor"
        self._node, self._buffer = node, buffer
        self._subscription = node.create_subscription(
            message_class("tf2_msgs/msg/TFMessage"), "/tf_static", self._take, LATCHED
        )

    def _take(self, message: Any) -> None:
        for item in message.transforms:
            self._buffer.tree.set(*decode_transform(item))

    def unregister(self) -> None:
        self._node.destroy_subscription(self._subscription)


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> None:
    """tf2_ros: the real one where it is installed."""
    if tf2_module.tf2_ros is None:
        stand_in = SimpleNamespace(
            Buffer=Buffer,
            TransformListener=TransformListener,
            TransformException=TransformException,
        )
        monkeypatch.setattr(tf2_module, "tf2_ros", stand_in)


@pytest.fixture(params=["tf2", "own"])
def either(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With tf2_ros and without; true with it."""
    if request.param == "tf2":
        request.getfixturevalue("tf2")
    else:
        monkeypatch.setattr(tf2_module, "tf2_ros", None)
    return bool(request.param == "tf2")


class Driver:
    """A node of its own that publishes transforms of single cameras."""

    def __init__(self, topic: str = "/tf_static", profile: Any = LATCHED) -> None:
        self.node = Node("camera_driver")
        kind = message_class("tf2_msgs/msg/TFMessage")
        self._publisher = self.node.create_publisher(kind, topic, profile)

    def say(self, parent: str, *names: str, x: float = 0.0) -> None:
        """Publish where cameras are in a frame, moved along x."""
        items = []
        for name in names:
            T = mounting(name)
            T[0, 3] += x
            items.append(transform(TYPES, parent, name, T))
        self._publisher.publish(TYPES.new("tf2_msgs/msg/TFMessage", transforms=items))

    def close(self) -> None:
        """Fall silent."""
        if self.node is not None:
            self.node.destroy_node()
        self.node = None


@pytest.fixture
def drivers(ros: RosSession) -> Iterator[Any]:
    """Make such nodes; they end with the test."""
    made: list[Driver] = []

    def make(*options: Any) -> Driver:
        made.append(Driver(*options))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


def reason_of(status: list[Any], name: str) -> str:
    """Return why a camera is missing in the latest status; empty when it is there, or unknown."""
    cameras = {item.name: item for item in status[-1].cameras} if status else {}
    return cameras[name].reason if name in cameras else ""


def message_of(arrays: list[Any], task: str) -> str:
    """Return what the latest diagnostics say of a task."""
    found = [s.message for s in arrays[-1].status if s.name.endswith(task)] if arrays else []
    return found[0] if found else ""


def test_tf2_gives_the_mountings_and_says_what_is_missing(
    ros: RosSession, vehicle: Vehicle, listener: Listener, tf2: None
) -> None:
    extrinsics = tf2_module.Tf2Extrinsics(listener.node)
    try:
        tracker = RigTracker(Parameters(), extrinsics)

        def known() -> bool:
            try:
                return tracker.mounting("/rear") is not None
            except TransformError:
                return False

        wait_for(known, what="the transforms that the vehicle latched")
        for name in CAMERAS:
            np.testing.assert_allclose(tracker.mounting(name), mounting(name), atol=1e-9)
        with pytest.raises(TransformError, match=r"'base_link' to 'left'.*Fix: publish it"):
            tracker.mounting("left")
    finally:
        extrinsics.close()


def test_the_node_finds_its_cameras_with_and_without_tf2(
    start: Any, vehicle: Vehicle, listener: Listener, either: bool
) -> None:
    depth = listener.listen(*FRONT_DEPTH)
    node = start()
    assert (node._transforms.extrinsics is not None) == either
    sent_until(vehicle, lambda: depth)


def test_two_parents_are_named_until_one_of_their_publishers_is_gone(
    start: Any, vehicle: Vehicle, listener: Listener, drivers: Any, either: bool
) -> None:
    status, arrays = listener.listen(*STATUS), listener.listen(*DIAGNOSTICS)
    depth = listener.listen(*FRONT_DEPTH)
    driver = drivers()
    driver.say("trailer", "front")
    start()
    sent_until(vehicle, lambda: "two parents" in reason_of(status, "front"))
    depth.clear()  # an image may have come before the driver was heard
    reason = reason_of(status, "front")
    assert "frame 'front'" in reason and "'base_link' (/tf_static: x 1.5000" in reason
    assert "'trailer' (/tf_static: x 1.5000" in reason and "Fix: let only one node" in reason
    assert not reason_of(status, "rear"), "what does not depend on it goes on"
    sent_until(vehicle, lambda: "/camera_driver" in reason_of(status, "front"))
    assert "/tf_static is published by " in reason_of(status, "front")
    assert listener.line("camera front: TF contradicts itself", "'trailer'")
    sent_until(vehicle, lambda: "two parents" in message_of(arrays, "input front"))
    assert not depth
    driver.close()
    sent_until(vehicle, lambda: depth)


def test_a_value_that_its_own_publisher_changes_is_taken_over(
    start: Any, ros: RosSession, listener: Listener, drivers: Any, either: bool
) -> None:
    """StaticTransformBroadcaster latches one message, with the latest of all its transforms."""
    vehicle = Vehicle(ros, transforms=False)
    try:
        depth = listener.listen(*FRONT_DEPTH)
        broadcaster = drivers(
            "/tf_static", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        )
        broadcaster.say("base_link", *CAMERAS)
        node = start()
        sent_until(vehicle, lambda: depth)

        def place() -> float:
            try:
                return float(node._ingest.rig.mounting("front", "/front/image_raw")[0, 3])
            except ContradictionError:  # between the new value and the old one's being forgotten
                return math.nan

        before = place()
        broadcaster.say("base_link", *CAMERAS, x=0.5)
        # How long it is told two ways hangs on when the node looks: no status need ever say it.
        sent_until(vehicle, lambda: place() == pytest.approx(2.0))
        assert before != pytest.approx(2.0)
        depth.clear()
        sent_until(vehicle, lambda: depth)
    finally:
        vehicle.close()


def test_what_is_not_latched_is_named_and_taken_when_it_comes_again(
    start: Any, ros: RosSession, listener: Listener, drivers: Any, either: bool
) -> None:
    vehicle = Vehicle(ros, transforms=False)
    try:
        depth, status = listener.listen(*FRONT_DEPTH), listener.listen(*STATUS)
        driver = drivers("/tf_static", TRANSFORMS)
        driver.say("base_link", *CAMERAS)
        start()
        sent_until(vehicle, lambda: "not latched (volatile): " in reason_of(status, "front"))
        reason = reason_of(status, "front")
        assert "/tf_static" in reason and "/camera_driver" in reason
        assert "Fix: publish it with durability transient_local" in reason
        assert listener.line("somebody publishes /tf_static, but not latched", "/camera_driver")
        assert not depth

        def again() -> Any:
            driver.say("base_link", *CAMERAS)
            return depth

        sent_until(vehicle, again)
    finally:
        vehicle.close()


def test_transforms_that_move_are_heard_from_who_is_best_effort(
    start: Any, ros: RosSession, listener: Listener, drivers: Any
) -> None:
    vehicle = Vehicle(ros, transforms=False)
    try:
        depth = listener.listen(*FRONT_DEPTH)
        driver = drivers("/tf", qos_profile_sensor_data)
        start()

        def again() -> Any:
            driver.say("base_link", *CAMERAS)
            return depth

        sent_until(vehicle, again)
    finally:
        vehicle.close()


def test_transforms_of_another_namespace_are_named_and_can_be_chosen(
    start: Any, ros: RosSession, listener: Listener, either: bool
) -> None:
    vehicle = Vehicle(ros, tf_topic="/robot1/tf_static")
    try:
        depth, status = listener.listen(*FRONT_DEPTH), listener.listen(*STATUS)
        node = start()
        sent_until(vehicle, lambda: "/robot1/tf_static exists" in reason_of(status, "front"))
        sent_until(vehicle, lambda: "nobody publishes /tf_static" in reason_of(status, "front"))
        reason = reason_of(status, "front")
        assert "remap /tf_static:=/robot1/tf_static" in reason and "namespace: /robot1" in reason
        assert not depth
        node.close()
        start(tf__namespace="/robot1")
        sent_until(vehicle, lambda: depth)
    finally:
        vehicle.close()


def test_each_robot_has_its_own_transforms_whatever_the_frames_are_called(
    start: Any, ros: RosSession, listener: Listener, drivers: Any, either: bool
) -> None:
    vehicle = Vehicle(ros, namespace="/robot1", transforms=False)
    try:
        for index, namespace in enumerate(("", "/robot1", "/robot2")):
            drivers(f"{namespace}/tf_static").say("base_link", *CAMERAS, x=float(index))
        depth = listener.listen("/robot1" + FRONT_DEPTH[0], FRONT_DEPTH[1])
        node = start(namespace="/robot1")
        sent_until(vehicle, lambda: depth)
        rig = node._ingest.rig
        wait_for(
            lambda: np.isclose(rig.mounting("front", "/robot1/front/image_raw")[0, 3], 2.5),
            what="the transforms of the robot's own topic",
        )
        assert not rig.contradictions()
    finally:
        vehicle.close()


def test_a_matrix_survives_the_message() -> None:
    T = mounting("rear")
    parent, child, again = decode_transform(transform_message(RclpyTypes(), 5, "a", "b", T))
    assert (parent, child) == ("a", "b")
    np.testing.assert_allclose(again, T, atol=1e-12)
