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

"""Data sets of consecutive sets with the depth that motion measured, and how they are stored."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from depth_perception.datasets import shards
from depth_perception.datasets.augmentation import mirrored
from depth_perception.datasets.shards import MEASURED_LAYERS
from depth_perception.datasets.source import open_source
from depth_perception.frames.measured_kind import Kind
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import inverse
from depth_perception.world.output import dataset, dataset_plan
from depth_perception.world.output.odometry import OdometryNoise, draw_odometry, noisy_poses
from depth_perception.world.render.glare import glare
from depth_perception.world.render.picture import Sensor, draw_exposure_steps, draw_lifelike_sensor
from depth_perception.world.scene.drive import make_drive
from depth_perception.world.scene.pace import Pace, draw_pace
from depth_perception.world.scene.weather import draw_sky, with_hard_sun

pytest.importorskip("warp", reason="NVIDIA Warp renders the world")

ARGUMENTS: dict[str, Any] = {
    "seed": 6,
    "width": 160,
    "height": 96,
    "sets_per_drive": 2,
    "rigs": ("kitti",),
    "measured": True,
}
PLAN = dataset_plan.DatasetPlan(**ARGUMENTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of one drive, of which a set before the first is looked at."""
    path = tmp_path_factory.mktemp("measured") / "set"
    dataset.write_dataset(path, frames=2, workers=1, **ARGUMENTS)
    return path


def test_a_drive_is_measured_as_it_goes(folder):
    source = open_source(str(folder))
    assert len(source) == 2
    sets = [source.read(i) for i in range(2)]
    times = np.diff([s.facts["time"] for s in sets])
    assert np.allclose(times, times[0]) and times[0] <= 0.5
    stamps = [next(iter(s.facts["stamps"].values())) for s in sets]
    assert np.allclose(np.diff(stamps) * 1e-9, times, atol=0.02)
    camera = sets[-1].cameras[0]
    w, sigma, kind = (camera.layers[name] for name in MEASURED_LAYERS)
    assert w.shape == sigma.shape == kind.shape == camera.depth.shape
    assert w.dtype == sigma.dtype == np.float32 and kind.dtype == np.uint8
    known = np.isfinite(w)
    assert known.mean() > 0.1
    assert np.array_equal(known, np.isfinite(sigma))
    assert np.array_equal(known, kind != Kind.NOTHING)
    right = known & np.isfinite(camera.depth) & (camera.depth < 60)
    error = np.abs(1 / w[right] / camera.depth[right] - 1)
    assert np.median(error) < 0.15
    used = sets[-1].ground_in_use
    assert used is not None and used.normal[2] > 0.99
    assert sets[-1].facts["motion"]["source"] in ("odometry", "images")


def test_a_measured_drive_is_its_seeds(folder, tmp_path):
    again = tmp_path / "again"
    dataset.write_dataset(again, frames=2, workers=1, **ARGUMENTS)
    name = "shard-000000.tar"
    assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_what_was_measured_is_stored_closely_and_read_as_large_as_the_image(folder):
    sample = open_source(str(folder)).read(1)
    camera = sample.cameras[0]
    rng = np.random.default_rng(0)
    w = np.exp(rng.uniform(np.log(0.005), np.log(3.0), (48, 80))).astype(np.float32)
    w[:7] = np.nan
    layers = {
        "measured_inverse_depth": w,
        "measured_sigma": (w * 0.03).astype(np.float32),
        "measured_kind": np.where(np.isnan(w), Kind.NOTHING, Kind.PLANE).astype(np.uint8),
    }
    stored = shards.encode_set(replace(sample, cameras=(replace(camera, layers=layers),)))
    members = _members(stored)
    back = shards.decode_set(members)
    assert np.allclose(back.ground_in_use.covariance, sample.ground_in_use.covariance)
    assert back.ground_in_use.source == sample.ground_in_use.source
    read = back.cameras[0].layers
    twice = w.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(read["measured_inverse_depth"], twice, rtol=0.0011)
    np.testing.assert_allclose(read["measured_sigma"], 0.03 * twice, rtol=0.026)
    assert np.array_equal(read["measured_kind"] == Kind.NOTHING, np.isnan(twice))


def _members(stored: bytes) -> dict[str, bytes]:
    """Members of a tar file of one set, by extension."""
    import io
    import tarfile

    found = {}
    with tarfile.open(fileobj=io.BytesIO(stored + shards.TAR_END)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.partition(".")[2]] = file.read()
    return found


def test_the_ground_in_use_is_mirrored_with_the_world(folder):
    sample = open_source(str(folder)).read(1)
    covariance = np.diag([1e-5, 2e-5, 1e-3])
    covariance[0, 1] = covariance[1, 0] = 3e-6
    plane = GroundPlane.from_angles(0.02, 0.01, 0.03, covariance, "estimated")
    other = mirrored(replace(sample, ground_in_use=plane)).ground_in_use
    assert other is not None
    assert (other.roll, other.pitch) == pytest.approx((-plane.roll, plane.pitch))
    assert other.covariance[0, 1] == pytest.approx(-3e-6)
    assert other.source == "estimated"
    assert mirrored(replace(sample, ground_in_use=None)).ground_in_use is None
    there, here = mirrored(sample).cameras[0], sample.cameras[0]
    name = "measured_inverse_depth"
    np.testing.assert_array_equal(there.layers[name], here.layers[name][:, ::-1])


def test_data_sets_of_before_are_read_and_go_on(tmp_path, monkeypatch):
    """Manifests of before have no argument 'measured', and sets no ground in use."""
    import json

    def make(folder, plan, drive, _check=None):
        part = folder / dataset.PARTS / f"drive-{drive.number:07d}-{len(drive.times)}.tar"
        part.write_bytes(b"set")

    monkeypatch.setattr(dataset, "_make_part", make)
    dataset.write_dataset(tmp_path, frames=2, workers=1)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["arguments"]["measured"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    dataset.write_dataset(tmp_path, frames=2, workers=1)
    with pytest.raises(Exception, match="begun with measured=False, now True"):
        dataset.write_dataset(tmp_path, frames=2, workers=1, measured=True)


class Straight:
    """A vehicle that drives 10 m/s along x and turns by 10 degrees a second."""

    def ego_pose(self, time: float) -> np.ndarray:
        """Where it is."""
        T = np.eye(4)
        angle = np.radians(10) * time
        T[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        T[:3, 3] = 10 * time, 0.0, 0.5 * time
        return T


def _poses(**noise: Any) -> list[tuple[float, float, np.ndarray]]:
    drive: Any = Straight()
    return noisy_poses(drive, OdometryNoise(rate=10.0, **noise), 2.0, np.random.default_rng(4))


def test_exact_odometry_is_the_vehicles_motion():
    for arrival, stamp, T in _poses(arrival=0.02):
        assert arrival == pytest.approx(stamp + 0.02)
        np.testing.assert_allclose(T, Straight().ego_pose(stamp), atol=1e-9)
    assert noisy_poses(Straight(), OdometryNoise(rate=0.0), 2.0, np.random.default_rng(0)) == []


@pytest.mark.parametrize(
    ("noise", "way", "turn", "rise"),
    [
        ({"length": 1.05}, 1.05, 10.0, 0.05),
        ({"drift": np.radians(2.0)}, 1.0, 12.0, 0.05),
        ({"turn": 1.1}, 1.0, 11.0, 0.05),
        ({"flat": True}, 1.0, 10.0, 0.0),
        ({"late": 0.1}, 1.0, 10.0, 0.05),
    ],
)
def test_each_fault_of_odometry_shows(noise, way, turn, rise):
    poses = _poses(**noise)
    (_, first, A), (_, last, B) = poses[0], poses[-1]
    step, seconds = inverse(A) @ B, last - first
    steps = [inverse(a[2]) @ b[2] for a, b in pairwise(poses)]
    lengths = sum(np.linalg.norm(s[:3, 3]) for s in steps)
    full = np.hypot(10.0, 0.5 if rise else 0.0)
    assert lengths == pytest.approx(way * full * seconds, rel=1e-6)
    assert np.degrees(np.arctan2(step[1, 0], step[0, 0])) == pytest.approx(turn * seconds, rel=1e-6)
    assert (B[2, 3] - A[2, 3]) / (10 * seconds) == pytest.approx(rise * way, abs=1e-6)
    late = noise.get("late", 0.0)
    np.testing.assert_allclose(A[0, 3], 10 * (first - late), atol=1e-9)


def test_odometry_freezes_and_jumps():
    frozen = [T for _, stamp, T in _poses(frozen=1.0) if stamp >= 1.0]
    assert len(frozen) > 5 and all(np.allclose(T, frozen[0]) for T in frozen)
    jumped = [(T - Straight().ego_pose(stamp))[:2, 3] for _, stamp, T in _poses(jump=1.05)]
    assert np.allclose(jumped[0], 0) and np.allclose(jumped[-1], [3, -2])


def test_vehicles_differ_in_their_odometry():
    drawn = [draw_odometry(np.random.default_rng(k), 2.0) for k in range(400)]
    without = np.mean([not o.rate for o in drawn])
    assert 0.1 < without < 0.3
    lengths = np.array([o.length for o in drawn])
    assert 0.01 < lengths.std() < 0.05 and np.abs(lengths - 1).max() < 0.1
    assert 0.01 < np.mean([np.isfinite(o.frozen) for o in drawn]) < 0.1


@pytest.mark.parametrize(
    "pace", [Pace(8.0, 0.0, 0.5, 4.0), Pace(0.0, 6.0, 0.2, 2.0), Pace(5.0, 5.0)]
)
def test_the_way_is_the_integral_of_the_speed(pace):
    t = np.linspace(-1.0, 5.0, 6001)
    speed = np.array([pace.speed(x) for x in t])
    way = np.array([pace.way(x) for x in t])
    np.testing.assert_allclose(np.gradient(way, t)[1:-1], speed[1:-1], atol=5e-3)
    assert pace.way(0.0) == 0.0
    assert speed[-1] == pytest.approx(pace.last)


def test_some_vehicles_stop_and_some_move_off():
    drawn = [draw_pace(np.random.default_rng(k), 10.0, 3.0) for k in range(200)]
    assert 0.35 < np.mean([p.first == p.last for p in drawn]) < 0.65
    assert any(p.last == 0.0 for p in drawn) and any(p.first == 0.0 for p in drawn)
    assert max(max(p.first, p.last) for p in drawn) <= 10.0


# --- what real drives show ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def lifelike():
    """A vehicle that does not drive steadily, in a street that has traffic."""
    return make_drive(4, duration=1.0, setting="city", lifelike=True)


def test_the_own_lane_keeps_up_with_a_vehicle_that_brakes(lifelike):
    pace = Pace(10.0, 0.0, 0.2, 5.0, stretch=0.05)
    drive = replace(lifelike, pace=pace)
    followers = [m for m in drive.contents.movers if m.follows]
    assert followers, "nobody is in the own lane"
    for mover in followers:
        moved = drive._along(mover, 1.0) - drive._along(mover, 0.0)
        assert moved == pytest.approx(pace.way(1.0) + 0.05 * mover.s)
    other = next(m for m in drive.contents.movers if not m.follows and m.speed)
    assert drive._along(other, 1.0) - other.s == pytest.approx(other.speed)
    ahead = inverse(drive.ego_pose(0.0)) @ drive.ego_pose(1.0)
    assert ahead[0, 3] == pytest.approx(pace.way(1.0), rel=0.02)


def test_others_drive_steadily(lifelike):
    plain = make_drive(4, duration=1.0, setting="city", empty=True)
    assert plain.speed == lifelike.speed and not plain.lifelike
    assert plain.pace == Pace(plain.speed, plain.speed)


def test_a_hard_sun_darkens_what_it_does_not_reach():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sky = draw_sky(rng, "clear")
        hard = with_hard_sun(sky, rng)
        assert hard.ambient <= sky.ambient and hard.sun_colour.sum() >= sky.sun_colour.sum()
        overcast = draw_sky(rng, "overcast")
        assert with_hard_sun(overcast, rng) is overcast


def test_exposure_steps_are_those_that_are_drawn():
    sensor = Sensor(exposure=2.0, steps=((1.0, 0.5), (2.0, 3.0)))
    assert [sensor.exposure_at(t) for t in (0.0, 1.0, 1.5, 2.5)] == [2.0, 1.0, 1.0, 3.0]
    drawn = [draw_exposure_steps(np.random.default_rng(k), 10.0) for k in range(100)]
    assert 0.3 < np.mean([not steps for steps in drawn]) < 0.7
    assert all(0 <= at <= 10.0 and 0.3 < factor < 3.5 for steps in drawn for at, factor in steps)


def test_lifelike_cameras_are_brighter():
    make = Sensor()
    drawn = [draw_lifelike_sensor(np.random.default_rng(k), make) for k in range(200)]
    assert np.median([s.exposure for s in drawn]) == pytest.approx(np.exp(0.6), rel=0.15)
    assert max(s.vignette for s in drawn) > 0.7


LENS = CameraModel(64, 48, np.array([[40.0, 0, 31.5], [0, 40.0, 23.5], [0, 0, 1]]))


def test_the_sun_before_the_lens_blooms_where_it_is():
    sky = np.full((48, 64), np.inf, np.float32)
    ray = LENS.rays()[10, 50]
    light = glare(LENS, ray / np.linalg.norm(ray), sky)
    assert light is not None and light.shape == (48, 64)
    y, x = np.unravel_index(int(np.argmax(light)), light.shape)
    assert abs(x - 50) < 5 and abs(y - 10) < 5
    assert light[40, 5] > 0, "a veil lies over all of it"
    assert glare(LENS, np.array([0, 0, -1.0]), sky) is None
    assert glare(LENS, ray / np.linalg.norm(ray), np.full_like(sky, 20.0)) is None


def test_a_vehicle_measures_with_the_calibration_that_it_believes_in():
    from depth_perception.world.output.measured_sets import _believed, wrongly_loaded
    from depth_perception.world.output.rigs import make_rig

    rig = make_rig("kitti", width=320)
    wrong = wrongly_loaded(rig, np.random.default_rng(1))
    for right, camera in zip(rig.cameras, wrong.cameras, strict=True):
        believed = _believed(camera, None).T_base_camera
        np.testing.assert_array_equal(believed, camera.T_base_calibrated)
        np.testing.assert_array_equal(camera.T_base_camera, right.T_base_camera)  # the truth stays
        assert np.abs(believed - camera.T_base_camera).max() > 1e-4
