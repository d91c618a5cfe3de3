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

"""Scores of one frame set."""

from __future__ import annotations

from dataclasses import dataclass, field

from depth_perception.evaluation.metrics import DepthMetrics


@dataclass(frozen=True)
class FrameScores:
    """Scores of one frame set: means over its images.

    Attributes:
        number: Which one of the drive, the first is 1; pictures of a report count alike.
        stamp: Its time, ns.
        images: Images with truth.
        metric: Of the depth image, as it is.
        embodied: Of the embodied depth beside it; None where that is the depth image itself.
        cameras: AbsRel of each camera's depth image; NaN where nothing has a depth.
    """

    number: int
    stamp: int
    images: int
    metric: DepthMetrics
    embodied: DepthMetrics | None
    cameras: dict[str, float] = field(default_factory=dict)
