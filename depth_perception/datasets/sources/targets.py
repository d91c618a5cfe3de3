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

"""Frame sets of another source that know where their pixels lie in the whole images.

In: a folder that `training.targets.compute` filled. Out: the frame sets that its targets are of,
with a layer `training.targets.SOURCE_PIXEL`, by which targets are cut out like the images.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from depth_perception.datasets.sample import Choose, DatasetError, TrueCamera, TrueFrameSet
from depth_perception.datasets.source import FrameSource
from depth_perception.datasets.source import open_source as open_any
from depth_perception.datasets.targets import MOST_CAMERAS, SOURCE_PIXEL, Targets


def open_source(folder: str) -> FrameSource:
    """Open what the targets in a folder are of; see `TargetSource`."""
    return TargetSource(folder)


class TargetSource:
    """The frame sets that targets were computed of, with the layer `SOURCE_PIXEL`; see `sources`.

    Args:
        folder: Of the targets.

    Raises:
        DatasetError: There are none, not all yet, or of another number of images.
    """

    def __init__(self, folder: str | Path) -> None:
        self.targets = Targets(folder)
        facts = self.targets.manifest
        self._source = open_any(facts["source"])
        if len(self._source) != facts["sets"]:
            raise DatasetError(
                f"the source '{facts['source']}' of the targets in '{folder}' has"
                f" {len(self._source)} frame sets",
                expected=f"{facts['sets']}",
                fix="compute the targets again in another folder",
            )

    def __len__(self) -> int:
        """Count the frame sets."""
        return len(self._source)

    def cameras(self, index: int) -> list[str]:
        """Name the cameras of a frame set, without reading images."""
        return self._source.cameras(index)

    def neighbour(self, index: int, offset: int) -> int | None:
        """Index of the set so many later in the same drive; None beyond its ends."""
        return self._source.neighbour(index, offset)

    def read(self, index: int, choose: Choose = range) -> TrueFrameSet:
        """Read the chosen cameras of a frame set."""
        kept: list[int] = []

        def chosen(count: int) -> list[int]:
            kept[:] = choose(count)
            return kept

        whole = self._source.read(index, chosen)
        cameras = [
            _with_source_pixel(
                camera, index * MOST_CAMERAS + k + 1 if index < len(self) else 0, self.targets
            )
            for k, camera in zip(kept, whole.cameras, strict=True)
        ]
        return replace(whole, cameras=tuple(cameras))


def _with_source_pixel(camera: TrueCamera, number: int, targets: Targets) -> TrueCamera:
    height, width = camera.image.shape[:2]
    source = np.empty((height, width, 4), np.float32)
    source[..., 0] = (2 * np.arange(width) + 1) / width - 1
    source[..., 1] = ((2 * np.arange(height) + 1) / height - 1)[:, None]
    source[..., 2:] = number, targets.number
    return replace(camera, layers={**camera.layers, SOURCE_PIXEL: source})
