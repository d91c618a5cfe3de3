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
"""The watch over the mountings: what it warns of, when, and that it changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from simulated_drive import LENGTH, MOUNTS, stretches, turned
from test_surround_motion import S, drive, straight

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.mounting_watch import ENOUGH_M, MountingFilter, MountingWatch
from depth_perception.motion.surround_motion import SurroundMotion

WARN_AT = np.radians(0.5)
TURN = np.radians(6.0)
COUNT = round(1.2 * ENOUGH_M / LENGTH)


def watched(calibrated, count=COUNT, heading=TURN):
    """What a filter says after each stretch of a drive whose cameras are as in MOUNTS."""
    estimate = MountingFilter(calibrated, GroundPlane(), WARN_AT)
    reports = []
    for stretch in stretches(MOUNTS, count, heading):
        estimate.update(stretch)
        reports.append(estimate.report)
    return reports


def test_a_camera_that_looks_lower_is_warned_of_by_how_much():
    calibrated = {**MOUNTS, "left": turned(MOUNTS["left"], [0.0, -1.2, 0.0])}
    reports = watched(calibrated)
    assert set(reports[-1].warnings) == {"left"}
    text = reports[-1].warnings["left"]
    assert "camera left looks 1.2 +-" in text and "degrees lower" in text and "calibrate" in text
    # Not before there is enough of the way.
    first = next(report for report in reports if report.warnings)
    assert first.way >= ENOUGH_M
    warning, values = reports[-1].told()["left"]
    assert warning == text and float(values["pitch (deg)"]) == pytest.approx(1.2, abs=0.1)
    assert reports[-1].told()["front"][0] == ""


def test_cameras_that_are_mounted_as_calibrated_are_never_warned_of():
    assert not any(report.warnings for report in watched(MOUNTS))


def test_what_cannot_be_known_is_not_warned_of():
    # Straight ahead nothing tells how a camera that looks aside is turned about the way.
    calibrated = {**MOUNTS, "left": turned(MOUNTS["left"], [0.0, 2.0, 0.0])}
    assert not watched(calibrated, heading=0.0)[-1].warnings


def test_a_camera_that_is_knocked_on_the_way_is_noticed():
    estimate = MountingFilter(MOUNTS, GroundPlane(), WARN_AT)
    for stretch in stretches(MOUNTS, COUNT, TURN):
        estimate.update(stretch)
    assert not estimate.report.warnings
    knocked = {**MOUNTS, "front": turned(MOUNTS["front"], [0.0, 0.0, -3.0])}
    for stretch in stretches(knocked, 2 * COUNT, TURN, seed=1):
        estimate.update(stretch)
    assert "farther to the right" in estimate.report.warnings["front"]


def test_depth_is_the_same_with_and_without_the_watch():
    watch = MountingWatch(GroundPlane(), WARN_AT)
    with_watch = drive(SurroundMotion(GroundPlane(), 256, watch=watch), straight(9))
    without = drive(SurroundMotion(GroundPlane(), 256), straight(9))
    watch.finish()
    assert watch.report.stretches >= 1 and set(watch.report.cameras) == {"front"}
    for (one, _), (two, _) in zip(with_watch, without, strict=True):
        for name in two.measured:
            np.testing.assert_array_equal(
                one.measured[name].inverse_depth, two.measured[name].inverse_depth
            )


def test_other_mountings_begin_anew():
    from test_surround_motion import views_of

    watch = MountingWatch(GroundPlane(), WARN_AT)
    motion = SurroundMotion(GroundPlane(), 256, watch=watch)
    drive(motion, straight(9))
    watch.finish()
    assert watch.report.stretches >= 1
    moved = {"front": turned(MOUNTS["front"], [0.0, 2.0, 0.0])}
    views = views_of(moved)
    from depth_perception.frames.frame_set import CameraFrame

    image = np.zeros((160, 320, 3), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        motion.update(99 * S, {"front": CameraFrame(99 * S, image)}, views, pool)
    assert watch.report.stretches == 0
