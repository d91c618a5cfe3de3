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

"""What RViz is started with: every topic in its file is there, in any namespace."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_rviz_window import panels, read_state
from tiny_drive import write_drive

from depth_perception.datasets.bag_file import open_bag
from depth_perception.errors import ConfigurationError
from depth_perception.frames.publication import camera_topics, vehicle_topics
from depth_perception.nodes.bringup import Process, notice, processes
from depth_perception.nodes.rviz_file import (
    HIDE_BUTTONS,
    TRANSFORM_TYPE,
    WINDOW,
    camera_panels,
    rviz_text,
    transform_remappings,
)
from depth_perception.nodes.rviz_setup import RIG_TOPICS, setup_for_robot, shipped_files
from depth_perception.parameters import load
from depth_perception.resources import config_file

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"


@pytest.fixture
def rviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with RViz, and a log folder of its own."""
    prefix = tmp_path / "prefix"
    index = prefix / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package in ("rviz2", "compressed_image_transport"):
        (index / package).touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    return index


def rviz_of(**values: str) -> Process:
    (found,) = [p for p in processes({"rviz": "true", **values}) if p.name == "rviz2"]
    return found


def read(process: Process) -> dict[str, Any]:
    content = yaml.safe_load(Path(process.arguments[1]).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def displays(content: dict[str, Any]) -> list[dict[str, Any]]:
    """All displays, also those in groups."""
    out: list[dict[str, Any]] = []
    for display in content["Visualization Manager"]["Displays"]:
        out += display.get("Displays", [display])
    return out


def heard(process: Process) -> dict[str, str]:
    """Full name of each topic that RViz subscribes to, by the display's name: as rcl makes them."""
    space = f"/{process.namespace}/" if process.namespace else "/"

    def full(name: str) -> str:
        return name if name.startswith("/") else space + name

    rules = {full(old): full(new) for old, new in process.remappings}
    topics = {d["Name"]: full(d["Topic"]["Value"]) for d in displays(read(process)) if "Topic" in d}
    return {name: rules.get(topic, topic) for name, topic in topics.items()}


def there(bag: Path, cameras: list[str], namespace: str) -> set[str]:
    """Full names of what the player plays and of what the node publishes."""
    with open_bag(bag) as reader:
        played = [connection.topic for connection in reader.connections]
    ours = [topic for c in cameras for topic, _ in camera_topics(c, motion=True).values()]
    ours += [topic for topic, _ in vehicle_topics(motion=True).values()]
    prefix = f"/{namespace}" if namespace else ""
    return {prefix + topic for topic in played} | {f"{prefix}/{topic}" for topic in ours}


@pytest.mark.parametrize("namespace", ["", "car1", "fleet/car1"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_topic_is_there(rviz: Path, tmp_path: Path, namespace: str, compressed: bool) -> None:
    bag = write_drive(tmp_path / "bag", frames=1, compressed=compressed)
    process = rviz_of(bag=str(bag), namespace=namespace)
    topics = heard(process)
    assert set(topics.values()) <= there(bag, ["front", "rear"], namespace)
    prefix = f"/{namespace}" if namespace else ""
    image = "image_raw/compressed" if compressed else "image_raw"
    for name in ("front", "rear"):
        assert topics[name] == f"{prefix}/{name}/{image}"
        assert topics[f"{name} depth"] == f"{prefix}/surround_depth/{name}/depth/image_color"
    assert topics["Points"] == f"{prefix}/surround_depth/points"
    assert process.optional and not process.required
    (player,) = [p for p in processes({"bag": str(bag), "namespace": namespace}) if "bag" in p.name]
    assert dict(process.remappings) == dict(player.remappings), "clock and transforms are the bag's"


def test_transport_stays_the_last_name_of_the_topic() -> None:
    """RViz takes the images for raw, and shows "No Image", where it is stripped."""
    kept = camera_panels("a", "/a/image_raw/compressed", True)
    assert (kept.image, kept.remapping) == ("/a/image_raw/compressed", None)
    raw = camera_panels("a", "/a/image_raw", False)
    assert (raw.image, raw.remapping) == ("/a/image_raw", None)


def test_compressed_images_whose_topic_does_not_say_so_are_led_to_rviz() -> None:
    """As in bags of nuScenes; RViz subscribes to what it is told without the last name, + that."""
    odd = camera_panels("a", "/a/image_rect_compressed", True)
    assert odd.image == "/a/image_rect_compressed/compressed"
    assert odd.remapping == ("/a/image_rect_compressed/compressed", "/a/image_rect_compressed")


def test_the_fixed_frame_is_the_vehicles(rviz: Path, tmp_path: Path) -> None:
    bag = str(write_drive(tmp_path / "bag", frames=1))
    own = tmp_path / "own.yaml"
    own.write_text("/**:\n  ros__parameters:\n    base_frame: chassis\n")

    def frame(**values: str) -> Any:
        content = read(rviz_of(bag=bag, **values))
        return content["Visualization Manager"]["Global Options"]["Fixed Frame"]

    assert frame() == "base_link"
    assert frame(params_file=str(own)) == "chassis"
    assert frame(params_file=str(own), base_frame="rear_axle") == "rear_axle"
    assert frame(base_frame="yes") == "yes", "a name that YAML would take for something else"


@pytest.mark.parametrize("motion", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7, 12])
def test_the_cloud_has_more_than_half_of_the_window(count: int, motion: bool) -> None:
    cameras = [camera_panels(f"c{i}", f"/c{i}/image_raw", False, motion) for i in range(count)]
    window = yaml.safe_load(rviz_text(cameras, "base_link"))["Window Geometry"]
    state = read_state(window["QMainWindow State"])
    assert (window["Width"], window["Height"]) == WINDOW
    width, height = state["centre"]
    assert (width - HIDE_BUTTONS) * height > 0.5 * WINDOW[0] * WINDOW[1]
    assert panels(state[0]) == ["Displays"]
    shown = panels(state[1]) if count else []
    names = [name for c in cameras for name in (c.panel, c.depth_panel, c.measured_panel)]
    assert sorted(shown) == sorted(filter(None, names))
    assert all(not entry["collapsed"] for entry in window.values() if isinstance(entry, dict))
    if count:
        assert len(state[1]["items"]) <= 6, "panels are too low to see anything in"


@pytest.mark.parametrize(("count", "ahead"), [(0, 7), (1, 15), (3, 15), (4, 7)])
def test_the_view_is_from_behind_and_above_and_fixed_to_the_vehicle(count: int, ahead: int) -> None:
    cameras = [camera_panels(f"c{i}", f"/c{i}/image_raw", False) for i in range(count)]
    manager = yaml.safe_load(rviz_text(cameras, "base_link"))["Visualization Manager"]
    view = manager["Views"]["Current"]
    assert view["Class"] == "rviz_default_plugins/Orbit"
    assert view["Target Frame"] == "<Fixed Frame>"
    assert view["Yaw"] == pytest.approx(3.14159) and 0.3 < view["Pitch"] < 0.8
    assert view["Focal Point"]["X"] == ahead < view["Distance"]


def test_cameras_in_front_come_first_unless_an_order_is_given(rviz: Path, tmp_path: Path) -> None:
    bag = str(write_drive(tmp_path / "bag", frames=1))
    content = read(rviz_of(bag=bag, cameras="rear,front"))
    names = [d["Name"] for d in displays(content) if d["Class"].endswith("Image")]
    assert names == [
        f"{c}{kind}" for kind in ("", " depth", " measured") for c in ("rear", "front")
    ]
    names = [d["Name"] for d in displays(read(rviz_of(bag=bag))) if d["Class"].endswith("Image")]
    assert names == [
        f"{c}{kind}" for kind in ("", " depth", " measured") for c in ("front", "rear")
    ]
    alone = read(rviz_of(bag=bag, cameras="rear"))
    assert "front" not in [d["Name"] for d in displays(alone)]


def test_measured_depth_is_shown_with_motion_alone(rviz: Path, tmp_path: Path) -> None:
    bag = str(write_drive(tmp_path / "bag", frames=1))
    own = tmp_path / "own.yaml"
    own.write_text("/**:\n  ros__parameters:\n    motion.enabled: false\n")
    topics = heard(rviz_of(bag=bag, namespace="car1"))
    assert topics["front measured"] == "/car1/surround_depth/front/measured/image_color"
    without = heard(rviz_of(bag=bag, params_file=str(own)))
    assert without and not any("measured" in topic for topic in without.values())


def test_a_bag_that_is_looped_does_not_reset_rviz(rviz: Path, tmp_path: Path) -> None:
    """RViz forgets every image when its time jumps back, as often as the bag begins anew."""
    bag = str(write_drive(tmp_path / "bag", frames=1))
    assert rviz_of(bag=bag).parameters["use_sim_time"] is True
    assert rviz_of(bag=bag, loop="true").parameters["use_sim_time"] is False
    node = processes({"bag": bag, "loop": "true"})[0]
    assert node.parameters["use_sim_time"] is True


def test_one_file_in_the_log_folder_for_each_vehicle(rviz: Path, tmp_path: Path) -> None:
    bag = str(write_drive(tmp_path / "bag", frames=1))
    before = set(Path(tempfile.gettempdir()).glob("depth_perception_rviz*"))
    for namespace in ("", "car1", "car1", ""):
        rviz_of(bag=bag, namespace=namespace)
    names = sorted(p.name for p in (tmp_path / "log").iterdir())
    assert names == ["surround_depth.rviz", "surround_depth_car1.rviz"]
    assert set(Path(tempfile.gettempdir()).glob("depth_perception_rviz*")) == before


def test_log_folder_that_cannot_be_written_is_named(
    rviz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "file/log"))
    with pytest.raises(ConfigurationError, match=r"cannot be written.*Fix: set ROS_LOG_DIR"):
        rviz_of(bag=str(write_drive(tmp_path / "bag", frames=1)))


def test_without_rviz_the_rest_starts(rviz: Path, tmp_path: Path) -> None:
    assert notice({"rviz": "true"}) == ""
    (rviz / "rviz2").unlink()
    bag = str(write_drive(tmp_path / "bag", frames=1))
    names = [process.name for process in processes({"rviz": "true", "bag": bag})]
    assert names == ["surround_depth", "bag_player"]
    said = notice({"rviz": "true"})
    assert "rviz2 is not installed" in said and "\n" not in said
    assert "apt install ros-jazzy-rviz2 ros-jazzy-compressed-image-transport" in said
    assert "ros2 topic hz /surround_depth/points" in said or "subscribe to /surround" in said


def test_a_missing_transport_is_said_where_it_is_needed(rviz: Path, tmp_path: Path) -> None:
    raw = str(write_drive(tmp_path / "raw", frames=1))
    compressed = str(write_drive(tmp_path / "compressed", frames=1, compressed=True))
    assert len(rviz_of(bag=compressed).notes) == 1
    (rviz / "compressed_image_transport").unlink()
    assert len(rviz_of(bag=raw).notes) == 1
    (_, missing) = rviz_of(bag=compressed).notes
    assert "Fix: apt install ros-jazzy-compressed-image-transport" in missing


def test_users_own_file_and_those_of_the_rigs(rviz: Path, tmp_path: Path) -> None:
    bag = str(write_drive(tmp_path / "bag", frames=1))
    own = tmp_path / "own.rviz"
    own.touch()
    assert rviz_of(bag=bag, rviz_config=str(own)).arguments == ("-d", str(own))
    shipped = rviz_of(bag=bag, rviz_config="nuscenes").arguments[1]
    assert shipped == str(config_file("rviz/nuscenes.rviz"))
    for wrong in (str(tmp_path / "no.rviz"), "nusceness"):
        with pytest.raises(ConfigurationError, match="does not exist"):
            rviz_of(bag=bag, rviz_config=wrong)


@pytest.mark.parametrize("name", ["surround", *RIG_TOPICS])
def test_shipped_files_are_made_from_the_template(name: str) -> None:
    text = config_file(f"rviz/{name}.rviz").read_text(encoding="utf-8")
    assert text == shipped_files()[f"{name}.rviz"], "run: python scripts/write_rviz_files.py"
    content = yaml.safe_load(text)
    cameras = load(config_file("surround.yaml" if name == "surround" else f"{name}.yaml")).cameras
    shown = [d["Name"] for d in displays(content) if d["Class"].endswith("Image")]
    kinds = ("", " depth", " measured")
    assert shown == [camera + kind for kind in kinds for camera in cameras]


def test_transforms_of_a_namespace_place_the_cameras() -> None:
    tf = dict.fromkeys(["/tf", "/tf_static", "/r1/tf_static", "/r2/tf"], TRANSFORM_TYPE)
    any_, named = load(None), load(None, {"tf.namespace": "/elsewhere"})

    def place(topics: dict[str, str], image: str, parameters: Any = any_, space: str = "") -> str:
        rules = dict(transform_remappings(topics, parameters, image, space))
        assert set(rules) in (set(), {"/tf", "/tf_static"})
        return rules.get("/tf", "/tf").removesuffix("/tf")

    assert place(tf, "/front/image") == ""
    assert place(tf, "/r1/front/image") == "/r1"
    assert place(tf, "/front/image", any_, "/r2") == "/r2"
    assert place({"/r1/tf_static": TRANSFORM_TYPE}, "/front/image") == "/r1"
    assert place({}, "/front/image") == ""
    assert place(tf, "/r1/front/image", named) == "/elsewhere"
    assert place(tf, "/r1/front/image", load(None, {"tf.namespace": "/"})) == ""


def test_cameras_of_a_robot_are_shown_as_they_are_published() -> None:
    topics = {
        "/car1/left/camera_info": INFO,
        "/car1/left/image_rect_compressed": COMPRESSED,
        "/car1/front/camera_info": INFO,
        "/car1/front/image_raw": IMAGE,
        "/car1/tf_static": TRANSFORM_TYPE,
    }
    setup = setup_for_robot(topics, "car1", load(None))
    assert [c.panel for c in setup.cameras] == ["front", "left"] and setup.compressed
    assert setup.cameras[0].image == "/car1/front/image_raw"
    assert dict(setup.remappings) == {
        "/car1/left/image_rect_compressed/compressed": "/car1/left/image_rect_compressed",
        "/tf": "/car1/tf",
        "/tf_static": "/car1/tf_static",
    }


def test_cameras_that_are_not_there_yet_are_shown_by_name() -> None:
    named = load(None, {"cameras": ["front", "rear"]})
    topics = {"/front/camera_info": INFO, "/front/image": IMAGE}
    setup = setup_for_robot(topics, "", named)
    assert [c.image for c in setup.cameras] == ["/front/image", "rear/image_raw"]
    assert "guessed: rear/image_raw" in setup.what and "image_topics" in setup.what
    given = load(None, {"cameras": ["a"], "image_topics": ["x/image/compressed"]})
    assert [c.image for c in setup_for_robot({}, "", given).cameras] == ["x/image/compressed"]
    nothing = setup_for_robot({}, "", load(None))
    assert nothing.cameras == () and "no camera is published yet" in nothing.what
