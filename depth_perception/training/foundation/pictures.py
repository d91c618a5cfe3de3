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

"""Images as a foundation model was trained to see them: normalised, of sizes that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from depth_perception.errors import ConfigurationError

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ImagePreprocessing:
    """How a model wants images.

    Attributes:
        mean: Of the channels, RGB, where white is 1.
        std: Their spread.
        side: Shorter side of the images that it was trained on, px.
    """

    mean: Triple
    std: Triple
    side: int


CLIP = ImagePreprocessing(
    (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), 224
)
IMAGENET = ImagePreprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224)
"""What families of models use unless their files say something else."""


def preprocessing_of(
    preprocessor: dict[str, Any], default: ImagePreprocessing
) -> ImagePreprocessing:
    """Read mean, spread and size from a model's `preprocessor_config.json`; empty: the default."""

    def triple(name: str, usual: Triple) -> Triple:
        a, b, c = preprocessor.get(name) or usual
        return float(a), float(b), float(c)

    size = preprocessor.get("size") or {}
    if isinstance(size, int):
        size = {"height": size}
    side = size.get("shortest_edge") or size.get("height") or size.get("longest_edge")
    return ImagePreprocessing(
        triple("image_mean", default.mean),
        triple("image_std", default.std),
        int(side or default.side),
    )


def normalised(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) of 0 to 255, any type, as float32 of mean 0 and spread 1 for a channel.

    Raises:
        ConfigurationError: They have another shape.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ConfigurationError(
            f"images of shape {tuple(images.shape)}", expected="(N, 3, H, W), RGB of 0 to 255"
        )
    return (images.float() / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def check_multiples(images: torch.Tensor, patch: int) -> None:
    """Refuse images that cannot be cut into patches.

    Raises:
        ConfigurationError: Height or width is no multiple.
    """
    height, width = images.shape[-2:]
    if height % patch or width % patch or not height or not width:
        raise ConfigurationError(
            f"images of {width}x{height} px",
            expected=f"multiples of {patch} px",
            fix="resize them with foundation.fitted",
        )


def fitted(images: torch.Tensor, patch: int, side: int = 0) -> torch.Tensor:
    """Resize images to the nearest size that can be cut into patches.

    Args:
        images: (N, 3, H, W) of 0 to 255, any type.
        patch: Height and width become multiples of it, px.
        side: About what the shorter side becomes, px; 0 keeps the size.

    Returns:
        (N, 3, h, w) float32 of 0 to 255, by antialiased bicubic interpolation; the images
        themselves where they fit.
    """
    height, width = images.shape[-2:]
    factor = side / min(height, width) if side else 1.0
    size = tuple(max(patch, round(n * factor / patch) * patch) for n in (height, width))
    return resized(images, size)


def resized(images: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Images (N, 3, H, W) of 0 to 255 as float32 at (height, width)."""
    images = images.float()
    if images.shape[-2:] == size:
        return images
    out = functional.interpolate(images, size, mode="bicubic", antialias=True)
    return out.clamp(0, 255)
