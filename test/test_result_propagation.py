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

"""What a network said of a past image, seen from here; and whose turn it is to be looked at."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from test_motion_propagation import NAMES
from test_surround_motion import CAMERA, MOUNTS, S, drive, seen, straight, views_of
from textured_street import pose

from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.motion.propagation import MatchingTurns
from depth_perception.motion.surround_motion import Motion, SurroundMotion
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline

SIZE = (CAMERA.width, CAMERA.height)
POOL = ThreadPoolExecutor(1)


def keep(motion, name, depth, confidence=0.8):
    """Keep exact depth, with the road where the ground is."""
    road = np.isfinite(depth) & (np.arange(len(depth)) > 90)[:, None]
    motion.results.keep(name, depth, np.full((4, 8), confidence, np.float32), road.astype("f4"))


def carried_after(poses, names=("front",), rate=1.0):
    """Drive, keep exact depth of the last set but one; return what is carried on, and the truth."""
    motion = SurroundMotion(GroundPlane(), 256, result_rate=rate)
    results = motion.results
    advance, sets = results.advance, itertools.count()

    def and_keep(cameras, now, *rest):
        advance(cameras, now, *rest)
        if next(sets) == len(poses) - 2:
            for name in names:
                keep(motion, name, depths[name])

    depths = drive(SurroundMotion(GroundPlane(), 256), poses[-2:-1], names)[0][1]
    results.advance = and_keep
    truth = drive(motion, poses, names)[-1][1]
    return motion, {name: results.carried(name, SIZE) for name in names}, truth


@pytest.mark.parametrize("name", list(MOUNTS))
def test_depth_is_where_the_vehicle_sees_it_now(name):
    _, found, truth = carried_after(straight(4), (name,))
    depth, exact = found[name].depth, truth[name]
    near = (exact < 30) & (exact > 2)
    error = np.abs(depth[near] / exact[near] - 1)
    assert np.median(error) < 0.005 and (error > 0.1).mean() < 0.06
    assert not np.isnan(depth).any(), "what had not been seen is filled"


def test_standing_gives_what_was_kept():
    _, found, truth = carried_after([(0.5, 0.0)] * 4)
    depth, exact = found["front"].depth, truth["front"]
    assert (np.isinf(depth) == np.isinf(exact)).mean() > 0.99
    near = np.isfinite(depth) & np.isfinite(exact)
    error = np.abs(depth[near] / exact[near] - 1)
    assert np.median(error) < 5e-3 and (error > 0.1).mean() < 0.02
    np.testing.assert_allclose(found["front"].confidence, 0.8, rtol=1e-5)
    assert (found["front"].road[110:] == 1).all() and (found["front"].road[:60] == 0).all()


def test_the_sky_stays_beyond_range_on_the_way_round_a_bend():
    _, found, truth = carried_after([(k * 0.5, 0.03 * k) for k in range(4)])
    sky = np.isinf(truth["front"])
    assert sky.sum() > 1000
    assert np.isinf(found["front"].depth[sky]).mean() > 0.9


def test_what_is_filled_is_no_farther_than_the_ground_and_less_sure():
    """The left camera looks aside: on its right new things come into view."""
    _, found, _ = carried_after(straight(4, step=1.5), ("left",))
    plane = views_of({"left": MOUNTS["left"]})["left"].plane
    depth, confidence = found["left"].depth, found["left"].confidence
    filled = confidence < 0.5
    assert 0.03 < filled.mean() < 0.5
    below = filled & np.isfinite(plane)
    assert (depth[below] <= plane[below] * 1.06).all()


def test_what_moves_along_keeps_its_depth():
    """A board that hangs in front of the camera, a metre away, is not driven through."""
    motion = SurroundMotion(GroundPlane(), 256, result_rate=1.0)
    board = (slice(60, 100), slice(130, 190))
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 1)).astype(np.uint8)
    poses, views = straight(5), views_of({"front": MOUNTS["front"]})
    drawn = drive(SurroundMotion(GroundPlane(), 256), poses)
    with ThreadPoolExecutor(1) as pool:
        for k, (x, yaw) in enumerate(poses):
            stamp = round((1 + k / 10) * S)
            motion.odometry.add(stamp, pose(x, 0.0, yaw))
            image = cv2.cvtColor(seen("front", x, yaw)[0], cv2.COLOR_GRAY2BGR)
            image[board] = noise
            motion.update(stamp, {"front": CameraFrame(stamp, image)}, views, pool)
            if k == len(poses) - 2:
                depth = drawn[k][1]["front"].copy()
                depth[board] = 6.0
                keep(motion, "front", depth)
    found = motion.results.carried("front", SIZE)
    inner = found.depth[66:94, 136:184]
    assert (np.abs(inner / 6.0 - 1) < 0.02).mean() > 0.85, "by the way it would be at 5.5 m"
    aside = found.depth[100:, 20:100]
    exact = drawn[-1][1]["front"][100:, 20:100]
    assert np.median(np.abs(aside / exact - 1)) < 0.01, "the rest is driven along"


def test_what_has_no_past_is_due_and_nothing_is_carried():
    motion = SurroundMotion(GroundPlane(), 256, result_rate=6.0)
    assert motion.results.due(["front"], POOL) == ["front"]
    assert motion.results.carried("front", SIZE) is None
    keep(motion, "front", np.ones((160, 320), np.float32))  # no image of it was taken
    assert motion.results.carried("front", SIZE) is None
    drive(motion, straight(3))
    assert motion.results.due(["front", "elsewhere"], POOL) == ["front", "elsewhere"]


def test_what_is_kept_is_forgotten_with_the_way():
    motion, found, _ = carried_after(straight(4))
    assert found["front"] is not None
    motion.reset()
    assert motion.results.carried("front", SIZE) is None
    assert motion.results.due(["front"], POOL) == ["front"]


def test_without_a_rate_all_are_due_always():
    motion, _, _ = carried_after(straight(4), ("front", "left"), rate=0.0)
    assert motion.results.due(["front", "left"], POOL) == ["front", "left"]


def test_the_most_worn_comes_first():
    """Two cameras, one look at each set: the one of whose result less is left."""
    motion, _, _ = carried_after(straight(4, step=1.5), ("front", "left"), rate=10.0)
    results = motion.results
    results._pace = results._pace._replace(seconds=0.1)
    assert results.due(["front", "left"], POOL) == ["left"]
    assert results._lead("left") > results._lead("front") > 0


def test_where_all_are_due_nobody_is_compared(monkeypatch):
    motion, _, _ = carried_after(straight(4), ("front", "left"), rate=30.0)
    results = motion.results
    seen: list[str] = []
    see = results._see
    monkeypatch.setattr(results, "_see", lambda name: seen.append(name) or see(name))
    results._pace = results._pace._replace(seconds=0.1)
    assert results.due(["front", "left"], POOL) == ["front", "left"] and not seen
    results._pace = results._pace._replace(seconds=0.04)
    assert len(results.due(["front", "left"], POOL)) == 1 and seen == ["front", "left"]


def test_a_camera_that_was_just_matched_comes_first():
    motion, _, _ = carried_after([(0.5, 0.0)] * 4, ("front", "left"), rate=10.0)
    results = motion.results
    results._fresh = frozenset(["left"])
    results._pace = results._pace._replace(seconds=0.1)
    assert results.due(["front", "left"], POOL) == ["left"]


def test_where_sets_are_left_out_nobody_new_takes_more_than_the_rate():
    turns, matched, seen = MatchingTurns(24.0), {}, set()
    for k in range(12):
        chosen = turns.choose(matched, NAMES, 1 / 12, True)
        assert 1 <= len(chosen) <= 2
        seen.update(chosen)
        if k >= 6:  # the way is known from here on
            matched.update(dict.fromkeys(chosen, k))
    assert seen == set(NAMES) and set(matched) == set(NAMES)


def test_effort_and_period_set_the_pace():
    """Ten sets a second arrive, five are computed; half of the effort: a quarter of the looks."""
    for period, effort, expected in ((None, 1.0, 4), (0.1, 1.0, 2), (0.1, 0.5, 1)):
        motion = SurroundMotion(GroundPlane(), 256, result_rate=20.0)
        update = motion.update
        motion.update = lambda *given, p=period, e=effort, update=update: update(*given, p, e)
        looks = []
        advance = motion.results.advance

        def and_look(*given, advance=advance, results=motion.results, looks=looks):
            advance(*given)
            looks.append(results._pace.seconds * 20.0)

        motion.results.advance = and_look
        drive(motion, straight(4), rate=5.0)
        assert looks[-1] == pytest.approx(expected)


def test_a_frame_is_brought_onto_a_grid_once():
    views = views_of({"front": MOUNTS["front"], "left": MOUNTS["left"]})
    frame = CameraFrame(1, np.random.default_rng(0).integers(0, 255, (320, 640, 3), np.uint8))
    first = frame.on_grid(views["front"])
    assert first.shape == (160, 320, 3)
    assert frame.on_grid(views["front"]) is first
    other = frame.on_grid(views["left"])  # of another camera: made anew
    assert other is not first and (other == first).all()


def test_the_pipeline_hands_on_how_sets_follow_each_other(monkeypatch):
    made = SurroundPipeline(from_flat({"estimator": "embodied", "motion.enabled": True}))
    camera = RigCamera("front", CAMERA, MOUNTS["front"], "front", CAMERA)
    frames = {"front": CameraFrame(1, np.zeros((160, 320, 3), np.uint8))}
    given = []
    monkeypatch.setattr(
        made.motion, "update", lambda *args: given.append(args[4:]) or Motion(ground=made.ground)
    )
    made.process(FrameSet(1, frames, period=0.1, effort=0.6), Rig({"front": camera}))
    made.close()
    assert given == [(0.1, 0.6)]
