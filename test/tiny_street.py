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

"""A street in closed form, for self-supervision: a road with a pattern, a wall ahead, no sky."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from depth_perception.datasets import labels
from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.datasets.shards import TAR_END, encode_set
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.training.configuration import (
    DataConfiguration,
    ScheduleConfiguration,
    TrainingConfiguration,
)
from depth_perception.training.embodied_scene import Classes
from depth_perception.training.systems.hybrid_depth.networks import HybridDepthOptions
from depth_perception.training.systems.hybrid_depth.system import Training
from depth_perception.training.triplets import Triplets
from depth_perception.world.output.rigs import mounting

MODEL = CameraModel(96, 64, np.array([[50.0, 0, 47.5], [0, 50.0, 25.5], [0, 0, 1]]))
POSE = mounting(0.0, 0.0, 1.5, 0.0, 0.0, 0.0)
WALL, STEP, SETS = 14.0, 0.4, 5


def _pattern(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    waves = [np.sin(2.2 * a + k) * np.cos(1.7 * b - k) for k in range(3)]
    return np.asarray(0.5 + 0.4 * np.stack(waves, -1))


def street_set(drive: int, index: int) -> TrueFrameSet:
    """One frame set of a drive, exact in everything."""
    ahead = STEP * index
    rays = MODEL.rays() @ POSE[:3, :3].T  # (H, W, 3), x ahead
    with np.errstate(divide="ignore"):
        to_road = np.where(rays[..., 2] < 0, -POSE[2, 3] / rays[..., 2], np.inf)
    to_wall = (WALL - ahead) / rays[..., 0]
    far = np.minimum(to_road, to_wall)
    hit = rays * far[..., None] + np.array([ahead, 0, POSE[2, 3]])
    road = to_road < to_wall
    x, y, z = np.moveaxis(hit, -1, 0)
    image = np.where(road[..., None], _pattern(x + drive, y), _pattern(y, z + drive))
    label = np.where(road, labels.ROAD, labels.BUILDING).astype(np.uint8)
    T = np.eye(4)
    T[0, 3] = ahead
    camera = TrueCamera(
        "front",
        MODEL,
        POSE,
        POSE,
        np.rint(image * 255).astype(np.uint8),
        far.astype(np.float32),
        label,
    )
    facts = {"rig": "street", "drive": drive, "index": index, "T_odom_base": T.tolist()}
    return TrueFrameSet(f"{drive:04d}{index:04d}", (camera,), GroundPlane(), facts)


def write_sets(folder: Path, sets: list[bytes], per_drive: int) -> None:
    """Write encoded frame sets as a data set."""
    data = b"".join(sets) + TAR_END
    (folder / "0.tar").write_bytes(data)
    manifest = {
        "format": "depth_perception world shards",
        "version": 1,
        "arguments": {"sets_per_drive": per_drive},
        "shards": [{"name": "0.tar", "sets": len(sets), "bytes": len(data)}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def write_street(folder: Path) -> str:
    """Two drives of `SETS` frame sets, as a data set; its path."""
    write_sets(folder, [encode_set(street_set(d, i)) for d in range(2) for i in range(SETS)], SETS)
    return str(folder)


LIGHT = HybridDepthOptions(encoder="convolutional", language=False, planes=8, most=4)


def configuration_of(
    street: str, options: HybridDepthOptions, **schedule: Any
) -> TrainingConfiguration:
    """A short run on these drives, with nothing changed."""
    data = DataConfiguration(
        folders=(street,),
        validation=street,
        sizes=((96, 64),),
        crop=(1.0, 1.0),
        appearance=0.0,
        prior_drop=0.0,
        pitch_error=0.0,
        large_share=0.0,
        height_error=0.0,
        workers=0,
    )
    usual = {"steps": 2, "batch": 2, "warm_up": 1, "average": 0.5, "rate": 1e-3}
    return TrainingConfiguration(
        system="hybrid_depth",
        data=data,
        options=options,
        schedule=ScheduleConfiguration(**{**usual, **schedule}),
    )


def batch_of(street: str, count: int = 2, classes: str = "") -> dict[str, torch.Tensor]:
    """The first triplets of a data set; with whose classes embodied depth is made, if at all."""
    triplets = Triplets(
        configuration_of(street, LIGHT).data,
        change=False,
        classes=Classes(classes) if classes else None,
    )
    items = [triplets[(k, 0, 0)] for k in range(count)]
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def learn(model: Any, batch: dict[str, torch.Tensor], configuration: Any, steps: int) -> Any:
    """Loss on one batch with the same chance before and after some steps on it."""
    system, losses = Training(), []
    optimizer = torch.optim.Adam(system.groups(model, configuration))
    for _ in range(steps + 1):
        torch.manual_seed(5)
        loss, parts = system.loss(model.train(), batch, configuration)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses[0], losses[-1], parts


def nothing(_: str) -> None:
    """Where a run's progress goes."""
