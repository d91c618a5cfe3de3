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

"""Teachers of surround distillation: exact truth, a trained network, or a foundation model.

In: a batch of whole rigs, flattened to N = R * C images, as `samples` makes it. Out: a
`TeacherOutput` at stride 4. Teachers are frozen, and are no part of what is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from depth_perception.errors import ConfigurationError
from depth_perception.inference.model_file import STRIDE
from depth_perception.inference.network_inputs import LEAST_HEIGHT
from depth_perception.network.checkpoint import load_checkpoint
from depth_perception.network.configuration import NetworkConfiguration
from depth_perception.network.fused import FusedOutput
from depth_perception.training.systems.fused.system import FARTHEST, NEAREST, SKY
from depth_perception.training.systems.surround_distillation import losses as distillation

SLOTS = ("teacher", "student")
TARGET = "teacher"
"""Relative inverse depth (N, H, W) that was computed once, NaN where there is none."""
_DENSE = 0.2
"""Share of pixels with truth from which a pixel without any is the own body, or no ray."""
_LOG_RANGE = (-4.0, 7.0)
"""Bounds of the logarithm of a relative teacher's depth, m: what has no disparity is 1 km away."""
_SCALES = (0.1, 10.0)
"""Bounds of the factor on a relative teacher's normalised log depth."""


@dataclass
class TeacherOutput:
    """What a teacher says of N images, at stride 4.

    Attributes:
        probabilities: (N, K, h, w) of bins, as many as the student's.
        centres: (N, K) log of the bins' depth, m, to which they belong.
        log_depth: (N, 1, h, w) log of depth, m; any finite value where nothing is known.
        known: (N, 1, h, w), 1 where the teacher may speak: never the sky, never beyond the range.
        features: (N, F, h', w') before its head, where it has such.
    """

    probabilities: torch.Tensor
    centres: torch.Tensor
    log_depth: torch.Tensor
    known: torch.Tensor
    features: torch.Tensor | None


class Teacher(Protocol):
    """Anything that says depth of whole rigs."""

    def __call__(
        self, batch: dict[str, torch.Tensor], cameras: int, student: FusedOutput
    ) -> TeacherOutput:
        """Teach a batch of N = R * `cameras` images; only the student's centres are looked at."""


def small_truth(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log of true depth and where it is known, both (N, 1, h, w) at stride 4; no sky.

    Dense truth is that of the middle of each block of 4x4 pixels; of a LiDAR's points the nearest
    in the block counts.
    """
    whole = batch["depth"][:, None]
    hits = torch.where(whole > NEAREST, whole, torch.inf)  # NaN is not
    nearest = -functional.max_pool2d(-hits, STRIDE)
    sparse = torch.isnan(whole).float().mean((1, 2, 3), keepdim=True) > 1 - _DENSE
    depth = torch.where(sparse, nearest, whole[..., 2::STRIDE, 2::STRIDE])
    sky = batch["label"][:, None, 2::STRIDE, 2::STRIDE] == SKY
    known = (depth > NEAREST) & (depth < FARTHEST) & ~sky  # NaN is neither
    return torch.log(torch.where(known, depth, torch.ones_like(depth))), known.float()


def may_speak(log_depth: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Where a teacher other than truth may speak, (N, 1, h, w): its depth is within the range.

    The sky is left out as far as truth knows it, and so are the own body and, where truth is dense,
    what has none; of a drive whose LiDAR hits a few pixels, the others are what the teacher is for.
    """
    depth = batch["depth"][:, None, 2::STRIDE, 2::STRIDE]
    label = batch["label"][:, None, 2::STRIDE, 2::STRIDE]
    unknown = torch.isnan(depth)
    dense = (~unknown).float().mean((1, 2, 3), keepdim=True) > _DENSE
    out = torch.isposinf(depth) | (depth >= FARTHEST) | (label == SKY) | (unknown & dense)
    if "own" in batch:
        out = out | (batch["own"][:, None, 2::STRIDE, 2::STRIDE] > 0)
    far = torch.log(torch.tensor([NEAREST, FARTHEST]))
    return ((log_depth > far[0]) & (log_depth < far[1]) & ~out).float()


class _ByDepth:
    """Probabilities from depth, around centres of the reference or of the student."""

    def __init__(self, network: NetworkConfiguration, slots: str, spread: float) -> None:
        self._network, self._slots = network, slots
        width = torch.log(torch.tensor(network.farthest / network.nearest)) / network.bins
        self._spread = spread * float(width)

    def __call__(
        self, log_depth: torch.Tensor, batch: dict[str, torch.Tensor], student: FusedOutput
    ) -> tuple[torch.Tensor, torch.Tensor]:
        n = self._network
        centres = student.centres.detach().float()
        if self._slots == "teacher":
            focal = batch["camera"][:, 4]
            centres = distillation.reference_centres(focal, n.bins, n.nearest, n.farthest, n.focal)
        return distillation.probabilities_at(log_depth, centres, self._spread), centres


class Oracle:
    """Exact truth as a teacher: of the synthetic world, or where a drive's LiDAR hits.

    Args:
        network: Of the student.
        slots: See `SLOTS`.
        spread: Of probabilities around a depth, in widths of a bin.
    """

    def __init__(self, network: NetworkConfiguration, slots: str, spread: float) -> None:
        self._by_depth = _ByDepth(network, slots, spread)

    def __call__(
        self, batch: dict[str, torch.Tensor], cameras: int, student: FusedOutput
    ) -> TeacherOutput:
        """See `Teacher`."""
        truth, known = small_truth(batch)
        probabilities, centres = self._by_depth(truth, batch, student)
        return TeacherOutput(probabilities, centres, truth, known, None)


class Network:
    """A trained fused network of any size, told the right calibration whatever the student is told.

    Args:
        path: Its checkpoint.
        network: Of the student.
        slots: See `SLOTS`.

    Raises:
        ModelError: The checkpoint is absent, damaged or of another kind.
    """

    def __init__(self, path: str, network: NetworkConfiguration, slots: str) -> None:
        model, _ = load_checkpoint(path)
        self.model = model.requires_grad_(False)
        self._bins, self._slots = network.bins, slots

    @torch.no_grad()
    def __call__(
        self, batch: dict[str, torch.Tensor], cameras: int, student: FusedOutput
    ) -> TeacherOutput:
        """See `Teacher`."""
        self.model.to(batch["image"].device)
        out = self.model(batch["image"], batch["rays"], true_camera(batch))
        probabilities, centres = out.probabilities.float(), out.centres.float()
        if self._slots == "teacher":
            probabilities, centres = distillation.by_order(probabilities, centres, self._bins)
        else:
            wanted = student.centres.detach().float()
            probabilities = distillation.by_depth(probabilities, centres, wanted)
            centres = wanted
        known = may_speak(out.log_depth, batch) * (out.sky < 0)
        return TeacherOutput(probabilities, centres, out.log_depth.float(), known, out.features)


class Relative:
    """Relative inverse depth, such as Depth Anything's, made metric rig by rig.

    The log of its depth is normalised by median and mean deviation over all cameras of a rig, then
    one scale and one shift bring it nearest to truth in log depth, robustly. Of a rig without
    truth it says nothing.

    Args:
        model: `foundation.depth_model`; None: depth was computed once, and is in the batch as
            `TARGET`, see `targets`.
        network: Of the student.
        slots: See `SLOTS`.
        spread: See `Oracle`.
        side: Shorter side of the images that the model sees, px, about; 0: as it was trained.
    """

    def __init__(
        self, model: Any, network: NetworkConfiguration, slots: str, spread: float, side: int = 0
    ) -> None:
        self.model, self.side = model, side
        self._by_depth = _ByDepth(network, slots, spread)

    @torch.no_grad()
    def __call__(
        self, batch: dict[str, torch.Tensor], cameras: int, student: FusedOutput
    ) -> TeacherOutput:
        """See `Teacher`.

        Raises:
            ConfigurationError: Without a model: samples without targets.
        """
        truth, seen = small_truth(batch)
        inverse, features = self._said(batch)
        inverse = functional.interpolate(
            inverse.float(), truth.shape[-2:], mode="bilinear", align_corners=False
        )
        given = torch.isfinite(inverse).float()
        log_depth = metric_log_depth(inverse, given, truth, seen, cameras)
        probabilities, centres = self._by_depth(log_depth, batch, student)
        fitted = (seen * given).reshape(len(seen) // cameras, -1).any(1).float()
        fitted = fitted.repeat_interleave(cameras)[:, None, None, None]
        known = may_speak(log_depth, batch) * given * fitted
        return TeacherOutput(probabilities, centres, log_depth, known, features)

    def _said(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Inverse depth (N, 1, h, w) and features."""
        if self.model is None:
            if TARGET not in batch:
                raise ConfigurationError(
                    "options.teacher 'targets': samples have none",
                    expected="data.folders of the kind targets:FOLDER",
                    fix="compute them: depth_perception targets DATA --kind depth --output FOLDER",
                )
            return batch[TARGET][:, None], None
        from depth_perception.training.foundation import fitted

        images = fitted(batch["image"], self.model.patch, self.side or self.model.side)
        size = images.shape[-2:]
        if isinstance(self.model, nn.Module):
            self.model.to(images.device)
        features = self.model.features(images)
        return self.model.decode(features, tuple(size)), features[-1]


def true_camera(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Numbers (N, 5) of cameras as `network.prior` wants them, from their true poses over z = 0."""
    pose, focal = batch["pose"], batch["camera"][:, 4:]
    height = pose[:, 2, 3:].clamp(min=LEAST_HEIGHT)
    return torch.cat([pose[:, 2, :3], height, focal], 1).to(batch["camera"].dtype)


def metric_log_depth(
    inverse: torch.Tensor,
    given: torch.Tensor,
    log_truth: torch.Tensor,
    seen: torch.Tensor,
    cameras: int,
) -> torch.Tensor:
    """Log depth (N, 1, h, w), m, of relative inverse depth, with one scale and shift a rig.

    Args:
        inverse: (N, 1, h, w), above 0 but for what is infinitely far.
        given: (N, 1, h, w), 1 where it is a number.
        log_truth: (N, 1, h, w), m.
        seen: (N, 1, h, w), 1 where truth is known.
        cameras: Of a rig.
    """
    rigs = len(inverse) // cameras
    values, have, truth, mask = (x.reshape(rigs, -1) for x in (inverse, given, log_truth, seen))
    values = torch.nan_to_num(values)
    least = 1e-3 * values.amax(1, keepdim=True).clamp(min=1e-6)
    x = distillation.normalised(-torch.log(torch.maximum(values, least)), have)
    scale, shift = distillation.robust_fit(x, truth, mask * have)
    scale = scale.clamp(*_SCALES)
    return (scale[:, None] * x + shift[:, None]).clamp(*_LOG_RANGE).view_as(inverse)


def find(
    name: str, network: NetworkConfiguration, slots: str, spread: float, side: int = 0
) -> Teacher:
    """Make a teacher by its name: "oracle", "targets", a checkpoint's path, a depth model's name.

    Raises:
        ConfigurationError: No name.
        ModelError: There is no such model, or it cannot be read.
    """
    if name == "oracle":
        return Oracle(network, slots, spread)
    if name == "targets":
        return Relative(None, network, slots, spread)
    if not name:
        raise ConfigurationError(
            "options.teacher is empty",
            expected="oracle, targets, a path of weights.pt, or a depth model's name",
        )
    if name.endswith(".pt") or Path(name).is_file():
        return Network(name, network, slots)
    from depth_perception.training.foundation import depth_model

    return Relative(depth_model(name), network, slots, spread, side)
