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
"""The watch over the mountings while driving: by how much cameras have moved, and when to say so.

A slow filter over stretches of the way (`mounting_observer`): what they say of the mountings adds
up, and is forgotten over some hundred metres, so that a camera that is knocked is noticed. It works
in a thread of the pipeline's, one stretch every few seconds, and changes nothing that is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.transforms import Matrix
from depth_perception.motion.calibration import (
    ANGLES,
    KNOWN_HEIGHT,
    KNOWN_ROTATION,
    Calibration,
    MountingError,
    calibration_of,
)
from depth_perception.motion.mounting_evidence import MountingModel, Stretch, Vector
from depth_perception.motion.mounting_observer import CameraImage, MountingObserver, Passage

REMEMBERED_M = 300.0
"""After so much way a stretch counts for a third, m."""
PERIOD_S = 5.0
"""A stretch is looked at so often at most, s."""
ENOUGH_M = 60.0
ENOUGH_STRETCHES = 30
"""Before that nothing is warned of."""
SURE = 5.0
"""A warning is of what is so many standard deviations off,"""
LASTING = 5
"""at so many updates in a row."""
HEIGHT_WARNING = 0.12
"""Of heights that are off by more, m."""
_WIDTHS = (3.0, 1.2, 0.9)
_AXES = (
    ("is turned", "more clockwise", "more anticlockwise"),
    ("looks", "lower", "higher"),
    ("looks", "farther to the left", "farther to the right"),
)
FIX = (
    "Fix: record a drive and run 'depth_perception calibrate BAG --output FILE', then set"
    " extrinsics to that file; or put the camera back"
)


@dataclass(frozen=True, eq=False)
class WatchReport:
    """What the watch has found so far.

    Attributes:
        cameras: Of each camera by how much its mounting is wrong; empty before the first stretch.
        warnings: What is to be warned of now, by camera; of all cameras together under "".
        stretches: How many there were.
        way: How long they were together, m.
    """

    cameras: Mapping[str, MountingError]
    warnings: Mapping[str, str]
    stretches: int
    way: float

    def told(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Return by camera: what is to be warned of, empty for nothing, and numbers by name."""
        out = {}
        several = len(self.cameras) > 1
        for name, item in self.cameras.items():
            values = {"way (m)": f"{self.way:.0f}", "stretches of it": str(self.stretches)}
            angles, sigmas = _against(item, several)
            for axis, angle, sigma in zip(ANGLES, angles, sigmas, strict=True):
                values[f"{axis} (deg)"] = f"{np.degrees(angle):.3f}"
                values[f"{axis} deviation (deg)"] = f"{np.degrees(sigma):.3f}"
            values["height (m)"] = f"{item.height:.3f}"
            values["height deviation (m)"] = f"{item.height_sigma:.3f}"
            out[name] = (self.warnings.get(name) or self.warnings.get("", ""), values)
        return out


def _against(item: MountingError, several: bool) -> tuple[Vector, Vector]:
    """Angles and deviations: against the other cameras, of a camera alone against the vehicle."""
    if several:
        return item.relative, item.relative_sigma
    return item.rotation, item.rotation_sigma


class MountingFilter:
    """Adds up what stretches say; forgets slowly."""

    def __init__(self, mounts: Mapping[str, Matrix], ground: GroundPlane, warn_at: float) -> None:
        """Begin with the mountings as they are calibrated.

        Args:
            mounts: 4x4 of each camera.
            ground: The road that goes with them.
            warn_at: Angle beyond which is warned, rad.
        """
        self._names = list(mounts)
        self._model = MountingModel(list(mounts.values()), ground)
        self._prior = self._model.prior()
        self._information = np.zeros_like(self._prior)
        self._vector: Vector = np.zeros(self._model.size)
        self._unknowns: Vector = np.zeros(self._model.size)
        self._warn_at = warn_at
        self._lasting: dict[str, int] = {}
        self.report = WatchReport({}, {}, 0, 0.0)

    def update(self, stretch: Stretch) -> None:
        """Take in a stretch, and judge anew."""
        model = self._model
        state = model.first_state(stretch)
        for width in _WIDTHS:
            equations = model.equations(stretch, state, self._unknowns, width)
            state = model.moved(state, equations.local_step(np.zeros(model.size)))
        equations = model.equations(stretch, state, self._unknowns, _WIDTHS[-1])
        more, pull = equations.eliminated()
        keep = float(np.exp(-stretch.way / REMEMBERED_M))
        self._information = keep * self._information + more
        self._vector = keep * self._vector + more @ self._unknowns - pull
        total = self._information + self._prior
        self._unknowns = np.asarray(np.linalg.solve(total, self._vector))
        covariance = np.asarray(np.linalg.inv(total), dtype=np.float64)
        found = calibration_of(model, [stretch], self._unknowns, covariance)
        before = self.report
        report = WatchReport(
            dict(zip(self._names, found.cameras, strict=True)),
            {},
            before.stretches + 1,
            before.way + stretch.way,
        )
        self.report = WatchReport(
            report.cameras, self._warnings(report, found), report.stretches, report.way
        )

    def _warnings(self, report: WatchReport, found: Calibration) -> dict[str, str]:
        """Say what is surely, and for some time, off."""
        texts: dict[str, str] = {}
        several = len(self._names) > 1
        for name, item in report.cameras.items():
            parts = _moved(item, self._warn_at, several)
            if parts:
                texts[name] = (
                    f"camera {name} {' and '.join(parts)} than its calibration says. {FIX}"
                )
        if several and (parts := _tilted(found, self._warn_at)):
            texts[""] = (
                f"all cameras are turned against the way and the road, about base_frame's axes:"
                f" {', '.join(parts)}. {FIX}, or correct base_frame, or look at the vehicle's load"
            )
        self._lasting = {name: self._lasting.get(name, 0) + 1 for name in texts}
        if report.way < ENOUGH_M or report.stretches < ENOUGH_STRETCHES:
            return {}
        return {name: text for name, text in texts.items() if self._lasting[name] >= LASTING}


def _moved(item: MountingError, warn_at: float, several: bool) -> list[str]:
    """Say by how much a camera is off, in words; empty when that is not sure, or small."""
    values, sigmas = _against(item, several)
    parts = []
    for value, sigma, (verb, positive, negative) in zip(values, sigmas, _AXES, strict=True):
        if abs(value) > max(warn_at, SURE * sigma) and sigma < KNOWN_ROTATION:
            text = f"{abs(np.degrees(value)):.1f} +- {np.degrees(sigma):.1f} degrees"
            parts.append(f"{verb} {text} {positive if value > 0 else negative}")
    height, sigma = item.height, item.height_sigma
    if abs(height) > max(HEIGHT_WARNING, SURE * sigma) and sigma < KNOWN_HEIGHT:
        side = "higher" if height > 0 else "lower"
        parts.append(f"is mounted {abs(height):.2f} +- {sigma:.2f} m {side}")
    return parts


def _tilted(found: Calibration, warn_at: float) -> list[str]:
    """Say by how much all cameras together are off."""
    return [
        f"{name} {np.degrees(value):+.1f} +- {np.degrees(sigma):.1f} degrees"
        for name, value, sigma in zip(ANGLES, found.shared, found.shared_sigma, strict=True)
        if abs(value) > max(warn_at, SURE * sigma) and sigma < KNOWN_ROTATION
    ]


class MountingWatch:
    """Looks at a stretch now and then while frame sets come in.

    Attributes:
        report: What was found so far.
    """

    def __init__(self, ground: GroundPlane, warn_at: float) -> None:
        """Begin with nothing seen.

        Args:
            ground: The road that the mounting describes.
            warn_at: Angle beyond which is warned, rad.
        """
        self._ground, self._warn_at = ground, warn_at
        self._observer: MountingObserver | None = None
        self._filter: MountingFilter | None = None
        self._mounts: dict[str, Matrix] = {}
        self._work: Future[None] | None = None
        self._looked = -np.inf

    @property
    def report(self) -> WatchReport:
        """What was found so far."""
        return WatchReport({}, {}, 0, 0.0) if self._filter is None else self._filter.report

    @property
    def stamps(self) -> Sequence[int]:
        """Stamps of the images whose points must not be forgotten, ns."""
        return [] if self._observer is None else self._observer.stamps

    def reset(self) -> None:
        """Forget where the stretch began: time has jumped. What was found stays."""
        if self._observer is not None:
            self._observer.reset()

    def observe(
        self,
        stamp: int,
        cameras: Mapping[str, CameraImage],
        step: Matrix | None,
        by_odometry: bool,
        pool: Executor,
    ) -> None:
        """Take a frame set; where a stretch ends, and none is at work, look at it.

        Args:
            stamp: Of the set, ns.
            cameras: Its images.
            step: 4x4, the motion since the last set (T_now_last); None when it is not known.
            by_odometry: The length of that is odometry's.
            pool: A thread of it does the work.
        """
        self._follow(cameras)
        if self._observer is None:
            return
        at = stamp * 1e-9
        if at < self._looked:
            self._looked = -np.inf  # time has jumped back
        if at < self._looked + PERIOD_S or (self._work is not None and not self._work.done()):
            self._observer.reset()
            return
        passage = self._observer.observe(stamp, cameras, step, by_odometry)
        if passage is not None:
            self._looked = at
            self._observer.reset()
            self._work = pool.submit(self._look, passage)

    def finish(self) -> None:
        """Wait for the work at hand."""
        if self._work is not None:
            self._work.result()

    def _follow(self, cameras: Mapping[str, CameraImage]) -> None:
        """Begin anew with other cameras or mountings than before."""
        same = all(
            name in self._mounts and np.array_equal(self._mounts[name], item.T_base_camera)
            for name, item in cameras.items()
        )
        if cameras and not same:
            self._mounts = {**self._mounts, **{n: c.T_base_camera for n, c in cameras.items()}}
            self._observer = MountingObserver(list(self._mounts), self._ground)
            self._filter = MountingFilter(self._mounts, self._ground, self._warn_at)

    def _look(self, passage: Passage) -> None:
        observer, estimate = self._observer, self._filter
        if observer is None or estimate is None:
            return
        stretch = observer.look(passage)
        if stretch is not None:
            estimate.update(stretch)
