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
"""What the watch over the mountings has found is on /diagnostics, camera by camera."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Listener, wait_for
from simulated_drive import MOUNTS, stretches, turned

rclpy = pytest.importorskip("rclpy")

from vehicle import Vehicle  # noqa: E402

from depth_perception.geometry.ground_plane import GroundPlane  # noqa: E402
from depth_perception.motion.mounting_watch import MountingFilter  # noqa: E402

DIAGNOSTICS = ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")


def mounting_statuses(reports: list[Any]) -> dict[str, Any]:
    return {
        status.name.rpartition("mounting ")[2]: status
        for array in reports[-1:]
        for status in array.status
        if ": mounting " in status.name
    }


def test_a_camera_that_has_moved_is_a_warning_with_numbers(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    calibrated = {**MOUNTS, "left": turned(MOUNTS["left"], [0.0, -1.2, 0.0])}
    found = MountingFilter(calibrated, GroundPlane(), np.radians(0.5))
    for stretch in stretches(MOUNTS, 80, np.radians(6.0)):
        found.update(stretch)
    node = start(estimator="embodied", motion__enabled=True)
    reports = listener.listen(*DIAGNOSTICS)
    watch = node._processor.pipeline.motion.watch
    assert watch.report.cameras == {} and not mounting_statuses(reports)
    watch._filter = SimpleNamespace(report=found.report)
    told = wait_for(lambda: mounting_statuses(reports), what="mountings on /diagnostics")
    assert told.keys() == MOUNTS.keys()
    left = told["left"]
    assert left.level == b"\x01" and "camera left looks 1.2 +-" in left.message
    values = {item.key: item.value for item in left.values}
    assert abs(float(values["pitch (deg)"]) - 1.2) < 0.1
    assert 0 < float(values["pitch deviation (deg)"]) < 0.3
    assert told["front"].level == b"\x00"


def test_without_motion_there_is_nothing_of_it(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    start(estimator="embodied")
    reports = listener.listen(*DIAGNOSTICS)
    wait_for(lambda: len(reports) > 2, what="diagnostics")
    assert not mounting_statuses(reports)
