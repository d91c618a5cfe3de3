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

"""How well neighbouring cameras agree on the depth of what both see.

In: a function that predicts, and a source with dense truth. Truth alone says which pixels of two
cameras see the same place; then one camera's predicted depth, carried over to the other, is
compared with the other's own.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from depth_perception.datasets.sample import TrueCamera
from depth_perception.datasets.source import open_source
from depth_perception.geometry.sampling import sample_depth
from depth_perception.geometry.transforms import inverse
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.samples import NOMINAL, arrays, changes_of, evenly_spread
from depth_perception.training.scoring import FARTHEST, Predict
from depth_perception.training.systems.surround_distillation.losses import sides
from depth_perception.training.systems.surround_distillation.samples import from_left_to_right

_STEP = 4
"""Every so many pixels, both ways, are looked at."""
_SAME_PLACE = 0.03
"""Depths that differ by less, relatively, are of one place."""
_NEAREST = 0.3
_MOST = 400
"""Pixels of a pair that count, spread evenly: no pair may outweigh all others."""


def seen_by_both(a: TrueCamera, b: TrueCamera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (M, 2) of a, and where (M, 2) b sees the same places, unoccluded, by exact truth."""
    v, u = np.mgrid[_STEP // 2 : a.model.height : _STEP, _STEP // 2 : a.model.width : _STEP]
    pixels = np.stack([u.ravel(), v.ravel()], 1).astype(np.float64)
    depth = a.depth[v.ravel(), u.ravel()].astype(np.float64)
    near = (depth > _NEAREST) & (depth < FARTHEST)  # NaN is neither
    pixels, depth = pixels[near], depth[near]
    z, places = carried(a, b, pixels, depth)
    there = sample_depth(b.depth, places)
    with np.errstate(invalid="ignore"):
        same = (z > _NEAREST) & (np.abs(z - there) < _SAME_PLACE * there)
    return pixels[same], places[same]


def carried(
    a: TrueCamera, b: TrueCamera, pixels: NDArray[np.float64], depth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Depth (M,) in b of pixels (M, 2) of a at a depth (M,), m, and b's pixels (M, 2) for them."""
    T = inverse(b.T_base_camera) @ a.T_base_camera
    points = a.model.lift(pixels) * depth[:, None] @ T[:3, :3].T + T[:3, 3]
    return points[:, 2], b.model.project(points)


def disagreement(
    a: TrueCamera, b: TrueCamera, depth_a: NDArray[np.floating], depth_b: NDArray[np.floating]
) -> NDArray[np.float64]:
    """|D_a->b - D_b| / D_b at pixels that both cameras see.

    Args:
        a: One camera with its truth.
        b: The other.
        depth_a: (H, W) predicted depth of a, m.
        depth_b: (H, W) of b.
    """
    pixels, places = seen_by_both(a, b)
    if len(pixels) > _MOST:
        chosen = np.linspace(0, len(pixels) - 1, _MOST).astype(int)
        pixels, places = pixels[chosen], places[chosen]
    column, row = pixels.astype(int).T
    z, _ = carried(a, b, pixels, depth_a[row, column].astype(np.float64))
    there = sample_depth(depth_b, places)
    return np.abs(z - there) / there


@torch.inference_mode()
def overlap_error(
    predict: Predict,
    data: DataConfiguration,
    source: str,
    *,
    most: int = 0,
    device: torch.device | None = None,
) -> float | None:
    """Median disagreement of neighbouring cameras, whole images as calibrated.

    Args:
        predict: The system.
        data: Of the run: sizes.
        source: See `datasets.source.open_source`; dense truth.
        most: Largest number of frame sets, spread over the source; 0 for all.
        device: Where samples go.

    Returns:
        The median over both directions of all pairs, or None where no two cameras see the same.
    """
    reader, change = open_source(source), changes_of(data, change=False)[0]
    several = [i for i in range(len(reader)) if len(reader.cameras(i)) > 1]
    found: list[NDArray[np.float64]] = [np.zeros(0)]
    for chosen in evenly_spread(len(several), most):
        whole = change(reader.read(several[chosen]), np.random.default_rng(0))
        ring = from_left_to_right(whole.cameras)
        items = [arrays(camera, camera.T_base_calibrated, NOMINAL) for camera in ring]
        batch = {
            name: torch.from_numpy(np.stack([item[name] for item in items])).to(device)
            for name in ("image", "rays", "camera", "depth", "label")
        }
        depth = torch.nn.functional.interpolate(
            predict(batch).float(), batch["depth"].shape[-2:], mode="bilinear", align_corners=False
        )
        maps = depth[:, 0].cpu().numpy()
        poses = torch.from_numpy(np.stack([camera.T_base_camera for camera in ring]))
        for i, j in sides(poses[None])[0].nonzero().tolist():
            found.append(disagreement(ring[i], ring[j], maps[i], maps[j]))
    together = np.concatenate(found)
    together = together[np.isfinite(together)]
    return float(np.median(together)) if len(together) else None
