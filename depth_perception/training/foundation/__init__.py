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

"""Foundation models by name: CLIP, DINOv2, SAM, Depth Anything and BLIP, frozen, as plain modules.

In: a name, which is one of

- a local folder that `transformers` can read (`config.json`, weights, tokenizer);
- a name of the Hugging Face hub, such as ``facebook/dinov2-base``: looked for in the folders of
  ``DEPTH_PERCEPTION_MODELS``, in the hub's cache, then on the network;
- one of `TINY`: the same architecture at tiny size with random weights, without any file.

Out: modules that take RGB images (N, 3, H, W) of 0 to 255 or texts, and do their own normalisation
and tokenizing. Weights that were not freed by `unfreeze` do not learn, are neither in a state dict
nor in a checkpoint, and are shared by copies: see `frozen`. `docs/foundation.md` lists models.
"""

from __future__ import annotations

import torch

from depth_perception.training.foundation.captions import Captioner
from depth_perception.training.foundation.depth import DepthModel
from depth_perception.training.foundation.frozen import Frozen
from depth_perception.training.foundation.image import ImageEncoder
from depth_perception.training.foundation.loading import family_of
from depth_perception.training.foundation.pictures import fitted
from depth_perception.training.foundation.text import TextEncoder
from depth_perception.training.foundation.tiny import TINY

__all__ = [
    "TINY",
    "Captioner",
    "DepthModel",
    "Frozen",
    "ImageEncoder",
    "TextEncoder",
    "captioner",
    "depth_model",
    "family_of",
    "fitted",
    "image_encoder",
    "text_encoder",
]


def text_encoder(name: str, device: torch.device | str = "cpu") -> TextEncoder:
    """The text tower of a CLIP model.

    Args:
        name: See the module's head.
        device: Where its weights go.

    Raises:
        ModelError: It is nowhere, is no CLIP model, or does not load.
    """
    return TextEncoder.open(name).to(device)


def image_encoder(name: str, device: torch.device | str = "cpu") -> ImageEncoder:
    """The image tower of a CLIP model, DINOv2, or SAM's image encoder; see `text_encoder`."""
    return ImageEncoder.open(name).to(device)


def depth_model(name: str, device: torch.device | str = "cpu") -> DepthModel:
    """A Depth Anything model, V1 or V2; see `text_encoder`."""
    return DepthModel.open(name).to(device)


def captioner(name: str, device: torch.device | str = "cpu") -> Captioner:
    """A BLIP model that says what is in an image; see `text_encoder`."""
    return Captioner.open(name).to(device)
