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

"""Views of images that are kept with what a fixed image encoder makes of them.

Of the time that a step of training takes on a CPU three quarters are the image encoder's, forwards
and backwards, and the images'. Where it does not learn, its features of a few changed views
("looks") of each image are computed once and kept on disk; a step then trains all that comes
behind. What is done to measured depth, and to features, is drawn anew at each step.

A folder holds, for each size and look, one file for each array, with a row for each image. Rows are
written when they are first asked for, by any process; a row of `READY` says that it is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.network.trunk import Trunk
from depth_perception.training.configuration import DataConfiguration, TrainingConfiguration
from depth_perception.training.fit import checked_folders
from depth_perception.training.measured import worsened
from depth_perception.training.samples import Request, Requests, TrainingImages
from depth_perception.training.systems.fused.style import mixed

FEATURES = "features"
"""Begins the names of the encoder's maps in a batch, from stride 4 on."""
READY = "ready"
_KEPT = ("rays", "camera", "depth", "label", "own", "measured")
_HALF = ("depth", FEATURES)
"""Kept with 16 bits."""
_UNIFORM_STYLE = 0.3
"""Of the beta distribution of styles: often between the two."""
_MOST_DROPPED = 0.6


def is_used(configuration: TrainingConfiguration) -> bool:
    """Tell whether looks are kept.

    Raises:
        ConfigurationError: The image encoder is to learn, or no folder is given.
    """
    data = configuration.data
    if not data.looks:
        return False
    if configuration.schedule.trunk_rate:
        raise ConfigurationError(
            f"data.looks is {data.looks}, schedule.trunk_rate {configuration.schedule.trunk_rate}",
            expected="an image encoder that does not learn, since its features are kept",
            fix="schedule.trunk_rate: 0, or data.looks: 0",
        )
    if not data.looks_folder:
        raise ConfigurationError(
            "data.looks_folder is empty", expected="where looks are kept", fix="e.g. runs/looks"
        )
    return True


class Looks:
    """Batches of looks, with the features of an image encoder.

    Args:
        configuration: Of the run.
        trunk: The encoder, as it is to stay; on the device of the run.
    """

    def __init__(self, configuration: TrainingConfiguration, trunk: Trunk) -> None:
        self._data, self._trunk = configuration.data, trunk
        # What is measured is kept as it was, and made worse at each step.
        plain = replace(
            configuration.data, measured_drop=0.0, measured_thin=0.0, measured_corrupt=0.0
        )
        checked_folders(configuration)
        self._images = TrainingImages(plain)
        self._folder = Path(plain.looks_folder) / self._digest(plain)
        self._open: dict[tuple[int, int], dict[str, NDArray[Any]]] = {}

    def batches(
        self, configuration: TrainingConfiguration, first: int, rank: int, ranks: int
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Batches without end; see `fit.batches_of`."""
        sizes, batch = len(self._data.sizes), configuration.schedule.batch
        count = len(self._images)
        for requests in Requests(count, sizes, batch, configuration.seed, first, rank, ranks):
            yield self.batch(requests)

    def batch(self, requests: Sequence[Request]) -> dict[str, torch.Tensor]:
        """One batch, all of one size."""
        rows = [(index, size, seed % self._data.looks) for index, size, seed in requests]
        self._make([row for row in dict.fromkeys(rows) if not self._is_ready(row)])
        kept = [self._files(size, look) for _, size, look in rows]
        names = [name for name in kept[0] if name != READY]
        found = {
            name: np.stack([files[name][row[0]] for files, row in zip(kept, rows, strict=True)])
            for name in names
        }
        found["measured"] = np.stack(
            [
                worsened(item, self._data, np.random.default_rng([seed, 101]))
                for item, (_, _, seed) in zip(found["measured"], requests, strict=True)
            ]
        )
        return {
            name: torch.from_numpy(v).float() if v.dtype == np.float16 else torch.from_numpy(v)
            for name, v in found.items()
        }

    def _make(self, rows: list[tuple[int, int, int]]) -> None:
        """Make looks and write them, (image, size, look) of one size."""
        if not rows:
            return
        items = [self._images[(i, size, look * len(self._images) + i)] for i, size, look in rows]
        device = next(self._trunk.parameters()).device
        with torch.inference_mode():
            images = torch.stack([item["image"] for item in items]).to(device)
            features = [item.cpu() for item in self._trunk(images.float())]
        for place, (item, (index, size, look)) in enumerate(zip(items, rows, strict=True)):
            made = {name: item[name].numpy() for name in _KEPT}
            made |= {f"{FEATURES}{k}": f[place].numpy() for k, f in enumerate(features)}
            files = self._files(size, look, made)
            for name, value in made.items():
                files[name][index] = value
            files[READY][index] = 1

    def _is_ready(self, row: tuple[int, int, int]) -> bool:
        files = self._files(*row[1:])
        return bool(files) and bool(files[READY][row[0]])

    def _files(
        self, size: int, look: int, made: dict[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Files of a look by name; made new like the arrays that are given, else empty."""
        key = size, look
        if key not in self._open:
            folder = self._folder / f"{size}_{look}"
            if not (folder / f"{READY}.npy").exists():
                if made is None:
                    return {}
                self._make_files(folder, made)
            self._open[key] = {
                path.stem: np.load(path, mmap_mode="r+") for path in sorted(folder.glob("*.npy"))
            }
        return self._open[key]

    def _make_files(self, folder: Path, made: dict[str, NDArray[Any]]) -> None:
        """Files with a row for each image; another process that does the same does no harm."""
        part = folder.with_name(f"{folder.name}.part{np.random.default_rng().integers(1 << 40)}")
        part.mkdir(parents=True)
        count = len(self._images)
        for name, value in {**made, READY: np.zeros((), np.uint8)}.items():
            kind = np.float16 if name.startswith(_HALF) else value.dtype
            open_memmap(part / f"{name}.npy", "w+", kind, (count, *value.shape)).flush()
        try:
            part.rename(folder)
        except OSError:  # another was first
            for path in part.iterdir():
                path.unlink()
            part.rmdir()

    def _digest(self, data: DataConfiguration) -> str:
        """What looks hang on: the encoder's weights, the images, and how they are changed."""
        found = hashlib.sha256()
        for name, value in self._trunk.state_dict().items():
            found.update(name.encode() + value.cpu().numpy().tobytes())
        ways = replace(data, validation="", tests=(), looks=0, looks_folder="", workers=0)
        ways = replace(ways, feature_mix=0.0, feature_drop=0.0)
        # A data set that was made anew, or has grown, is another one.
        files = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for folder in data.folders
            for path in sorted(Path(folder).glob("*"))
        ]
        found.update(json.dumps([repr(ways), len(self._images), files]).encode())
        return found.hexdigest()[:16]


def features_of(
    batch: dict[str, torch.Tensor], data: DataConfiguration, is_training: bool
) -> list[torch.Tensor] | None:
    """The encoder's maps of a batch, made unlike while training; None without looks.

    Some pictures take the style of others (`style.mixed`), of some a part of the channels is
    missing: streets are drawn alike, and where the image leaves open what is seen, the network is
    to ask what is measured.
    """
    names = sorted(name for name in batch if name.startswith(FEATURES))
    if not names:
        return None
    maps = [batch[name] for name in names]
    count, device = len(maps[0]), maps[0].device
    if is_training and data.feature_mix:
        usual = torch.full((count,), _UNIFORM_STYLE)
        own = torch.distributions.Beta(usual, usual).sample().to(device)
        own = torch.where(torch.rand(count, device=device) < data.feature_mix, own, 1.0)
        other = torch.randperm(count, device=device)
        maps = [mixed(item, own, other) for item in maps]
    if is_training and data.feature_drop:
        share = torch.rand(count, device=device) * _MOST_DROPPED
        share = torch.where(torch.rand(count, device=device) < data.feature_drop, share, 0.0)
        share = share.view(-1, 1, 1, 1)
        maps = [
            item * (torch.rand(*item.shape[:2], 1, 1, device=device) >= share) / (1 - share)
            for item in maps
        ]
    return maps
