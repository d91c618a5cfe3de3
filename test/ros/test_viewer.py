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

"""``view --live``: what the running node publishes, and its cameras, in a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import RosSession, wait_for

pytest.importorskip("rclpy")
pytest.importorskip("rerun", reason="rerun-sdk is not installed; see 'make extras'")

from recording_reader import pixels_of, read_rows, values_of
from tiny_drive import CAMERA, mounting
from vehicle import CAMERAS, Vehicle, road_depth, sent_until

from depth_perception.nodes.viewer import LiveOptions, Viewer
from depth_perception.parameters import from_flat
from depth_perception.viewing.entities import Entities
from depth_perception.viewing.outlet import new_stream, to_file
from depth_perception.viewing.recording import Recording

ENTITIES = Entities("base_link")


@pytest.fixture
def watch(ros: RosSession, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start a viewer that writes to a file; ends it, and returns the file's rows."""
    path = tmp_path / "live.rrd"
    stream = new_stream("live")
    file = to_file(stream, path)
    file.__enter__()
    made: list[Viewer] = []

    def start(**options: Any) -> Viewer:
        recording = Recording(stream, "base_link")
        given = {key: options.pop(key) for key in ("namespace",) if key in options}
        viewer = Viewer(
            recording, stream.send_blueprint, from_flat({}), LiveOptions(**options), **given
        )
        ros.add(viewer.node)
        made.append(viewer)
        return viewer

    def end() -> dict[str, Any]:
        viewer = made.pop()
        ros.call(viewer.close)
        ros.remove(viewer.node)
        file.__exit__(None, None, None)
        return read_rows(path)

    start.end = end  # type: ignore[attr-defined]
    yield start
    if made:
        end()


def test_depth_images_cloud_and_mounting_of_the_running_node_are_shown(
    start: Any, vehicle: Vehicle, watch: Any
) -> None:
    start(embodied__level="road", motion__enabled=False)
    viewer = watch(rate=0.0)
    published = viewer.published

    vehicle_wide = [ENTITIES.points, ENTITIES.map, ENTITIES.ground, ENTITIES.plot("latency/total")]
    kinds = ("estimated", "confidence")
    wanted = {ENTITIES.depth(name, kind) for name in CAMERAS for kind in kinds}
    wanted |= {*vehicle_wide, *map(ENTITIES.image, CAMERAS)}
    # An image's entity is there when its pinhole is: the image comes in the same call.
    sent_until(vehicle, lambda: wanted <= viewer.shown and published.sets)
    rows = watch.end()
    for name in CAMERAS:
        placed = rows[ENTITIES.camera(name)][0].values["Transform3D:translation"][0]
        assert placed == pytest.approx(mounting(name)[:3, 3])
        row = rows[ENTITIES.depth(name, "estimated")][0]
        (unit,) = row.values["EncodedDepthImage:meter"]
        image = pixels_of(row) / unit
        assert image.shape == (200, 320)
        for line in (125, 150, 199):
            assert image[line, 159] == pytest.approx(road_depth(line), abs=0.0051)
        source = [r for r in rows[ENTITIES.image(name)] if "EncodedImage:blob" in r.values]
        assert abs(int(pixels_of(source[0])[50, 50, 0]) - 90) <= 1
        (K, *_) = values_of(rows[ENTITIES.image(name)], "Pinhole:image_from_camera")
        assert K[0][0] == CAMERA.K[0, 0]
    assert len(rows[ENTITIES.points][0].values["Points3D:positions"]) > 100
    assert values_of(rows[ENTITIES.plot("ground/pitch")], "Scalars:scalars")[0][0] == 0.0
    latencies = values_of(rows[ENTITIES.plot("latency/total")], "Scalars:scalars")
    assert all(value[0] > 0 for value in latencies)
    assert ENTITIES.map in rows and ENTITIES.ground in rows


def test_no_more_than_the_rate_is_shown_of_a_topic(ros: RosSession, watch: Any) -> None:
    """Stamps count, and those of a bag that begins anew are taken."""
    from depth_perception.ros.messages import RclpyTypes
    from depth_perception.viewing.published import Shown

    viewer = watch(rate=5.0)
    taken: list[int] = []
    viewer.published.take = lambda topic, shown, message: taken.append(message.header.stamp.nanosec)
    types = RclpyTypes()
    for tenth in (0, 1, 2, 3, 4, 1, 2):
        time = types.new("builtin_interfaces/msg/Time", sec=5, nanosec=tenth * 100_000_000)
        header = types.new("std_msgs/msg/Header", stamp=time)
        message = types.new("sensor_msgs/msg/Image", header=header)
        viewer._take("/a", Shown("depth", "front"), message)
    assert [nanosec // 100_000_000 for nanosec in taken] == [0, 2, 4, 1]


def test_it_says_in_which_namespace_the_node_is(
    monkeypatch: pytest.MonkeyPatch, start: Any, vehicle: Vehicle, watch: Any
) -> None:
    from depth_perception.nodes import viewer as module

    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setattr(module, "LOOK_PERIOD_S", 0.1)
    start(namespace="/car1")
    viewer = watch()
    wait_for(lambda: any("--namespace car1" in text for text in viewer._said), what="the advice")
