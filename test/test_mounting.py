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

"""Cameras at or below the ground: one sentence, with height and what to set, from every verb."""

import json

import numpy as np
import pytest
from tiny_drive import HEIGHT, mounting, transform, write_drive

from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader, open_bag
from depth_perception.errors import ConfigurationError, TransformError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transform_tree import TransformTree
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline
from depth_perception.rig.mounting import (
    height_doubt,
    height_error,
    heights_over_base_frames,
    mounting_errors,
    no_road,
    view_error,
)

QUICK = ["--set", "estimator=embodied"]
MODEL = CameraModel(64, 48, [[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])


def camera(z, axes=OPTICAL_AXES, name="front", heights=None):
    T = np.eye(4)
    T[:3, :3] = axes
    T[2, 3] = z
    return RigCamera(name, MODEL, T, name, MODEL, heights=heights or {})


def sunk(*names, to=-1.0):
    """Put cameras of the tiny drive at another height in TF."""

    def change(topic, index, message):
        if topic == "/tf_static":
            for item in message.transforms:
                if item.child_frame_id in names:
                    item.transform.translation.z = to
        return message

    return change


def test_a_camera_above_the_road_is_no_fault():
    assert height_error(camera(1.5), GroundPlane(), "base_link") is None
    assert view_error(camera(1.5), GroundPlane()) is None
    assert height_error(camera(0.0), GroundPlane(height=-0.3), "base_link") is None


@pytest.mark.parametrize(
    ("z", "ground", "heights", "problem", "fix"),
    [
        # In a map whose origin hangs 3 m above the road: the height is said, and what to set.
        (-1.5, 0.0, {}, "is -1.50 m above the ground (ground.height is 0 m in base_frame 'map_cam"
         "')", "road's z in base_frame 'map_cam' (about -3.00 if the camera is 1.5 m above"),
        (0.0, 0.0, {}, "is 0.00 m above", "(about -1.50 if"),
        # Where TF has a frame that was probably meant, that one is named.
        (-0.3, 0.0, {"imu_base": 9.0, "base_link": 1.52}, "is -0.30 m above",
         "set base_frame to 'base_link', if"),
        (-0.3, 1.0, {"base_link": 1.52}, "is -1.30 m above",
         "'base_link', and ground.height to 0,"),
        # A frame that is as wrong is not.
        (-0.3, 0.0, {"base_link": -0.3}, "is -0.30 m above", "(about -1.80 if"),
        # The frame is right and the number is wrong.
        (1.6, 2.0, {"base_footprint": 1.9}, "is -0.40 m above the ground (ground.height is 2 m",
         "set ground.height to 0 if base_frame 'map_cam' lies on the road: TF has the camera 1.60"),
    ],
)  # fmt: skip
def test_the_height_and_the_value_to_set_are_named(z, ground, heights, problem, fix):
    found = camera(z, heights=heights)
    error = height_error(found, GroundPlane(height=ground), "map_cam")
    assert str(error).startswith("camera front ")
    assert problem in error.problem
    assert fix in error.fix


def test_a_height_that_is_unlikely_is_doubted():
    for z in (0.1, 0.3, 1.5, 4.5, 10.0, -1.0):
        assert height_doubt(camera(z), GroundPlane(), "base_link") == ""
    said = height_doubt(camera(120.0, heights={"base_link": 1.4}), GroundPlane(), "map")
    assert said.startswith("camera front is 120.00 m above the ground (ground.height is 0 m in ba")
    assert "0.2 to 5 m are usual" in said and "set base_frame to 'base_link'" in said
    assert "about 118.50 if" in height_doubt(camera(120.0), GroundPlane(), "map")


@pytest.mark.parametrize("verb", ["inspect", "replay"])
def test_a_camera_far_above_the_road_is_doubted_and_goes_on(verb, tmp_path, capsys):
    bag = write_drive(tmp_path / "bag", frames=2)
    output = ["-o", str(tmp_path / "out")] if verb == "replay" else []
    assert main([verb, str(bag), *output, *QUICK, "--set", "ground.height=-60"]) == 0
    captured = capsys.readouterr()
    said = " ".join((captured.out + captured.err).split())
    assert said.count("camera front is 61.50 m above the ground") == 1
    assert said.count("set ground.height to 0 if base_frame 'base_link' lies on the road") == 2


def test_an_optical_frame_as_base_frame_is_recognised():
    # With base_frame 'front' the camera is its own base: height 0, and z points along the view.
    error = height_error(camera(0.0, np.eye(3)), GroundPlane(), "front")
    assert "z up) with base_frame: in 'front' the camera is not the right way up" in error.fix
    down = np.array([[0, -1.0, 0], [-1, 0, 0], [0, 0, -1]])  # looks at the road from below it
    assert "not the right way up" not in height_error(camera(-1, down), GroundPlane(), "b").fix


def test_what_is_advised_mends_it():
    for z, ground in ((-1.5, 0.0), (0.0, 0.0), (-120.0, 3.0)):
        found = camera(z)
        error = height_error(found, GroundPlane(height=ground), "map")
        value = float(error.fix.partition("(about ")[2].split()[0])
        assert height_error(found, GroundPlane(height=value), "map") is None


def test_a_camera_that_looks_up_sees_no_ground():
    up = np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1.0]])
    error = view_error(camera(1.5, up), GroundPlane())
    assert "looks along [0.0, 0.0, 1.0]" in error.problem and "optical frame" in error.expected
    errors = mounting_errors(
        Rig({"a": camera(1.5, up, "a"), "b": camera(-1, name="b")}), GroundPlane()
    )
    assert list(errors) == ["a", "b"]
    every = no_road(errors)
    assert "camera a sees no ground" in every.problem and "camera b is -1.00 m" in every.problem


def test_frames_that_may_be_meant_are_those_that_tf_connects_the_right_way_up():
    tree = TransformTree()
    T = np.eye(4)
    T[2, 3] = 0.3
    tree.set("base_footprint", "base_link", T)
    tree.set("base_link", "front", mounting("front"))
    turned = np.eye(4)
    turned[:3, :3] = OPTICAL_AXES
    tree.set("base_link", "body", turned)  # an optical frame of that name
    found = heights_over_base_frames(tree.lookup, "front", "front")
    assert found == pytest.approx({"base_footprint": HEIGHT + 0.3, "base_link": HEIGHT})
    assert list(heights_over_base_frames(tree.lookup, "front", "base_link")) == ["base_footprint"]
    with pytest.raises(TransformError):
        tree.lookup("vehicle", "front")


@pytest.mark.parametrize("verb", ["inspect", "replay", "evaluate"])
def test_no_camera_above_the_road_ends_every_verb_with_the_sentence(verb, tmp_path, capsys):
    bag = write_drive(tmp_path / "bag")
    outputs = {
        "inspect": [],
        "replay": ["-o", str(tmp_path / "out"), "--images", str(tmp_path / "pictures")],
        "evaluate": ["--json", str(tmp_path / "scores.json")],
    }
    wrong = ["--set", "ground.height=2"]
    assert main([verb, str(bag), *outputs[verb], *QUICK, *wrong]) == 1
    captured = capsys.readouterr()
    said = " ".join((captured.out if verb == "inspect" else captured.err).split())
    for name in ("front", "rear"):
        assert f"camera {name} is -0.50 m above the ground (ground.height is 2 m in base_f" in said
    assert "set ground.height to 0 if base_frame 'base_link' lies on the road" in said
    assert "LiDAR" not in captured.err and "Traceback" not in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]


@pytest.mark.parametrize("verb", ["replay", "evaluate"])
def test_a_camera_below_the_road_is_named_once_and_the_rest_go_on(verb, tmp_path, capsys):
    bag = write_drive(tmp_path / "bag", change=sunk("rear"))
    output = ["-o", str(tmp_path / "out")] if verb == "replay" else []
    output += ["--images", str(tmp_path / "pictures")] if verb == "replay" else []
    output += ["--json", str(tmp_path / "scores.json")] if verb == "evaluate" else []
    assert main([verb, str(bag), *output, *QUICK]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "camera rear" in line]
    assert len(lines) == 1 and "camera rear is -1.00 m above the ground" in lines[0]
    assert "about -2.50 if the camera is 1.5 m above the road" in lines[0]
    if verb == "evaluate":
        scores = json.loads((tmp_path / "scores.json").read_text())
        assert list(scores["cameras"]) == ["front"]
        assert sum("camera rear is -1.00 m" in note for note in scores["notes"]) == 1
        return
    with open_bag(tmp_path / "out") as reader:
        topics = {c.topic: c.msgcount for c in reader.connections}
    assert topics["/surround_depth/front/depth/image_rect"] == 3
    assert "/surround_depth/rear/depth/image_rect" not in topics


def test_the_frame_that_was_meant_is_found_in_the_bag(tmp_path, capsys):
    def with_footprint(topic, index, message):
        if topic == "/tf_static":
            types = [item for item in message.transforms if item.child_frame_id == "lidar"]
            message.transforms.append(
                transform(Types(types[0], message), "base_footprint", "base_link", np.eye(4))
            )
        return message

    bag = write_drive(tmp_path / "bag", change=with_footprint)
    assert main(["inspect", str(bag), *QUICK, "--set", "base_frame=lidar"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "camera front is -0.30 m above the ground (ground.height is 0 m in base_frame 'l" in said
    assert "set base_frame to 'base_footprint'" in said
    assert "1.50 m above it" in said


class Types:
    """Message classes of messages that are there."""

    def __init__(self, *examples):
        self.known = {item.__msgtype__: type(item) for item in examples}
        one = examples[0]
        for item in (one.header, one.header.stamp, one.transform, one.transform.translation):
            self.known[item.__msgtype__] = type(item)
        self.known[one.transform.rotation.__msgtype__] = type(one.transform.rotation)

    def new(self, name, **fields):
        return self.known[name](**fields)


def test_the_pipeline_says_it_of_a_rig_that_it_is_given(tmp_path):
    bag = write_drive(tmp_path / "bag", change=sunk("front", "rear"))
    parameters = from_flat({"estimator": "embodied"})
    said = []
    with BagReader(bag, parameters) as reader:
        pipeline = SurroundPipeline(parameters, log=said.append)
        with pytest.raises(ConfigurationError, match="no camera sees the road: camera front is"):
            pipeline.check_rig(reader.rig)
        frame_set = next(iter(reader.frame_sets()))
        result = pipeline.process(frame_set, reader.rig)
        assert not result.cameras
        assert "camera front is -1.00 m above the ground" in result.missing["front"]
        for _ in range(2):
            pipeline.warn_of_lost(frame_set, result)
        pipeline.close()
    assert [text.split(" is ")[0] for text in said] == ["camera front", "camera rear"]
    assert pipeline.warnings == said
