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

"""Poses of the base frame by TF: the way through the tree, its moving parts, and their stamps."""

from __future__ import annotations

import numpy as np
import pytest
from textured_street import pose

from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.messages.transforms import transform_message
from depth_perception.rig.fixed_frame import FixedFrame

S = 1_000_000_000
TYPES = BagTypes(package_typestore())


class Vehicle:
    """What a `FixedFrame` was told, and what it gave."""

    def __init__(self, fixed="odom", base="base_link", namespaces=("",)):
        self.poses, self.said = [], []
        self.frame = FixedFrame(
            base, fixed, lambda *item: self.poses.append(item), self.said.append, lambda: namespaces
        )

    def tell(self, *edges, stamp=0.0, namespace="", static=False):
        items = [
            transform_message(TYPES, round(stamp * S), parent, child, T)
            for parent, child, T in edges
        ]
        message = TYPES.new("tf2_msgs/msg/TFMessage", transforms=items)
        self.frame.add(message, namespace, static)


def test_what_moves_directly_is_handed_on():
    vehicle = Vehicle()
    for k in range(5):
        vehicle.tell(("odom", "base_link", pose(0.5 * k)), stamp=1 + k / 10)
    assert [stamp for stamp, _, _ in vehicle.poses] == [S + k * S // 10 for k in range(5)]
    np.testing.assert_allclose([T[0, 3] for _, T, _ in vehicle.poses], [0, 0.5, 1, 1.5, 2])
    assert vehicle.poses[0][2] == "TF 'odom' -> 'base_link'" and not vehicle.said


def test_static_transforms_on_the_way_count_whenever_they_come():
    vehicle = Vehicle()
    for k in range(4):
        if k == 2:
            vehicle.tell(("base_footprint", "base_link", pose(0, 0, 0)), static=True)
            up = np.eye(4)
            up[2, 3] = 0.4
            vehicle.tell(("base_footprint", "base_link", up), static=True)
        vehicle.tell(("odom", "base_footprint", pose(k)), ("arm", "tool", pose(k)), stamp=1 + k)
        vehicle.tell(("map", "odom", pose(100)), stamp=1 + k)
    assert [(stamp, *T[:3, 3]) for stamp, T, _ in vehicle.poses] == [
        (3 * S, 2.0, 0.0, 0.4),
        (4 * S, 3.0, 0.0, 0.4),
    ]


def test_two_moving_transforms_are_brought_to_one_instant():
    vehicle = Vehicle("map")
    for k in range(20):
        t = 1 + k / 20
        vehicle.tell(("odom", "base_link", pose(10 * k / 20)), stamp=t)
        if k % 4 == 0:  # a localisation of 5 Hz, a twentieth of a second off
            vehicle.tell(("map", "odom", pose(0, 2 * (t + 0.025 - 1))), stamp=t + 0.025)
    assert vehicle.poses and vehicle.poses[-1][2] == "TF 'map' -> 'base_link'"
    for stamp, T, _ in vehicle.poses:
        seconds = stamp / S - 1
        np.testing.assert_allclose(T[:2, 3], [10 * seconds, 2 * seconds], atol=1e-6)


def test_another_frame_that_it_moves_in_takes_the_place_of_one_that_is_not_there():
    vehicle = Vehicle("odom")
    for k in range(3):
        vehicle.tell(("earth", "map", pose(50)), static=True)
        vehicle.tell(("map", "base_link", pose(k)), stamp=1 + k)
    assert [T[0, 3] for _, T, _ in vehicle.poses] == [0, 1, 2]
    (said,) = vehicle.said
    assert "no frame 'odom' (motion.fixed_frame) above 'base_link': 'map'" in said
    assert "set motion.fixed_frame: map" in said
    vehicle.tell(("odom", "base_link", pose(7)), stamp=4)  # now it is there
    assert vehicle.poses[-1][2] == "TF 'odom' -> 'base_link'"


def test_each_vehicle_has_its_own():
    vehicle = Vehicle(namespaces=("/robot2", ""))
    for k in range(3):
        vehicle.tell(("odom", "base_link", pose(-k)), stamp=1 + k, namespace="/robot1")
        vehicle.tell(("odom", "base_link", pose(k)), stamp=1 + k, namespace="/robot2")
        vehicle.tell(("odom", "base_link", pose(10 + k)), stamp=1 + k)
    assert [T[0, 3] for _, T, _ in vehicle.poses] == [0, 1, 2]


@pytest.mark.parametrize("static", [True, False])
def test_what_does_not_move_the_base_gives_no_pose(static):
    vehicle = Vehicle()
    vehicle.tell(("odom", "base_link", pose()), static=True)
    vehicle.tell(("base_link", "wheel", pose()), stamp=1, static=static)
    vehicle.tell(("camera_init", "camera", pose()), stamp=1)
    assert not vehicle.poses and not vehicle.said


def test_a_bag_that_begins_again_goes_on():
    vehicle = Vehicle()
    for start in (100, 1):
        for k in range(3):
            vehicle.tell(("odom", "base_link", pose(k)), stamp=start + k / 10)
    assert len(vehicle.poses) == 6


def test_a_transform_that_is_none_is_left_out():
    vehicle = Vehicle()
    vehicle.tell(("odom", "base_link", pose(1)), stamp=1)
    item = transform_message(TYPES, 2 * S, "odom", "base_link", pose(2))
    item.transform.rotation.w = 0.0
    vehicle.frame.add(TYPES.new("tf2_msgs/msg/TFMessage", transforms=[item]), "", False)
    vehicle.tell(("odom", "base_link", pose(3)), stamp=3)
    assert [T[0, 3] for _, T, _ in vehicle.poses] == [1, 3]
