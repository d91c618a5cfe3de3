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

"""The same architectures at tiny size, with random weights and tokenizers made on the spot.

For tests and trials: whatever runs with one of them runs with the real model of its family, which
differs in widths and weights alone. `save` writes one as a folder, as the hub has the real ones.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depth_perception.training.foundation.pictures import ImagePreprocessing

TINY = {
    "tiny-blip": "blip",
    "tiny-clip": "clip",
    "tiny-depth-anything": "depth_anything",
    "tiny-dinov2": "dinov2",
    "tiny-sam": "sam",
}
"""Names of the tiny models, and their families."""
_SEED = 5
_BLOCKS = 12
_WORDS = (
    "a",
    "the",
    "of",
    "on",
    "in",
    "and",
    "is",
    "with",
    "road",
    "street",
    "car",
    "tree",
    "house",
    "sky",
    "people",
    "near",
    "far",
    "left",
    "right",
)


def preprocessing(default: ImagePreprocessing) -> ImagePreprocessing:
    """How the tiny models want images: as their family, but small."""
    return ImagePreprocessing(default.mean, default.std, 56)


def network(family: str) -> nn.Module:
    """A network of a family with random weights, the same every time."""
    import transformers

    kind, config = _described(transformers, family)
    from depth_perception.training.foundation.frozen import quiet

    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(_SEED)
        model: nn.Module = kind(config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                # What would begin at zero would hide mistakes.
                if "pos_embed" in name or "rel_pos" in name:
                    weight.normal_(std=0.1)
                elif name.startswith(("neck.", "head.")) and weight.ndim == 4:
                    nn.init.kaiming_normal_(weight)
            if family == "depth_anything":
                head: Any = model.get_submodule("head")
                head.conv3.weight.abs_()  # its rectifier lets something through
    return model.eval()


def _described(transformers: Any, family: str) -> tuple[Any, Any]:
    """Class and configuration of a tiny network."""

    def transformer(width: int, heads: int, **more: Any) -> dict[str, Any]:
        return {
            "hidden_size": width,
            "num_attention_heads": heads,
            "intermediate_size": 2 * width,
            "num_hidden_layers": _BLOCKS,
            **more,
        }

    image = {"image_size": 64, "patch_size": 16}
    dino = transformer(32, 2, image_size=56, patch_size=14, mlp_ratio=2)
    if family == "clip":
        words = tokenizer("clip")
        ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
        text = transformer(
            40, 2, vocab_size=len(words), max_position_embeddings=256, pad_token_id=1, **ends
        )
        text["num_hidden_layers"] = 2
        return transformers.CLIPModel, transformers.CLIPConfig(
            text_config=text, vision_config=transformer(48, 3, **image), projection_dim=24
        )
    if family == "dinov2":
        return transformers.Dinov2Model, transformers.Dinov2Config(**dino)
    if family == "depth_anything":
        stages = [f"stage{i}" for i in (3, 6, 9, 12)]
        backbone = transformers.Dinov2Config(
            **dino, out_features=stages, reshape_hidden_states=False, apply_layernorm=True
        )
        return transformers.DepthAnythingForDepthEstimation, transformers.DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=32,
            neck_hidden_sizes=[8, 16, 24, 24],
            fusion_hidden_size=16,
            head_hidden_size=8,
        )
    if family == "sam":
        vision = transformer(
            64,
            2,
            output_channels=16,
            mlp_dim=128,
            window_size=3,
            global_attn_indexes=[2, 5, 8, 11],
            initializer_range=0.1,
            **image,
        )
        prompts = {"hidden_size": 16, "image_embedding_size": 4, "mask_input_channels": 4, **image}
        decoder = {
            "hidden_size": 16,
            "mlp_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        }
        return transformers.SamModel, transformers.SamConfig(
            vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
        )
    words = tokenizer("blip")
    text = transformer(
        32,
        2,
        vocab_size=len(words),
        encoder_hidden_size=32,
        max_position_embeddings=64,
        pad_token_id=words.pad_token_id,
        sep_token_id=words.sep_token_id,
        eos_token_id=words.sep_token_id,
        bos_token_id=words.cls_token_id,
    )
    text["num_hidden_layers"] = 2
    return transformers.BlipForConditionalGeneration, transformers.BlipConfig(
        text_config=text, vision_config=transformer(32, 2, **image), projection_dim=16
    )


def tokenizer(family: str) -> Any:
    """A tokenizer of CLIP's or BLIP's kind that knows letters, and for BLIP a few words."""
    import transformers

    if family == "clip":
        from tokenizers import pre_tokenizers

        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{x}</w>" for x in letters)]
        return transformers.CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[])
    letters = [c for c in string.printable if not c.isspace() and not c.isupper()]
    pieces = [*_WORDS, *(x for x in letters if x not in _WORDS), *(f"##{x}" for x in letters)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    return transformers.BertTokenizer(vocab={t: i for i, t in enumerate(tokens)})


def save(name: str, folder: str | Path, default: ImagePreprocessing) -> None:
    """Write a tiny model as a folder of `transformers`: configuration, weights, tokenizer.

    Args:
        name: Of `TINY`.
        folder: Where; made where it is not.
        default: How its family wants images.
    """
    family = TINY[name]
    model: Any = network(family)
    model.save_pretrained(folder)
    if family in ("clip", "blip"):
        tokenizer(family).save_pretrained(folder)
    own = preprocessing(default)
    content = {"image_mean": own.mean, "image_std": own.std, "size": {"shortest_edge": own.side}}
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps(content))
