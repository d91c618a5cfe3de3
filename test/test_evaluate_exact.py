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

"""Scores against exact truth: drives whose depth is known in closed form, and damaged truth."""

import json
import math

import numpy as np
import pytest
from test_evaluate import NetworkPipeline, Pipeline
from tiny_drive import CAMERA, HEIGHT, PERIOD, START, mounting, picture, road_points, transform

from depth_perception import messages
from depth_perception.cli.evaluate import print_tables
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_writer import BagTypes, BagWriter, package_typestore
from depth_perception.datasets.lidar_truth import TruthProtocol
from depth_perception.errors import BagError
from depth_perception.evaluation.evaluate import evaluate
from depth_perception.evaluation.exact import OWN_BODY_LABEL, ROAD_LABEL, ExactScorer, TruthGrid
from depth_perception.evaluation.exact_window import ExactWindow
from depth_perception.evaluation.report import advice, render, road_within
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.cloud import POINT_DTYPE
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.sampling import sample_depth
from depth_perception.parameters import Parameters

TYPES = BagTypes(package_typestore())
DEPTH, LABELS, LIDAR = "/truth/front/depth", "/front/labels", "/lidar/points"
SIDEWALK = 1


def road_depth():
    """True depth of the flat road: f h / (v - cy) below the horizon, sky above."""
    v = np.arange(CAMERA.height, dtype=np.float64)[:, None].repeat(CAMERA.width, axis=1)
    below = np.maximum(v - 99.5, 0.5)
    return np.where(v > 99.5, 200.0 * HEIGHT / below, np.inf).astype(np.float32)


def road_labels():
    labels = np.full((CAMERA.height, CAMERA.width), 10, np.uint8)
    labels[100:] = ROAD_LABEL
    return labels


def write_drive(path, *, frames=3, leave_out=(), change=None, cloud=None):
    """Write one camera over a flat road, its LiDAR, truth and labels; exact by design."""
    with BagWriter(path) as writer:
        types = writer.types
        mountings = [transform(types, "base_link", n, mounting(n)) for n in ("front", "lidar")]
        tf = types.new("tf2_msgs/msg/TFMessage", transforms=mountings)
        writer.write("/tf_static", tf, START - PERIOD, latched=True)
        for index in range(frames):
            stamp = START + index * PERIOD
            points = road_points() if cloud is None else cloud
            items = {
                "/front/camera_info": messages.camera_info_message(types, stamp, "front", CAMERA),
                "/front/image_raw": messages.image_message(
                    types, stamp, "front", picture(index), "bgr8"
                ),
                LIDAR: messages.cloud_message(types, stamp, "lidar", points),
                LABELS: messages.image_message(types, stamp, "front", road_labels(), "mono8"),
                DEPTH: messages.depth_message(types, stamp, "front", road_depth()),
            }
            for topic, message in items.items():
                if topic in leave_out:
                    continue
                kept = message if change is None else change(topic, index, message)
                if kept is not None:
                    writer.write(topic, kept, stamp)
    return path


def score(bag, scale=1.0, **options):
    with BagReader(bag, Parameters()) as reader:
        return evaluate(reader, Pipeline(scale), **options)


def test_embodied_depth_is_scored_beside_a_networks_on_the_same_pixels(tmp_path):
    bag = write_drive(tmp_path / "drive")
    assert score(bag).exact.all.embodied is None
    with BagReader(bag, Parameters()) as reader:
        exact = evaluate(reader, NetworkPipeline(1.08)).exact
    for scores in (exact.all, exact.cameras["front"]):
        assert scores.metric.abs_rel == pytest.approx(0.08, abs=1e-3)
        assert scores.embodied.abs_rel < 1e-6
        assert scores.embodied.count == scores.metric.count


def on_depth(index, make):
    """A change to the truth depth of one image (of all, when ``index`` is None)."""

    def change(topic, i, message):
        return make(message) if topic == DEPTH and index in (None, i) else message

    return change


def test_the_true_plane_scores_perfectly_against_exact_truth(tmp_path):
    e = score(write_drive(tmp_path / "drive"))
    one = e.exact.cameras["front"]
    # 300 / (v - 99.5) is below 80 m from row 104 on: 96 of 200 rows, in each of three images.
    assert (one.images, one.metric.truth_count) == (3, 3 * 96 * 320)
    assert one.metric.coverage == 1 and one.metric.a5 == 1 and one.metric.abs_rel < 1e-6
    assert e.exact.all.metric == one.metric
    assert not any("exact" in note for note in e.notes)
    # The same count by hand: the camera is 1.5 m ahead of base_link.
    depth = road_depth()[104:].astype(np.float64)
    y = (np.arange(320) - 159.5) / 200 * depth
    distance = np.hypot(1.5 + depth, y)
    for row in e.exact.all.road:
        inside = (distance >= row.low) & (distance < row.high)
        assert (row.truth_count, row.a5, row.coverage) == (3 * inside.sum(), 1, 1)


def test_a_wrong_scale_is_the_relative_error_everywhere(tmp_path):
    e = score(write_drive(tmp_path / "drive", frames=1), scale=1.07)
    metric = e.exact.all.metric
    assert metric.abs_rel == pytest.approx(0.07, abs=1e-5) and (metric.a5, metric.a10) == (0, 1)
    assert metric.rmse_log == pytest.approx(math.log(1.07), abs=1e-5)
    assert [row.abs_rel for row in e.exact.all.road] == pytest.approx([0.07] * 4, abs=1e-5)


def test_the_lidar_is_held_against_exact_truth(tmp_path):
    e = score(write_drive(tmp_path / "exact", frames=1))
    assert e.exact.all.lidar.count > 100
    # Points lie between pixels: bilinear in inverse depth is exact on a plane.
    assert e.exact.all.lidar.p95 < 1e-4

    # Mounted 0.6 m lower than TF says, it puts the road 0.9 m below the camera instead of 1.5 m:
    # at the pixel of a point at depth d the road is at d 1.5 / 0.9, two thirds of d farther.
    seen = {}
    e = score(
        write_drive(tmp_path / "off", frames=1, cloud=raised(0.6)),
        observer=lambda number, frames, result, samples: seen.update(samples),
    )
    depth = seen["front"].truth.depth
    check = e.exact.all.lidar
    assert check.count == pytest.approx(len(depth), rel=0.1)
    assert check.median == pytest.approx(-check.bias)
    assert check.median == pytest.approx(np.median(depth) * 2 / 3, rel=0.1)
    assert any("LiDAR and exact truth differ" in line for line in advice(e))


def raised(height):
    points = road_points().astype(POINT_DTYPE)
    points["z"] += height
    return points


def test_truth_of_the_wrong_size_is_a_note(tmp_path):
    def half(message):
        small = np.ascontiguousarray(road_depth()[::2, ::2])
        stamp = messages.stamp_of(message.header.stamp)
        return messages.depth_message(TYPES, stamp, "front", small)

    e = score(write_drive(tmp_path / "all", change=on_depth(None, half)))
    assert e.exact is None and e.points > 0
    assert any(DEPTH in n and "160x100" in n and "320x200" in n for n in e.notes)
    e = score(write_drive(tmp_path / "one", change=on_depth(1, half)))
    assert e.exact.all.images == 2 and e.exact.all.metric.a5 == 1
    assert any(n.startswith("exact truth, 1 image:") for n in e.notes)


@pytest.mark.parametrize("damage", ["missing", "another stamp", "encoding", "cut"])
def test_truth_that_is_missing_or_damaged_for_an_image_is_a_note(tmp_path, damage):
    def make(message):
        if damage == "missing":
            return None
        stamp = messages.stamp_of(message.header.stamp)
        if damage == "another stamp":
            return messages.depth_message(TYPES, stamp + 1, "front", road_depth())
        if damage == "encoding":
            return messages.image_message(TYPES, stamp, "front", picture(0), "bgr8")
        message.data = message.data[:1000]
        return message

    e = score(write_drive(tmp_path / "drive", change=on_depth(1, make)))
    assert (e.images, e.exact.all.images) == (3, 2)
    assert e.exact.all.metric.abs_rel < 1e-6
    notes = [n for n in e.notes if n.startswith("exact truth, 1 image:") and DEPTH in n]
    assert len(notes) == 1


def test_truth_of_another_type_is_a_note(tmp_path):
    def wrong(topic, index, message):
        if topic != DEPTH:
            return message
        return TYPES.new(
            "sensor_msgs/msg/CompressedImage",
            header=message.header,
            format="png",
            data=np.zeros(4, np.uint8),
        )

    e = score(write_drive(tmp_path / "drive", change=wrong))
    assert e.exact is None and e.points > 0
    assert any("CompressedImage" in n and DEPTH in n for n in e.notes)


def test_a_bag_without_truth_has_no_exact_scores(tmp_path):
    e = score(write_drive(tmp_path / "drive", leave_out=(DEPTH,)))
    assert e.exact is None and e.to_dict()["exact"] is None
    assert not any("exact" in note for note in e.notes)
    assert "exact truth</dt>" not in render(e, [])


def test_a_bag_without_lidar_is_scored_against_exact_truth_alone(tmp_path, capsys):
    e = score(write_drive(tmp_path / "drive", leave_out=(LIDAR,)))
    assert (e.points, e.images, e.lidar, e.road) == (0, 0, "", {})
    assert e.exact.all.metric.a5 == 1 and e.exact.all.lidar is None
    assert e.image_size == {"front": (320, 200)}
    assert road_within(e) == (e.exact.all.road[0].count + e.exact.all.road[1].count, 1.0)
    assert any("no LiDAR" in note for note in e.notes)
    text = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert text["exact"]["cameras"]["front"]["metric"]["abs_rel"] < 1e-6
    page = render(e, [])
    assert "scored against exact truth" in page and "LiDAR truth" not in page
    print_tables(e)
    printed = capsys.readouterr().out
    assert "Exact truth: all pixels" in printed and "100.0/100.0" in printed
    assert "All points" not in printed


def test_a_lidar_at_another_time_leaves_exact_truth(tmp_path):
    def late(topic, index, message):
        if topic == LIDAR:
            message.header.stamp.sec += 100
        return message

    e = score(write_drive(tmp_path / "drive", change=late))
    assert (e.points, e.cameras) == (0, {}) and e.exact.all.metric.a5 == 1
    assert any("alone" in note and "+99.8" in note for note in e.notes)


def test_neither_lidar_nor_usable_truth_is_an_error(tmp_path):
    bag = write_drive(tmp_path / "drive", leave_out=(LIDAR,), change=on_depth(None, lambda m: None))
    with pytest.raises(BagError, match="no LiDAR"):
        score(bag)
    bag = write_drive(
        tmp_path / "wrong",
        leave_out=(LIDAR,),
        change=on_depth(
            None, lambda m: messages.image_message(TYPES, START, "front", picture(0), "bgr8")
        ),
    )
    with pytest.raises(BagError, match=rf"no image has exact truth.*{DEPTH}"):
        score(bag)
    bag = write_drive(tmp_path / "truth", leave_out=(LIDAR,))
    with pytest.raises(BagError, match="no LiDAR"):
        score(bag, lidar="/lidar/points")


def test_own_body_sky_and_pixels_without_a_ray_are_left_out(tmp_path):
    labels = road_labels()
    labels[180:] = OWN_BODY_LABEL
    labels[150:180] = SIDEWALK
    depth = road_depth()
    depth[180:] = 0.4  # the bonnet, which the published depth need not know
    depth[150:160] = np.nan

    def change(topic, index, message):
        if topic == DEPTH:
            return messages.depth_message(TYPES, START, "front", depth)
        if topic == LABELS:
            return messages.image_message(TYPES, START, "front", labels, "mono8")
        return message

    exact = score(write_drive(tmp_path / "drive", frames=1, change=change)).exact.all
    assert exact.metric.truth_count == (46 + 20) * 320 and exact.metric.a5 == 1
    rows = 200 * HEIGHT / (np.arange(104, 150) - 99.5)
    y = (np.arange(320) - 159.5) / 200 * rows[:, None]
    assert exact.road[-1].truth_count == (np.hypot(1.5 + rows[:, None], y) < 40).sum()


def test_without_labels_the_box_is_the_own_body_and_there_is_no_road(tmp_path):
    depth = road_depth()
    depth[180:, 100:220] = 0.5  # x = 2.0, |y| < 0.16, z > 1.24: inside of the box

    def change(topic, index, message):
        return messages.depth_message(TYPES, START, "front", depth) if topic == DEPTH else message

    bag = write_drive(tmp_path / "drive", frames=1, leave_out=(LABELS,), change=change)
    exact = score(bag).exact.all
    assert exact.metric.truth_count == 96 * 320 - 20 * 120 and exact.metric.a5 == 1
    assert exact.road == []


def turned(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@pytest.mark.parametrize("degrees", [0.0, 6.0], ids=["same axis", "turned by rectification"])
@pytest.mark.parametrize("D", [[-0.25, 0.04, 5e-4, -1e-3], []], ids=["bent", "pinhole"])
def test_truth_of_a_distorted_camera_comes_into_the_published_geometry(D, degrees):
    K = np.array([[250.0, 0, 159.5], [0, 250, 119.5], [0, 0, 1]])
    raw = CameraModel(320, 240, K, D)
    view = CameraModel(320, 240, K, R=turned(degrees))
    camera = RigCamera("front", raw, mounting("front"), "front", view)
    frames = FrameSet(START, {"front": CameraFrame(START, np.zeros((240, 320, 3), np.uint8))})
    result = Pipeline().process(frames, Rig({"front": camera})).cameras["front"]
    # The raw image's own depth of the flat road, along the raw axis: the plane in closed form.
    truth = plane_depth(raw.rays(), camera.T_base_camera, GroundPlane()).astype(np.float32)

    messages_of_image = [(DEPTH, START, messages.depth_message(TYPES, START, "front", truth))]
    scorer = ExactScorer(
        ExactWindow(messages_of_image, {DEPTH: "sensor_msgs/msg/Image"}),
        TruthProtocol(max_depth=40.0),
    )
    assert scorer.add(result, camera, None)
    metric = scorer.finish(["front"]).all.metric
    assert metric.truth_count > 20_000 and metric.coverage == 1
    assert metric.abs_rel < 1e-3 and metric.a5 > 0.999
    if D or degrees:
        # Pixel for pixel the two differ: what was brought over was needed.
        with np.errstate(invalid="ignore"):
            off = np.abs(result.depth - truth) / truth
        assert np.nanquantile(off[np.isfinite(off)], 0.9) > 0.02


def test_truth_of_the_same_pinhole_is_not_sampled():
    camera = RigCamera("front", CAMERA, mounting("front"), "front", CAMERA)
    grid = TruthGrid(camera, CAMERA, camera.T_base_camera)
    truth = np.random.default_rng(0).uniform(1, 50, (200, 320)).astype(np.float32)
    assert np.array_equal(grid.depth(truth), truth.ravel())
    assert grid.serves(camera, CAMERA, camera.T_base_camera)
    assert not grid.serves(camera, CAMERA.resized(160, 100), camera.T_base_camera)


def test_reading_ahead_ends_where_truth_is_missing():
    read = 0

    def stream():
        nonlocal read
        for index in range(1000):
            for name in ("front", "rear"):
                if name == "rear" and index > 0:
                    continue  # its truth ends after the first image
                read += 1
                stamp = START + index * PERIOD
                message = messages.depth_message(TYPES, stamp, name, np.ones((2, 2), np.float32))
                yield f"/truth/{name}/depth", stamp, message

    topics = {f"/truth/{name}/depth": "sensor_msgs/msg/Image" for name in ("front", "rear")}
    window = ExactWindow(stream(), topics)
    for index in range(100):
        stamp = START + index * PERIOD
        assert window.at("front", stamp, (2, 2)) is not None
        assert (window.at("rear", stamp, (2, 2)) is not None) == (index == 0)
        assert read <= index + 7
        assert sum(map(len, window._held.values())) <= 5
    assert list(window.left_out.values()) == [99]


def test_depth_between_two_surfaces_is_not_compared_with_the_lidar():
    depth = np.array([[10.0, 10.0, 30.0]] * 2)
    uv = np.array([[0.5, 0.5], [1.5, 0.5]])
    assert sample_depth(depth, uv).tolist() == [10, 30]
    smooth = sample_depth(depth, uv, smooth_only=True)
    assert smooth[0] == 10 and np.isnan(smooth[1])
    # Nor beyond the outermost pixel centres, where there are no four neighbours.
    assert np.isnan(sample_depth(depth, np.array([[-0.3, 0.5]]), smooth_only=True)).all()
