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

"""Vision-Language Embodiment: embodied scene depth and sentences about it go in beside the image.

Each training step takes one of two ways through the same depth decoder, drawn from seed and step:
from text alone, with drawn noise, which teaches the text's Gaussian and the decoder; or from the
image, whose sampler finds the noise, which teaches everything but the text's side.

Source: Vision-Language Embodiment (CVPR 2025, arXiv 2503.16535), methods.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from depth_perception.datasets.targets import PREFIX
from depth_perception.errors import ConfigurationError
from depth_perception.network.checkpoint import current_keys, misfit, read_file, write_file
from depth_perception.network.depth_coding import REFERENCE_FOCAL
from depth_perception.training import losses
from depth_perception.training.configuration import TrainingConfiguration
from depth_perception.training.fit import batches_of, checked_folders
from depth_perception.training.samples import collate, evenly_spread
from depth_perception.training.scoring import Scores, held_out, name_of
from depth_perception.training.systems.vision_language.network import (
    STRIDE,
    TextDepth,
    TextDepthNetwork,
)
from depth_perception.training.systems.vision_language.samples import (
    DescribedImages,
    Description,
    decoded,
)
from depth_perception.training.systems.vision_language.text_latent import normal_divergence

NAME = "vision_language"
NEAREST = 0.1
"""Nearer truth is not learnt, m."""


@dataclass(frozen=True)
class VisionLanguageOptions(Description):
    """What only this system has, beside what a `Description` has.

    Attributes:
        embodied: Embodied scene depth goes in beside the image.
        fusion: Image and embodied depth attend to each other; without: they are added.
        text_vae: Captions and sentences count; without: a plain network with nothing but step B.
        text: Text encoder: "own", trained along, or a foundation model's name or folder.
        image: Image encoder: "trunk", or a foundation model's name or folder.
        latent: Width of the latent map; a multiple of 4 and of `heads`.
        heads: Attention heads.
        layers: Transformer blocks of the sampler.
        share: Share of steps from text alone.
        kl: Weight of the KL divergences: of the text's Gaussian, and of the found noise.
        sky: Weight of the sky being at least as far as `farthest`.
        most: Most images of a source that are scored; 0: all.
    """

    embodied: bool = True
    fusion: bool = True
    text_vae: bool = True
    text: str = "own"
    image: str = "trunk"
    latent: int = 128
    heads: int = 4
    layers: int = 2
    share: float = 0.5
    kl: float = 1e-3
    sky: float = 0.1
    most: int = 120

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        super().__post_init__()
        if self.heads < 1 or self.latent < 4 or self.latent % 4 or self.latent % self.heads:
            raise ConfigurationError(
                f"options.latent {self.latent} with options.heads {self.heads}",
                expected="a multiple of 4 and of heads",
            )
        if self.layers < 1:
            raise ConfigurationError(f"options.layers {self.layers}", expected="1 or more")
        if not 0 < self.share < 1:
            raise ConfigurationError(
                f"options.share {self.share}",
                expected="above 0, below 1",
                fix="without steps from text: options.text_vae: false",
            )

    def settings(self, trunk: str) -> dict[str, Any]:
        """Arguments of `TextDepthNetwork`."""
        return {
            "latent": self.latent,
            "heads": self.heads,
            "layers": self.layers,
            "text": self.text if self.text_vae else "",
            "image": self.image,
            "embodied": self.embodied,
            "fusion": self.fusion,
            "trunk": trunk,
        }


class Training:
    """A step teaches the text's side or the image's, never both; see `system.System`."""

    OPTIONS = VisionLanguageOptions
    PARTIAL = True

    def build(self, configuration: TrainingConfiguration) -> nn.Module:
        """Make the network, with ImageNet's weights in its trunk or those of `start`."""
        _check_captions(configuration)
        settings = configuration.options.settings(configuration.network.trunk)
        if not configuration.start:
            return TextDepthNetwork(**settings, pretrained=configuration.network.pretrained)
        model, _ = load(configuration.start)
        if model.settings != settings:
            raise ConfigurationError(
                f"start '{configuration.start}' holds another network",
                expected=str(model.settings),
                fix="correct options, or leave start empty",
            )
        return model

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Described images without end.

        `from_text` is 1 for step A, alike on all ranks; `seed` is that of the drawn noise.
        """
        data, options = configuration.data, configuration.options
        checked_folders(configuration)
        images = DescribedImages(data, options)
        for step, batch in enumerate(batches_of(images, configuration, first, rank, ranks), first):
            drawn = np.random.default_rng([configuration.seed, 61, step])
            from_text = options.text_vae and drawn.uniform() < options.share
            seed = np.random.default_rng([configuration.seed, 67, step, rank]).integers(2**31)
            yield {**batch, "from_text": torch.tensor(from_text), "seed": torch.tensor(seed)}

    def groups(
        self, model: nn.Module, configuration: TrainingConfiguration
    ) -> list[dict[str, Any]]:
        """The pretrained image encoder learns slower than the rest."""
        schedule = configuration.schedule
        learning = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        old = [p for n, p in learning if n.startswith("image.trunk.")]
        new = [p for n, p in learning if not n.startswith("image.trunk.")]
        return [{"params": old, "lr": schedule.trunk_rate}, {"params": new, "lr": schedule.rate}]

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor], configuration: TrainingConfiguration
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """SILog and the KL divergence of the step's kind.

        Parts are those of steps from text and from images; each is divided by how often its steps
        come, so that means over many steps of both kinds are means over its own.
        """
        options, image = configuration.options, batch["image"]
        noise = None
        if bool(batch["from_text"]):
            generator = torch.Generator().manual_seed(int(batch["seed"]))
            shape = (len(image), options.latent, *(side // STRIDE for side in image.shape[-2:]))
            noise = torch.randn(shape, generator=generator).to(image.device)
        out: TextDepth = model(
            image, batch["embodied"], decoded(batch["text"]), batch["focal"], noise
        )
        silog, sky = depth_errors(out.log_depth, batch["depth"], options.farthest)
        divergence = noise_divergence(out.noise)
        if noise is not None:
            divergence = normal_divergence(out.mean, out.log_variance)
        total = silog + options.sky * sky + options.kl * divergence
        often = {"image": 1 - options.share if options.text_vae else 1.0, "text": options.share}
        kind = "image" if noise is None else "text"
        parts = {
            f"{k}_{name}": value.detach() / often[k] * float(k == kind)
            for k in (("image", "text") if options.text_vae else ("image",))
            for name, value in (("silog", silog), ("kl", divergence))
        }
        return total, {**parts, "sky": sky.detach()}

    @torch.inference_mode()
    def validate(
        self, model: nn.Module, configuration: TrainingConfiguration, device: torch.device
    ) -> dict[str, float]:
        """Figures on held-out frame sets; see `score_described`."""
        assert isinstance(model, TextDepthNetwork)
        data, options = configuration.data, configuration.options
        figures: dict[str, float] = {}
        for prefix, source in held_out(data):
            images = DescribedImages(data, options, (source,), change=False)
            found = score_described(model, images, device, most=options.most)
            figures.update({f"{prefix}{name}": value for name, value in found.items()})
        return figures

    def save(self, model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Write a checkpoint that `load` reads; frozen foundation models are not in it."""
        assert isinstance(model, TextDepthNetwork)
        content = {
            "system": NAME,
            "facts": facts,
            "options": model.settings,
            "state": {k: v for k, v in model.state_dict().items() if not _is_foundation(k)},
        }
        write_file(path, content)


def _check_captions(configuration: TrainingConfiguration) -> None:
    """Refuse, before hours of training, sources whose captions a validation would not find."""
    options, data = configuration.options, configuration.data
    if options.captions in ("scene", "none") or not options.text_vae:
        return
    if options.text == "own":
        raise ConfigurationError(
            f"options.captions '{options.captions}' with options.text 'own'",
            expected="a text encoder that knows the captioner's words",
            fix="e.g. --set options.text=openai/clip-vit-base-patch16, or captions: scene",
        )
    for source in (*data.folders, data.validation, *data.tests):
        if not source:
            continue
        if options.captions == "targets":
            good = source.startswith(PREFIX)
        else:
            good = (Path(options.captions) / name_of(source)).is_dir()
        if not good:
            raise ConfigurationError(
                f"'{source}' has no captions (options.captions: {options.captions})",
                expected="captions of all of data.folders, data.validation and data.tests",
                fix="depth_perception targets SOURCE --kind captions, or leave the source out",
            )


def depth_errors(
    log_depth: torch.Tensor, depth: torch.Tensor, farthest: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """SILog, and how far the sky is short of `farthest`, in logarithms.

    Args:
        log_depth: (N, 1, H/4, W/4).
        depth: (N, H, W) m; NaN unknown, +Inf the sky.
        farthest: Deeper is not learnt, m.
    """
    truth = depth[:, None]
    wide = functional.interpolate(
        log_depth.float(), truth.shape[-2:], mode="bilinear", align_corners=False
    )
    seen = (truth > NEAREST) & (truth < farthest)
    log_truth = torch.log(torch.where(seen, truth, torch.ones_like(truth)))
    short = (float(np.log(farthest)) - wide).clamp(min=0)
    silog = losses.scale_invariant_error(wide, log_truth, seen.float())
    return silog, losses.masked_mean(short, torch.isposinf(truth).float())


def noise_divergence(noise: torch.Tensor) -> torch.Tensor:
    """KL divergence from the standard normal of found noise (N, latent, h, w), over places."""
    mean, variance = noise.mean((2, 3)), noise.var((2, 3))
    return normal_divergence(mean, torch.log(variance + 1e-6))


@torch.inference_mode()
def score_described(
    model: TextDepthNetwork,
    images: DescribedImages,
    device: torch.device,
    *,
    most: int = 0,
    batch: int = 4,
    draws: int = 4,
) -> dict[str, float]:
    """Score on images, whole and as calibrated.

    Args:
        model: The network.
        images: Not changed.
        device: Where samples go.
        most: Largest number of images, spread over all; 0 for all.
        batch: Images at a time.
        draws: Depths that are drawn from each text.

    Returns:
        Figures of `scoring.Scores`; of a network with text, too, `text_` those of depth from text
        alone, at the mean of its Gaussian, and text_spread, the standard deviation of log depth
        among drawn depths.
    """
    scores, by_text, spread = Scores(), Scores(), []
    shape = images.nearest_size()
    chosen = evenly_spread(len(images), most)
    for begin in range(0, len(chosen), batch):
        items = [images[(int(i), shape, 0)] for i in chosen[begin : begin + batch]]
        b = {name: value.to(device) for name, value in collate(items).items()}
        size, texts = b["image"].shape[-2:], decoded(b["text"])
        found = model(b["image"], b["embodied"], texts, b["focal"])
        results = [(scores, found.log_depth)]
        if model.text is not None:
            zeros = torch.zeros_like(found.noise)
            told = model(b["image"], b["embodied"], texts, b["focal"], zeros)
            results.append((by_text, told.log_depth))
            generator = torch.Generator().manual_seed(begin)
            drawn = [torch.randn(zeros.shape, generator=generator).to(device) for _ in range(draws)]
            depths = torch.stack(
                [model(b["image"], b["embodied"], texts, b["focal"], n).log_depth for n in drawn]
            )
            spread.append(float(depths.std(0).mean()))
        for kept, log_depth in results:
            wide = functional.interpolate(log_depth.float(), size, mode="bilinear")
            depth = torch.exp(wide)[:, 0].cpu().numpy()
            for item, one in zip(items, depth, strict=True):
                mirror = item["mirror"].numpy() if "mirror" in item else None
                kept.add(one, item["depth"].numpy(), mirror)
    figures = scores.result()
    wanted = ("abs_rel", "delta1", "rmse", "abs_rel_median")
    figures.update({f"text_{k}": v for k, v in by_text.result().items() if k in wanted})
    if spread:
        figures["text_spread"] = float(np.mean(spread))
    return figures


@torch.inference_mode()
def sample_depths(
    model: TextDepthNetwork,
    text: str,
    n: int,
    *,
    size: tuple[int, int] = (288, 160),
    focal: float = REFERENCE_FOCAL,
    seed: int = 0,
) -> torch.Tensor:
    """Draw depths from a text alone.

    Args:
        model: Trained with text.
        text: Caption and sentences, worded as in `depth_sentences`.
        n: How many.
        size: (width, height) of the depth images, px, multiples of 32.
        focal: Focal length of the camera to imagine, px.
        seed: Of the noise.

    Returns:
        (n, 1, height, width) along the optical axis, m.

    Raises:
        ConfigurationError: An impossible size or number, or a model without text.
    """
    if model.text is None:
        raise ConfigurationError(
            "this network knows no text", expected="one trained with options.text_vae: true"
        )
    width, height = size
    if n < 1 or width % 32 or height % 32 or min(size) < 32:
        raise ConfigurationError(
            f"{n} depths of {width}x{height}", expected="1 or more, multiples of 32"
        )
    device = model.decoder.last.weight.device
    shape = (n, model.latent, height // STRIDE, width // STRIDE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    nothing = torch.zeros(0, device=device)
    out = model(nothing, nothing, [text] * n, torch.full((n,), focal, device=device), noise)
    return torch.exp(functional.interpolate(out.log_depth, (height, width), mode="bilinear"))


def load(path: str | Path) -> tuple[TextDepthNetwork, dict[str, Any]]:
    """Read a network that `Training.save` stored, ready to be used, and its facts.

    Raises:
        ModelError: Absent, damaged, or of another system.
    """
    content = read_file(path, "system", NAME, NAME)
    try:
        model = TextDepthNetwork(**content["options"], pretrained=False)
        lacking, unknown = model.load_state_dict(current_keys(content["state"]), strict=False)
        lacking = [name for name in lacking if not _is_foundation(name)]
        if unknown or lacking:
            raise KeyError(", ".join([*unknown, *lacking][:3]))
        facts = dict(content["facts"])
    except (KeyError, RuntimeError, TypeError) as error:
        raise misfit(path, error) from None
    return model.eval(), facts


def _is_foundation(name: str) -> bool:
    return name.startswith(("words.encoder.", "image.encoder."))
