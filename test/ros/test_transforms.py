"""Mountings by tf2_ros, as on a robot, and by own subscriptions: the same rig either way.

Where tf2_ros is not installed, a stand-in of its interface takes its place, so that what a robot
runs is run here, too.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from tiny_drive import mounting  # noqa: E402
from vehicle import CAMERAS, Vehicle, sent_until  # noqa: E402

from depth_perception.errors import TransformError  # noqa: E402
from depth_perception.messages.transforms import decode_transform, transform_message  # noqa: E402
from depth_perception.parameters import Parameters  # noqa: E402
from depth_perception.rig.tracker import RigTracker  # noqa: E402
from depth_perception.ros import transforms  # noqa: E402
from depth_perception.ros.messages import RclpyTypes, message_class  # noqa: E402
from depth_perception.ros.qos import LATCHED  # noqa: E402

FRONT_DEPTH = ("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")


class TransformException(Exception):
    """As tf2_ros names the base of its errors."""


class Buffer:
    """`tf2_ros.Buffer`: look-ups by target, source and time; answers TransformStamped."""

    def __init__(self) -> None:
        self.tracker = RigTracker(Parameters())

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        assert not target.startswith("/") and not source.startswith("/"), "tf2 refuses slashes"
        self.tracker.settle()
        try:
            T = self.tracker.tree.lookup(target, source)
        except TransformError as error:
            raise TransformException(str(error)) from None
        return transform_message(RclpyTypes(), 0, target, source, T)


class TransformListener:
    """`tf2_ros.TransformListener`: fills a buffer from /tf_static."""

    def __init__(self, buffer: Buffer, node: Any, *, spin_thread: bool) -> None:
        assert not spin_thread, "callbacks belong to the node's executor"
        self._node = node
        self._subscription = node.create_subscription(
            message_class("tf2_msgs/msg/TFMessage"),
            "/tf_static",
            lambda message: buffer.tracker.add_transforms(message, "/tf_static"),
            LATCHED,
        )

    def unregister(self) -> None:
        self._node.destroy_subscription(self._subscription)


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> None:
    """tf2_ros: the real one where it is installed."""
    if transforms.tf2_ros is None:
        stand_in = SimpleNamespace(
            Buffer=Buffer,
            TransformListener=TransformListener,
            TransformException=TransformException,
        )
        monkeypatch.setattr(transforms, "tf2_ros", stand_in)


def test_tf2_gives_the_mountings_and_says_what_is_missing(
    ros: RosSession, vehicle: Vehicle, listener: Listener, tf2: None
) -> None:
    extrinsics = transforms.tf2_extrinsics(listener.node)
    assert extrinsics is not None
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


@pytest.mark.parametrize("installed", [True, False])
def test_the_node_finds_its_cameras_with_and_without_tf2(
    start: Any,
    vehicle: Vehicle,
    listener: Listener,
    monkeypatch: Any,
    request: Any,
    installed: bool,
) -> None:
    if installed:
        request.getfixturevalue("tf2")
    else:
        monkeypatch.setattr(transforms, "tf2_ros", None)
    depth = listener.listen(*FRONT_DEPTH)
    node = start()
    used = transforms.Tf2Extrinsics if installed else transforms.TransformSubscriptions
    assert isinstance(node._transforms, used)
    sent_until(vehicle, lambda: depth)


def test_a_matrix_survives_the_message() -> None:
    T = mounting("rear")
    parent, child, again = decode_transform(transform_message(RclpyTypes(), 5, "a", "b", T))
    assert (parent, child) == ("a", "b")
    np.testing.assert_allclose(again, T, atol=1e-12)
