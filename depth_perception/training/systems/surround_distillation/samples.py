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

"""Training samples of neighbouring cameras at one instant: `samples`' images, stacked.

In: frame sets. Out: for each request, in a dict, what `samples` says with a first dimension of C
cameras that stand side by side, from left to right, and pose (C, 4, 4) float32, T_base_camera.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from depth_perception.datasets.sample import TrueCamera
from depth_perception.datasets.source import open_source
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.measured import INVERSE_DEPTH
from depth_perception.training.samples import NOMINAL, Request, arrays, changed, changes_of, collate


def from_left_to_right(cameras: tuple[TrueCamera, ...]) -> list[TrueCamera]:
    """Order cameras by where they look, clockwise from behind on the left."""

    def yaw(camera: TrueCamera) -> float:
        ahead = camera.T_base_camera[:3, 2]
        return -float(np.arctan2(ahead[1], ahead[0]))

    return sorted(cameras, key=yaw)


class RigSamples(Dataset[dict[str, torch.Tensor]]):
    """Neighbouring cameras of all frame sets that have so many.

    Args:
        data: Folders, sizes, crops, errors.
        cameras: How many at a time, side by side; a ring is closed.
        change: See `samples.TrainingImages`.
    """

    def __init__(self, data: DataConfiguration, cameras: int, change: bool = True) -> None:
        self.data, self.count, self.change = data, cameras, change
        self._sources = [open_source(folder) for folder in data.folders]
        self._sets = [
            (s, i)
            for s, source in enumerate(self._sources)
            for i in range(len(source))
            if len(source.cameras(i)) >= cameras
        ]
        self._changes = changes_of(data, change)

    def __len__(self) -> int:
        """Count the frame sets."""
        return len(self._sets)

    def __getitem__(self, request: Request) -> dict[str, torch.Tensor]:
        """Make one sample; without changes the first cameras from the left."""
        index, size, seed = request
        source, number = self._sets[index]
        rng = np.random.default_rng([seed, 83])
        whole = self._changes[size](self._sources[source].read(number), rng)
        ring = from_left_to_right(whole.cameras)
        first = int(rng.integers(len(ring))) if self.change else 0
        chosen = [ring[(first + i) % len(ring)] for i in range(self.count)]
        items = []
        for one in chosen:
            camera, T = one, one.T_base_calibrated
            in_use = whole.ground_in_use or NOMINAL
            ground: GroundPlane | None = in_use
            if self.change:
                camera, T, ground = changed(camera, self.data, rng)
                ground = None if ground is None else in_use
                if INVERSE_DEPTH in one.layers:  # rays and measurements are to agree
                    T = one.T_base_calibrated
            pose = camera.T_base_camera.astype(np.float32)
            items.append({**arrays(camera, T, ground), "pose": pose})
        return collate([{k: torch.from_numpy(v) for k, v in item.items()} for item in items])
