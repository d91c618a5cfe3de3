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
"""What a drive says of the mountings, in words, in a table, and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from depth_perception.evaluation.mounting_run import Drive
from depth_perception.motion.calibration import ANGLES, KNOWN_ROTATION, Calibration, MountingError

FEW_STRETCHES = 4
"""From fewer stretches of the way nothing is said of a camera."""
FEW_TURNS = np.radians(30.0)
"""Of a drive that turned less, turns say little."""


def table(drive: Drive, calibration: Calibration) -> list[str]:
    """Write a line for each camera, and what all cameras share.

    Args:
        drive: What was seen.
        calibration: What it says.
    """
    names = drive.rig.names
    width = max(len("camera"), *(len(name) for name in names))
    several = len(names) > 1
    head = f"{'camera':<{width}}  " + "".join(f"{a + ', deg':<17}" for a in ANGLES)
    lines = [head + f"{'height, m':<17}" + "stretches  road  shared points"]
    for name, item in zip(names, calibration.cameras, strict=True):
        values, sigmas = (
            (item.relative, item.relative_sigma)
            if several
            else (item.rotation, item.rotation_sigma)
        )
        cells = [
            f"{_value(np.degrees(value), np.degrees(sigma), 2, np.degrees(KNOWN_ROTATION)):<17}"
            for value, sigma in zip(values, sigmas, strict=True)
        ]
        height = _value(item.height, item.height_sigma, 3, 1.0) if item.height_known else "-"
        counts = f"{item.stretches:9d}  {item.roads:4d}  {item.shared:13d}"
        lines.append(f"{name:<{width}}  {''.join(cells)}{height:<17}{counts}")
    if several:
        lines.append(_shared(calibration))
    return lines


def _shared(calibration: Calibration) -> str:
    parts = [
        f"{name} {_value(np.degrees(value), np.degrees(sigma), 2, np.degrees(KNOWN_ROTATION))}"
        for name, value, sigma in zip(
            ANGLES, calibration.shared, calibration.shared_sigma, strict=True
        )
    ]
    text = "all cameras against the vehicle, about base_frame's axes, deg: " + ", ".join(parts)
    used = [n for n, use in zip(ANGLES, calibration.shared_used, strict=True) if use]
    if used:
        return f"{text} ({', '.join(used)} corrected)"
    return f"{text} (not corrected: less than twice the deviation)"


def _value(value: float, sigma: float, digits: int, largest: float) -> str:
    """A number with its deviation; "-" for one that was not estimated."""
    if not sigma < largest:
        return "-"
    return f"{value:+.{digits}f} +- {sigma:.{digits}f}"


def anything_known(calibration: Calibration) -> bool:
    """Tell whether any angle of any camera, or any height, was estimated."""
    return any(
        (item.relative_known | item.known).any() or item.height_known
        for item in calibration.cameras
    )


def unknown(drive: Drive, calibration: Calibration) -> list[str]:
    """Say what could not be estimated, camera by camera, and why."""
    out = []
    several = len(drive.rig.names) > 1
    for name, item in zip(drive.rig.names, calibration.cameras, strict=True):
        if item.stretches < FEW_STRETCHES:
            out.append(
                f"camera {name}: its points were followed on {item.stretches} stretches of the way"
                f" (of {FEW_STRETCHES} at least). Fix: a longer drive, by day, past things with"
                " texture"
            )
            continue
        known = item.relative_known if several else item.known
        lost = [angle for angle, is_known in zip(ANGLES, known, strict=True) if not is_known]
        if lost:
            out.append(f"camera {name}: {' and '.join(lost)} not estimated: {_why(drive, item)}")
        if not item.height_known:
            out.append(
                f"camera {name}: height not estimated (+- {item.height_sigma:.2f} m):"
                + (" it saw no road in the lane" if not item.roads else " the way's length is not")
                + (
                    ""
                    if not item.roads
                    else " known well enough. Fix: record odometry, or drive on"
                )
            )
    return out


def _why(drive: Drive, item: MountingError) -> str:
    """Say what was missing for an angle, and what to drive."""
    reasons = []
    if not item.roads:
        reasons.append("it saw no road in the vehicle's lane")
    if item.shared < 10 * FEW_STRETCHES:
        reasons.append(f"shares {item.shared} points with other cameras")
    if drive.turned < FEW_TURNS:
        reasons.append(f"the vehicle turned by only {np.degrees(drive.turned):.0f} degrees")
    if not reasons:
        reasons.append(f"{drive.way:.0f} m of way are too few")
    return ", ".join(reasons) + ". Fix: a longer drive, with turns to both sides"


def as_json(drive: Drive, calibration: Calibration) -> dict[str, Any]:
    """Return all of it as a JSON-able dictionary, angles in degrees, heights in metres."""
    degrees = _degrees
    return {
        "frame_sets": drive.sets,
        "stretches": len(drive.stretches),
        "way_m": round(drive.way, 2),
        "turned_deg": round(float(np.degrees(drive.turned)), 1),
        "length_factor": round(calibration.length_factor, 4),
        "shared_deg": degrees(calibration.shared),
        "shared_std_deg": degrees(calibration.shared_sigma),
        "cameras": {
            name: {
                "rotation_deg": degrees(item.rotation),
                "rotation_std_deg": degrees(item.rotation_sigma),
                "relative_deg": degrees(item.relative),
                "relative_std_deg": degrees(item.relative_sigma),
                "height_m": round(item.height, 4),
                "height_std_m": round(item.height_sigma, 4),
                "stretches": item.stretches,
                "roads": item.roads,
                "shared_points": item.shared,
            }
            for name, item in zip(drive.rig.names, calibration.cameras, strict=True)
        },
    }


def _degrees(values: Any) -> list[float | None]:
    return [round(float(np.degrees(v)), 4) if np.isfinite(v) else None for v in values]
