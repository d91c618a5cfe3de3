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

"""Replay: exact depth of a flat road, the node's topics and stamps, the same bytes every time."""

import numpy as np
import pytest
from tiny_drive import CAMERA, HEIGHT, PERIOD, START, mounting, write_drive

from depth_perception import messages
from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.evaluation.replay import results
from depth_perception.frames.publication import CAMERA_INFO, IMAGE, camera_topics, messages_of
from depth_perception.geometry.camera_info import from_camera_info
from depth_perception.geometry.depth_colours import colour_depth
from depth_perception.geometry.embodied_depth import Level
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline

QUICK = ["--set", "segmentation.source=geometric"]


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("drive") / "bag")


def contents(path):
    with open_bag(path) as reader:
        return [(c.topic, t, bytes(raw)) for c, t, raw in reader.messages()]


def test_road_depth_is_height_times_focal_length_over_rows_below_the_horizon(drive):
    parameters = from_flat({"estimator": "embodied", "output.image_width": 0})
    with BagReader(drive, parameters) as reader:
        pipeline = SurroundPipeline(parameters)
        frame_set, result = next(results(reader, pipeline))
    camera = result.cameras["front"]
    v = np.arange(CAMERA.height)[:, None]
    with np.errstate(divide="ignore"):
        expected = np.broadcast_to(HEIGHT * 200 / (v - 99.5), camera.depth.shape)
    road = camera.level == Level.ROAD
    assert road.sum() > 1000
    assert camera.depth[road] == pytest.approx(expected[road], rel=1e-5)
    assert (camera.stamp, camera.frame_id) == (frame_set.frames["front"].stamp, "front")
    on_road = np.abs(result.points["z"]) < 0.05
    assert on_road.mean() > 0.3
    assert result.missing == {}


def test_smaller_depth_images_measure_the_same_road(drive):
    parameters = from_flat({"estimator": "embodied", "output.image_width": 160})
    with BagReader(drive, parameters) as reader:
        _, result = next(results(reader, SurroundPipeline(parameters)))
    camera = result.cameras["rear"]
    assert camera.depth.shape == (100, 160)
    v = np.arange(100)[:, None]
    # Row v of the small image is the middle of rows 2 v and 2 v + 1.
    with np.errstate(divide="ignore"):
        expected = np.broadcast_to(HEIGHT * 200 / (2 * v + 0.5 - 99.5), (100, 160))
    road = camera.level == Level.ROAD
    assert camera.depth[road] == pytest.approx(expected[road], rel=1e-5)
    assert np.allclose(camera.T_base_camera, mounting("rear"))


def test_the_bag_has_the_nodes_topics_stamps_and_frames(drive, tmp_path):
    output = tmp_path / "out"
    assert main(["replay", str(drive), "--output", str(output), *QUICK]) == 0
    seen = {}
    with open_bag(output) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            seen.setdefault(connection.topic, []).append(message)
    per_camera = [
        "depth/image_rect",
        "depth/camera_info",
        "depth/confidence",
        "embodied/image_rect",
        "embodied/camera_info",
        "measured/image_rect",
        "measured/camera_info",
    ]
    expected = {f"/surround_depth/{c}/{t}" for c in ("front", "rear") for t in per_camera}
    vehicle = ("points", "obstacles", "occupancy", "ground", "status", "twist")
    expected |= {f"/surround_depth/{t}" for t in vehicle} | {"/tf_static"}
    assert set(seen) == expected
    depth = seen["/surround_depth/rear/depth/image_rect"]
    info = seen["/surround_depth/rear/depth/camera_info"]
    stamps = [START + i * PERIOD + 20_000_000 for i in range(3)]
    assert [messages.stamp_of(m.header.stamp) for m in depth] == stamps
    assert [messages.stamp_of(m.header.stamp) for m in info] == stamps
    assert {m.header.frame_id for m in depth + info} == {"rear"}
    assert repr(seen["/surround_depth/rear/embodied/camera_info"]) == repr(info)
    model = from_camera_info(info[0], rectified=True)
    assert (model.width, model.height) == (depth[0].width, depth[0].height)
    assert seen["/surround_depth/points"][0].header.frame_id == "base_link"
    status = seen["/surround_depth/status"][-1]
    assert [c.name for c in status.cameras] == ["front", "rear"]
    assert status.frame_sets_processed == 3
    ground = seen["/surround_depth/ground"][0]
    assert (ground.normal.z, ground.height, ground.source) == (1.0, 0.0, 0)


@pytest.mark.parametrize("rectify", [True, False])
def test_every_image_has_its_calibration_beside_it_and_after_it(rectify):
    topics = list(camera_topics("front", rectify).values())
    for place, (topic, kind) in enumerate(topics):
        if kind == IMAGE:
            beside = topic.rpartition("/")[0] + "/camera_info"
            assert (beside, CAMERA_INFO) in topics[:place], topic


def test_coloured_depth_is_made_of_the_depth_beside_it_when_it_is_asked_for(drive):
    parameters = from_flat({"estimator": "embodied"})
    with BagReader(drive, parameters) as reader:
        _, result = next(results(reader, SurroundPipeline(parameters)))
    colour, depth = (camera_topics("front")[short][0] for short in ("colour", "depth"))
    made = dict(messages_of(result, parameters, BagTypes(package_typestore()), {colour, depth}))
    assert set(made) == {colour, depth}
    assert made[colour].header == made[depth].header
    assert made[colour].encoding == "bgr8"
    expected = colour_depth(messages.decode_depth(made[depth]))
    assert (messages.decode_image(made[colour]) == expected).all()
    assert colour not in dict(messages_of(result, parameters, BagTypes(package_typestore())))


def test_replay_gives_the_same_bytes_every_time(drive, tmp_path):
    for name in ("one", "two"):
        assert main(["replay", str(drive), "--output", str(tmp_path / name), *QUICK]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_depth_can_be_written_in_millimetres(drive, tmp_path):
    encoding = ["--set", "output.depth_encoding=16UC1"]
    for name, extra in (("mm", encoding), ("m", [])):
        assert main(["replay", str(drive), "-o", str(tmp_path / name), *QUICK, *extra]) == 0
    images = {}
    for name in ("mm", "m"):
        with open_bag(tmp_path / name) as reader:
            (c,) = [c for c in reader.connections if c.topic.endswith("front/depth/image_rect")]
            _, _, raw = next(reader.messages([c]))
            images[name] = messages.decode_depth(reader.deserialize(raw, c.msgtype))
    both = np.isfinite(images["m"]) & (images["m"] < 65)
    assert np.abs(images["mm"] - images["m"])[both].max() <= 0.00051
    assert np.isnan(images["mm"][~np.isfinite(images["m"])]).all()


def test_a_missing_camera_is_in_the_status_with_its_reason(tmp_path):
    bag = write_drive(tmp_path / "bag", leave_out=("/front/camera_info",))
    output = tmp_path / "out"
    code = main(["replay", str(bag), "-o", str(output), *QUICK, "--set", "cameras=[front, rear]"])
    assert code == 0
    with open_bag(output) as reader:
        (c,) = [c for c in reader.connections if c.topic.endswith("status")]
        _, _, raw = next(reader.messages([c]))
        status = reader.deserialize(raw, c.msgtype)
    state = {c.name: c for c in status.cameras}
    assert state["rear"].present
    assert not state["front"].present
    assert "CameraInfo" in state["front"].reason


def test_an_existing_folder_is_never_overwritten_unless_it_is_a_bag(drive, tmp_path, capsys):
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    arguments = ["replay", str(drive), "-o", str(folder), "--overwrite", *QUICK]
    assert main(arguments) == 1
    assert "is no bag" in capsys.readouterr().err
    assert (folder / "thesis.txt").exists()


def test_pictures_are_written(drive, tmp_path):
    assert main(["replay", str(drive), "--images", str(tmp_path / "pictures"), *QUICK]) == 0
    names = {path.stem.split("_")[1] for path in (tmp_path / "pictures").glob("*.jpg")}
    assert names == {"input", "depth", "embodied", "confidence", "above", "measured"}


def test_a_camera_that_fails_leaves_the_others(tmp_path, capsys):
    """Its mounting is below the road: an impossible calibration of one camera, not of the rig."""

    def sink(topic, index, message):
        if topic == "/tf_static":
            (rear,) = [t for t in message.transforms if t.child_frame_id == "rear"]
            rear.transform.translation.z = -1.0
        return message

    bag = write_drive(tmp_path / "bag", change=sink)
    assert main(["replay", str(bag), "-o", str(tmp_path / "out"), *QUICK]) == 0
    with open_bag(tmp_path / "out") as reader:
        topics = {c.topic: c.msgcount for c in reader.connections}
        status = [
            reader.deserialize(raw, c.msgtype)
            for c, _, raw in reader.messages()
            if c.topic == "/surround_depth/status"
        ]
    assert topics["/surround_depth/front/depth/image_rect"] == 3
    assert "/surround_depth/rear/depth/image_rect" not in topics
    front, rear = status[0].cameras
    assert front.present and not rear.present
    assert "camera rear is -1.00 m above the ground" in rear.reason


@pytest.mark.parametrize("where", [".", "sub", ".."])
def test_the_recording_is_never_the_output(tmp_path, capsys, where):
    bag = write_drive(tmp_path / "outer" / "bag")
    before = contents(bag)
    assert main(["replay", str(bag), "-o", str(bag / where), "--overwrite", *QUICK]) == 1
    assert "lie in one another" in capsys.readouterr().err
    (file,) = bag.glob("*.mcap")
    assert main(["replay", str(file), "-o", str(bag), "--overwrite", *QUICK]) == 1
    assert contents(bag) == before


def test_a_number_of_frame_sets_is_a_limit_and_0_is_all(drive, tmp_path, capsys):
    for frames, expected in (("0", 3), ("2", 2), (str(10**30), 3)):
        output = ["-o", str(tmp_path / f"out{frames}"), "--frames", frames]
        assert main(["replay", str(drive), *output, *QUICK]) == 0
        assert f"{expected} frame sets of 2 cameras" in capsys.readouterr().out
    assert main(["replay", str(drive), "-o", str(tmp_path / "out"), "--frames", "-1"]) == 1
    assert "1 or more, or 0 for all" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
