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


"""Weights between those of a start and what training made of them.

They have most of what was learnt, and nearly nothing is forgotten (Wortsman et al. 2022, "Robust
fine-tuning of zero-shot models", CVPR).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from depth_perception.datasets import labels
from depth_perception.datasets.augmentation import Augmentation
from depth_perception.datasets.sample import TrueFrameSet
from depth_perception.datasets.shards import ShardReader
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.inference.network_inputs import network_size
from depth_perception.network.checkpoint import load_checkpoint, with_measured_input
from depth_perception.network.fused import FusedSurround
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.samples import arrays
from depth_perception.training.scoring import score


def between(start: str | Path, trained: str | Path, share: float) -> FusedSurround:
    """Return the network whose weights lie so far on the way from a start to where it was trained.

    Args:
        start: Checkpoint that training began with; one without measured depth gets that.
        trained: Checkpoint of the run.
        share: 0: the start; 1: as trained.

    Raises:
        ModelError: A file is no checkpoint, or they are of different networks.
    """
    after, _ = load_checkpoint(trained)
    before, _ = load_checkpoint(start)
    if after.configuration.measured:
        before = with_measured_input(before)
    old, new = before.state_dict(), after.state_dict()
    with torch.no_grad():
        for name, value in new.items():
            if value.is_floating_point():
                value.copy_(torch.lerp(old[name].to(value.dtype), value, share))
    after.load_state_dict(new)
    return after.eval()


def depth_error(
    network: FusedSurround, folder: str | Path, size: tuple[int, int], most: int = 60
) -> float:
    """AbsRel of a data set's depth from one image each, without measured depth.

    Args:
        network: That computes it.
        folder: The data set.
        size: (width, height) of its images, px.
        most: Images at the most, spread over it.
    """

    def predict(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        nothing = torch.zeros_like(batch["measured"])
        measured = nothing if network.configuration.measured else None
        out = network(batch["image"], batch["rays"], batch["camera"], measured)
        return torch.exp(out.log_depth)

    return score(predict, DataConfiguration(sizes=(size,)), str(folder), most=most)["abs_rel"]


@torch.inference_mode()
def remembered(
    network: FusedSurround, folder: str | Path, width: int = 512
) -> Iterator[TrueFrameSet]:
    """Yield the sets of a data set with depth as a network sees it in place of the truth.

    Who learns from them stays what it is there (Li and Hoiem 2016, "Learning without forgetting").

    Args:
        network: That is to be remembered; it is asked for depth from one image each.
        folder: The data set.
        width: Of the images that it looks at, px.
    """
    reader = ShardReader(folder)
    for number in range(len(reader)):
        item, cameras = reader.read(number), []
        for camera in item.cameras:
            height, columns = network_size((camera.model.height, camera.model.width), width)
            small = Augmentation((columns, height), 0.0, (1.0, 1.0), 0, 0, 0, 0, 0)
            one = small(replace(item, cameras=(camera,)), np.random.default_rng(0)).cameras[0]
            made = arrays(one, one.T_base_calibrated, GroundPlane())
            feed = [torch.from_numpy(made[n])[None] for n in ("image", "rays", "camera")]
            nothing = torch.from_numpy(np.zeros_like(made["measured"]))[None]
            out = network(*feed, nothing if network.configuration.measured else None)
            size = (camera.model.height, camera.model.width)
            wide = functional.interpolate(
                torch.cat([out.log_depth, out.sky], 1), size, mode="bilinear", align_corners=False
            )
            depth, sky = torch.exp(wide[0, 0]).numpy(), wide[0, 1].numpy() > 0
            depth = np.where(sky, np.inf, depth).astype(np.float32)
            depth[camera.label == labels.OWN_BODY] = np.nan
            cameras.append(replace(camera, depth=depth))
        yield replace(item, cameras=tuple(cameras))
