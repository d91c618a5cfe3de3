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

"""Inputs from a data set, from which int8 takes the ranges of activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from depth_perception.inference.model_file import STRIDE
from depth_perception.network.export import ExportOptions


def calibration_feeds(
    folder: str | Path, options: ExportOptions, count: int
) -> list[dict[str, NDArray[Any]]]:
    """Inputs from a data set of the synthetic world, evenly over it, one camera in ten unknown.

    Args:
        folder: Of `depth_perception world --dataset`.
        options: Size of the network's images, and cameras in a batch. Images have that size, too.
        count: How many batches.
    """
    from depth_perception.training.configuration import DataConfiguration
    from depth_perception.training.samples import TrainingImages

    height, width = options.network
    images = TrainingImages(
        DataConfiguration(sizes=((width, height),)), (str(folder),), change=False
    )
    wanted = count * options.cameras
    chosen = np.linspace(0, len(images) - 1, wanted).astype(int)
    feeds = []
    for begin in range(0, wanted, options.cameras):
        items = [images[(int(p), 0, 0)] for p in chosen[begin : begin + options.cameras]]
        camera = torch.stack([item["camera"] for item in items]).numpy()
        camera[begin // options.cameras % 10 :: 10, :4] = 0
        feeds.append(
            {
                "image": np.ascontiguousarray(
                    torch.stack([item["image"].flip(0).permute(1, 2, 0) for item in items]).numpy()
                ),
                "rays": torch.stack([item["rays"] for item in items]).numpy(),
                "camera": camera,
                "measured": torch.stack([item["measured"] for item in items]).numpy(),
            }
        )
        assert feeds[-1]["rays"].shape[2] * STRIDE == height
    return feeds
