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


"""What a drive says of its own depth, from before and from after: a teacher without labels.

In: consecutive frame sets of a recorded drive. Out: the same sets as training data
(`datasets.shards`), where the place of truth is taken by a teacher that the vehicle itself can
never have:

- The drive is computed twice by the network that is in use with everything that motion measures,
  once as it was driven and once backwards: what comes nearer ahead is measured best by sets that
  are yet to come.
- Both say how sure they are. Where they agree, depth is their mean in log depth, each counting by
  what it expects to be off by; where they do not, nobody knows.
- Both must say sky for sky, and road for road, which must lie in the ground that was found: there
  calibration holds metres.

What was measured as it was driven goes into the data set as the network's input, as in
`world.output.measured_sets`; what was measured in both ways alike is the reference that
`adaptation.judging` judges by.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.datasets.manifest import MANIFEST
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import FORMAT, FORMAT_VERSION, TAR_END, encode_set
from depth_perception.datasets.source import NOT_KNOWN, FrameSource
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.frames.measured_kind import Kind
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_info import rectified_view
from depth_perception.geometry.embodied_depth import sigma_of
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.surface import Surface
from depth_perception.parameters import Parameters
from depth_perception.pipeline import SurroundPipeline

AGREE = 0.2
"""Depth by both ways may differ by so much, in log depth; it is nobody's else."""
UNSURE = 0.25
"""What is expected to be off by more teaches nothing, as a share of depth."""
ON_GROUND = 0.1
"""Road lies in the ground in use up to this share of its depth."""
ALIKE = 3.0
"""Measurements of both ways may differ by so many of their deviations."""
_KEPT_FACTS = ("rig", "drive_name", "stamp", "T_odom_base")
LEAST_SIGMA = 0.01
"""No measurement is surer than this share of its depth."""


class Looked(NamedTuple):
    """One camera of one set by one way, all (h, w).

    Attributes:
        depth: float16, m; +Inf sky or beyond range, NaN unknown.
        sigma: float16, what it is expected to be off by, as a share.
        road: bool.
        measured: float16, m, what motion measured; NaN where nothing.
        measured_sigma: float16, of that, as a share.
    """

    depth: NDArray[np.float16]
    sigma: NDArray[np.float16]
    road: NDArray[np.bool_]
    measured: NDArray[np.float16]
    measured_sigma: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Taught:
    """A window of a drive with its teacher.

    Attributes:
        sets: As training data.
        references: For each set, by camera: (h, w) float16, m, what both ways measured alike beside
            the ground.
        speeds: Of the vehicle at each set, m/s; NaN where it is not known.
    """

    sets: list[TrueFrameSet]
    references: list[dict[str, NDArray[np.float16]]]
    speeds: list[float]


def rig_of(frame_set: TrueFrameSet) -> Rig:
    """Build the rig of a recorded set as a node would: lenses rectified, with masks."""
    cameras = {}
    for item in frame_set.cameras:
        model, own = item.model, item.label == labels.OWN_BODY
        view = rectified_view(model)
        cameras[item.name] = RigCamera(
            item.name,
            model,
            item.T_base_calibrated,
            item.name,
            model if view.same_as(model) else view,
            own if own.any() else None,
        )
    return Rig(cameras, "base_link")


def driven(
    source: FrameSource, numbers: Sequence[int], pipeline: SurroundPipeline, backwards: bool = False
) -> Iterator[tuple[int, TrueFrameSet, SurroundResult]]:
    """Compute consecutive sets of a source, with their odometry where they have some.

    Args:
        source: The drive.
        numbers: Its sets, in the order of time.
        pipeline: Computes; forgets what it knew.
        backwards: From the last to the first, as if time ran so.

    Yields:
        Number, set and result.
    """
    pipeline.forget_motion()
    order = list(reversed(numbers)) if backwards else list(numbers)
    if not order:
        return
    turn = 0

    def time(stamp: int) -> int:
        return turn - stamp if backwards else stamp

    ahead = source.read(order[0])
    turn = 2 * int(ahead.facts["stamp"])
    for place, number in enumerate(order):
        item = ahead
        if place == 0:
            _add_pose(pipeline, item, time)
        if place + 1 < len(order):
            ahead = source.read(order[place + 1])
            _add_pose(pipeline, ahead, time)
        stamps = item.facts["stamps"]
        frames = {c.name: CameraFrame(time(stamps[c.name]), c.image) for c in item.cameras}
        first = min(frame.stamp for frame in frames.values())
        result = pipeline.process(
            FrameSet(first, frames), rig_of(item), clouds=False, occupancy=False, embodied=False
        )
        yield number, item, result


def _add_pose(pipeline: SurroundPipeline, item: TrueFrameSet, time: Callable[[int], int]) -> None:
    pose = item.facts.get("T_odom_base")
    if pose is not None:
        pipeline.add_odometry(time(int(item.facts["stamp"])), np.array(pose))


def teach(
    source: FrameSource,
    numbers: Sequence[int],
    parameters: Parameters,
    check: Callable[[], None] = lambda: None,
    backwards: bool = True,
) -> Taught:
    """Compute a window of a drive forth and back, and make training data of it.

    Args:
        source: The drive.
        numbers: Consecutive sets.
        parameters: Of the pipeline; measure by motion.
        check: Called between the sets, and may raise.
        backwards: Whether sets that are yet to come teach, too.
    """
    back: dict[int, dict[str, Looked]] = {}
    taught = Taught([], [], [])
    if backwards:
        with closing(SurroundPipeline(parameters)) as pipeline:
            for number, _, result in driven(source, numbers, pipeline, backwards=True):
                check()
                back[number] = {name: _looked(item) for name, item in result.cameras.items()}
    # Another one: the first has odometry of a time that is not to come.
    with closing(SurroundPipeline(parameters)) as pipeline:
        for number, item, result in driven(source, numbers, pipeline):
            check()
            cameras, references = [], {}
            for name, camera in result.cameras.items():
                other = back.get(number, {}).get(name) if backwards else _looked(camera)
                if other is not None:
                    made, references[name] = _taught_camera(camera, name, other)
                    cameras.append(made)
            back.pop(number, None)
            if not cameras:
                continue
            ground = next(iter(result.cameras.values())).ground
            facts = {k: item.facts[k] for k in _KEPT_FACTS if k in item.facts}
            taught.sets.append(TrueFrameSet(f"{number:08d}", tuple(cameras), ground, facts, ground))
            taught.references.append(references)
            motion = result.motion
            taught.speeds.append(float("nan") if motion is None else motion.speed)
    return taught


def _looked(item: CameraResult) -> Looked:
    shape = item.depth.shape
    nothing = np.full(shape, np.nan, np.float32)
    measured, sigma = item.measured, item.measured_sigma
    expected = sigma_of(item.confidence)
    return Looked(
        item.depth.astype(np.float16),
        np.minimum(expected, 1.0).astype(np.float16),
        item.surface == Surface.ROAD,
        (nothing if measured is None else measured).astype(np.float16),
        (nothing if sigma is None else sigma).astype(np.float16),
    )


def _taught_camera(
    item: CameraResult, name: str, back: Looked
) -> tuple[TrueCamera, NDArray[np.float16]]:
    forth = _looked(item)
    depth = both_ways(forth, back)
    label = np.full(depth.shape, NOT_KNOWN, np.uint8)
    own = np.isnan(item.depth) & np.isnan(back.depth)
    with np.errstate(invalid="ignore", divide="ignore"):
        near_ground = np.abs(depth / item.plane - 1) < ON_GROUND
    label[forth.road & back.road & near_ground] = labels.ROAD
    label[np.isinf(depth)] = labels.SKY
    label[own] = labels.OWN_BODY
    with np.errstate(invalid="ignore", divide="ignore"):
        w = (1 / forth.measured.astype(np.float32)).astype(np.float32)
        sigma = w * forth.measured_sigma.astype(np.float32)
    layers: dict[str, NDArray[Any]] = {"measured_inverse_depth": w, "measured_sigma": sigma}
    if item.measured_kind is not None:
        layers["measured_kind"] = item.measured_kind
    else:
        layers["measured_kind"] = np.zeros(depth.shape, np.uint8)
    T = item.T_base_camera
    made = TrueCamera(name, plain(item.camera), T, T, item.image, depth, label, layers)
    # The ground is a judge by itself, and says nothing of what stands on it.
    standing = layers["measured_kind"] != Kind.PLANE
    return made, np.where(standing, measured_alike(forth, back), np.float16(np.nan))


def plain(model: CameraModel) -> CameraModel:
    """A camera model as a data set stores it; a grid's own rotation is in its mounting."""
    return CameraModel(model.width, model.height, model.K, model.D, model.distortion_model)


def both_ways(forth: Looked, back: Looked) -> NDArray[np.float32]:
    """Depth (h, w), m, that both ways agree on; +Inf sky, NaN where they do not or are unsure."""
    one, two = forth.depth.astype(np.float32), back.depth.astype(np.float32)
    s, t = (np.maximum(_surest(item), LEAST_SIGMA) for item in (forth, back))
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = np.log(one), np.log(two)
        share, other = 1 / (s * s), 1 / (t * t)
        mean = np.exp((share * a + other * b) / (share + other))
        good = (np.abs(a - b) < AGREE) & (np.minimum(s, t) < UNSURE)
    depth = np.where(good, mean, np.nan).astype(np.float32)
    depth[np.isinf(one) & np.isinf(two)] = np.inf
    return depth


def _surest(item: Looked) -> NDArray[np.float32]:
    """What depth is expected to be off by: as the measurement says where there is one."""
    measured = item.measured_sigma.astype(np.float32)
    return np.where(np.isfinite(measured), measured, item.sigma.astype(np.float32))


def measured_alike(forth: Looked, back: Looked) -> NDArray[np.float16]:
    """Depth (h, w) float16, m, that both ways measured, within their deviations; NaN elsewhere."""
    one, two = forth.measured.astype(np.float32), back.measured.astype(np.float32)
    s = np.maximum(forth.measured_sigma.astype(np.float32), LEAST_SIGMA)
    t = np.maximum(back.measured_sigma.astype(np.float32), LEAST_SIGMA)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(np.log(one) - np.log(two))
        good = apart < np.minimum(ALIKE * np.sqrt(s * s + t * t), AGREE)
        mean = np.sqrt(one * two)
    return np.where(good, mean, np.nan).astype(np.float16)


def write_window(path: Path, taught: Taught) -> None:
    """Write a window: a shard of its sets, and its references and speeds beside it.

    Both are there as a whole or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"speeds": np.array(taught.speeds)}
    for item, references in zip(taught.sets, taught.references, strict=True):
        arrays |= {f"{item.key}.{name}": depth for name, depth in references.items()}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(part, path.with_suffix(".npz"))
    with part.open("wb") as file:
        for item in taught.sets:
            file.write(encode_set(item))
        file.write(TAR_END)
    os.replace(part, path)


def write_manifest(folder: Path, counts: dict[str, int], facts: dict[str, Any]) -> None:
    """Make a data set of a folder's windows: shards by name, with how many sets they hold."""
    shards = [
        {"name": name, "bytes": (folder / name).stat().st_size, "sets": count}
        for name, count in sorted(counts.items())
        if count
    ]
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "arguments": {"sets_per_drive": 0, **facts},  # each window by itself
        "shards": shards,
        "complete": True,
    }
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps(manifest, indent=1))
    os.replace(part, folder / MANIFEST)


def ground_of(item: TrueFrameSet) -> GroundPlane:
    """The ground plane in use of a taught set."""
    return item.ground if item.ground_in_use is None else item.ground_in_use
