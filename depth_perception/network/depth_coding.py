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

"""How networks say depth: as a logarithm for one focal length, or as disparity of a range.

A camera with twice the focal length shows the same picture of what is twice as far. So a network
says the depth that a camera of a reference focal length would see there, and the real focal length
shifts its logarithm.
"""

from __future__ import annotations

import torch

REFERENCE_FOCAL = 300.0
"""Focal length, px, that coded depth is for."""
USUAL_LOG_DEPTH = 2.54
"""Usual natural logarithm of depth, m (methods.md 3.3, KITTI), which a code is relative to."""


def focal_shift(focal: torch.Tensor, reference: float = REFERENCE_FOCAL) -> torch.Tensor:
    """What the logarithm of depth gains by a focal length, px, over that of the reference."""
    return torch.log(focal / reference)


def log_depth_of_code(code: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Natural logarithm of depth, m, of a code, with the `focal_shift` of the camera.

    A code is that logarithm for `REFERENCE_FOCAL`, less `USUAL_LOG_DEPTH`.
    """
    return code + USUAL_LOG_DEPTH + shift


def depth_of_disparity(disparity: torch.Tensor, nearest: float, farthest: float) -> torch.Tensor:
    """Depth, m, of disparity from 0 (farthest) to 1 (nearest): linear in inverse depth."""
    return 1 / (1 / farthest + (1 / nearest - 1 / farthest) * disparity.float())


def disparity_of_depth(depth: float, nearest: float, farthest: float) -> float:
    """The disparity, 0 to 1, of a depth, m: undoes `depth_of_disparity`."""
    return (1 / depth - 1 / farthest) / (1 / nearest - 1 / farthest)
