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

"""What was measured a moment ago, seen from here; and whose turn it is to be matched."""

from __future__ import annotations

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numba
import numpy as np
import pytest
from test_surround_motion import MOUNTS, S, drive, score, seen, straight, views_of
from textured_street import mounted, pose, render

from depth_perception.frames.frame_set import CameraFrame
from depth_perception.frames.measured_kind import Kind
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.transforms import inverse
from depth_perception.motion import surround_matching
from depth_perception.motion.matching import Pyramid, census_of
from depth_perception.motion.measured_depth import MeasuredDepth
from depth_perception.motion.propagation import MatchingTurns, propagated, scaled
from depth_perception.motion.propagation_loops import count_bits
from depth_perception.motion.surround_matching import nearest_road
from depth_perception.motion.surround_motion import SurroundMotion

K = np.array([[260.0, 0, 207.5], [0, 260.0, 80.0], [0, 0, 1]])
LENSES = {
    "pinhole": CameraModel(416, 200, K),
    "polynomial": CameraModel(416, 200, K, np.array([-0.25, 0.06, 1e-3, -5e-4, 0.0]), "plumb_bob"),
    "equidistant": CameraModel(
        416, 200, np.array([[150.0, 0, 207.5], [0, 150.0, 90.0], [0, 0, 1]]),
        np.array([0.02, -0.004, 1e-3, 0.0]), "equidistant",
    ),
}  # fmt: skip
MOUNT = mounted(x=1.5, z=1.5)


def of(camera, depth, sigma=0.02, kind=Kind.PARALLAX):
    """Measure a depth image (h, w) exactly; what is far or not seen is not."""
    known = np.isfinite(depth) & (depth > 0) & (depth < 80)
    w = np.where(known, 1 / np.where(known, depth, 1), np.nan).astype(np.float32)
    kinds = np.where(known, np.uint8(kind), np.uint8(Kind.NOTHING))
    return MeasuredDepth(w, (w * np.float32(sigma)).astype(np.float32), kinds)


def rays_of(camera):
    rays = np.nan_to_num(camera.rays(), nan=0.0)
    rays[rays[..., 2] != 1] = 0
    return rays.astype(np.float32)


def carry(camera, before, after, change=None, kind=Kind.PARALLAX, blank=False):
    """Measure at one pose of the vehicle, and carry that to another; return it and the truth."""
    T_before, T_after = (pose(*item) @ MOUNT for item in (before, after))
    image, depth = render(camera, T_before)
    now, truth = render(camera, T_after)
    if blank:
        image[:], now[:] = 120, 120
    if change is not None:
        now[change] = np.random.default_rng(2).integers(0, 255, now[change].shape)
    out = propagated(
        of(camera, depth, kind=kind), census_of(image), inverse(T_after) @ T_before, camera,
        rays_of(camera), now, census_of(now), np.zeros(now.shape, bool),
    )  # fmt: skip
    return out, truth


@pytest.mark.parametrize("lens", LENSES)
def test_what_was_measured_is_where_the_vehicle_sees_it_now(lens):
    out, truth = carry(LENSES[lens], (0.0, 0.0, 0.0), (1.2, 0.02, 0.03))
    near = (truth > 3) & (truth < 40)
    known = np.isfinite(out.inverse_depth) & near
    assert known.sum() > 0.85 * near.sum()
    error = np.abs(1 / out.inverse_depth[known] / truth[known] - 1)
    assert np.median(error) < 2e-3 and (error > 0.05).mean() < 2e-3
    assert (out.kind[known] == Kind.PARALLAX).all()
    unknown = ~np.isfinite(out.inverse_depth)
    assert np.isnan(out.sigma[unknown]).all() and (out.kind[unknown] == Kind.NOTHING).all()


def test_what_comes_nearer_is_as_sure_as_its_rays_say():
    """One point straight ahead: z' = z - 1, so that sigma of 1/z' is that of 1/z by (z / z')^2."""
    camera = LENSES["pinhole"]
    out, truth = carry(camera, (0.0,), (1.0,))
    known = np.isfinite(out.inverse_depth) & (truth < 20)
    before = truth[known] + 1.0  # level cameras, straight ahead: each point is a metre nearer
    expected = 0.02 / before * (before / truth[known]) ** 2
    np.testing.assert_allclose(out.sigma[known], expected, rtol=0.03)


def test_standing_changes_nothing():
    camera = LENSES["pinhole"]
    out, truth = carry(camera, (0.0,), (0.0,))
    expected = of(camera, truth)
    np.testing.assert_allclose(out.inverse_depth, expected.inverse_depth, rtol=1e-5)
    np.testing.assert_allclose(out.sigma, expected.sigma, rtol=1e-5)


def test_nothing_is_known_where_something_else_has_come():
    change = (slice(80, 130), slice(150, 230))
    out, _ = carry(LENSES["pinhole"], (0.0,), (0.8,), change)
    still, _ = carry(LENSES["pinhole"], (0.0,), (0.8,))
    inner = (slice(84, 126), slice(154, 226))
    assert np.isfinite(still.inverse_depth[inner]).mean() > 0.8
    assert np.isfinite(out.inverse_depth[inner]).mean() < 0.05
    outside = np.isfinite(still.inverse_depth)
    outside[70:140, 140:240] = False
    assert np.isfinite(out.inverse_depth[outside]).all()


def test_a_blank_road_is_carried_though_its_noise_differs():
    noise = np.random.default_rng(3)
    camera = LENSES["pinhole"]
    T = pose(0.0) @ MOUNT
    _, depth = render(camera, T)
    shape = depth.shape
    images = [np.asarray(120 + noise.integers(-1, 2, shape), np.uint8) for _ in range(2)]
    for kind, carried in ((Kind.PLANE, True), (Kind.PARALLAX, False)):
        out = propagated(
            of(camera, depth, kind=kind), census_of(images[0]), np.eye(4), camera,
            rays_of(camera), images[1], census_of(images[1]), np.zeros(shape, bool),
        )  # fmt: skip
        share = np.isfinite(out.inverse_depth).sum() / np.isfinite(1 / depth).sum()
        assert (share > 0.8) if carried else (share < 0.2)


def test_two_surfaces_do_not_mix_and_the_nearer_hides():
    """A board 4 m ahead before a wall at 20 m; the vehicle goes 0.5 m to the left, so that it hides
    other parts of the wall, and uncovers some that nobody has measured."""
    camera = LENSES["pinhole"]
    depth = np.full((200, 416), 20.0, np.float32)
    depth[60:140, 180:240] = 4.0
    image = np.random.default_rng(4).integers(0, 255, depth.shape).astype(np.uint8)
    T = np.eye(4)
    T[0, 3] = 0.5  # points move to the right in the image
    out = propagated(
        of(camera, depth), np.zeros(depth.shape, np.uint32), T, camera, rays_of(camera),
        image, np.zeros(depth.shape, np.uint32), np.zeros(depth.shape, bool),
    )  # fmt: skip
    z = 1 / out.inverse_depth
    values = z[np.isfinite(z)]
    assert (np.isclose(values, 4, rtol=1e-4) | np.isclose(values, 20, rtol=1e-4)).all()
    shift, far = 0.5 * 260 / 4, 0.5 * 260 / 20  # 32.5 and 6.5 px
    row = z[100]
    assert np.isclose(row[int(180 + shift) + 2 : int(240 + shift) - 2], 4).all()
    assert np.isnan(row[int(180 + far) + 2 : int(180 + shift) - 2]).all()  # was behind the board
    assert np.isclose(row[int(240 + shift) + 2 : 400], 20).all()


def test_own_body_and_behind_the_camera():
    camera = LENSES["pinhole"]
    image, depth = render(camera, pose(0.0) @ MOUNT)
    mask = np.zeros(image.shape, bool)
    mask[150:] = True
    far_on = np.eye(4)
    far_on[2, 3] = -200.0  # everything is behind
    for T, limit in ((np.eye(4), 150), (far_on, 0)):
        out = propagated(
            of(camera, depth), census_of(image), T, camera, rays_of(camera), image,
            census_of(image), mask,
        )  # fmt: skip
        assert not np.isfinite(out.inverse_depth[limit:]).any()
        assert np.isfinite(out.inverse_depth[:limit]).any() == (limit > 0)


def test_bits_are_counted():
    codes = np.random.default_rng(5).integers(0, 2**32, 200, dtype=np.uint32)
    expected = [bin(int(code)).count("1") for code in codes]

    @numba.njit
    def counted(codes):
        return [np.int64(count_bits(code)) for code in codes]

    assert counted(codes) == expected


NAMES = list("abcdef")


def turns_of(rate, hertz, sets, names=NAMES):
    turns, matched, out = MatchingTurns(rate), {}, []
    for k in range(sets):
        chosen = turns.choose(matched, names, 1 / hertz if k else 0.0)
        out.append(chosen)
        for name in chosen:
            matched[name] = round(k * 1e9 / hertz)
    return out


def test_cameras_take_turns_evenly():
    sets = turns_of(24.0, 12.0, 37)
    assert sets[0] == NAMES
    assert all(len(item) == 2 for item in sets[1:])
    counts = [sum(name in item for item in sets[1:]) for name in NAMES]
    assert counts == [12] * 6
    for k in range(1, 30):
        assert sorted(itertools.chain(*sets[k : k + 3])) == NAMES


@pytest.mark.parametrize(
    ("rate", "hertz", "names", "share"),
    [
        (24.0, 2.0, NAMES, 1.0),  # few images: all of each set
        (24.0, 10.0, NAMES[:2], 1.0),  # a stereo pair
        (0.0, 60.0, NAMES, 1.0),
        (5.0, 20.0, NAMES[:1], 0.25),  # less than one in a set
        (15.0, 10.0, NAMES, 0.25),
    ],
)
def test_the_rate_holds(rate, hertz, names, share):
    sets = turns_of(rate, hertz, 81, names)
    assert np.mean([len(item) for item in sets[1:]]) == pytest.approx(share * len(names), abs=0.05)


def test_who_has_nothing_to_carry_does_not_wait():
    turns = MatchingTurns(6.0)
    matched = dict.fromkeys(NAMES, 0)
    assert turns.choose(matched, NAMES, 0.05) == []
    del matched["d"]
    assert turns.choose(matched, NAMES, 0.05) == ["d"]


def test_a_pause_is_not_saved_up():
    turns = MatchingTurns(6.0)
    matched = dict.fromkeys(NAMES, 0)
    assert turns.choose(matched, NAMES, 50.0) == NAMES
    assert turns.choose(matched, NAMES, 0.01) == []


def test_depth_at_the_sets_between_is_as_good(monkeypatch):
    """Each camera is matched at every third set: depth is as right between, and nearly as much."""
    calls = []
    match = surround_matching.match

    def counted(*args):
        calls.append(1)
        return match(*args)

    monkeypatch.setattr(surround_matching, "match", counted)
    results = {}
    for rate in (0.0, 20 / 3):
        calls.clear()
        motion = SurroundMotion(GroundPlane(), 256, matching_rate=rate)
        results[rate] = drive(motion, straight(16, 0.4), ("front", "left"))[9:]
        results[rate, "calls"] = len(calls)
    assert results[20 / 3, "calls"] < 0.5 * results[0.0, "calls"]
    for name in ("front", "left"):
        each = {
            rate: np.array([score(found.measured[name], depth[name]) for found, depth in
                            results[rate]])
            for rate in (0.0, 20 / 3)
        }  # fmt: skip
        every, turns = (each[rate].mean(axis=0) for rate in (0.0, 20 / 3))
        assert turns[0] > every[0] - 0.08, name
        assert turns[1] < every[1] + 0.005 and turns[2] < every[2] + 0.01, name


def test_a_camera_that_nobody_looked_at_begins_anew():
    """It misses a second and a half, in which the other drives on."""
    motion, calls = SurroundMotion(GroundPlane(), 128, matching_rate=2.0), []
    views = views_of({name: MOUNTS[name] for name in ("front", "left")})
    choose = motion._matching._turns.choose
    motion._matching._turns.choose = lambda past, *rest: (
        calls.append(set(past)) or choose(past, *rest)
    )
    with ThreadPoolExecutor(2) as pool:
        for k in range(31):
            x = 0.3 * k
            there = views if k < 5 or k == 30 else {"front": views["front"]}
            frames = {
                name: CameraFrame(round((1 + k / 10) * S), in_colour(seen(name, x, 0.0)[0]))
                for name in there
            }
            motion.odometry.add(round((1 + k / 10) * S), pose(x))
            motion.update(round((1 + k / 10) * S), frames, there, pool)
    assert "left" in calls[5] and calls[30] == {"front"}


def in_colour(image):
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def test_what_was_measured_is_forgotten_with_the_way():
    motion = SurroundMotion(GroundPlane(), 256, matching_rate=1.0)
    drive(motion, straight(5))
    assert motion._matching._past
    motion.reset()
    assert not motion._matching._past
    found, depth = drive(motion, straight(5), start=100.0)[-1]
    assert score(found.measured["front"], depth["front"])[1] < 0.05


def test_a_longer_way_moves_what_the_way_measured_alone():
    w = np.full((1, 3), 0.1, np.float32)
    kinds = np.array([[Kind.PARALLAX, Kind.OVERLAP, Kind.PLANE]], np.uint8)
    out = scaled(MeasuredDepth(w, w / 50, kinds), 0.9)
    np.testing.assert_allclose(out.inverse_depth, [[0.09, 0.1, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(out.sigma, out.inverse_depth / 50, rtol=1e-6)
    np.testing.assert_array_equal(out.kind, kinds)


def test_a_camera_that_changes_is_not_given_what_another_measured():
    motion = SurroundMotion(GroundPlane(), 256, matching_rate=1.0)
    drive(motion, straight(5))
    motion._matching.forget_rig()
    assert not motion._matching._past and not motion._matching._sees


def test_the_way_that_depth_is_carried_is_as_long_as_the_road_says(monkeypatch):
    """Odometry says a fifth too much."""
    ways = []
    carried = surround_matching.propagated
    monkeypatch.setattr(
        surround_matching,
        "propagated",
        lambda past, codes, T, *rest: (
            ways.append(np.linalg.norm(T[:3, 3])) or carried(past, codes, T, *rest)
        ),
    )
    motion = SurroundMotion(GroundPlane(), 256, matching_rate=5.0)
    sets = [found for found, _ in drive(motion, straight(15, 0.4), odometry=1.2)]
    assert sets[-1].length_factor == pytest.approx(1 / 1.2, rel=0.04)
    assert not ways, "nobody has looked at it yet"
    for found in sets[-2:]:
        assert np.isfinite(found.measured["front"].inverse_depth).any()
    assert len(ways) == 1, "of the two sets one was matched"
    assert ways[-1] == pytest.approx(0.4, rel=0.05)


def test_what_is_carried_is_as_long_as_the_road_says_now():
    motion = SurroundMotion(GroundPlane(), 256)
    drive(motion, straight(6))
    matching = motion._matching
    past = matching._past["front"]
    stamp = past.keyframe.stamp
    matching._past["front"] = dataclasses.replace(past, factor=1.1 * motion._road.factor)
    out = matching._propagated("front", (stamp, {"front": stamp}))
    by_way = (past.measured.kind == Kind.PARALLAX) & (out.kind == Kind.PARALLAX)
    assert by_way.sum() > 1000
    ratio = out.inverse_depth[by_way] / past.measured.inverse_depth[by_way]
    assert np.median(ratio) == pytest.approx(1.1, rel=1e-3)


@pytest.mark.parametrize(("pitch", "nearest"), [(0.0, 1.5 * 260 / 119), (0.7, None)])
def test_depth_is_looked_for_as_near_as_road_is_seen(monkeypatch, pitch, nearest):
    camera = LENSES["pinhole"]
    T = mounted(x=1.5, z=1.5, pitch=pitch)
    free = np.zeros((200, 416), bool)
    found = nearest_road(Pyramid.of(camera), T, free, GroundPlane())
    # Down along the lowest rows' rays, of which a few pixels are left out.
    slope = np.sin(pitch) + np.cos(pitch) * 119 / 260
    assert found == pytest.approx(1.5 / slope, rel=0.02)
    assert nearest is None or found == pytest.approx(nearest, rel=0.02)
    body = free.copy()
    body[150:] = True
    assert nearest_road(Pyramid.of(camera), T, body, GroundPlane()) > 1.1 * found
    up = mounted(x=1.5, z=1.5, pitch=-1.2)
    assert nearest_road(Pyramid.of(camera), up, free, GroundPlane()) == np.inf

    asked = []
    match = surround_matching.match
    monkeypatch.setattr(
        surround_matching, "match", lambda *args: asked.append(args[-1]) or match(*args)
    )
    motion = SurroundMotion(GroundPlane(), 416)
    view = camera_view(RigCamera("front", camera, T, "front", camera), GroundPlane(), 0)
    with ThreadPoolExecutor(1) as pool:
        for k in range(4):
            stamp, pose_now = round((1 + k / 10) * S), pose(0.4 * k)
            motion.odometry.add(stamp, pose_now)
            frame = CameraFrame(stamp, in_colour(render(camera, pose_now @ T)[0]))
            motion.update(stamp, {"front": frame}, {"front": view}, pool)
    assert asked
    np.testing.assert_allclose(asked, min(2.5, max(0.75 * found, 0.75)), rtol=1e-6)
