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

"""Runs of Hybrid-depth: networks made as options say, begun with other runs', stored, read, used.

In: `networks.HybridDepthOptions`, paths of runs' weights.pt. Out: networks, depth of images. A run
may begin with another's encoder (stage 1), with a single-frame one (its teacher), or with all.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depth_perception.errors import ConfigurationError, ModelError
from depth_perception.network.checkpoint import misfit, read_file, write_file
from depth_perception.network.depth_coding import depth_of_disparity
from depth_perception.training import foundation
from depth_perception.training.systems.hybrid_depth.networks import (
    PIPELINES,
    DepthNetwork,
    HybridDepthOptions,
    Ranking,
    SingleFrame,
    Views,
    first_tokens,
)

NAME = "hybrid_depth"
_ALIKE = ("encoder", "trunk", "clip", "dino")
"""HybridDepthOptions in which a run and the one that it begins with agree."""


def built(o: HybridDepthOptions) -> nn.Module:
    """Make the networks that the options name, with the weights that they begin with.

    Raises:
        ModelError: A foundation model or a checkpoint is absent or does not fit.
    """
    speaks = o.stage == "ranking" or o.language
    text = foundation.text_encoder(o.clip) if speaks else None
    if o.stage == "ranking":
        model: Any = Ranking(o, text)
    else:
        tokens = None if text is None else (first_tokens(o, text), text.width)
        model = PIPELINES[o.pipeline](o, text, tokens)
    if o.start_teacher:
        near, far = _limits(o.start_teacher)
        if (near, far) != (o.nearest, o.farthest):
            raise ModelError(
                f"options.start_teacher '{o.start_teacher}' has depth from {near} to {far}",
                expected=f"{o.nearest} to {o.farthest}, as this run has",
                fix="set options.nearest and options.farthest as in its run",
            )
        _same_unit("options.start_teacher", o.start_teacher, _content(o.start_teacher), o)
        _take(model.single, "", o.start_teacher, o)
        _take(model.depth, "depth.", o.start_teacher, o)
    if o.start_encoder:
        networks = (m for m in model.modules() if isinstance(m, (DepthNetwork, Ranking)))
        for network in networks:
            _take(network.encoder, "encoder.", o.start_encoder, o)
    made: nn.Module = model
    return made


def begun(model: nn.Module, options: HybridDepthOptions, path: str) -> None:
    """Give a whole run's weights to networks of the same options.

    Raises:
        ModelError: Absent, of another system, or of other options.
    """
    content = _content(path)
    free = {
        "most",
        "step",
        "smoothness",
        "start_encoder",
        "start_teacher",
        "pretrained",
        "lanes",
        "segments",
        "embodied",
    }
    _same_unit("start", path, content, options)
    theirs = {k: v for k, v in content["options"].items() if k not in free}
    ours = {k: v for k, v in dataclasses.asdict(options).items() if k not in free}
    other = sorted(k for k in ours if theirs.get(k, _DEFAULTS.get(k)) != ours[k])
    if other:
        raise ModelError(
            f"start '{path}' holds another network: options.{other[0]} is {theirs.get(other[0])}",
            expected=f"{ours[other[0]]}, as this run has",
            fix="correct the option or the path",
        )
    try:
        model.load_state_dict(content["state"])
    except (KeyError, RuntimeError) as error:
        raise misfit(path, error) from None


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(HybridDepthOptions)}


def save(path: Path, model: nn.Module, facts: dict[str, Any]) -> None:
    """Write a checkpoint that `load` reads: without what is frozen of CLIP and DINO."""
    o: Any = model.options
    content = {
        "system": NAME,
        "facts": facts,
        "options": dataclasses.asdict(o),
        "state": model.state_dict(),
    }
    write_file(path, content)


def _content(path: str | Path) -> dict[str, Any]:
    return read_file(path, "system", NAME, NAME)


def _limits(path: str | Path) -> tuple[float, float]:
    options = _content(path)["options"]
    return float(options["nearest"]), float(options["farthest"])


def _same_unit(name: str, path: str, content: dict[str, Any], ours: HybridDepthOptions) -> None:
    """Refuse motions of a network in metres for one up to scale, or the other way round."""
    theirs = content["options"]
    metric = bool(theirs.get("posed", False) or theirs.get("embodied", 0.0))
    if metric != ours.metric:
        raise ModelError(
            f"{name} '{path}' is {'metric' if metric else 'up to scale'}, and this run is not",
            expected="options.posed or options.embodied in both, or in neither",
            fix="correct the option or the path",
        )


def _own(key: str) -> bool:
    """A cost pyramid, or DINO's last block, which stage 1 has frozen."""
    return key.startswith("cost.") or ".dino." in f".{key}"


def _take(network: nn.Module, prefix: str, path: str, options: HybridDepthOptions) -> None:
    """Load a part of another run into a network; what only it has, or only it trains, stays."""
    content = _content(path)
    wanted: Any = content["options"]
    for name in _ALIKE:
        theirs, ours = wanted.get(name), getattr(options, name)
        if theirs != ours and not (name in ("clip", "dino") and options.encoder == "convolutional"):
            raise ModelError(
                f"'{path}' holds another network: options.{name} is {theirs}",
                expected=f"{ours}, as this run has",
                fix="correct the option or the path",
            )
    state = {k.removeprefix(prefix): v for k, v in content["state"].items() if k.startswith(prefix)}
    try:
        left = network.load_state_dict(state, strict=False)
        odd = [k for k in left.missing_keys if not _own(k)] + left.unexpected_keys
    except RuntimeError as error:
        odd = [" ".join(str(error).split())]
    if odd:
        theirs = content["options"]
        named = {k: theirs.get(k) for k in ("stage", "encoder", "pipeline", "language", "trunk")}
        raise ModelError(
            f"'{path}' holds another network, {named}: {odd[0]}",
            expected="a run with the same encoder",
            fix="correct the options or the path",
        )


def load(path: str | Path) -> tuple[nn.Module, HybridDepthOptions, dict[str, Any]]:
    """Read a network that a run stored: its pipeline ready to be used, its options, its facts.

    CLIP and DINO are made as the options name them, then get the run's weights.

    Raises:
        ModelError: Absent, damaged, of another system, or weights that do not fit.
    """
    content = _content(path)
    try:
        o, state = HybridDepthOptions(**content["options"]), content["state"]
        bare = dataclasses.replace(o, pretrained=False)
        if o.stage == "ranking":
            model: nn.Module = Ranking(bare, width=state["vectors"].shape[1])
        else:
            speech = None
            if o.language:
                tokens, vectors = (state[f"depth.language.{k}"] for k in ("tokens", "vectors"))
                speech = (tokens, vectors.shape[1])
            model = PIPELINES[o.pipeline](bare, None, speech)
        model.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, ConfigurationError) as error:
        raise misfit(path, error) from None
    model.options = o  # type: ignore[assignment]
    return model.eval(), o, dict(content["facts"])


@torch.inference_mode()
def predict(
    model: nn.Module,
    image: torch.Tensor,
    before: torch.Tensor | None = None,
    K: torch.Tensor | None = None,
    T_before_image: torch.Tensor | None = None,
) -> torch.Tensor:
    """Depth of images, by a network that `load` has read.

    Args:
        model: Of stage 2, either pipeline, in evaluation mode, as `load` gives it.
        image: (N, 3, H, W) RGB, 0 to 255; undistorted, height and width multiples of 32.
        before: The frames before, likewise: what the multi-frame pipeline looks at, too. Without
            them it sees one image alone.
        K: (N, 3, 3), px; needed with `before`.
        T_before_image: (N, 4, 4) from the image's optical frame to the one before, m; needed with
            `before` by a network with `posed`, others find it.

    Returns:
        (N, 1, H, W): m with `posed` or `embodied`, else up to scale.

    Raises:
        ModelError: A network of stage 1.
        ValueError: `before` without K or motion.
    """
    if isinstance(model, Ranking):
        raise ModelError(
            "a network of stage 1 has no depth",
            expected="a run of options.stage: depth",
            fix="train stage 2 with options.start_encoder",
        )
    network: Any = model
    o: HybridDepthOptions = network.options
    if isinstance(model, SingleFrame) or before is None:
        return depth_of_disparity(network.depth(image.float()), o.nearest, o.farthest)
    if K is None or (o.posed and T_before_image is None):
        raise ValueError("before: K is needed, and with options.posed T_before_image")
    T = torch.eye(4, device=image.device).expand(len(image), 4, 4)
    T = T if T_before_image is None else T_before_image
    views: Views = network(
        {
            "image": torch.stack([image, before, before], 1),
            "K": K,
            "T": torch.stack([T, T], 1),
            "posed": torch.ones(len(image)),
        }
    )
    return depth_of_disparity(views.disparity, o.nearest, o.farthest)
