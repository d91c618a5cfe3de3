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

"""Evaluation of made-up drives whose scores are known, its errors, and one real drive."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from test_lidar import AHEAD, SECOND, SHARED

from depth_perception.cli.evaluate import print_tables
from depth_perception.errors import BagError
from depth_perception.evaluation.cloud_picture import cloud_from_above
from depth_perception.evaluation.evaluate import _truth_topic, evaluate
from depth_perception.evaluation.pictures import UNKNOWN, arrange, error_colours
from depth_perception.evaluation.report import PictureCollector, render, road_within, write_report
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.cloud import POINT_DTYPE
from depth_perception.geometry.depth_colours import BEYOND, colour_depth
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transform_tree import TransformTree
from depth_perception.parameters import Parameters, from_flat

HEIGHT = 1.5


def turned(yaw):
    c, s = math.cos(yaw), math.sin(yaw)
    T = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]) @ AHEAD
    T[2, 3] = HEIGHT
    return T


def rig_of(**yaws):
    model = CameraModel(1280, 960, np.array([[900.0, 0, 639.5], [0, 900, 479.5], [0, 0, 1]]))
    return Rig({n: RigCamera(n, model, turned(yaw), n, model) for n, yaw in yaws.items()})


class Pipeline:
    """Depth of the nominal ground, scaled, on a grid half as wide as the image."""

    parameters = from_flat({"estimator": "embodied"})
    ground = GroundPlane()
    provider = "test"
    warnings = ()
    motion = None

    def __init__(self, scale=1.0):
        self.scale = scale

    def add_odometry(self, stamp, T_odom_base, name, by_tf):
        pass

    def check_rig(self, rig):
        pass

    def warn_of_lost(self, frame_set, result):
        pass

    def process(self, frame_set, rig):
        cameras = {}
        for name, frame in frame_set.frames.items():
            view = camera_view(rig[name], self.ground, 640)
            shape = view.plane.shape
            depth = (view.plane * self.scale).astype(np.float32)
            cameras[name] = CameraResult(
                frame.stamp,
                name,
                view.camera,
                view.T_base_camera,
                np.full((*shape, 3), 90, np.uint8),
                depth,
                np.ones(shape, np.float32),
                np.where(np.isfinite(depth), 1, 5).astype(np.uint8),
                view.plane.astype(np.float32),
                self.ground,
                np.ones(shape, np.uint8),
            )
        points = np.zeros(3, POINT_DTYPE)
        points["x"] = [5, 10, 20]
        return SurroundResult(
            frame_set.stamp,
            cameras,
            {},
            "base_link",
            self.ground,
            self.parameters.estimator,
            "test",
            points=points,
            latencies={"depth": 0.01},
        )


class NetworkPipeline(Pipeline):
    """The same from a network; the embodied depth beside it is the ground's own."""

    parameters = from_flat({"estimator": "fused"})


def drive(points, rig, offset=0.0, lidar_topics=("/lidar",)):
    """A reader of one frame set and its scan."""
    stamp = 100 * SECOND
    image = np.zeros((960, 1280, 3), np.uint8)
    tree = TransformTree()
    tree.set("base_link", "lidar", np.eye(4))
    frames = {name: CameraFrame(stamp, image) for name in rig.names}
    reader = SimpleNamespace(
        path="drive",
        name="drive",
        parameters=Parameters(),
        rig=rig,
        view=lambda topic: tree,
        odometry=[],
        motion=[],
        range_topic="",
        lidar_topics=list(lidar_topics),
        topics={"/image": "sensor_msgs/msg/Image"},
        problems=[],
        frame_sets=lambda: iter([FrameSet(stamp, frames)]),
    )
    scan = SimpleNamespace(
        stamp=stamp + round(offset * SECOND), frame_id="lidar", points=points.astype(np.float32)
    )
    return reader, [scan]


def road(slope, near=4.0, far=39.0, step=0.5):
    """Points on a road that falls by ``slope`` ahead, spaced evenly in x."""
    x, y = np.meshgrid(np.arange(near, far, step), np.arange(-2, 2.1, 0.5))
    return np.stack([x, y, -slope * x], -1).reshape(-1, 3)


def test_a_perfect_plane_scores_perfectly():
    reader, scans = drive(road(0.0), rig_of(front=0.0))
    e = evaluate(reader, Pipeline(), scans=scans)
    assert e.points > 200 and e.over_cameras.metric.coverage == 1
    # Half the resolution, read in inverse depth: exact but for float32.
    assert e.over_cameras.metric.abs_rel < 1e-4
    assert all(row.a5 == 1 for rows in e.road.values() for row in rows)
    assert e.over_cameras.scale == pytest.approx(1, abs=1e-4)
    assert e.plane.mean == pytest.approx((0, 0, 0), abs=1e-3)


@pytest.mark.parametrize("degrees", [0.25, 0.5, 1.0])
def test_a_slope_costs_what_the_error_formula_says(degrees):
    # A point x ahead lies h + x t below the camera, the nominal plane h: its depth is wrong by
    # x t / (h + x t), which is below e where x < e h / ((1 - e) t).
    t = math.tan(math.radians(degrees))
    reader, scans = drive(road(t), rig_of(front=0.0))
    seen = {}

    def keep(number, frame_set, result, samples):
        seen.update(samples)

    e = evaluate(reader, Pipeline(), scans=scans, observer=keep)
    x = seen["front"].truth.points[:, 0]
    everywhere = e.road["nominal plane"][-1]
    for limit, share in ((0.05, everywhere.a5), (0.10, everywhere.a10)):
        reach = limit * HEIGHT / ((1 - limit) * t)
        assert share == pytest.approx(np.mean(x < reach), abs=0.01)
    assert e.road["plane fitted to LiDAR"][-1].a5 == 1
    image, nominal = e.road["depth image"][-1], everywhere
    assert (image.a5, image.a10) == pytest.approx((nominal.a5, nominal.a10), abs=0.02)
    assert e.plane.mean[0] == pytest.approx(degrees, abs=0.02)


def test_median_scaling_and_the_rig_scale_undo_a_wrong_scale():
    reader, scans = drive(road(0.0), rig_of(front=0.0))
    e = evaluate(reader, Pipeline(scale=1.25), scans=scans)
    assert e.over_images.metric.abs_rel == pytest.approx(0.25, abs=1e-3)
    assert e.over_images.median.abs_rel < 1e-3 and e.over_images.rig.abs_rel < 1e-3
    assert e.cameras["front"].scale == pytest.approx(0.8, abs=1e-3)
    assert e.by_depth[1].bias[1] == pytest.approx(0.25, abs=1e-3)


def test_levels_are_scored_alone_and_together():
    reader, scans = drive(road(0.0), rig_of(front=0.0))
    road_level, ground_level = evaluate(reader, Pipeline(), scans=scans).levels[:2]
    assert road_level.alone.coverage == 1
    assert (ground_level.alone.count, ground_level.alone.coverage) == (0, 0)
    assert ground_level.cumulative.count == road_level.cumulative.count > 0


def test_neighbours_that_measure_the_same_ground_agree():
    x, y = np.meshgrid(np.arange(4, 15, 0.5), np.arange(0, 12, 0.5))
    points = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    reader, scans = drive(points, rig_of(front=0.0, left=math.radians(50)))
    e = evaluate(reader, Pipeline(), scans=scans)
    assert e.overlap_all.count > 50
    assert e.overlap_all.median < 1e-3 and e.overlap_all.consistent == 1
    assert e.overlap[0].cameras == ("front", "left")


def test_no_lidar_names_the_topics_that_are_there():
    reader, _ = drive(road(0.0), rig_of(front=0.0), lidar_topics=())
    with pytest.raises(BagError, match=r"no LiDAR.*PointCloud2.*/image"):
        evaluate(reader, Pipeline())


@pytest.mark.parametrize("named", [None, "/lidar"])
def test_depth_is_never_scored_against_what_it_was_measured_with(named):
    reader, scans = drive(road(0.0), rig_of(front=0.0))
    reader.range_topic = "/lidar"
    with pytest.raises(BagError, match=r"against /lidar \(motion.range_topic\).*--lidar, or set"):
        evaluate(reader, Pipeline(), scans=scans, lidar=named)
    assert _truth_topic(reader, None, exact=True) is None
    reader.lidar_topics.append("/other")
    assert _truth_topic(reader, None, exact=False) == "/other"


def test_scans_at_another_time_tell_the_offset():
    reader, scans = drive(road(0.0), rig_of(front=0.0), offset=-5.0)
    with pytest.raises(BagError, match=r"/lidar.*-5\.000 s.*0\.1 s"):
        evaluate(reader, Pipeline(), scans=scans)
    assert evaluate(reader, Pipeline(), scans=scans, max_offset=6.0).offsets == (-5.0, -5.0)


def test_a_drive_without_road_still_scores_the_rest(tmp_path):
    wall = np.stack(np.meshgrid([20.0], np.linspace(-5, 5, 30), [0.5, 1.0]), -1).reshape(-1, 3)
    reader, scans = drive(wall, rig_of(front=0.0))
    collector = PictureCollector()
    e = evaluate(reader, Pipeline(), scans=scans, observer=collector)
    assert e.plane is None and road_within(e)[0] == 0 and e.points == len(wall)
    assert any("no scan showed a road" in note for note in e.notes)
    text = json.dumps(e.to_dict(), allow_nan=False)
    assert json.loads(text)["road"]["depth image"][0]["a5"] is None
    assert write_report(tmp_path / "page", e, collector.panels).is_file()


def test_the_page_is_whole_and_repeats_byte_for_byte():
    reader, scans = drive(road(0.01), rig_of(front=0.0, left=0.8, back=3.1))
    collector = PictureCollector()
    e = evaluate(reader, Pipeline(), scans=scans, observer=collector)
    page = render(e, collector.panels, "2024-05-01")
    assert page == render(e, collector.panels, "2024-05-01")
    assert "2024-05-01" in page and page.count("data:image/jpeg;base64,") == 4
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert "pitch +0.57" in page


def test_embodied_depth_is_scored_beside_a_networks_on_the_same_points(capsys):
    reader, scans = drive(road(0.0), rig_of(front=0.0, left=0.8))
    collector = PictureCollector()
    e = evaluate(reader, NetworkPipeline(1.08), scans=scans, observer=collector)
    assert e.over_cameras.metric.abs_rel == pytest.approx(0.08, abs=1e-3)
    assert e.embodied.abs_rel < 1e-4 and e.embodied.count == e.over_cameras.metric.count
    image, beside = e.road["depth image"][-1], e.road["embodied depth"][-1]
    assert (image.a5, image.a10, beside.a5) == (0, 1, 1) and image.count == beside.count
    assert e.to_dict()["embodied"]["a5"] == 1
    page = render(e, collector.panels)
    assert page.count("data:image/jpeg;base64,") == 6
    assert "network (fused)" in page and "Levels of embodied depth" not in page
    print_tables(e)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    # All points, road, and obstacles with edges, flicker and confidence.
    assert sum(line.startswith("embodied depth") for line in lines) == 3


def test_embodied_depth_is_not_scored_beside_itself():
    reader, scans = drive(road(0.0), rig_of(front=0.0))
    e = evaluate(reader, Pipeline(), scans=scans)
    assert e.embodied is None and "embodied depth" not in e.road
    assert e.to_dict()["embodied"] is None


def test_cameras_stand_where_they_look():
    yaws = {"back": 180, "right": -60, "left": 60, "front": 0, "back_right": -110, "back_left": 110}
    poses = {name: turned(math.radians(yaw)) for name, yaw in yaws.items()}
    assert arrange(poses) == [["left", "front", "right"], ["back_left", "back", "back_right"]]


def test_colours_tell_unknown_beyond_near_and_far():
    picture = colour_depth(np.array([[np.nan, np.inf, 3.0, 60.0]]), unknown=UNKNOWN)
    assert tuple(picture[0, 0]) == UNKNOWN and tuple(picture[0, 1]) == BEYOND
    near, far = picture[0, 2].astype(int), picture[0, 3].astype(int)
    assert near[2] > near[0] and far[0] > far[2], "near is red, far is blue"
    short, right, long = error_colours(np.array([-0.3, 0.0, 0.3])).astype(int)
    assert short[0] > 200 > short[2] and right.min() > 200 and long[2] > 200 > long[0]


def test_the_cloud_from_above_heads_up():
    points = np.zeros(1, POINT_DTYPE)
    points["x"], points["y"] = 33.0, 17.0
    points["rgb"] = np.array([0x00FF0000], np.uint32).view(np.float32)
    picture = cloud_from_above(points, ahead=50, behind=30, side=30, scale=10)
    assert picture.shape == (800, 600, 3)
    red = (picture[..., 2] > 200) & (picture[..., 0] < 60)
    row, column = np.argwhere(red).mean(axis=0)
    assert (row, column) == pytest.approx((170, 130), abs=2)


def test_a_real_drive_with_the_real_pipeline():
    bag = SHARED / "bags" / "nuscenes_sample"
    if not bag.exists():
        pytest.skip(f"no real drive at {bag}")
    from depth_perception.datasets.bag import BagReader
    from depth_perception.pipeline import SurroundPipeline

    parameters = from_flat({"estimator": "embodied"})
    with BagReader(bag, parameters) as reader:
        pipeline = SurroundPipeline(parameters)
        e = evaluate(reader, pipeline)
        pipeline.close()
    assert (e.frame_sets, e.images, len(e.cameras)) == (1, 6, 6)
    assert e.road["nominal plane"][-1].a10 == pytest.approx(0.998, abs=0.003)
    image = e.road["depth image, level road"][-1]
    assert image.count > 3000 and image.a10 > 0.99
    assert len(e.overlap) == 5
