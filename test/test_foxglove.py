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

"""The layouts of Foxglove: every topic in them is one that replay writes, of a type that fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_drive import CAMERA, HEIGHT, PERIOD, START, picture, transform, write_drive

from depth_perception import messages
from depth_perception.cli.main import main
from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.resources import config_file
from depth_perception.viewing.foxglove import SHIPPED, foxglove_layout, shipped_layouts, topics_of

QUICK = ["--set", "estimator=embodied", "--set", "output.image_width=160"]
NAMES = [name for row in SHIPPED["foxglove.json"] for name in row]
YAWS = {
    "CAM_FRONT_LEFT": 55,
    "CAM_FRONT": 0,
    "CAM_FRONT_RIGHT": -55,
    "CAM_BACK_LEFT": 110,
    "CAM_BACK": 180,
    "CAM_BACK_RIGHT": -110,
}
SHOWN_IN_SPACE = {
    "sensor_msgs/msg/PointCloud2",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/Image",
    "nav_msgs/msg/OccupancyGrid",
}
"""Of the types that replay writes: those that Foxglove's 3D panel draws."""


def surround_drive(path: Path) -> Path:
    """Write three frame sets of the six cameras of nuScenes."""
    with BagWriter(path) as writer:
        types = writer.types
        placed = []
        for name, yaw in YAWS.items():
            c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
            T = np.array([[s, 0, c, 0], [-c, 0, s, 0], [0, -1, 0, HEIGHT], [0, 0, 0, 1.0]])
            placed.append(transform(types, "base_link", name, T))
        message = types.new("tf2_msgs/msg/TFMessage", transforms=placed)
        writer.write("/tf_static", message, START - PERIOD, latched=True)
        for index in range(3):
            stamp = START + index * PERIOD
            for name in YAWS:
                info = messages.camera_info_message(types, stamp, name, CAMERA)
                writer.write(f"/{name}/camera_info", info, stamp)
                image = messages.image_message(types, stamp, name, picture(index), "bgr8")
                writer.write(f"/{name}/image_raw", image, stamp)
    return path


@pytest.fixture(scope="module")
def replayed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any], dict[str, str]]:
    """What replay writes of the drive: the bag, the last message and the type by topic."""
    folder = tmp_path_factory.mktemp("surround")
    drive, bag = surround_drive(folder / "drive"), folder / "replayed"
    assert main(["replay", str(drive), "--output", str(bag), *QUICK]) == 0
    found, types = {}, {}
    with open_bag(bag) as reader:
        for connection, _, raw in reader.messages():
            found[connection.topic] = reader.deserialize(raw, connection.msgtype)
            types[connection.topic] = connection.msgtype
    return bag, found, types


@pytest.fixture
def layout() -> dict[str, Any]:
    """The layout that is shipped."""
    content = json.loads(config_file("foxglove.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_every_topic_is_one_that_replay_writes(layout, replayed) -> None:
    _, _, types = replayed
    shown = topics_of(layout)
    assert set(shown) - set(types) == {"/diagnostics"}, "which only the node publishes"
    left_out = {topic for topic in types if topic not in shown}
    kinds = {topic.rpartition("/")[2] for topic in left_out}
    assert kinds == {"tf_static", "twist", "camera_info", "image_rect"}, left_out
    assert all("embodied" in topic for topic in left_out if topic.startswith("/surround_depth/CAM"))


def test_every_panel_takes_the_type_of_its_topics(layout, replayed) -> None:
    _, _, types = replayed
    panels = layout["configById"]
    assert {types[topic] for topic in panels["3D!vehicle"]["topics"]} == SHOWN_IN_SPACE
    images = {name: panel for name, panel in panels.items() if name.startswith("Image!")}
    assert len(images) == 3 * len(NAMES)
    for panel in images.values():
        mode = panel["imageMode"]
        assert types[mode["imageTopic"]] == "sensor_msgs/msg/Image"
        assert types[mode["calibrationTopic"]] == "sensor_msgs/msg/CameraInfo"
        # The calibration is that of the images beside it.
        assert mode["imageTopic"].rpartition("/")[0] == mode["calibrationTopic"].rpartition("/")[0]
        assert (mode["colorMode"], mode["colorMap"]) == ("colormap", "turbo")


def test_images_are_of_one_channel_and_have_the_size_of_their_calibration(layout, replayed) -> None:
    """A colour map is for images of one channel alone."""
    _, found, _ = replayed
    for name, panel in layout["configById"].items():
        if name.startswith("Image!"):
            image = found[panel["imageMode"]["imageTopic"]]
            info = found[panel["imageMode"]["calibrationTopic"]]
            assert image.encoding == "32FC1"
            assert (image.width, image.height) == (info.width, info.height)
            assert image.header.frame_id == info.header.frame_id


def test_what_is_plotted_is_a_number_of_its_message(layout, replayed) -> None:
    _, found, _ = replayed
    paths = [
        path["value"] for panel in layout["configById"].values() for path in panel.get("paths", [])
    ]
    assert len(paths) == 5
    for path in paths:
        topic, *fields = path.split(".")
        value = found[topic]
        for field in fields:
            value = getattr(value, field)
        assert isinstance(float(value), float)


def test_frames_of_what_is_shown_are_placed_and_the_view_goes_with_the_vehicle(
    layout, replayed
) -> None:
    _, found, _ = replayed
    edges = found["/tf_static"].transforms
    known = {edge.child_frame_id for edge in edges} | {edge.header.frame_id for edge in edges}
    space = layout["configById"]["3D!vehicle"]
    assert space["followTf"] in known
    assert {found[topic].header.frame_id for topic in space["topics"]} <= known


def test_clouds_are_coloured_by_a_field_that_they_have(layout, replayed) -> None:
    _, found, _ = replayed
    shown = layout["configById"]["3D!vehicle"]["topics"]["/surround_depth/points"]
    cloud = found["/surround_depth/points"]
    assert shown["colorField"] in {field.name for field in cloud.fields}


def leaves(part: Any, panels: dict[str, Any]) -> list[str]:
    """Panels that a part of the window shows, also those in tabs."""
    if part is None:
        return []
    if isinstance(part, dict):
        assert set(part) == {"direction", "first", "second", "splitPercentage"}
        return leaves(part["first"], panels) + leaves(part["second"], panels)
    inside = [leaves(tab["layout"], panels) for tab in panels[part].get("tabs", [])]
    return [part, *(name for names in inside for name in names)]


@pytest.mark.parametrize("name", SHIPPED)
def test_each_panel_is_in_the_window_once(name: str) -> None:
    content = json.loads(config_file(name).read_text(encoding="utf-8"))
    shown = leaves(content["layout"], content["configById"])
    assert sorted(shown) == sorted(content["configById"])


def test_the_shipped_files_are_up_to_date() -> None:
    for name, content in shipped_layouts().items():
        written = json.loads(config_file(name).read_text(encoding="utf-8"))
        assert written == content, "run scripts/write_foxglove_files.py"


def test_three_panels_in_a_row_are_equally_wide() -> None:
    content = foxglove_layout([["a", "b", "c"]], "base_link", motion=False)
    row = content["configById"]["Tab!cameras"]["tabs"][0]["layout"]
    first = row["splitPercentage"]
    second = row["second"]["splitPercentage"] * (100 - first) / 100
    assert (first, second) == (pytest.approx(100 / 3), pytest.approx(100 / 3))
    assert [row["first"], row["second"]["first"]] == ["Image!depth_a", "Image!depth_b"]


def test_a_namespace_goes_before_every_topic_but_diagnostics() -> None:
    shown = topics_of(foxglove_layout([["a"]], "base_link", namespace="/car1"))
    assert {topic for topic in shown if not topic.startswith("/car1/")} == {"/diagnostics"}


def test_a_layout_is_written_for_the_cameras_of_a_drive_and_of_its_replay(
    replayed, layout, tmp_path: Path
) -> None:
    bag, _, _ = replayed
    of_replay, of_drive = tmp_path / "replay.json", tmp_path / "drive.json"
    assert main(["view", str(bag), "--foxglove", str(of_replay)]) == 0
    assert json.loads(of_replay.read_text()) == layout, "arranged by where the cameras look"
    drive = write_drive(tmp_path / "bag", frames=1)
    assert main(["view", str(drive), "--foxglove", str(of_drive)]) == 0
    rows = [["front"], ["rear"]]
    assert json.loads(of_drive.read_text()) == foxglove_layout(rows, "base_link")


def test_a_layout_is_not_written_over_another(
    replayed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag, _, _ = replayed
    path = tmp_path / "a.json"
    path.write_text("mine")
    assert main(["view", str(bag), "--foxglove", str(path)]) == 1
    assert "exists" in capsys.readouterr().err and path.read_text() == "mine"
    assert main(["view", "--live", "--foxglove", str(tmp_path / "b.json")]) == 1
    assert "name a bag" in capsys.readouterr().err
