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

"""The networks of Hybrid-depth: its options, and what they put together.

In: `HybridDepthOptions`. Out: a single-frame pipeline (depth and pose network), a multi-frame one
(with a cost volume and a teacher), or stage 1's encoder; each is one module, so that processes can
share its gradients. Parts are in `encoder`, `self_supervised` and `cost_volume`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from depth_perception.errors import ConfigurationError
from depth_perception.network.depth_coding import depth_of_disparity, disparity_of_depth
from depth_perception.training import foundation
from depth_perception.training.self_supervised import DisparityDecoder, PoseNetwork, motions
from depth_perception.training.systems.hybrid_depth import ranking
from depth_perception.training.systems.hybrid_depth.cost_volume import (
    STRIDE,
    CostPyramid,
    DepthRange,
    Matching,
    agreement,
    cost_volume,
    draw_blindness,
    matched_depth,
)
from depth_perception.training.systems.hybrid_depth.encoder import (
    TEMPLATE,
    DepthHead,
    HybridEncoder,
    LanguageBranch,
    TrunkEncoder,
    text_matrix,
)
from depth_perception.training.view_geometry import resized_intrinsics
from depth_perception.yaml_mapping import nearest

_CHOICES = {
    "stage": ("depth", "ranking"),
    "encoder": ("hybrid", "dino", "convolutional"),
    "pipeline": ("single", "multi_frame"),
}
_START_DEPTH = 15.0
"""Of a metric network before any training, m."""
_TOKEN_SPREAD = 0.02


@dataclass(frozen=True)
class HybridDepthOptions:
    """What only Hybrid-depth has.

    Attributes:
        stage: "depth" (stage 2) or "ranking" (stage 1).
        encoder: "hybrid": CLIP and DINO; "dino" alone; "convolutional": EfficientNet-Lite.
        pipeline: "single": of one image; "multi_frame": with a cost volume of the frame before.
        language: The decoder sees how much each place is like learned depth tokens.
        tokens: How many depth tokens.
        token_words: They begin between the words of stage 1, from near to far, and not anywhere.
        clip: CLIP, see `foundation.image_encoder`.
        dino: DINOv2, likewise.
        trunk: EfficientNet-Lite of the convolutional encoder, of poses and of matching.
        pretrained: It begins with ImageNet's weights.
        start_encoder: weights.pt of a stage 1 run with the same encoder; empty: none.
        start_teacher: For multi_frame: weights.pt of a single-frame run with the same encoder,
            whose networks begin as its and whose teacher and poses stay; empty: all learn together.
        ahead: The pose network begins with a motion along the optical axis; for cameras that look
            ahead.
        posed: The camera's motion is odometry's, and depth metric; else a network finds it.
        embodied: Weight of what calibration and classes say of depth: the ground's, that of things
            by their feet, that the sky is far, and that nothing lies below the ground
            (`embodied_scene.anchor_error`). Depth is metric by it, without odometry, and held
            where frames show little parallax.
        segments: Whose classes embodied depth goes by, see `vision_language.samples.Description`.
        step: How many frame sets lie between one frame of a triplet and the next.
        smoothness: Weight of the disparity's smoothness.
        nearest: Nearest depth, m or unit of the scale.
        farthest: Farthest depth.
        planes: Of the cost volume.
        head_width: Of the head of encoders other than the convolutional one.
        lanes: Of stage 1, for each image.
        most: Largest number of images to validate on, of each source; 0 for all.
    """

    stage: str = "depth"
    encoder: str = "hybrid"
    pipeline: str = "single"
    language: bool = True
    tokens: int = 256
    token_words: bool = False
    clip: str = "openai/clip-vit-base-patch16"
    dino: str = "facebook/dinov2-base"
    trunk: str = "lite0"
    pretrained: bool = True
    start_encoder: str = ""
    start_teacher: str = ""
    ahead: bool = False
    posed: bool = False
    embodied: float = 0.0
    segments: str = "labels"
    step: int = 1
    smoothness: float = 1e-3
    nearest: float = 0.1
    farthest: float = 100.0
    planes: int = 48
    head_width: int = 256
    lanes: int = 4
    most: int = 200

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigurationError(
                    f"options.{name} '{value}'", expected=nearest(value, known)
                )
        for name, least in (
            ("tokens", 1),
            ("step", 1),
            ("planes", 2),
            ("head_width", 8),
            ("lanes", 1),
            ("most", 0),
            ("smoothness", 0),
            ("embodied", 0),
        ):
            if getattr(self, name) < least:
                raise ConfigurationError(
                    f"options.{name} {getattr(self, name)}", expected=f"{least} or more"
                )
        if not 0 < self.nearest < self.farthest:
            raise ConfigurationError(
                f"options.nearest {self.nearest}, options.farthest {self.farthest}",
                expected="0 < nearest < farthest, m",
            )
        if self.start_teacher and self.start_encoder:
            raise ConfigurationError(
                "options.start_teacher and options.start_encoder",
                expected="one of them",
                fix="the teacher's run has the encoder already",
            )
        if self.start_teacher and self.pipeline != "multi_frame":
            raise ConfigurationError(
                "options.start_teacher without a teacher",
                expected="pipeline: multi_frame",
                fix="a whole single-frame run is gone on with by the same command",
            )

    @property
    def metric(self) -> bool:
        """Whether depth is in metres, by odometry or by embodied depth."""
        return self.posed or self.embodied > 0


def encoder_of(o: HybridDepthOptions) -> nn.Module:
    """The encoder that the options name; of CLIP and DINO what the stage trains learns."""
    if o.encoder == "convolutional":
        return TrunkEncoder(o.trunk, o.pretrained)
    dino = foundation.image_encoder(o.dino)
    clip = foundation.image_encoder(o.clip) if o.encoder == "hybrid" else None
    return HybridEncoder(dino, clip, fine=o.stage == "depth")


class DepthNetwork(nn.Module):
    """Encoder, language branch and decoder: disparity of one image.

    Args:
        options: What it is made of.
        text: CLIP's text encoder, for the language branch; None where a checkpoint follows.
        tokens: (M, width) and the width of the text's vectors; None without language.
        planes: Of a cost volume that comes in; 0: none does.
    """

    def __init__(
        self,
        options: HybridDepthOptions,
        text: Any,
        tokens: tuple[torch.Tensor, int] | None,
        planes: int = 0,
    ) -> None:
        super().__init__()
        o = options
        self.encoder = encoder_of(o)
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        self.planes, self.cost = planes, CostPyramid(planes, channels) if planes else None
        self.language = LanguageBranch(text, *tokens) if tokens else None
        more = self.language.count if self.language else 0
        wide = tuple(c + more for c in channels)
        start = 0.5
        if o.metric:
            start = min(
                max(disparity_of_depth(_START_DEPTH, o.nearest, o.farthest), 1e-3), 1 - 1e-3
            )
        self.decoder = (
            DisparityDecoder(wide, start=start)
            if o.encoder == "convolutional"
            else DepthHead(wide, o.head_width, start)
        )

    def forward(self, image: torch.Tensor, cost: torch.Tensor | None = None) -> torch.Tensor:
        """Disparity (N, 1, H, W), 0 to 1, of images (N, 3, H, W), 0 to 255."""
        features = self.encoder(image)
        if self.cost is not None:
            if cost is None:  # the first frame of a drive, as some images in training
                height, width = image.shape[-2:]
                cost = image.new_zeros(len(image), self.planes, height // STRIDE, width // STRIDE)
            features = self.cost(features, cost)
        if self.language is not None:
            features = self.language(features)
        found: torch.Tensor = self.decoder(features, image.shape[-2:])
        return found


@dataclass
class Views:
    """What a depth network says of triplets.

    Attributes:
        disparity: (N, 1, H, W), 0 to 1: the result.
        T: (N, 2, 4, 4) from the frame's camera to the ones before and after.
        teacher: Disparity of the single-frame teacher; None in the single-frame pipeline.
        trust: (N, 1, H, W), 1 where matching agrees with the teacher; None likewise.
    """

    disparity: torch.Tensor
    T: torch.Tensor
    teacher: torch.Tensor | None = None
    trust: torch.Tensor | None = None


class SingleFrame(nn.Module):
    """Monodepth2-type: a depth network of one image, and a pose network of two."""

    def __init__(
        self, options: HybridDepthOptions, text: Any, tokens: tuple[torch.Tensor, int] | None
    ) -> None:
        super().__init__()
        self.options = options
        self.depth = DepthNetwork(options, text, tokens)
        o = options
        self.pose = (
            None
            if o.posed
            else PoseNetwork(
                o.trunk, o.pretrained, ahead=o.ahead, unit=_START_DEPTH if o.metric else 1.0
            )
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> Views:
        """Look at triplets."""
        images = batch["image"].float()
        return Views(self.depth(images[:, 0]), motions(self.pose, images, batch))


class MultiFrame(nn.Module):
    """ManyDepth-type: with a cost volume of the frame before, and a single-frame teacher."""

    def __init__(
        self, options: HybridDepthOptions, text: Any, tokens: tuple[torch.Tensor, int] | None
    ) -> None:
        super().__init__()
        self.options = options
        self.single = SingleFrame(options, text, tokens)
        self.depth = DepthNetwork(options, text, tokens, options.planes)
        self.matching = Matching(options.trunk, options.pretrained)
        self.range = DepthRange(options.nearest, options.farthest)
        if options.start_teacher:
            self.single.requires_grad_(False)

    def train(self, mode: bool = True) -> MultiFrame:
        """Put all into that mode, but a teacher that stays."""
        super().train(mode)
        if self.options.start_teacher:
            self.single.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> Views:
        """Look at triplets; while training, some see no motion or no cost volume."""
        o, images = self.options, batch["image"].float()
        frame, before = images[:, 0], images[:, 1]
        views: Views = self.single(batch)
        teacher = depth_of_disparity(views.disparity.detach(), o.nearest, o.farthest)
        still = blind = torch.zeros(len(frame), dtype=torch.bool)
        if self.training:
            self.range.follow(teacher)
            still, blind = draw_blindness(len(frame))
        still, blind = (x.to(frame.device)[:, None, None, None] for x in (still, blind))
        planes = self.range.planes(o.planes)
        cost, seen = cost_volume(
            self.matching(frame),
            self.matching(torch.where(still, frame, before)),
            resized_intrinsics(batch["K"], STRIDE),
            views.T[:, 0].detach(),
            planes,
        )
        cost = torch.where(blind, torch.zeros_like(cost), cost)
        matched, seen = (
            functional.interpolate(x, frame.shape[-2:], mode="nearest")
            for x in (matched_depth(cost, planes), seen)
        )
        trust = agreement(matched, teacher) * seen * (~still & ~blind).to(seen.dtype)
        return Views(self.depth(frame, cost), views.T, views.disparity, trust)


class Ranking(nn.Module):
    """Stage 1: an encoder, and the vectors of depth words, which stay."""

    def __init__(self, options: HybridDepthOptions, text: Any = None, width: int = 0) -> None:
        super().__init__()
        self.options = options
        self.encoder = encoder_of(options)
        self.vectors: torch.Tensor
        self.register_buffer("vectors", torch.zeros(ranking.POINTS, width or text.width))
        if text is not None:
            with torch.no_grad():
                self.vectors.copy_(text([TEMPLATE.format(word) for word in ranking.WORDS]))

    def forward(self, image: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Features (N, L, P, width) of points (N, L, P, 2) in images (N, 3, H, W), 0 to 255."""
        features = self.encoder(image.float())
        return ranking.point_features(features, points, self.vectors.shape[1])

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Lanes' logits (B, P, P) of features (B, P, width)."""
        return ranking.lane_logits(features, text_matrix(self.vectors))


PIPELINES: dict[str, type[SingleFrame] | type[MultiFrame]] = {
    "single": SingleFrame,
    "multi_frame": MultiFrame,
}


def first_tokens(o: HybridDepthOptions, text: Any) -> torch.Tensor:
    """Depth tokens (M, width) to begin with: random, or between the words, from near to far."""
    if not o.token_words:
        return _TOKEN_SPREAD * torch.randn(o.tokens, text.token_width)
    words = torch.stack([word.mean(0) for word in text.embed_tokens(ranking.WORDS)])
    between = functional.interpolate(words.T[None], o.tokens, mode="linear", align_corners=True)
    return between[0].T
