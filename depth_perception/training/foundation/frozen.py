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

"""What all foundation models share: frozen weights that a training run does not carry along."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from depth_perception.errors import ConfigurationError

Self = TypeVar("Self", bound="Frozen")


class Frozen(nn.Module):
    """A module whose weights do not learn, but for the parts that were freed.

    Weights that are frozen can be had again by the model's name. So they are not in `state_dict`
    (nor in that of a module that holds this one), `load_state_dict` does not miss them, and copies
    (`copy.deepcopy`) share them. Frozen parts stay in evaluation mode whatever `train` says.
    """

    def __init__(self) -> None:
        super().__init__()
        self._free: list[nn.Module] = []
        self._prefix = ""
        self.register_state_dict_post_hook(_leave_out)
        self.register_load_state_dict_post_hook(_do_not_miss)

    def freeze(self: Self) -> Self:
        """Freeze everything; made once its parts are there."""
        self._free.clear()
        return self.requires_grad_(False).eval()

    def train(self: Self, mode: bool = True) -> Self:
        """Put the freed parts into that mode."""
        super().train(False)
        for part in self._free:
            part.train(mode)
        return self

    def _release(self, parts: Iterable[nn.Module]) -> None:
        for part in parts:
            part.requires_grad_(True)
            self._free.append(part)

    def _frozen(self) -> dict[str, torch.Tensor]:
        """Weights that are not in a freed part, by name."""
        free = {id(t) for part in self._free for t in (*part.parameters(), *part.buffers())}
        # Weights that are tied have several names.
        named = [*self.named_parameters(remove_duplicate=False)]
        named += [*self.named_buffers(remove_duplicate=False)]  # type: ignore[list-item]
        return {name: tensor for name, tensor in named if id(tensor) not in free}

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        self._prefix = prefix
        super()._load_from_state_dict(state, prefix, *rest)

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        """Copy what is free, share what is frozen."""
        memo.update({id(tensor): tensor for tensor in self._frozen().values()})
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items()})
        return new


def _leave_out(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    assert isinstance(module, Frozen)
    for name in module._frozen():
        state.pop(prefix + name, None)


def _do_not_miss(module: nn.Module, keys: Any) -> None:
    assert isinstance(module, Frozen)
    frozen = {module._prefix + name for name in module._frozen()}
    keys.missing_keys[:] = [key for key in keys.missing_keys if key not in frozen]


def block_indices(chosen: Sequence[int], count: int, what: str) -> list[int]:
    """Places from 0 on of what is chosen of so many; negative ones count from the end.

    Raises:
        ConfigurationError: There are not so many.
    """
    for index in chosen:
        if not -count <= index < count:
            raise ConfigurationError(
                f"{what} {index}",
                expected=f"0 to {count - 1}, or -1 for the last",
                fix="the model has no more",
            )
    return [index % count for index in chosen]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep `transformers` from writing advice and progress bars to the terminal."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
