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

"""What foundation models say of images, computed once to disk, and cut like the images.

In: a source (`datasets.source.open_source`) and a function that makes arrays of images. Out: a
folder with

- ``manifest.json``: kind, model, settings, source, how many frame sets and images;
- ``00012/00012345.npz``: of frame set 12345, for camera i, arrays ``<i>.<name>``: float16 or uint8.

Targets are of the whole image of each camera, as the source gives it. What a sample needs of them
is cut out when it is made: the source ``targets:FOLDER`` is the source that the targets are of,
with a layer `SOURCE_PIXEL` that says of each pixel where it lies in the whole image. Cropping,
mirroring, resizing and undistorting carry that layer along, as they do truth; `WithTargets` reads
it and adds

- (h, w) arrays, such as ``teacher``: at each pixel of the sample, (H, W) float32;
- (C, h, w) arrays, such as ``features``: at the middle of each block of `stride` pixels,
  (C, H / stride, W / stride) float32;
- (n,) arrays, such as ``caption``: as they are, even of a window: they are of the whole image.

Maps are interpolated between their pixels, and NaN where a pixel comes from outside of the image.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.utils.data import Dataset

from depth_perception.datasets.manifest import MANIFEST
from depth_perception.datasets.sample import DatasetError
from depth_perception.datasets.source import FrameSource, open_source
from depth_perception.datasets.targets import (
    FORMAT,
    MOST_CAMERAS,
    PREFIX,
    SOURCE_PIXEL,
    VERSION,
    Targets,
    file_of,
    read_arrays,
    read_manifest,
)
from depth_perception.errors import ConfigurationError

_SAY_EVERY = 10.0

Make = Callable[[torch.Tensor], Mapping[str, NDArray[Any]]]
"""Of images (N, 3, H, W) uint8 RGB, arrays by name whose first dimension is N."""


def compute(
    folder: str | Path,
    source: str,
    kind: str,
    make: Make,
    *,
    model: str,
    settings: Mapping[str, Any] | None = None,
    batch: int = 8,
    say: Callable[[str], None] = print,
    only: range | None = None,
) -> Path:
    """Compute the targets of all images of a source, or go on where a run was stopped.

    A frame set's file is there as a whole or not at all, so that a run may be killed at any time.

    Args:
        folder: Where they go.
        source: See `datasets.source.open_source`.
        kind: What they are, such as "depth".
        make: What computes them.
        model: Whose they are.
        settings: More plain values that they depend on.
        batch: About how many images `make` gets at a time.
        say: Where progress goes.
        only: These frame sets alone, e.g. where other processes compute the others. The folder is
            whole after a call for all of them, which then finds nothing left to compute.

    Returns:
        The folder.

    Raises:
        DatasetError: The folder holds other targets; names what differs.
        ConfigurationError: `make` gives arrays of a wrong shape or type.
    """
    folder, images = Path(folder), open_source(source)
    counts = [len(images.cameras(number)) for number in range(len(images))]
    if max(counts, default=0) > MOST_CAMERAS:
        raise ConfigurationError(
            f"source '{source}' has {max(counts)} cameras", expected=f"at most {MOST_CAMERAS}"
        )
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "model": model,
        "source": source,
        "settings": dict(settings or {}),
        "sets": len(counts),
        "images": sum(counts),
    }
    facts = json.loads(json.dumps(facts))
    _begin(folder, facts)
    numbers = range(len(counts)) if only is None else only
    left = [number for number in numbers if not file_of(folder, number).exists()]
    begun = said = time.monotonic()
    for count, number, arrays in _computed(images, left, make, batch):
        _write(file_of(folder, number), arrays)
        if time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            minutes = (said - begun) / count * (len(left) - count) / 60
            done = len(numbers) - len(left) + count
            say(f"targets of {done} of {len(numbers)} frame sets ({minutes:.0f} min left)")
    if only is not None:
        return folder
    first = read_arrays(file_of(folder, 0), 0) if counts else {}
    described = {name: {"shape": a.shape, "dtype": a.dtype.name} for name, a in first.items()}
    facts = {**facts, "arrays": described, "done": True}
    _write_text(folder / MANIFEST, json.dumps(facts, indent=1))
    return folder


def _begin(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest of what is to be computed, or compare it with the one that is there."""
    if not (folder / MANIFEST).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write_text(folder / MANIFEST, json.dumps({**facts, "done": False}, indent=1))
        return
    before = read_manifest(folder)
    for name, value in facts.items():
        if before.get(name) != value:
            raise DatasetError(
                f"'{folder}' holds targets with {name} {before.get(name)!r}",
                expected=f"{value!r}",
                fix="name another folder, or delete this one",
            )


def _computed(
    images: FrameSource, left: Sequence[int], make: Make, batch: int
) -> Iterator[tuple[int, int, dict[str, NDArray[Any]]]]:
    """For each frame set how many there were so far, its number, and its arrays to be stored."""
    waiting: dict[int, list[NDArray[np.uint8]]] = {}
    done = 0
    for i, number in enumerate(left):
        cameras = images.read(number).cameras
        waiting[number] = [c.image[..., ::-1].transpose(2, 0, 1) for c in cameras]
        if sum(map(len, waiting.values())) < batch and i + 1 < len(left):
            continue
        out: dict[int, dict[str, NDArray[Any]]] = {number: {} for number in waiting}
        sizes: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for number_, pictures in waiting.items():
            for k, picture in enumerate(pictures):
                sizes.setdefault(picture.shape, []).append((number_, k))
        for chosen in sizes.values():
            stacked = np.stack([waiting[p][k] for p, k in chosen])
            for name, values in make(torch.from_numpy(stacked)).items():
                for (p, k), value in zip(chosen, _storable(name, values, len(chosen)), strict=True):
                    out[p][f"{k}.{name}"] = value
        waiting.clear()
        for number_, arrays in out.items():
            done += 1
            yield done, number_, arrays


def _storable(name: str, values: NDArray[Any], count: int) -> NDArray[Any]:
    if len(values) != count or not 2 <= values.ndim <= 4:
        raise ConfigurationError(
            f"targets '{name}' of {count} images have shape {values.shape}",
            expected=f"({count}, n), ({count}, h, w) or ({count}, C, h, w)",
        )
    if np.issubdtype(values.dtype, np.floating):
        most = float(np.finfo(np.float16).max)
        return np.clip(values, -most, most).astype(np.float16)
    if values.dtype != np.uint8:
        raise ConfigurationError(
            f"targets '{name}' are {values.dtype}", expected="floating point or uint8"
        )
    return values


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(part, path)


def _write_text(path: Path, text: str) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text)
    os.replace(part, path)


def cut(targets: Targets, position: torch.Tensor, stride: int = 1) -> dict[str, torch.Tensor]:
    """Targets of a sample, see the module's head.

    Args:
        targets: What to cut from.
        position: (H, W, 4), see `SOURCE_PIXEL`.
        stride: Of (C, h, w) arrays.
    """
    number = int(position[..., 2].max())
    if number:
        arrays = targets.read(*divmod(number - 1, MOST_CAMERAS))
    else:
        described = targets.manifest["arrays"]
        arrays = {name: np.zeros(d["shape"], d["dtype"]) for name, d in described.items()}
    out = {}
    for name, values in arrays.items():
        if values.ndim == 1:
            out[name] = torch.from_numpy(values)
            continue
        whole = torch.from_numpy(values.astype(np.float32))
        if values.ndim == 2:
            out[name] = _sampled(whole[None], position)[0]
        else:
            out[name] = _sampled(whole, _blocks(position, stride))
    return out


def _blocks(position: torch.Tensor, stride: int) -> torch.Tensor:
    """`SOURCE_PIXEL` of the middle of each block of pixels; none where one comes from nowhere."""
    planes = position.permute(2, 0, 1)[None]
    where = functional.avg_pool2d(planes[:, :2], stride)
    known = -functional.max_pool2d(-planes[:, 2:], stride)
    return torch.cat([where, known], 1)[0].permute(1, 2, 0)


def _sampled(values: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Maps (C, h, w) at (H, W) positions: (C, H, W), NaN where there is none."""
    out = functional.grid_sample(
        values[None],
        position[None, ..., :2],
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )[0]
    return torch.where(position[..., 2] > 0, out, torch.nan)


class WithTargets(Dataset[dict[str, torch.Tensor]]):
    """The samples of a data set with their targets, see the module's head.

    Args:
        dataset: `samples.TrainingImages`, `surround_distillation.samples.RigSamples` or
            `triplets.Triplets` of these folders.
        folders: All of them targets' (``targets:FOLDER``), or none: then nothing is added.
        stride: Of features, px.

    Raises:
        ConfigurationError: Some folders are targets' and others not.
    """

    def __init__(
        self, dataset: Dataset[dict[str, torch.Tensor]], folders: Sequence[str], stride: int = 16
    ) -> None:
        self.dataset, self.stride = dataset, stride
        chosen = [folder[len(PREFIX) :] for folder in folders if folder.startswith(PREFIX)]
        if chosen and len(chosen) != len(folders):
            raise ConfigurationError(
                f"data.folders: {len(chosen)} of {len(folders)} with targets",
                expected="all or none",
                fix="compute targets of the others",
            )
        found = [Targets(folder) for folder in chosen]
        self._targets = {targets.number: targets for targets in found}

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, request: Any) -> dict[str, torch.Tensor]:
        """Make one sample."""
        item = dict(self.dataset[request])
        position = item.pop(SOURCE_PIXEL, None)
        if position is None or not self._targets:
            return item
        several = position.ndim > 3
        each = [self._of(one) for one in (position if several else position[None])]
        for name in each[0]:
            item[name] = torch.stack([one[name] for one in each]) if several else each[0][name]
        return item

    def _of(self, position: torch.Tensor) -> dict[str, torch.Tensor]:
        # What comes from nowhere has 0 for the folder, too.
        number = int(position[..., 3].max())
        targets = self._targets.get(number) or next(iter(self._targets.values()))
        return cut(targets, position, self.stride)


def encode_text(texts: Sequence[str], length: int = 256) -> NDArray[np.uint8]:
    """Texts as (n, length) uint8: UTF-8, cut off or filled with zeros; so a batch can hold them."""
    out = np.zeros((len(texts), length), np.uint8)
    for row, text in zip(out, texts, strict=True):
        data = text.encode()[:length].decode(errors="ignore").encode()
        row[: len(data)] = np.frombuffer(data, np.uint8)
    return out


def decode_text(row: torch.Tensor | NDArray[np.uint8]) -> str:
    """The text of one row of `encode_text`."""
    return bytes(np.asarray(row, np.uint8)).rstrip(b"\0").decode(errors="replace")
