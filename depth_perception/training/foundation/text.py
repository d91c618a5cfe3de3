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

"""CLIP's text tower, for texts and for prompts in which learned vectors stand for words.

Sources: CLIP, Radford et al., ICML 2021 (arXiv 2103.00020); learned vectors in a prompt, CoOp, Zhou
et al., IJCV 2022 (arXiv 2109.01134).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from depth_perception.errors import ConfigurationError
from depth_perception.training.foundation.frozen import Frozen, block_indices
from depth_perception.training.foundation.loading import Opened, opened


class TextEncoder(Frozen):
    """Texts as vectors of length 1.

    Attributes:
        width: Of a text's vector.
        token_width: Of a token's vector, before the transformer.
        blocks: How many there are.
        longest: Tokens of a text, with begin and end; what is beyond is cut off.
    """

    def __init__(self, tower: nn.Module, projection: nn.Linear, tokenizer: Any) -> None:
        """Take a `CLIPTextModel`, what brings its result to the common space, and a tokenizer."""
        super().__init__()
        self.tower, self.projection, self.tokenizer = tower, projection, tokenizer
        config: Any = tower.config
        self.width, self.token_width = projection.out_features, int(config.hidden_size)
        self.longest = int(config.max_position_embeddings)
        self.blocks = len(self._layers())
        self.freeze()

    @classmethod
    def open(cls, name: str) -> TextEncoder:
        """See `foundation.text_encoder`."""
        found: Opened = opened(name, "text encoder", ("clip",))
        model: Any = found.model
        return cls(model.text_model, model.text_projection, found.tokenizer())

    def _layers(self) -> nn.ModuleList:
        tower: Any = self.tower
        layers = tower.encoder.layers
        assert isinstance(layers, nn.ModuleList)
        return layers

    def unfreeze(self, blocks: Sequence[int]) -> None:
        """Let these blocks learn.

        Raises:
            ConfigurationError: There is no such block.
        """
        self._release(self._layers()[i] for i in block_indices(blocks, self.blocks, "block"))

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """Vectors (n, width) float32 of length 1."""
        if not texts:
            return self.projection.weight.new_zeros((0, self.width))
        begin, end = self._ends()
        ids = [torch.cat([begin, self._ids(text)[: self.longest - 2], end]) for text in texts]
        lengths = torch.tensor([len(one) for one in ids], device=ids[0].device)
        # Nothing looks ahead, so that what fills up the shorter ones changes nothing.
        filled = pad_sequence(ids, batch_first=True, padding_value=int(end))
        return self._encoded(self._vectors(filled), lengths - 1)

    def embed_tokens(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Vectors (k, token_width) of each text's k tokens, without those of begin and end."""
        return [self._vectors(self._ids(text)) for text in texts]

    def encode_embeddings(self, template: str, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors (M, width) of length 1 of a prompt in which given vectors stand for a word.

        Gradients reach `tokens`; the encoder stays as it is.

        Args:
            template: With one "{}", the place of the vectors: "This patch appears to be {}."
            tokens: (M, token_width), or (M, k, token_width) for k tokens each.

        Raises:
            ConfigurationError: The template has not one place, the tokens have another width, or
                the prompt is too long.
        """
        if tokens.ndim not in (2, 3) or tokens.shape[-1] != self.token_width:
            raise ConfigurationError(
                f"tokens of shape {tuple(tokens.shape)}",
                expected=f"(M, {self.token_width}) or (M, k, {self.token_width})",
            )
        if tokens.ndim == 2:
            tokens = tokens[:, None]
        if template.count("{}") != 1:
            raise ConfigurationError(f"template '{template}'", expected="one {} in it")
        before, after = (self._ids(part) for part in template.split("{}"))
        begin, end = self._ends()
        head, tail = (self._vectors(torch.cat(x)) for x in ((begin, before), (after, end)))
        length = len(head) + tokens.shape[1] + len(tail)
        if length > self.longest:
            raise ConfigurationError(
                f"a prompt of {length} tokens",
                expected=f"at most {self.longest}",
                fix="shorten the template",
            )
        count = len(tokens)
        whole = torch.cat(
            [head.expand(count, -1, -1), tokens.to(head), tail.expand(count, -1, -1)], 1
        )
        return self._encoded(whole, torch.full((count,), length - 1, device=whole.device))

    def _ids(self, text: str) -> torch.Tensor:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text.strip() else []
        return torch.tensor(ids, dtype=torch.long, device=self.projection.weight.device)

    def _ends(self) -> list[torch.Tensor]:
        device, it = self.projection.weight.device, self.tokenizer
        return [torch.tensor([one], device=device) for one in (it.bos_token_id, it.eos_token_id)]

    def _vectors(self, ids: torch.Tensor) -> torch.Tensor:
        tower: Any = self.tower
        vectors: torch.Tensor = tower.embeddings.token_embedding(ids)
        return vectors

    def _encoded(self, vectors: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        """Vectors (n, width) of sequences (n, length, token_width) that end at `ends`."""
        tower: Any = self.tower
        length = vectors.shape[1]
        ahead = torch.full((length, length), torch.finfo(vectors.dtype).min).triu(1)
        mask = ahead.to(vectors)[None, None]
        hidden = tower.embeddings(inputs_embeds=vectors)
        for layer in self._layers():
            hidden = layer(hidden, mask)
        last = tower.final_layer_norm(hidden)[torch.arange(len(ends), device=ends.device), ends]
        return functional.normalize(self.projection(last).float(), dim=1)
