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

"""The pictures that replay writes of each frame set."""

from __future__ import annotations

from pathlib import Path

from depth_perception.evaluation.cloud_picture import cloud_from_above
from depth_perception.evaluation.measured_pictures import (
    anything_measured,
    kind_mosaic,
    measured_mosaic,
)
from depth_perception.evaluation.output_folder import OutputFolder
from depth_perception.evaluation.pictures import (
    confidence_mosaic,
    depth_mosaic,
    embodied_mosaic,
    encoded,
    input_mosaic,
)
from depth_perception.frames.surround_result import SurroundResult
from depth_perception.geometry.depth_colours import FARTHEST


def write_pictures(
    folder: OutputFolder, result: SurroundResult, max_depth: float = FARTHEST
) -> list[Path]:
    """Write a frame set's input, depth and cloud from above as ``<stamp>_<what>.jpg``.

    Where a network made the depth, also its confidence, and the embodied depth beside it; where
    motion measured, what it measured and how. A second set of the same stamp gets
    ``<stamp>-2_<what>.jpg``.

    Raises:
        ConfigurationError: The folder cannot be written, or holds such a file of somebody else.
    """
    pictures = {"input": input_mosaic(result), "depth": depth_mosaic(result, max_depth)}
    if result.estimator != "embodied":
        pictures["embodied"] = embodied_mosaic(result, max_depth)
        pictures["confidence"] = confidence_mosaic(result)
    if anything_measured(result):
        pictures["measured"] = measured_mosaic(result, max_depth)
        pictures["measured_kind"] = kind_mosaic(result)
    if result.points is not None:
        pictures["above"] = cloud_from_above(
            result.points, ground_height=result.ground.height, title="Cloud from above"
        )
    files = {f"_{what}.jpg": encoded(picture) for what, picture in pictures.items()}
    stem = folder.free(str(result.stamp), tuple(files))
    return [folder.write(stem + ending, data) for ending, data in files.items()]
