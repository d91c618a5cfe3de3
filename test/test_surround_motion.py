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

"""Frame sets in order in, measured depth and the road out: a vehicle drives through a street."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from textured_street import mounted, pose, render

from depth_perception.frames.frame_set import CameraFrame
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import inverse
from depth_perception.motion.matching import SUBPIXEL_SIGMA
from depth_perception.motion.measured_depth import Kind
from depth_perception.motion.overlap import EXTRINSICS_SIGMA
from depth_perception.motion.road_filter import RoadFilter
from depth_perception.motion.surround_motion import SurroundMotion
from depth_perception.motion.twist import twist_of
from depth_perception.parameters import MotionParameters

S = 1_000_000_000
CAMERA = CameraModel(320, 160, np.array([[210.0, 0, 159.5], [0, 210.0, 70.0], [0, 0, 1]]))
MOUNTS = {
    "right": mounted(x=1.5, y=-0.6, z=1.5),
    "front": mounted(x=1.5, z=1.5),
    "left": mounted(x=0.5, y=0.8, z=1.4, yaw=np.pi / 2),
}
STEP = 0.5
"""Metres from set to set, at ten sets a second."""


def views_of(mounts):
    rig = {n: RigCamera(n, CAMERA, C, n, CAMERA) for n, C in mounts.items()}
    return {n: camera_view(camera, GroundPlane(), 0) for n, camera in rig.items()}


_DRAWN: dict[tuple[str, float, float], tuple[np.ndarray, np.ndarray]] = {}


def seen(name, x, yaw):
    """Image and depth of a camera; drawn once."""
    if (name, x, yaw) not in _DRAWN:
        _DRAWN[name, x, yaw] = render(CAMERA, pose(x, 0.0, yaw) @ MOUNTS[name])
    return _DRAWN[name, x, yaw]


def drive(motion, poses, names=("front",), odometry=1.0, start=1.0, rate=10.0):
    """Drive along poses (x, yaw); return what was measured at each, and exact depths."""
    views = views_of({name: MOUNTS[name] for name in names})
    out = []
    with ThreadPoolExecutor(2) as pool:
        for k, (x, yaw) in enumerate(poses):
            stamp = round((start + k / rate) * S)
            if odometry:
                motion.odometry.add(stamp, pose(x * odometry, 0.0, yaw))
            drawn = {name: seen(name, x, yaw) for name in names}
            frames = {
                name: CameraFrame(stamp, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
                for name, (image, _) in drawn.items()
            }
            found = motion.update(stamp, frames, views, pool)
            out.append((found, {name: depth for name, (_, depth) in drawn.items()}))
    return out


def straight(count, step=STEP):
    return [(k * step, 0.0) for k in range(count)]


def score(measured, depth, limit=25.0):
    """Share of pixels nearer than the limit that are measured, median and gross errors."""
    small = cv2.resize(depth, measured.inverse_depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    near = small < limit
    known = np.isfinite(measured.inverse_depth) & near
    error = np.abs(1 / measured.inverse_depth[known] / small[known] - 1)
    return known.sum() / near.sum(), float(np.median(error)), float((error > 0.25).mean())


def test_first_set_measures_nothing_and_says_nothing_wrong():
    motion = SurroundMotion(GroundPlane(), 256)
    ((first, _),) = drive(motion, straight(1))
    assert not first.measured and first.source == "" and not first.problem
    assert first.ground.source == "nominal"


@pytest.mark.parametrize("odometry", [1.0, 1.06, 0.95])
def test_depth_is_metric_though_odometry_is_wrong_in_length(odometry):
    motion = SurroundMotion(GroundPlane(), 256)
    found, depth = drive(motion, straight(7), odometry=odometry)[-1]
    cover, median, gross = score(found.measured["front"], depth["front"])
    assert found.source == "odometry"
    assert cover > 0.6 and median < 0.03 and gross < 0.02
    assert found.speed == pytest.approx(5.0, rel=0.05)
    assert found.ground.source == "estimated"
    assert abs(found.ground.pitch) < np.radians(0.3)


def test_without_odometry_the_road_gives_the_length():
    motion = SurroundMotion(GroundPlane(), 256)
    found, depth = drive(motion, straight(7), odometry=0.0)[-1]
    cover, median, gross = score(found.measured["front"], depth["front"])
    assert found.source == "images"
    assert cover > 0.6 and median < 0.05 and gross < 0.02
    assert found.speed == pytest.approx(5.0, rel=0.06)


def test_every_camera_measures_on_the_way_round_a_bend():
    poses = [(k * STEP, 0.02 * k) for k in range(7)]
    found, depth = drive(SurroundMotion(GroundPlane(), 256), poses, ("front", "left"))[-1]
    for name in ("front", "left"):
        cover, median, gross = score(found.measured[name], depth[name])
        assert cover > 0.5 and median < 0.03 and gross < 0.02, name


def test_standing_keeps_measuring_with_what_was_seen_on_the_way():
    motion = SurroundMotion(GroundPlane(), 256)
    poses = straight(6) + [(5 * STEP, 0.0)] * 30
    found, depth = drive(motion, poses)[-1]
    assert found.source == "standing" and found.speed == pytest.approx(0.0, abs=0.05)
    cover, median, gross = score(found.measured["front"], depth["front"])
    assert cover > 0.5 and median < 0.04 and gross < 0.02


def test_a_vehicle_that_never_moved_measures_nothing_and_goes_on():
    for found, _ in drive(SurroundMotion(GroundPlane(), 256), [(0.0, 0.0)] * 4):
        assert not found.measured and found.ground.source == "nominal"


def test_frozen_odometry_is_noticed_and_the_images_take_over():
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(5))
    views = views_of({"front": MOUNTS["front"]})
    with ThreadPoolExecutor(2) as pool:
        for k in range(5, 11):
            stamp = round((1 + k / 10) * S)
            motion.odometry.add(stamp, pose(4 * STEP))
            image, depth = seen("front", k * STEP, 0.0)
            frame = CameraFrame(stamp, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
            found = motion.update(stamp, {"front": frame}, views, pool)
            assert found.source == "images" and found.problem
    cover, median, gross = score(found.measured["front"], depth)
    assert cover > 0.5 and median < 0.06 and gross < 0.03


def test_odometry_that_never_moves_is_noticed():
    """A topic of a driver that was never connected: poses come, and all are zero."""
    motion = SurroundMotion(GroundPlane(), 256)
    found, depth = drive(motion, straight(8), odometry=1e-9)[-1]
    assert found.source == "images" and "stands while the images move" in found.problem
    assert found.speed == pytest.approx(5.0, rel=0.06)
    cover, median, gross = score(found.measured["front"], depth["front"])
    assert cover > 0.5 and median < 0.05 and gross < 0.03


def test_a_set_without_an_image_forgets_nothing():
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(6))
    views = views_of({"front": MOUNTS["front"]})
    with ThreadPoolExecutor(2) as pool:
        empty = motion.update(round(1.55 * S), {}, views, pool)
    assert not empty.measured and empty.ground.source == "estimated"
    found, depth = drive(motion, [(3.0, 0.0)], start=1.6)[-1]
    cover, median, _ = score(found.measured["front"], depth["front"])
    assert cover > 0.5 and median < 0.04


@pytest.mark.parametrize("odometry", [0.0, 1.0])
def test_cameras_that_take_turns_do_not_reset_each_other(odometry):
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(5), ("front", "left"), odometry)
    # Without odometry the length of the way is free while the front camera does not see the road.
    turns = ("left", "front", "left", "front") if odometry else ("left", "front")
    for k, name in enumerate(turns):
        place = [((5 + k) * STEP, 0.0)]
        found, depth = drive(motion, place, (name,), odometry, start=1.5 + k / 10)[-1]
        cover, median, _ = score(found.measured[name], depth[name])
        assert cover > 0.4 and median < (0.05 if odometry else 0.15), (k, name)


def test_dark_images_leave_the_way_to_odometry():
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(5))
    views = views_of({"front": MOUNTS["front"]})
    with ThreadPoolExecutor(2) as pool:
        for k in (5, 6):
            stamp = round((1 + k / 10) * S)
            motion.odometry.add(stamp, pose(k * STEP))
            dark = CameraFrame(stamp, np.zeros((160, 320, 3), np.uint8))
            found = motion.update(stamp, {"front": dark}, views, pool)
            assert found.source == "odometry"
    found, depth = drive(motion, [(3.5, 0.0)], start=1.7)[-1]
    cover, median, _ = score(found.measured["front"], depth["front"])
    assert cover > 0.3 and median < 0.06


def test_transforms_are_taken_where_no_odometry_comes():
    motion = SurroundMotion(GroundPlane(), 256)
    for k in range(7):
        motion.transforms.add(round((1 + k / 10) * S), pose(k * STEP))
    found, _ = drive(motion, straight(7), odometry=0.0)[-1]
    assert found.source == "tf"
    motion.transforms.add(round(1.7 * S), pose(3.5))
    (first, _), (second, _) = drive(motion, [(3.5, 0.0), (4.0, 0.0)], start=1.7)
    assert first.source == "tf"  # of the topic there is one pose yet
    assert second.source == "odometry"


def drive_with(motion, poses_of_set):
    """Drive straight; ``poses_of_set`` returns what odometry has said when a set is computed."""
    views, found = views_of({"front": MOUNTS["front"]}), []
    with ThreadPoolExecutor(2) as pool:
        for k in range(10):
            for t, T in poses_of_set(k):
                motion.odometry.add(round((1 + t / 10) * S), T)
            image, depth = seen("front", k * STEP, 0.0)
            stamp = round((1 + k / 10) * S)
            frame = CameraFrame(stamp, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
            found.append(motion.update(stamp, {"front": frame}, views, pool))
    return found, score(found[-1].measured["front"], depth)


def test_odometry_that_arrives_a_tenth_of_a_second_late_is_used_all_the_same():
    found, (cover, median, gross) = drive_with(
        SurroundMotion(GroundPlane(), 256), lambda k: [(k - 1.1, pose((k - 1.1) * STEP))]
    )
    assert {item.source for item in found[4:]} == {"odometry"}
    assert not found[-1].problem
    assert cover > 0.6 and median < 0.03 and gross < 0.02


@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_images_of_serpentines_tell_by_how_much_odometry_is_stamped_late(delay):
    motion, views = SurroundMotion(GroundPlane(), 128), views_of({"front": MOUNTS["front"]})

    def at(t):
        return pose(5.0 * t, 0.0, 0.15 * np.sin(1.5 * t))

    with ThreadPoolExecutor(2) as pool:
        for k in range(40):
            for t in (k / 10 - 0.05, k / 10):
                motion.odometry.add(round((1 + t + delay) * S), at(t))
            image, depth = render(CAMERA, at(k / 10) @ MOUNTS["front"])
            stamp = round((1 + k / 10) * S)
            frame = CameraFrame(stamp, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
            found = motion.update(stamp, {"front": frame}, views, pool)
    assert motion.odometry.watch.delay * 1e-9 == pytest.approx(delay, abs=0.015)
    assert ("0.10 s too late, by the images" in found.problem) == (delay > 0)
    # No better than a grid of 128 px allows: the same at 256 px is 2 % off.
    cover, median, gross = score(found.measured["front"], depth)
    assert cover > 0.5 and median < 0.07 and gross < 0.02


@pytest.mark.parametrize(
    ("moved", "odometry_again"),
    [
        (lambda k: pose() if k < 5 else pose(-2.5, 3.0, 1.0), True),  # the frame is reset once
        (lambda k: pose(0.0, 2.0 * (k // 3), 0.1 * (k // 3)), True),  # and again and again
        (lambda k: pose(0.0, 2.0 * (k % 2)), False),  # two sources that contradict each other
    ],
)
def test_a_frame_that_jumps_costs_its_own_steps_alone(moved, odometry_again):
    found, (cover, median, gross) = drive_with(
        SurroundMotion(GroundPlane(), 256), lambda k: [(k, moved(k) @ pose(k * STEP))]
    )
    sources = [item.source for item in found[1:]]
    assert "images" in sources and ("odometry" in sources[5:]) == odometry_again
    assert any("Fix: " in item.problem for item in found)
    assert cover > 0.5 and median < 0.05 and gross < 0.03


def test_a_jump_in_time_begins_anew():
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(5))
    found, _ = drive(motion, straight(1), start=0.2)[0]
    assert not found.measured and found.ground.source == "nominal"
    found, _ = drive(motion, straight(4), start=0.5)[-1]
    assert found.measured


def test_a_camera_that_is_missing_for_a_while_comes_back():
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(4), ("front", "left"))
    found, _ = drive(motion, [(2.0, 0.0), (2.5, 0.0)], ("left",), start=1.4)[-1]
    assert set(found.measured) == {"left"}
    poses = [(3.0 + k * STEP, 0.0) for k in range(4)]
    found, depth = drive(motion, poses, ("front", "left"), start=1.6)[-1]
    cover, median, _ = score(found.measured["front"], depth["front"])
    assert cover > 0.5 and median < 0.04


def test_cameras_that_see_the_same_measure_before_anything_moves():
    motion = SurroundMotion(GroundPlane(), 256, overlap_share=0.1)
    for found, depth in drive(motion, [(0.0, 0.0)] * 2, ("front", "right")):
        assert found.ground.source == "nominal"
        for name in ("front", "right"):
            cover, median, gross = score(found.measured[name], depth[name], limit=12.0)
            assert cover > 0.5 and median < 0.03 and gross < 0.02
            overlap = found.measured[name].kind == Kind.OVERLAP
            assert overlap.any()
            # A match's own deviation, and how far wrong extrinsics would shift it.
            focal, apart = CAMERA.K[0, 0] * 256 / CAMERA.width, 0.6
            wanted = np.hypot(SUBPIXEL_SIGMA, EXTRINSICS_SIGMA * focal) / (focal * apart)
            sigma = np.median(found.measured[name].sigma[overlap])
            assert sigma == pytest.approx(wanted, rel=0.1)


def test_overlap_and_way_measure_together():
    alone, depth = drive(SurroundMotion(GroundPlane(), 256), straight(6), odometry=1.06)[-1]
    both, _ = drive(
        SurroundMotion(GroundPlane(), 256, overlap_share=0.1),
        straight(6),
        ("front", "right"),
        odometry=1.06,
    )[-1]
    cover, median, gross = score(both.measured["front"], depth["front"])
    before, _, _ = score(alone.measured["front"], depth["front"])
    assert cover > before - 0.02 and median < 0.03 and gross < 0.02


def test_cameras_that_overlap_tell_the_length_where_no_road_does(monkeypatch):
    monkeypatch.setattr(RoadFilter, "update", lambda self, samples: None)
    motion = SurroundMotion(GroundPlane(), 256, overlap_share=0.1)
    found, depth = drive(motion, straight(6), ("front", "right"), odometry=1.15)[-1]
    assert found.length_factor == pytest.approx(1 / 1.15, rel=0.03)
    _, median, _ = score(found.measured["front"], depth["front"])
    assert median < 0.03


def test_cameras_that_look_elsewhere_do_not_match():
    motion = SurroundMotion(GroundPlane(), 128, overlap_share=0.1)
    drive(motion, straight(2), ("front", "left", "right"))
    assert motion._matching._overlap("front", "right") and not motion._matching._overlap(
        "front", "left"
    )
    motion._matching._overlap_share = None
    assert not motion._matching._overlap("front", "right")


def test_of_itself_a_stereo_pair_is_matched_and_neighbours_are_not():
    given = MotionParameters()
    assert given.overlap
    beside = {**MOUNTS, "ahead right": mounted(x=1.5, y=-0.3, z=1.5, yaw=-np.radians(45))}
    views = views_of(beside)
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    for share, neighbours in ((given.overlap_share, False), (0.1, True)):
        motion = SurroundMotion(GroundPlane(), 128, overlap_share=share)
        with ThreadPoolExecutor(1) as pool:
            motion.update(S, {name: CameraFrame(S, image) for name in views}, views, pool)
        assert motion._matching._overlap("front", "right")
        assert motion._matching._overlap("front", "ahead right") == neighbours


def test_velocity_comes_with_its_covariance():
    curve = [(k * STEP, np.radians(2.0) * k) for k in range(6)]
    for poses, yaw_rate in ((straight(6), 0.0), (curve, np.radians(20.0))):
        found, _ = drive(SurroundMotion(GroundPlane(), 256), poses)[-1]
        twist = found.twist
        assert found.speed == pytest.approx(np.linalg.norm(twist.linear))
        error = np.concatenate([twist.linear, twist.angular])
        error -= pose_velocity(poses[-2], poses[-1])
        assert twist.angular[2] == pytest.approx(yaw_rate, abs=0.01)
        sigma = np.sqrt(np.diag(twist.covariance))
        assert (np.abs(error) < 4 * sigma + 1e-3).all() and (sigma < [0.5] * 3 + [0.05] * 3).all()
    blank, _ = drive(SurroundMotion(GroundPlane(), 256), straight(1))[-1]
    assert blank.twist is None and np.isnan(blank.speed)


def pose_velocity(last, now):
    """Of the base frame between two poses (x, yaw) of `drive`, STEP apart in time 0.1 s."""
    T = inverse(pose(now[0], 0.0, now[1])) @ pose(last[0], 0.0, last[1])
    exact = twist_of(T, 0.1, np.zeros((6, 6)))
    return np.concatenate([exact.linear, exact.angular])


def test_same_drive_same_bits():
    results = [
        drive(SurroundMotion(GroundPlane(), 256), straight(5))[-1][0].measured["front"]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(results[0].inverse_depth, results[1].inverse_depth)
    np.testing.assert_array_equal(results[0].sigma, results[1].sigma)


def test_memory_is_bounded():
    motion = SurroundMotion(GroundPlane(), 128)
    drive(motion, straight(40, step=0.2))
    assert len(motion._keyframes) <= 20
    tracks = motion._cameras["front"].tracks
    assert len(tracks._seen) <= 21


def test_without_odometry_a_vehicle_that_brakes_is_followed():
    motion = SurroundMotion(GroundPlane(), 256)
    speeds = np.concatenate([np.full(6, 6.0), np.linspace(6.0, 3.0, 7), np.full(4, 3.0)])
    places = np.concatenate([[0.0], np.cumsum(speeds * 0.1)])
    found, depth = drive(motion, [(x, 0.0) for x in places], odometry=0.0)[-1]
    assert found.source == "images"
    assert found.speed == pytest.approx(3.0, rel=0.08)
    # The road has hardly to correct it: the scale was carried on, not the speed.
    assert found.length_factor == pytest.approx(1.0, abs=0.25)
    _, median, gross = score(found.measured["front"], depth["front"])
    assert median < 0.05 and gross < 0.03


def test_each_image_counts_at_its_own_time():
    """A camera that runs freely is up to 60 ms, that is 0.3 m, off the set's instant."""
    motion, views = SurroundMotion(GroundPlane(), 256), views_of({"front": MOUNTS["front"]})
    with ThreadPoolExecutor(2) as pool:
        for k in range(9):
            late = (0.0, 0.06)[k % 2]
            for t in (k / 10, k / 10 + late):
                motion.odometry.add(round((1 + t) * S), pose(5.0 * t))
            image, depth = seen("front", 5.0 * (k / 10 + late), 0.0)
            frame = CameraFrame(
                round((1 + k / 10 + late) * S), cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
            )
            found = motion.update(round((1 + k / 10) * S), {"front": frame}, views, pool)
    assert found.speed == pytest.approx(5.0, rel=0.05)
    cover, median, gross = score(found.measured["front"], depth)
    assert cover > 0.6 and median < 0.03 and gross < 0.02


def test_a_length_that_is_guessed_anew_is_unsure_again():
    """Images alone, and a pause: the factor of before says nothing of the next guess."""
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(8), odometry=0.0)
    sure = motion._road.factor_sigma
    drive(motion, straight(2), ("left",), odometry=0.0, start=20.0)
    assert motion._road.factor_sigma > 0.2 > sure


def test_a_low_camera_measures_the_road_before_it():
    low = {"front": mounted(x=0.3, z=0.45)}
    motion, views = SurroundMotion(GroundPlane(), 256), views_of(low)
    with ThreadPoolExecutor(2) as pool:
        for k in range(9):
            stamp = round((1 + k / 10) * S)
            motion.odometry.add(stamp, pose(0.2 * k))
            image, depth = render(CAMERA, pose(0.2 * k) @ low["front"])
            frame = CameraFrame(stamp, cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
            found = motion.update(stamp, {"front": frame}, views, pool)
    cover, median, gross = score(found.measured["front"], depth, limit=2.5)
    assert cover > 0.6 and median < 0.03 and gross < 0.02
