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

"""Recordings for rerun, read back: where cameras are, what they see, how far it is, and when."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recording_reader import Row, pixels_of, read_rows, values_of
from tiny_drive import CAMERA, HEIGHT, PERIOD, START, mounting, road_points, write_drive

from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.replay import results
from depth_perception.frames.publication import messages_of
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.cloud import POINT_DTYPE, OccupancyMap
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.parameters import Parameters, from_flat
from depth_perception.pipeline import SurroundPipeline
from depth_perception.viewing.blueprint import camera_rows
from depth_perception.viewing.entities import Entities
from depth_perception.viewing.outlet import new_stream, part_of, screen, to_browser, to_file
from depth_perception.viewing.published import Published, Shown, shown_outputs
from depth_perception.viewing.recording import Limits, Recording, every_nth, ground_lines

pytest.importorskip("rerun", reason="rerun-sdk is not installed; see 'make extras'")

VALUES = {"estimator": "embodied", "output.image_width": 0, "motion.enabled": False}
VALUES["ground.height"] = -0.05  # another than without a word
SET = [word for name, value in VALUES.items() for word in ("--set", f"{name}={value}")]
STAMPS = {
    name: [START + i * PERIOD + offset for i in range(3)]
    for name, offset in (("front", 0), ("rear", 20_000_000))
}
ENTITIES = Entities("base_link")


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return from_flat(VALUES)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp("drive") / "bag")


@pytest.fixture(scope="module")
def computed(drive: Path, parameters: Parameters) -> list[SurroundResult]:
    pipeline = SurroundPipeline(parameters)
    with BagReader(drive, parameters) as reader:
        found = [result for _, result in results(reader, pipeline)]
    pipeline.close()
    return found


@pytest.fixture(scope="module")
def saved(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    path = tmp_path_factory.mktemp("saved") / "drive.rrd"
    limits = ["--points", "500", "--depth-width", "160"]
    assert main(["view", str(drive), "--save", str(path), *limits, *SET]) == 0
    assert not part_of(path).exists()
    return read_rows(path)


def record(path: Path, log: Any, limits: Limits | None = None) -> dict[str, list[Row]]:
    """Log something, and read it back."""
    stream = new_stream("test")
    with to_file(stream, path):
        recording = Recording(stream, "base_link", limits)
        recording.begin_set(START, 0)
        log(recording)
    return read_rows(path)


def test_cameras_stand_where_they_are_mounted_and_what_they_see_is_their_pinhole(saved) -> None:
    for name in ("front", "rear"):
        (placed,) = saved[ENTITIES.camera(name)]
        T = mounting(name)
        assert placed.values["Transform3D:translation"][0] == pytest.approx(T[:3, 3])
        columns = np.array(placed.values["Transform3D:mat3x3"][0]).reshape(3, 3)
        assert columns.T == pytest.approx(T[:3, :3])
        (K,) = values_of(saved[ENTITIES.image(name)], "Pinhole:image_from_camera")
        assert np.array(K[0]).reshape(3, 3).T == pytest.approx(CAMERA.K)
        (size,) = values_of(saved[ENTITIES.image(name)], "Pinhole:resolution")
        assert list(size[0]) == [320, 200]


def test_of_depth_every_second_pixel_is_kept_and_its_pinhole_says_which(saved) -> None:
    """Pixel (0, 0) is (1, 1) of 320x200: f = 200 / 2, cx = (159.5 - 1) / 2."""
    rows = saved[ENTITIES.depths("front")]
    (K,) = values_of(rows, "Pinhole:image_from_camera")
    expected = [[100, 0, 79.25], [0, 100, 49.25], [0, 0, 1]]
    assert np.array(K[0]).reshape(3, 3).T == pytest.approx(np.array(expected))
    (size,) = values_of(rows, "Pinhole:resolution")
    assert list(size[0]) == [160, 100]


def test_depth_is_in_metres(saved, computed) -> None:
    for name in ("front", "rear"):
        rows = saved[ENTITIES.depth(name, "estimated")]
        assert [row.stamp for row in rows] == STAMPS[name]
        for row, result in zip(rows, computed, strict=True):
            (unit,) = row.values["EncodedDepthImage:meter"]
            depth = pixels_of(row) / unit
            kept = result.cameras[name].depth[1::2, 1::2]
            known = np.isfinite(kept)
            assert known.sum() > 3000
            assert np.abs(depth[known] - kept[known]).max() <= 0.0051
            assert not depth[~known].any(), "unknown, and beyond range"
            # The road, straight ahead: row 40 below the middle of the small image is row 181.
            assert depth[90, 80] == pytest.approx((HEIGHT + 0.05) * 200 / (181 - 99.5), abs=0.005)


def test_images_are_those_of_the_result(saved, computed) -> None:
    rows = [row for row in saved[ENTITIES.image("rear")] if "EncodedImage:blob" in row.values]
    assert [row.stamp for row in rows] == STAMPS["rear"]
    for row, result in zip(rows, computed, strict=True):
        image = result.cameras["rear"].image
        error = np.abs(pixels_of(row).astype(int) - image)
        assert error[:90].max() <= 3, "the sky is even, so that JPEG keeps it"
        assert pixels_of(row)[99:].mean() == pytest.approx(image[99:].mean(), abs=1.0)


def test_confidence_is_grey(saved, computed) -> None:
    row = saved[ENTITIES.depth("front", "confidence")][0]
    expected = np.nan_to_num(computed[0].cameras["front"].confidence[1::2, 1::2])
    assert pixels_of(row) / 255 == pytest.approx(expected, abs=0.5 / 255 + 1e-6)


def test_the_clouds_are_the_pipelines_thinned(saved, computed) -> None:
    for path, field in ((ENTITIES.points, "points"), (ENTITIES.obstacles, "obstacles")):
        rows = saved[path]
        assert [row.stamp for row in rows] == [result.stamp for result in computed]
        assert [row.number for row in rows] == [0, 1, 2]
        for row, result in zip(rows, computed, strict=True):
            points = every_nth(getattr(result, field), 500)
            positions = np.array([list(p) for p in row.values["Points3D:positions"]]).reshape(-1, 3)
            expected = np.stack([points["x"], points["y"], points["z"]], axis=1)
            assert np.array_equal(positions.astype(np.float32), expected)
    assert 250 < len(saved[ENTITIES.points][0].values["Points3D:positions"]) <= 500
    assert len(computed[0].points) > 500


def test_points_have_the_colour_of_their_pixel(tmp_path: Path) -> None:
    """PCL packs 0x00RRGGBB into a float; rerun wants 0xRRGGBBAA."""
    points = np.zeros(1, POINT_DTYPE)
    points["rgb"] = np.array([0x00FF8001], np.uint32).view(np.float32)
    rows = record(tmp_path / "a.rrd", lambda recording: recording.cloud(points))
    assert rows[ENTITIES.points][0].values["Points3D:colors"] == [0xFF8001FF]


def test_thinning_is_even_and_never_above_the_limit() -> None:
    assert every_nth(np.arange(10), 10).tolist() == list(range(10))
    assert every_nth(np.arange(10), 5).tolist() == [0, 2, 4, 6, 8]
    assert every_nth(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert every_nth(np.arange(0), 4).tolist() == []


def test_the_lidar_lies_in_the_base_frame(saved) -> None:
    rows = saved[ENTITIES.lidar]
    assert [row.stamp for row in rows] == STAMPS["front"]
    positions = np.array([list(p) for p in rows[0].values["Points3D:positions"]])
    source = every_nth(road_points(), 500)
    assert np.abs(positions[:, 2]).max() < 1e-6, "the road, 1.8 m below the LiDAR"
    assert positions[:, 0] == pytest.approx(source["x"])


def test_ground_and_latencies_are_plotted_as_they_are(saved, computed) -> None:
    for name, of in (
        ("ground/pitch", lambda r: np.degrees(r.ground.pitch)),
        ("ground/roll", lambda r: np.degrees(r.ground.roll)),
        ("height/height", lambda r: r.ground.height),
    ):
        rows = [row for row in saved[ENTITIES.plot(name)] if row.stamp is not None]
        assert [row.stamp for row in rows] == [result.stamp for result in computed]
        plotted = [row.values["Scalars:scalars"][0] for row in rows]
        assert plotted == pytest.approx([of(result) for result in computed])
    assert plotted == pytest.approx([-0.05] * 3), "the height, the last of them"
    depth = values_of(saved[ENTITIES.plot("latency/depth")], "Scalars:scalars")
    total = values_of(saved[ENTITIES.plot("latency/total")], "Scalars:scalars")
    assert len(depth) == len(total) == 3
    assert all(0 < d[0] < t[0] for d, t in zip(depth, total, strict=True))


def test_a_tilted_road_is_drawn_where_it_is_and_its_angles_in_degrees(tmp_path: Path) -> None:
    """Pitch 2 degrees: the road falls by tan(2 degrees) a metre ahead."""
    plane = GroundPlane.from_angles(roll=0.0, pitch=np.radians(2.0), height=-0.3)
    lines = ground_lines(plane)
    assert lines.reshape(-1, 3) @ plane.normal == pytest.approx(plane.height)
    ahead = lines[np.isclose(lines[..., 0], 30.0) & np.isclose(lines[..., 1], 0.0)]
    expected = -0.3 / np.cos(np.radians(2)) - 30 * np.tan(np.radians(2))
    assert len(ahead) and ahead[:, 2] == pytest.approx(expected)
    rows = record(tmp_path / "a.rrd", lambda recording: recording.ground(plane))
    (pitch,) = values_of(rows[ENTITIES.plot("ground/pitch")], "Scalars:scalars")
    assert pitch[0] == pytest.approx(2.0)
    (strips,) = values_of(rows[ENTITIES.ground], "LineStrips3D:strips")
    assert np.array(strips) == pytest.approx(lines, abs=1e-5)


def test_the_map_lies_as_it_is_published_with_its_lowest_row_last(tmp_path: Path) -> None:
    """Of a viewer's images the first row is the top one, which is the largest y."""
    cells = np.array([[0, 100, -1], [-1, -1, 0]], np.int8)
    grid = OccupancyMap(cells, 0.5, np.array([-3.0, 2.0, 0.1]))
    (row,) = record(tmp_path / "a.rrd", lambda recording: recording.map(grid))[ENTITIES.map]
    (data,) = row.values["GridMap:data"]
    kept = np.array(data, np.uint8).view(np.int8).reshape(2, 3)
    assert kept.tolist() == [[-1, -1, 0], [0, 100, -1]]
    assert row.values["GridMap:cell_size"] == pytest.approx(0.5)
    (place,) = values_of([row], "GridMap:translation")
    assert list(place[0]) == pytest.approx([-3.0, 2.0, 0.1])


def test_what_is_missing_is_shown_no_longer_and_said(tmp_path: Path) -> None:
    depth = np.full((200, 320), 5.0, np.float32)
    image = np.zeros((200, 320, 3), np.uint8)

    def log(recording: Recording) -> None:
        recording.image("front", CAMERA, image)
        recording.depth("front", "measured", CAMERA, depth)
        recording.begin_set(START + 1, 1)
        recording.clear_depth("front", "measured")
        recording.clear_depth("front", "embodied")
        recording.begin_set(START + 2, 2)
        recording.clear_camera("front")
        recording.clear_camera("rear")
        recording.begin_set(START + 3, 3)
        recording.image("front", CAMERA, image)

    rows = record(tmp_path / "a.rrd", log)
    cleared = {
        (path, row.stamp - START, row.values["Clear:is_recursive"][0])
        for path, found in rows.items()
        for row in found
        if "Clear:is_recursive" in row.values
    }
    assert cleared == {
        (ENTITIES.depth("front", "measured"), 1, False),
        (ENTITIES.image("front"), 2, True),
        (ENTITIES.depths("front"), 2, True),
    }
    pinholes = [r for r in rows[ENTITIES.image("front")] if "Pinhole:resolution" in r.values]
    assert [row.stamp - START for row in pinholes] == [0, 3], "it was cleared, too"


def test_a_mounting_is_logged_when_it_changes_and_for_times_before(tmp_path: Path) -> None:
    moved = mounting("front")
    moved[0, 3] += 0.1

    def log(recording: Recording) -> None:
        for offset, T in ((0, mounting("front")), (1, mounting("front")), (2, moved), (-5, moved)):
            recording.at(START + offset)
            recording.place("front", T)

    rows = record(tmp_path / "a.rrd", log)[ENTITIES.camera("front")]
    places = [(row.stamp - START, row.values["Transform3D:translation"][0][0]) for row in rows]
    assert [offset for offset, _ in places] == [-5, 0, 2]
    assert [x for _, x in places] == pytest.approx([1.6, 1.5, 1.6])


def test_a_camera_that_is_turned_by_rectification_looks_where_its_pixels_do(tmp_path: Path) -> None:
    """R turns the optical frame into that of the pixels: x is y there."""
    R = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    camera = CameraModel(320, 200, CAMERA.K, R=R)
    image = np.zeros((200, 320, 3), np.uint8)
    rows = record(tmp_path / "a.rrd", lambda recording: recording.image("a", camera, image))
    (turned,) = values_of(rows[ENTITIES.image("a")], "Transform3D:mat3x3")
    T_camera_pixels = np.array(turned[0]).reshape(3, 3).T
    assert T_camera_pixels @ [0, 1, 0] == pytest.approx([-1, 0, 0])
    assert R @ T_camera_pixels == pytest.approx(np.eye(3))


def looking(yaw: float) -> np.ndarray:
    """Mounting of a camera that looks so many degrees to the left of ahead."""
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    T = np.eye(4)
    T[:3, :3] = [[s, 0, c], [-c, 0, s], [0, -1, 0]]
    return T


def test_views_are_arranged_by_where_cameras_look() -> None:
    yaws = {"b": 180, "br": -110, "fr": -55, "f": 0, "bl": 110, "fl": 55}
    rows = camera_rows({name: looking(yaw) for name, yaw in yaws.items()})
    assert rows == [["fl", "f", "fr"], ["bl", "b", "br"]]
    four = camera_rows(
        {name: looking(yaw) for name, yaw in zip("lrfb", (90, -90, 0, 180), strict=True)}
    )
    assert four == [["l", "f", "r"], ["b"]]
    assert camera_rows({"b": looking(180)}) == [["b"]] and camera_rows({}) == []


def test_a_camera_that_looks_down_is_arranged_by_the_top_of_its_image() -> None:
    down = np.eye(4)
    down[:3, :3] = [[0, -1, 0], [-1, 0, 0], [0, 0, -1]]  # the top of its image is ahead
    assert camera_rows({"down": down, "back": looking(180)}) == [["down"], ["back"]]


def test_the_layout_is_made_for_the_rig(drive: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.rrd"
    assert main(["view", str(drive), "--save", str(path), "--frames", "1", *SET]) == 0
    rows = [row for found in read_rows(path, layout=True).values() for row in found]
    origins = {value[0] for value in values_of(rows, "ViewBlueprint:space_origin")}
    titles = {value[0] for value in values_of(rows, "ViewBlueprint:display_name")}
    cameras = {path for n in ("front", "rear") for path in (ENTITIES.image(n), ENTITIES.depths(n))}
    assert cameras | {ENTITIES.vehicle, "/plots/ground", "/plots/latency", "/log"} <= origins
    assert {"front", "rear", "depth", "measured", "confidence", "Vehicle"} <= titles


def test_a_bag_that_replay_wrote_shows_the_same(
    drive: Path, tmp_path: Path, saved: dict[str, list[Row]]
) -> None:
    bag, path = tmp_path / "replayed", tmp_path / "replayed.rrd"
    assert main(["replay", str(drive), "--output", str(bag), *SET]) == 0
    limits = ["--points", "500", "--depth-width", "160"]
    assert main(["view", str(bag), "--save", str(path), *limits]) == 0
    rows = read_rows(path)
    same = [ENTITIES.points, ENTITIES.obstacles, ENTITIES.map, ENTITIES.ground]
    for name in ("front", "rear"):
        kinds = ("estimated", "confidence")
        same += [ENTITIES.depths(name), *(ENTITIES.depth(name, kind) for kind in kinds)]
        placed, before = rows[ENTITIES.camera(name)][0], saved[ENTITIES.camera(name)][0]
        for component, value in before.values.items():  # a quaternion in between
            assert placed.values[component][0] == pytest.approx(value[0], abs=1e-9)
    same += [ENTITIES.plot("ground/pitch"), ENTITIES.plot("height/height")]
    for entity in same:
        assert len(rows[entity]) == len(saved[entity]), entity
        for one, other in zip(rows[entity], saved[entity], strict=True):
            assert one.stamp == other.stamp and one.values.keys() == other.values.keys()
            assert str(one.values) == str(other.values), entity
    assert ENTITIES.plot("latency/depth") not in rows, "replay writes none"


def test_every_output_of_the_node_is_known_in_any_namespace(computed, parameters) -> None:
    made = dict(messages_of(computed[0], parameters, BagTypes(package_typestore())))
    shown = shown_outputs(f"/car1/{topic}" for topic in made)
    assert set(shown) == {f"/car1/{topic}" for topic in made}
    assert shown["/car1/surround_depth/front/depth/image_rect"].camera == "front"
    assert shown_outputs(["/front/image_raw", "/surround_depth/front/depth/image_color"]) == {}


def test_results_that_cannot_be_shown_are_said_and_the_others_are_shown(
    drive: Path, tmp_path: Path
) -> None:
    bag, path = tmp_path / "replayed", tmp_path / "replayed.rrd"
    assert main(["replay", str(drive), "--output", str(bag), "--frames", "1", *SET]) == 0
    spoilt = tmp_path / "spoilt"
    from depth_perception.datasets.bag_file import open_bag
    from depth_perception.datasets.bag_writer import BagWriter

    with open_bag(bag) as reader, BagWriter(spoilt) as writer:
        for connection, time, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == "/surround_depth/points":
                message.fields = message.fields[1:]
            writer.write(connection.topic, message, time, latched=connection.topic == "/tf_static")
    assert main(["view", str(spoilt), "--save", str(path)]) == 0
    rows = read_rows(path)
    assert ENTITIES.points not in rows and ENTITIES.obstacles in rows
    said = [text[0] for text in values_of(rows[ENTITIES.log], "TextLog:text")]
    assert any("/surround_depth/points" in text and "x, y, z and rgb" in text for text in said)


def test_a_late_status_that_misses_a_camera_leaves_its_images_alone(tmp_path: Path) -> None:
    """A node's results come seconds after the images, which are shown as they come."""
    header = SimpleNamespace(stamp=SimpleNamespace(sec=START // 10**9, nanosec=0))
    missing = SimpleNamespace(name="front", present=False, reason="late")
    status = SimpleNamespace(
        header=header,
        stage_names=["depth"],
        stage_latencies=[0.2],
        latency=0.3,
        motion_speed=float("nan"),
        cameras=[missing],
    )

    def log(recording: Recording) -> None:
        recording.at(START + 10**9)
        recording.image("front", CAMERA, np.zeros((200, 320, 3), np.uint8))
        recording.depth("front", "estimated", CAMERA, np.full((200, 320), 5.0, np.float32))
        published = Published(recording, lambda frame, topic: mounting("front"))
        published.take("/surround_depth/status", Shown("status"), status)

    rows = record(tmp_path / "a.rrd", log)
    cleared = {p for p, found in rows.items() if values_of(found, "Clear:is_recursive")}
    assert cleared == {ENTITIES.depth("front", "estimated")}
    assert values_of(rows[ENTITIES.log], "TextLog:text") == [["front: late"]]
    assert values_of(rows[ENTITIES.plot("latency/total")], "Scalars:scalars")[0][0] == 300.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "view needs a bag, or --live"),
        (["BAG", "--live"], "not both"),
        (["nowhere", "--save", "a.rrd"], "'nowhere' does not exist"),
        (["BAG", "--save", "a.mp4"], "--save a.mp4.rrd"),
        (["BAG", "--save", "there.rrd"], "add --overwrite"),
        (["BAG", "--save", "a.rrd", "--points", "0"], "--points 0"),
        (["BAG", "--save", "a.rrd", "--depth-width", "-1"], "--depth-width -1"),
        (["BAG", "--save", "a.rrd", "--frames", "-1"], "--frames -1"),
        (["BAG", "--save", "a.rrd", "--lidar", "/lidar/point"], "did you mean '/lidar/points'"),
        (["BAG", "--save", "a.rrd", "--recorded"], "holds no results"),
        (["BAG"], "--save FILE.rrd"),
        (["BAG", "--web", "--port", "PORT"], "choose --port"),
    ],
)
def test_bad_arguments_are_named_with_the_fix(
    given: list[str],
    said: str,
    drive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "there.rrd").touch()
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        names = {"BAG": str(drive), "PORT": str(taken.getsockname()[1])}
        assert main(["view", *(names.get(word, word) for word in given), *SET]) == 1
    error = capsys.readouterr().err
    assert said in error and "Fix: " in error
    assert [path.name for path in tmp_path.iterdir()] == ["there.rrd"]


def test_without_rerun_it_is_said_how_to_get_it(
    drive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main(["view", str(drive), "--save", "a.rrd"]) == 1
    assert "pip install 'depth_perception[view]'" in capsys.readouterr().err


def test_a_file_that_is_not_whole_has_another_name_and_opens(tmp_path: Path) -> None:
    path = tmp_path / "a.rrd"
    with pytest.raises(ConfigurationError, match="broken"):

        def log(recording: Recording) -> None:
            recording.speed(3.0)
            raise ConfigurationError("broken")

        record(path, log)
    assert not path.exists()
    rows = read_rows(tmp_path / "a.part.rrd")
    (speed,) = values_of(rows[ENTITIES.plot("speed/speed")], "Scalars:scalars")
    assert speed[0] == 3.0


def test_a_screen_is_x_or_wayland() -> None:
    if sys.platform == "linux":
        assert screen({"DISPLAY": ":0"}) and screen({"WAYLAND_DISPLAY": "wayland-0"})
        assert not screen({"DISPLAY": ""}) and not screen({})


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}"):
            to_browser(new_stream("test"), port)
