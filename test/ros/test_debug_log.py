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

"""Level debug of the node's logger: what becomes of images and frame sets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from rclpy.logging import LoggingSeverity  # noqa: E402
from vehicle import Vehicle, sent_until  # noqa: E402

from depth_perception.ros.debug_log import LOGGER_SERVICE, debug_of  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")


@pytest.fixture
def level() -> Iterator[Any]:
    """Set the level of the node's logger; it is as it was after the test."""
    yield lambda severity: rclpy.logging.set_logger_level("surround_depth", severity)
    rclpy.logging.set_logger_level("surround_depth", LoggingSeverity.UNSET)


def test_nothing_is_put_into_words_unless_the_level_is_debug(ros: RosSession, level: Any) -> None:
    node = rclpy.create_node("surround_depth")
    made: list[str] = []

    def make(word: str) -> str:
        made.append(word)
        return word

    debug = debug_of(node)
    debug(make, "first")
    level(LoggingSeverity.DEBUG)
    debug(make, "second")
    level(LoggingSeverity.INFO)
    debug(make, "third")
    node.destroy_node()
    assert made == ["second"]


def test_debug_says_what_becomes_of_every_frame_set(
    start: Any, vehicle: Vehicle, listener: Listener, level: Any
) -> None:
    level(LoggingSeverity.DEBUG)
    node = start(sync__timeout=0.3)
    status = listener.listen(*STATUS)

    def whole() -> list[Any]:
        """Statuses of sets of both cameras: the first sets may lack some."""
        return [s for s in status if s.stage_names and all(c.present for c in s.cameras)]

    sent_until(vehicle, whole)
    stamp = whole()[0].header.stamp
    name = f"frame set {stamp.sec}.{stamp.nanosec:09d}"
    for parts in (
        ("transforms: subscribed to /tf_static",),
        ("transform base_link to front is taken from /tf_static: x ",),
        ("front: subscribed to /front/camera_info",),
        ("front: calibration has come on /front/camera_info",),
        ("demand: front, rear",),
        ("front: subscribed to /front/image_raw",),
        ("frame sets begin anew, of: front, rear",),
        ("front: calibration and mounting are taken: 320x200 px, front is at x ",),
        (name, "closes complete: front +0.0 ms, rear +0.0 ms"),
        (name, "done in", "wait ", "decode ", "depth ", "publish ", "front, rear"),
    ):
        assert wait_for(lambda p=parts: listener.line("[DEBUG]", *p), what=str(parts))
    # A camera that falls silent: its absence is told, with the reason.

    def told() -> str | None:
        """Send one image, and wait longer than a set does, so that no later one closes it."""
        vehicle.send("front")
        time.sleep(0.6)
        return listener.line("closes", "(sync.timeout)", "without rear (none came;")

    assert wait_for(told, what="the deadline")
    node._enabled = False
    node._follow_demand()
    assert wait_for(lambda: listener.line("rear: no longer subscribed to /rear/image_raw"))
    assert listener.line("demand: no camera")


def test_a_set_that_makes_room_for_a_newer_one_is_named(
    start: Any, vehicle: Vehicle, listener: Listener, level: Any
) -> None:
    level(LoggingSeverity.DEBUG)
    node = start(sync__queue_size=1)
    listener.listen(*STATUS)
    wait_for(lambda: len(vehicle.watched) == 2)
    compute = node._processor.pipeline.process
    blocked: list[int] = []

    def process(*arguments: Any, **options: Any) -> Any:
        blocked.append(1)
        wait_for(lambda: node._processor.counters.dropped)
        return compute(*arguments, **options)

    node._processor.pipeline.process = process
    sent_until(vehicle, lambda: node._processor.counters.dropped and blocked)
    assert wait_for(lambda: listener.line("frame set ", "is dropped: the queue is full"))


@pytest.mark.skipif(not LOGGER_SERVICE, reason="this rclpy has no logger service")
def test_the_level_is_changed_while_the_node_runs(
    ros: RosSession, start: Any, vehicle: Vehicle, listener: Listener, level: Any
) -> None:
    from rcl_interfaces.msg import LoggerLevel
    from rcl_interfaces.srv import SetLoggerLevels

    start()
    listener.listen(*STATUS)
    wait_for(lambda: len(vehicle.watched) == 2)
    client = listener.node.create_client(SetLoggerLevels, "/surround_depth/set_logger_levels")
    wait_for(client.service_is_ready)
    wanted = LoggerLevel(name="surround_depth", level=LoggingSeverity.DEBUG.value)
    vehicle.send()
    answer = client.call_async(SetLoggerLevels.Request(levels=[wanted]))
    wait_for(answer.done)
    assert answer.result().results[0].successful
    assert not listener.line("frame set ", "closes")
    sent_until(vehicle, lambda: listener.line("[DEBUG]", "frame set ", "closes complete"))
