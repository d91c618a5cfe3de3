"""Frame sets of the synthetic world as PyTorch tensors: from shards, or rendered as asked for.

In: a folder that `dataset.write_dataset` made, or the plan of one. Out: two map-style data sets
that yield the same dict for a frame set of C cameras (`to_tensors`):

- image: (C, 3, H, W) uint8 RGB;
- depth: (C, 1, H, W) float32, along the optical axis, m; +Inf for the sky and beyond the range of
  what is stored, NaN where unknown;
- label: (C, H, W) int64 Cityscapes train ids, 255 to be ignored (own body, no ray);
- K: (C, 3, 3), D: (C, 8) zero-padded, lens: (C,) int64, place in `LENSES`;
- T_base_camera, T_base_calibrated: (C, 4, 4), the true pose and the one that the calibration says;
- ground: (4,) normal and height of the true ground plane in base_link;
- mirror (C, 1, H, W), albedo and normal (C, 3, H, W), instance (C, H, W): where they are stored.

Numbers without a type above are float32. Rigs differ in their number of cameras: for batches, ask
for one camera a set (`cameras=1`), or use a batch size of 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import DISTORTION_MODELS

from .dataset_plan import DatasetPlan, DrivePlan, open_drive, render_set
from .shards import Choose, ShardReader, TrueFrameSet

LENSES = tuple(DISTORTION_MODELS)
"""Distortion models; `lens` counts in it."""
_COEFFICIENTS = 8

Change = Callable[[TrueFrameSet, np.random.Generator], TrueFrameSet]
Tensors = dict[str, torch.Tensor]


def to_tensors(sample: TrueFrameSet) -> Tensors:
    """Turn a frame set into tensors, see the module's head.

    Raises:
        ConfigurationError: Its images differ in size.
    """
    sizes = {(c.model.width, c.model.height) for c in sample.cameras}
    if len(sizes) != 1:
        raise ConfigurationError(
            f"frame set {sample.key}: images of {sorted(sizes)} px",
            expected="one size",
            fix="set size in Augmentation",
        )
    cameras = sample.cameras

    def stacked(arrays: list[Any], channels: str, dtype: Any) -> torch.Tensor:
        values = np.stack(arrays).astype(dtype, copy=False)
        if channels == "last":
            values = values.transpose(0, 3, 1, 2)
        if channels == "none":
            values = values[:, None]
        return torch.from_numpy(np.ascontiguousarray(values))

    out = {
        "image": stacked([c.image[..., ::-1] for c in cameras], "last", np.uint8),
        "depth": stacked([c.depth for c in cameras], "none", np.float32),
        "label": stacked([c.label for c in cameras], "", np.int64),
        "K": stacked([c.model.K for c in cameras], "", np.float32),
        "D": stacked(
            [np.pad(c.model.D, (0, _COEFFICIENTS - c.model.D.size)) for c in cameras],
            "",
            np.float32,
        ),
        "lens": torch.tensor([LENSES.index(c.model.distortion_model) for c in cameras]),
        "T_base_camera": stacked([c.T_base_camera for c in cameras], "", np.float32),
        "T_base_calibrated": stacked([c.T_base_calibrated for c in cameras], "", np.float32),
        "ground": torch.tensor([*sample.ground.normal, sample.ground.height], dtype=torch.float32),
    }
    for name, first in cameras[0].layers.items():
        channels = "last" if first.ndim == 3 else "none" if name == "mirror" else ""
        kind = np.int64 if name == "instance" else np.float32
        out[name] = stacked([c.layers[name] for c in cameras], channels, kind)
    return out


class FrameSetDataset(Dataset[Tensors]):
    """Frame sets, changed and turned into tensors. Base of the two below.

    Args:
        count: Number of frame sets.
        cameras: Draw so many cameras of each set; 0 keeps all. Sets with fewer repeat some.
        change: Applied to each set, such as an `augment.Augmentation`.
        seed: Of the changes.
    """

    def __init__(self, count: int, cameras: int, change: Change | None, seed: int) -> None:
        self._count, self._cameras, self._change, self._seed = count, cameras, change, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other changes; call it before each pass, while no worker runs."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Count the frame sets."""
        return self._count

    def sample(self, place: int, choose: Choose = range) -> TrueFrameSet:
        """The frame set as it is, with the chosen cameras."""
        raise NotImplementedError

    def __getitem__(self, place: int) -> Tensors:
        """The frame set, changed, as tensors; the same whichever worker is asked."""
        if not 0 <= place < len(self):
            raise IndexError(f"frame set {place} of {len(self)}")
        rng = np.random.default_rng([self._seed, 61, self._epoch, place])

        def choose(n: int) -> list[int]:
            return [int(i) % n for i in rng.permutation(max(n, self._cameras))[: self._cameras]]

        sample = self.sample(place, choose if self._cameras else range)
        if self._change is not None:
            sample = self._change(sample, rng)
        return to_tensors(sample)


class ShardDataset(FrameSetDataset):
    """The frame sets of a folder that `write_dataset` made.

    Args:
        folder: Where its manifest is.
        cameras: See `FrameSetDataset`.
        change: See `FrameSetDataset`.
        seed: Of the changes.

    Raises:
        DatasetError: No data set, or a damaged one.
    """

    def __init__(
        self, folder: str | Path, *, cameras: int = 0, change: Change | None = None, seed: int = 0
    ) -> None:
        self.reader = ShardReader(folder)
        super().__init__(len(self.reader), cameras, change, seed)

    def sample(self, place: int, choose: Choose = range) -> TrueFrameSet:
        """The frame set as it is stored; cameras that are not chosen are not read."""
        return self.reader.read(place, choose)


class RenderedDataset(FrameSetDataset):
    """The frame sets that `write_dataset` would make from `plan`, rendered when asked for.

    Nothing is stored. A drive costs seconds and is kept for the sets that follow: read in order,
    or in blocks of `plan.sets_per_drive`. DataLoader workers must be spawned
    (``multiprocessing_context="spawn"``) once this process has rendered.

    Args:
        plan: What to make.
        frames: Number of frame sets.
        cameras: See `FrameSetDataset`.
        change: See `FrameSetDataset`.
        seed: Of the changes; the world's is in `plan`.
        device: A Warp device; by default a GPU where there is one.
    """

    def __init__(
        self,
        plan: DatasetPlan,
        frames: int,
        *,
        cameras: int = 0,
        change: Change | None = None,
        seed: int = 0,
        device: str = "",
    ) -> None:
        super().__init__(frames, cameras, change, seed)
        self.plan, self.device = plan, device
        self._open: tuple[DrivePlan, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the opened drive behind: the renderer's memory belongs to one process."""
        return {**self.__dict__, "_open": None}

    def sample(self, place: int, choose: Choose = range) -> TrueFrameSet:
        """Render a frame set, the chosen cameras only.

        Raises:
            ConfigurationError: In a process that was forked after its parent had rendered.
        """
        if _first_rendering_process() != os.getpid():
            raise ConfigurationError(
                "RenderedDataset in a process that was forked after its parent had rendered",
                expected="spawned workers: Warp does not survive a fork",
                fix='DataLoader(..., multiprocessing_context="spawn")',
            )
        number, index = divmod(place, self.plan.sets_per_drive)
        if self._open is None or self._open[0].number != number:
            self._open = None  # its memory goes before the next one comes
            drive = self.plan.drive(number)
            self._open = (drive, open_drive(self.plan, drive, self.device))
        drive, suite = self._open
        return render_set(self.plan, drive, suite, index, choose=choose)


@lru_cache(maxsize=1)
def _first_rendering_process() -> int:
    """The process that first rendered; a fork inherits the answer."""
    return os.getpid()
