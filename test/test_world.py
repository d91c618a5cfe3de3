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

"""The synthetic world: exact depth, sensors and frames that agree, and a bag of it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

pytest.importorskip("warp", reason="NVIDIA Warp renders the world")

from depth_perception.cli.main import main
from depth_perception.datasets import labels
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.world.output import dataset, rigs, sensors
from depth_perception.world.output.dataset_plan import DatasetPlan, DrivePlan
from depth_perception.world.output.drive_bag import START, _road_profile, write_drive_bag
from depth_perception.world.output.rigs import RIGS, MountedCamera, make_rig, mounting
from depth_perception.world.output.sensors import SensorSuite
from depth_perception.world.render.picture import Sensor, develop
from depth_perception.world.render.renderer import View
from depth_perception.world.scene.drive import Drive, make_drive
from depth_perception.world.scene.plan import SETTINGS
from depth_perception.world.scene.weather import WEATHERS, Sky, draw_sky

SEED = 5


@pytest.fixture(scope="module", autouse=True)
def one_texture_set() -> Iterator[None]:
    """All drives wear the same textures: each further set takes a second to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensors, "TEXTURE_SETS", 1)
        yield


@pytest.fixture(scope="module")
def drive() -> Drive:
    return make_drive(SEED, duration=1.0, setting="suburb", weather="clear", speed=8.0)


@pytest.fixture(scope="module")
def suite(drive: Drive) -> SensorSuite:
    rig = make_rig("nuscenes", width=320)
    return SensorSuite(drive, replace(rig, lidar=replace(rig.lidar, noise=0.0, lost=0.0)))


@pytest.fixture(scope="module")
def views(suite: SensorSuite) -> dict[str, View]:
    return {camera.name: suite.view(camera, 0.0) for camera in suite.rig.cameras}


@pytest.fixture(scope="module")
def flat() -> Drive:
    return make_drive(1, duration=1.0, flat=True, empty=True, setting="city", weather="overcast")


@pytest.fixture(scope="module")
def flat_suite(flat: Drive) -> SensorSuite:
    """Cameras of any rig see the flat road through it: it has no body of its own."""
    return SensorSuite(flat, replace(make_rig("kitti", width=160), body=None))


def under(suite: SensorSuite, sky: Sky) -> SensorSuite:
    """The same street at time 0 in another light."""
    other = copy.copy(suite)
    other.drive = replace(suite.drive, sky=sky)
    return other


def plane_depth(camera: MountedCamera, normal: Any, height: float) -> Any:
    """Depth of every pixel's ray on the plane normal . X = height of base_link, by hand."""
    rays = camera.model.rays() @ camera.T_base_camera[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (height - normal @ camera.T_base_camera[:3, 3]) / (rays @ normal)
    return np.where(depth > 0, depth, np.inf)


def points_of(camera: MountedCamera, view: View, T_odom_base: Any) -> Any:
    """Every pixel's point in `odom`: (H, W, 3)."""
    T = T_odom_base @ camera.T_base_camera
    with np.errstate(invalid="ignore"):  # the sky's
        points = camera.model.rays() * view.depth[..., None]
        return points @ T[:3, :3].T + T[:3, 3]


# Depth.


@pytest.mark.parametrize("name", RIGS)
def test_depth_of_a_flat_road_is_the_true_plane_in_closed_form(
    name: str, flat: Drive, flat_suite: SensorSuite
) -> None:
    """For every lens, distorted and fisheye ones too."""
    rig = make_rig(name, width=160, seed=3)
    checked = 0
    for camera in rig.cameras:
        view = flat_suite.view(camera, 0.3)
        up = camera.T_base_camera[:3, :3].T @ [0.0, 0.0, 1.0]
        road = (view.label == labels.ROAD) & (view.depth < 60.0) & (view.normal @ up > 0.9999)
        if not road.any():
            continue
        expected = plane_depth(camera, *flat.road_plane(0.3))
        np.testing.assert_allclose(view.depth[road], expected[road], rtol=1e-3)
        assert np.median(np.abs(view.depth[road] / expected[road] - 1)) < 2e-5
        checked += int(road.sum())
    assert checked > 1500


def test_a_slope_that_calibration_does_not_know_errs_as_the_error_model_says() -> None:
    """Relative error of depth is about Z d / h for a pitch error d (methods 3.1)."""
    grade = np.tan(np.radians(0.5))
    slope = make_drive(
        1, duration=1.0, flat=True, empty=True, setting="city", weather="overcast", grade=grade
    )
    rig = make_rig("kitti", width=320)
    camera = rig.cameras[0]
    view = SensorSuite(slope, replace(rig, body=None)).view(camera, 0.0)
    # The plane that someone sees who takes the vehicle for level: tilted by the slope.
    normal = slope.ego_pose(0.0)[:3, :3].T @ [0.0, 0.0, 1.0]
    # Its height is right under the camera.
    wrong = plane_depth(camera, normal, normal @ (camera.T_base_camera[:3, 3] * [1, 1, 0]))
    height = camera.T_base_camera[2, 3]
    for at in (8.0, 15.0, 25.0):
        near = (view.label == labels.ROAD) & (np.abs(view.depth - at) < 0.6)
        assert near.sum() > 20
        # 1/Z changes by d/h, which is exact; Z d / h is its first order.
        change = np.median(1 / wrong[near] - 1 / view.depth[near])
        assert abs(change) == pytest.approx(np.radians(0.5) / height, rel=0.03)
        first_order = np.median(view.depth[near]) * np.radians(0.5) / height
        error = abs(np.median(wrong[near] / view.depth[near]) - 1)
        assert error == pytest.approx(first_order, rel=first_order + 0.05)


def test_sky_is_where_depth_is_infinite(views: dict[str, View]) -> None:
    for view in views.values():
        np.testing.assert_array_equal(view.label == labels.SKY, np.isposinf(view.depth))
        assert np.nanmin(view.depth) > 0.0
        assert 0.01 < (view.label == labels.SKY).mean() < 0.9


def test_lidar_agrees_with_depth_to_a_centimetre(suite: SensorSuite, views: Any) -> None:
    """Where neighbouring pixels lie on one plane, inverse depth is linear between them."""
    points = suite.scan(0.0)[:, :3].astype(float)
    checked, wrong = 0, 0
    for camera in suite.rig.cameras:
        T = np.linalg.inv(camera.T_base_camera) @ suite.rig.lidar.T_base_lidar
        p = points @ T[:3, :3].T + T[:3, 3]
        p = p[p[:, 2] > 1.0]
        u, v = camera.model.project(p).T
        ok = (u > 2) & (v > 2) & (u < camera.model.width - 4) & (v < camera.model.height - 4)
        u, v, z = u[ok], v[ok], p[ok, 2]
        i, j = np.floor(v).astype(int), np.floor(u).astype(int)
        inverse = 1.0 / views[camera.name].depth
        a, b = u - j, v - i
        near = np.stack(
            [inverse[i, j], inverse[i, j + 1], inverse[i + 1, j], inverse[i + 1, j + 1]]
        )
        wide = np.stack(
            [inverse[i, j - 1], inverse[i, j + 2], inverse[i - 1, j], inverse[i + 2, j]]
        )
        bend = np.abs(
            np.stack(
                [
                    near[0] - near[1] - near[2] + near[3],
                    wide[0] - 2 * near[0] + near[1],
                    wide[2] - 2 * near[0] + near[2],
                    wide[1] - 2 * near[1] + near[0],
                    wide[3] - 2 * near[2] + near[0],
                ]
            )
        ).max(0)
        flat = (near > 0).all(0) & (bend < 2e-4 * near.mean(0)) & (z < 40.0)
        weights = np.stack([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b])
        error = z[flat] - 1.0 / (weights * near).sum(0)[flat]
        # Seen by the laser and hidden from the camera: the surface in front is much nearer.
        visible = error < 0.5
        checked += int(visible.sum())
        wrong += int((np.abs(error[visible]) > 0.01).sum())
    assert checked > 800
    assert wrong < 0.01 * checked


# Frames that follow one another.


def test_warping_one_frame_into_the_next_by_truth_reproduces_it(drive: Drive) -> None:
    """Static points by the vehicle's motion, moving ones by their own."""
    rig = make_rig("nuscenes", width=480)
    suite = SensorSuite(drive, replace(rig, body=None))
    camera = rig.cameras[0]
    first = suite.view(camera, 0.2)
    then = {o.instance: o.T_odom_object for o in drive.objects(0.2)}
    after = {o.instance: o.T_odom_object for o in drive.objects(0.3)}
    second = suite.view(camera, 0.3)
    points = points_of(camera, first, drive.ego_pose(0.2))
    moved = points.copy()
    for instance in np.unique(first.instance):
        if instance and instance in after:
            T = after[instance] @ np.linalg.inv(then[instance])
            mask = first.instance == instance
            moved[mask] = points[mask] @ T[:3, :3].T + T[:3, 3]
    T = np.linalg.inv(drive.ego_pose(0.3) @ camera.T_base_camera)
    p = moved @ T[:3, :3].T + T[:3, 3]
    known = np.isfinite(p).all(-1) & (p[..., 2] > 1.0) & (p[..., 2] < 50.0)
    uv = camera.model.project(np.where(known[..., None], p, 1.0))
    u, v = np.rint(uv[..., 0]), np.rint(uv[..., 1])
    known &= (u >= 0) & (v >= 0) & (u < camera.model.width) & (v < camera.model.height)
    i, j = v[known].astype(int), u[known].astype(int)
    z = p[..., 2][known]
    seen = second.depth[i, j]
    visible = seen > 0.97 * z
    close = np.abs(seen - z) < 0.04 * z
    assert known.sum() > 20_000 and visible.mean() > 0.9
    assert close[visible].mean() > 0.97
    both = close & visible
    assert (second.instance[i, j] == first.instance[known])[both].mean() > 0.99
    difference = np.abs(second.albedo[i, j] - first.albedo[known]).mean(-1)[both]
    unlike = np.abs(second.albedo[i, j] - np.roll(first.albedo[known], 4001, axis=0)).mean(-1)[both]
    assert difference.mean() < 0.25 * unlike.mean()


def test_objects_hold_the_pixels_of_their_instance(
    drive: Drive, suite: SensorSuite, views: dict[str, View]
) -> None:
    objects = {o.instance: o for o in drive.objects(0.0)}
    checked = set()
    for camera in suite.rig.cameras:
        view = views[camera.name]
        points = points_of(camera, view, drive.ego_pose(0.0))
        for instance in set(np.unique(view.instance)) - {0}:
            item = objects[instance]
            local = np.linalg.inv(item.T_odom_object)
            p = points[view.instance == instance] @ local[:3, :3].T + local[:3, 3]
            half = np.array(item.size[:2]) / 2
            # Origins lie under the middle of the wheelbase, not always of the box.
            assert (np.abs(p[:, :2]) < half + 0.6).all(), item.kind
            assert (p[:, 2] > -0.06).all() and (p[:, 2] < item.size[2] + 0.06).all(), item.kind
            checked.add(item.kind)
    assert len(checked) >= 3


def test_own_body_stays_where_it_is_in_the_picture(drive: Drive) -> None:
    rig = make_rig("ddad", width=160)
    suite = SensorSuite(drive, rig)
    camera = rig.cameras[-1]
    first, later = suite.view(camera, 0.0), suite.view(camera, 0.7)
    own = first.label == labels.OWN_BODY
    assert 0.01 < own.mean() < 0.4
    rows = np.nonzero(own)[0]
    assert rows.min() > 0.4 * camera.model.height
    still = own & (later.label == labels.OWN_BODY)
    assert still.sum() > 0.99 * own.sum()
    assert (own == (later.label == labels.OWN_BODY)).mean() > 0.998
    # Odometry has moved on by metres, single precision with it: an edge may be another one.
    assert np.isclose(later.depth[still], first.depth[still], rtol=2e-3).mean() > 0.998


# Light.


def test_radiance_is_albedo_times_shading_where_nothing_shines(suite: SensorSuite) -> None:
    sky = replace(draw_sky(np.random.default_rng(SEED), "cloudy"), fog=0.0)
    view = under(suite, sky).view(suite.rig.cameras[0], 0.0)
    matt = (view.mirror == 0.0) & np.isfinite(view.depth) & (view.label != labels.LIGHT)
    assert matt.mean() > 0.3
    expected = view.albedo[matt] * view.shading[matt]
    close = np.isclose(view.radiance[matt], expected, rtol=1e-3, atol=1e-4).all(-1)
    assert close.mean() > 0.99  # what is left are lamps that are on
    assert view.albedo[matt].min() >= 0.0 and view.albedo.max() < 2.0


def test_shadows_fall_away_from_the_sun(suite: SensorSuite) -> None:
    """In the sun a street has lit and shaded road; under clouds it has no such steps."""
    spread = {}
    for weather in ("clear", "overcast"):
        sky = draw_sky(np.random.default_rng(7), weather)
        if weather == "clear":
            sky = replace(sky, sun=np.array([0.0, 0.8, 0.6]), softness=0.005)
        lit = under(suite, sky)
        light = [lit.view(c, 0.0) for c in suite.rig.cameras]
        values = np.concatenate([v.shading[v.label == labels.ROAD].mean(-1) for v in light])
        spread[weather] = np.quantile(values, 0.95) / np.quantile(values, 0.05)
    assert spread["clear"] > 1.5 * spread["overcast"]


def test_wet_roads_mirror_and_dry_ones_do_not() -> None:
    share = {}
    for weather in ("clear", "rain"):
        drive = make_drive(3, duration=0.5, setting="city", weather=weather, empty=True)
        rig = make_rig("kitti", width=200)
        view = SensorSuite(drive, rig).view(rig.cameras[0], 0.0)
        road = view.label == labels.ROAD
        share[weather] = float((view.mirror[road] > 0.02).mean())
    assert share["clear"] < 0.01 and share["rain"] > 0.3


def test_normals_are_unit_vectors_that_face_the_camera(suite: SensorSuite, views: Any) -> None:
    camera = suite.rig.cameras[0]
    view = views[camera.name]
    hit = np.isfinite(view.depth)
    np.testing.assert_allclose(np.linalg.norm(view.normal[hit], axis=-1), 1.0, atol=1e-4)
    rays = camera.model.rays()
    facing = (view.normal * rays).sum(-1)
    assert (facing[hit] < 0.1).mean() > 0.95
    road = (view.label == labels.ROAD) & hit
    up = camera.T_base_camera[:3, :3].T @ [0.0, 0.0, 1.0]
    assert np.median(view.normal[road] @ up) > 0.995


def test_noise_and_exposure_of_a_sensor() -> None:
    light = np.full((60, 80, 3), 0.2, np.float32)
    rng = np.random.default_rng(0)
    plain = Sensor(blur=0.0, vignette=0.0, noise=0.0, jpeg=0, contrast=0.0)
    picture = develop(light, plain, rng, exposure=1.0)
    assert np.ptp(picture) == 0
    brighter = develop(light, replace(plain, exposure=2.0), rng, exposure=1.0)
    assert brighter.mean() > 1.2 * picture.mean()
    noisy = develop(light, replace(plain, noise=4.0), rng, exposure=1.0).astype(float)
    assert 2.0 < noisy.std() < 8.0
    dark = develop(light, replace(plain, vignette=0.6), rng, exposure=1.0)
    assert dark[0, 0].mean() < 0.9 * dark[30, 40].mean()


# What there is.


def test_streets_show_every_class_that_matters() -> None:
    seen: dict[int, int] = {}
    rig = make_rig("nuscenes", width=128)
    for seed, setting in enumerate(SETTINGS):
        suite = SensorSuite(make_drive(seed, duration=0.5, setting=setting), rig)
        for camera in rig.cameras[:2]:
            for label in np.unique(suite.view(camera, 0.0).label):
                seen[int(label)] = seen.get(int(label), 0) + 1
    wanted = {
        labels.ROAD,
        labels.SIDEWALK,
        labels.BUILDING,
        labels.WALL,
        labels.FENCE,
        labels.POLE,
        labels.SIGN,
        labels.VEGETATION,
        labels.TERRAIN,
        labels.SKY,
        labels.PERSON,
        labels.CAR,
    }
    assert wanted <= set(seen)
    assert seen[labels.ROAD] >= 10  # side cameras of a motorway may see none


@pytest.mark.parametrize("name", RIGS)
def test_rigs_are_within_what_vehicles_carry(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rigs, "_own_body", lambda *_: None)  # drawn after the cameras
    for seed in range(20):
        rig = make_rig(name, width=64, seed=seed, miscalibration=0.3)
        assert 1 <= len(rig.cameras) <= 8
        for camera in rig.cameras:
            assert 0.2 < camera.T_base_camera[2, 3] < 2.8
            R = camera.T_base_camera[:3, :3].T @ camera.T_base_calibrated[:3, :3]
            angle = np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1)))
            assert 0.0 < angle < 2.5
            np.testing.assert_allclose(
                camera.T_base_camera[:3, :3] @ camera.T_base_camera[:3, :3].T, np.eye(3), atol=1e-9
            )
    plain = make_rig(name, width=64)
    for camera in plain.cameras:
        np.testing.assert_array_equal(camera.T_base_camera, camera.T_base_calibrated)


def test_a_camera_that_looks_ahead_has_its_optical_axis_along_x() -> None:
    T = mounting(1.0, 2.0, 3.0, 0.0, 0.0, 0.0)
    np.testing.assert_allclose(T[:3, :3], OPTICAL_AXES, atol=1e-12)
    down = mounting(0, 0, 0, 0.0, 10.0, 0.0)
    assert down[2, 2] == pytest.approx(-np.sin(np.radians(10)))
    left = mounting(0, 0, 0, 90.0, 0.0, 0.0)
    np.testing.assert_allclose(left[:3, 2], [0, 1, 0], atol=1e-12)


def test_weather_is_what_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    for weather in WEATHERS:
        for _ in range(20):
            sky = draw_sky(rng, weather)
            assert np.linalg.norm(sky.sun) == pytest.approx(1.0) and sky.sun[2] > 0
            assert (sky.rain > 0) == (weather == "rain")
            assert (sky.sun_colour.max() == 0) == (weather in ("overcast", "rain", "fog"))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"setting": "moon"}, "moon"),
        ({"weather": "hail"}, "hail"),
        ({"duration": 0.0}, "duration"),
        ({"speed": -3.0}, "speed"),
        ({"speed": float("nan")}, "speed"),
    ],
)
def test_impossible_drives_are_refused(arguments: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make_drive(0, **arguments)


def test_the_way_round_a_roundabout_stays_on_the_road_and_off_the_island() -> None:
    drive = make_drive(17, duration=8.0, setting="suburb", speed=6.0, empty=True)
    assert drive.plan.shape.roundabout is not None
    spine, shape = drive.spine, drive.plan.shape
    turned = []
    for time in np.arange(0.0, 8.0, 0.25):
        T = drive.ego_pose(time)
        # (s, t) of the vehicle: the nearest point of the spine.
        s = np.arange(-20.0, 80.0, 0.05)
        away = np.linalg.norm(spine.world(s, 0.0)[:, :2] - T[:2, 3], axis=1)
        near, t = s[away.argmin()], away.min()
        assert float(shape.island(near)) < t < float(shape.edge(-1, near)) or t < 2.5
        heading = np.arctan2(T[1, 0], T[0, 0]) - float(spine.at("heading", near))
        turned.append(heading)
    poses = _road_profile(0, drive, 8.0).poses
    profile = np.array([[getattr(p.pose.position, k) for k in "xyz"] for p in poses])
    for time in (0.0, 2.0, 4.0, 6.0):
        away = np.linalg.norm(profile - drive.ego_pose(time)[:3, 3], axis=1)
        assert away.min() < 1.0
    # In to the right, round to the left, out to the right.
    assert min(turned) < -0.3 and max(turned) > 0.3
    assert abs(turned[0]) < 0.05 and abs(turned[-1]) < 0.05


# The same on every run.


def write_bag(path: Path, seed: int = 3) -> Path:
    write_drive_bag(
        path,
        seed=seed,
        seconds=0.4,
        rate=5.0,
        rig=make_rig("kitti", width=160),
        samples=1,
        setting="suburb",
        truth=("depth", "instance", "normal", "albedo", "shading", "mirror"),
    )
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("world") / "drive")


def test_bag_has_the_topics_of_the_rig_and_truth_beside_them(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        images = [m for m in reader.messages() if m[0].topic == "/truth/image_02/depth"]
        stamps = []
        for connection, _, raw in images:
            message: Any = reader.deserialize(raw, connection.msgtype)
            assert message.encoding == "32FC1" and message.width == 160
            stamps.append(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
    for topic in ("image_rect/compressed", "camera_info", "labels"):
        assert counts[f"/image_02/{topic}"] == 2
    for layer in ("depth", "instance", "normal", "albedo", "shading", "mirror"):
        assert counts[f"/truth/image_02/{layer}"] == 2
    assert counts["/velo_link/points"] == counts["/truth/ground"] == counts["/truth/objects"] == 2
    assert counts["/tf_static"] == counts["/truth/road_profile"] == 1
    assert counts["/odom"] > 15
    assert stamps == [START, START + 200_000_000]


def test_odometry_moves_as_its_twist_says(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        chosen = [c for c in reader.connections if c.topic == "/odom"]
        poses = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(chosen)]
    a, b = poses[3], poses[4]
    step = np.array(
        [getattr(b.pose.pose.position, k) - getattr(a.pose.pose.position, k) for k in "xyz"]
    )
    speed = np.linalg.norm(step) / 0.02
    assert speed == pytest.approx(a.twist.twist.linear.x, rel=0.02)


def test_the_same_seed_gives_the_same_bag_and_another_seed_another(
    bag: Path, tmp_path: Path
) -> None:
    def digests(path: Path) -> dict[str, str]:
        """One of all messages of each topic, with their stamps."""
        total: dict[str, Any] = {}
        with AnyReader([path]) as reader:
            for connection, stamp, raw in reader.messages():
                digest = total.setdefault(connection.topic, hashlib.sha256())
                digest.update(str(stamp).encode() + bytes(raw))
        return {topic: digest.hexdigest() for topic, digest in total.items()}

    first, again = digests(bag), digests(write_bag(tmp_path / "again"))
    other = digests(write_bag(tmp_path / "other", seed=4))
    assert first == again
    for topic in ("/image_02/image_rect/compressed", "/truth/image_02/depth", "/velo_link/points"):
        assert first[topic] != other[topic]


def test_command_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, named in (
        (["--rig", "tank"], "tank"),
        (["--truth", "smell"], "smell"),
        (["--seconds", "-1"], "-1"),
        (["--weather", "hail"], "hail"),
        (["--width", "3"], "--width 3"),
    ):
        assert main(["world", "--output", str(tmp_path / "x"), *arguments]) == 1
        assert named in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    (tmp_path / "there").mkdir()
    assert main(["world", "--output", str(tmp_path / "there")]) == 1
    assert "--overwrite" in capsys.readouterr().err


def _empty_part(folder: Path, plan: DatasetPlan, drive: DrivePlan) -> None:
    dataset._part(folder, drive).touch()


def test_a_data_set_has_the_miscalibration_and_samples_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (arguments, wanted) in enumerate(
        (([], (0.2, 1)), (["--miscalibration", "0", "--samples", "3"], (0.0, 3)))
    ):
        folder = tmp_path / str(number)
        size = ["--width", "64", "--height", "32", "--frames", "1", "--workers", "1"]
        assert main(["world", "--dataset", str(folder), "--rig", "kitti", *size, *arguments]) == 0
        found = json.loads((folder / "manifest.json").read_text())["arguments"]
        assert (found["miscalibration"], found["samples"]) == wanted
        # The other is asked for in the same way: what it renders does not count here.
        monkeypatch.setattr(dataset, "_make_part", _empty_part)


def test_a_rig_resized_sees_the_same(drive: Drive) -> None:
    """Twice the pixels, the same directions: depth at shared rays agrees."""
    small = CameraModel(81, 61, np.array([[60.0, 0, 40], [0, 60.0, 30], [0, 0, 1]]))
    large = CameraModel(161, 121, np.array([[120.0, 0, 80], [0, 120.0, 60], [0, 0, 1]]))
    T = mounting(1.6, 0.0, 1.6, 0.0, 0.0, 0.0)
    rig = make_rig("kitti", width=64)
    both = tuple(MountedCamera(n, m, T, T, 0.0) for n, m in (("a", small), ("b", large)))
    suite = SensorSuite(drive, replace(rig, cameras=both, body=None))
    a, b = (suite.view(camera, 0.0) for camera in both)
    same = np.isclose(a.depth, b.depth[::2, ::2], rtol=1e-4) | (a.depth == b.depth[::2, ::2])
    assert same.mean() > 0.999


def test_ground_plane_of_a_flat_drive_is_level(flat: Drive) -> None:
    normal, height = flat.road_plane(0.5)
    np.testing.assert_allclose(normal, [0, 0, 1], atol=1e-12)
    assert height == pytest.approx(0.0, abs=1e-12)
    assert GroundPlane(normal, height).normal[2] == pytest.approx(1.0)
