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

"""Score any system's depth on held-out frame sets: dense truth of the world, or a drive's LiDAR.

In: a function that predicts, and sources (`datasets.source.open_source`). Out: figures by name.
Definitions are those of `evaluation.metrics` and `evaluation.boundary`; means are over images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from depth_perception.evaluation.boundary import (
    Boundary,
    boundary_counts,
    boundary_counts_at_points,
    spacing,
)
from depth_perception.evaluation.metrics import depth_metrics, median_scale
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.samples import TrainingImages, collate, evenly_spread

FARTHEST = 80.0
MIRROR = 0.15
"""Pixels that mirror more light than this are reflective."""
_DENSE = 0.5
"""Share of pixels with truth, sky included, from which it is dense."""
_LEAST = 10

Predict = Callable[[dict[str, torch.Tensor]], torch.Tensor]
"""Depth (N, 1, H, W), m or up to scale, of a batch of samples; it is brought to truth's size."""


class Scores:
    """Figures that grow image by image.

    Without a suffix: as predicted, in metres; `_median`: after scaling by the medians' ratio, each
    image; `_affine`: after a least-squares line in inverse depth, each image. `reflective` and
    `matte`: pixels that mirror, and the others, where that is known; `edges_f1` by `boundary`.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self._edges: list[NDArray[np.int64]] = []

    def add(
        self,
        depth: NDArray[np.floating],
        truth: NDArray[np.floating],
        mirror: NDArray[np.floating] | None = None,
    ) -> None:
        """Take one image.

        Args:
            depth: (H, W) prediction.
            truth: (H, W) m; NaN unknown, +Inf the sky.
            mirror: (H, W) share of mirrored light, 0 to 1.
        """
        seen = np.isfinite(truth) & (truth > 0) & (truth < FARTHEST)
        if seen.sum() < _LEAST:
            return
        d, t = depth[seen].astype(np.float64), truth[seen].astype(np.float64)
        scale = median_scale(d, t)
        for suffix, values in (
            ("", d),
            ("_median", np.clip(d * scale, 1e-3, FARTHEST)),
            ("_affine", _affine(d, t)),
        ):
            m = depth_metrics(values, t)
            self._keep(f"abs_rel{suffix}", m.abs_rel)
            self._keep(f"delta1{suffix}", m.delta1)
            self._keep(f"rmse{suffix}", m.rmse)
            if mirror is not None:
                shiny = mirror[seen] > MIRROR
                for name, chosen in (("reflective", shiny), ("matte", ~shiny)):
                    if chosen.sum() >= _LEAST:
                        part = depth_metrics(values[chosen], t[chosen])
                        self._keep(f"{name}_abs_rel{suffix}", part.abs_rel)
        self._keep("scale", scale)
        if np.mean(~np.isnan(truth)) > _DENSE:
            whole = np.where(seen | np.isposinf(truth), truth, np.nan)
            self._edges.append(boundary_counts(depth, whole, spacing(depth.shape[1])))
        else:
            v, u = np.nonzero(seen)
            size = (depth.shape[1], depth.shape[0])
            uv = np.stack([u, v], 1).astype(np.float64)
            self._edges.append(boundary_counts_at_points(uv, d, t, size))

    def _keep(self, name: str, value: float) -> None:
        if np.isfinite(value):
            self._values.setdefault(name, []).append(value)

    def result(self) -> dict[str, float]:
        """Means over images; edges pooled."""
        out = {name: float(np.mean(values)) for name, values in self._values.items()}
        edges = Boundary.of(self._edges)
        if edges is not None:
            out["edges_f1"] = edges.f1
        return out


def _affine(depth: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depth after a least-squares fit of scale and shift in inverse depth, 1e-3 to 80 m.

    What was not predicted (NaN) stays so.
    """
    inverse = 1 / np.maximum(depth, 1e-6)
    known = np.isfinite(inverse)
    system = np.stack([inverse[known], np.ones(int(known.sum()))], 1)
    (a, b), *_ = np.linalg.lstsq(system, 1 / truth[known], rcond=None)
    return 1 / np.clip(a * inverse + b, 1 / FARTHEST, 1e3)


@torch.inference_mode()
def score(
    predict: Predict,
    data: DataConfiguration,
    source: str,
    *,
    most: int = 0,
    batch: int = 4,
    device: torch.device | None = None,
) -> dict[str, float]:
    """Score on one source, whole images as calibrated.

    Args:
        predict: The system.
        data: Of the run: sizes, of which the one most like the source's first image is taken.
        source: See `datasets.source.open_source`.
        most: Largest number of images, spread over the source; 0 for all.
        batch: Images at a time.
        device: Where samples go.
    """
    images, scores = TrainingImages(data, (source,), change=False), Scores()
    size = images.nearest_size()
    chosen = evenly_spread(len(images), most)
    for begin in range(0, len(chosen), batch):
        items = [images[(int(i), size, 0)] for i in chosen[begin : begin + batch]]
        samples = {name: value.to(device) for name, value in collate(items).items()}
        depth = predict(samples).float()
        depth = torch.nn.functional.interpolate(
            depth, items[0]["depth"].shape, mode="bilinear", align_corners=False
        )
        for item, one in zip(items, depth.cpu().numpy()[:, 0], strict=True):
            mirror = item["mirror"].numpy() if "mirror" in item else None
            scores.add(one, item["depth"].numpy(), mirror)
    return scores.result()


def score_all(
    predict: Predict, data: DataConfiguration, *, most: int = 0, device: torch.device | None = None
) -> dict[str, float]:
    """Score on all `held_out` sources."""
    figures: dict[str, float] = {}
    for prefix, source in held_out(data):
        found = score(predict, data, source, most=most, device=device)
        figures.update({f"{prefix}{name}": value for name, value in found.items()})
    return figures


def held_out(data: DataConfiguration) -> list[tuple[str, str]]:
    """What stands before a source's figures, and the source: `validation` bare, `tests` named."""
    first = [("", data.validation)] if data.validation else []
    return [*first, *((f"{name_of(source)}.", source) for source in data.tests)]


def name_of(source: str) -> str:
    """The last part of a source's folder, without kind and options."""
    return Path((source.partition(":")[2] or source).partition("?")[0]).name
