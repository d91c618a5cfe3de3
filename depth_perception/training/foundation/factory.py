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

"""What foundation models say of images, as `training.targets` stores it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.training.foundation.captions import Captioner
from depth_perception.training.foundation.depth import DepthModel
from depth_perception.training.foundation.frozen import block_indices
from depth_perception.training.foundation.image import ImageEncoder
from depth_perception.training.foundation.pictures import fitted
from depth_perception.training.targets import encode_text
from depth_perception.yaml_mapping import nearest

Made = dict[str, NDArray[Any]]
KINDS = ("depth", "features", "captions")


def maker(
    kind: str,
    name: str,
    *,
    side: int = 0,
    blocks: Sequence[int] = (-1,),
    device: torch.device | str = "cpu",
) -> tuple[Callable[[torch.Tensor], Made], dict[str, Any]]:
    """A function for `targets.compute`, and the settings that its results depend on.

    - depth: ``teacher`` (h, w), relative inverse depth, not larger than the image;
    - features: of each block a map (C, h, w): ``features``, or ``features_2`` of block 2 where
      several are asked for;
    - captions: ``caption`` (256,) uint8, see `targets.encode_text`.

    Args:
        kind: Of `KINDS`.
        name: Of the model, see `foundation`.
        side: About the shorter side of the images that it sees, px; 0: as it was trained.
            Not for captions.
        blocks: Whose features.
        device: Where it works.

    Raises:
        ConfigurationError: An unknown kind, or no such block.
        ModelError: See `foundation.text_encoder`.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"targets of kind '{kind}'", expected=nearest(kind, KINDS))
    if kind == "captions":
        teller = Captioner.open(name).to(device)

        def told(images: torch.Tensor) -> Made:
            return {"caption": encode_text(teller(images.to(device)))}

        return told, {}
    if kind == "depth":
        model = DepthModel.open(name).to(device)
        side = side or model.side

        def deep(images: torch.Tensor) -> Made:
            small = fitted(images.to(device), model.patch, side)
            sizes = (small.shape[-2:], images.shape[-2:])
            height, width = min(sizes, key=lambda size: size[0] * size[1])
            found = model.decode(model.features(small), (height, width))
            return {"teacher": found[:, 0].float().cpu().numpy()}

        return torch.no_grad()(deep), {"side": side}
    encoder = ImageEncoder.open(name).to(device)
    side = side or encoder.side
    chosen = block_indices(blocks, encoder.blocks, "block")
    names = [f"features_{block}" for block in chosen] if len(chosen) > 1 else ["features"]

    def seen(images: torch.Tensor) -> Made:
        small = fitted(images.to(device), encoder.patch, side)
        maps = encoder(small, chosen)
        return {n: m.float().cpu().numpy() for n, m in zip(names, maps, strict=True)}

    return torch.no_grad()(seen), {"side": side, "blocks": chosen}
