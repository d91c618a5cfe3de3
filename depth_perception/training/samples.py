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

"""Training images of the fused network: one camera, its rays and calibration, its truth.

In: frame sets of the synthetic world. Out: for each image, in a dict,

- image (3, H, W) uint8 RGB; rays (3, H/4, W/4) and camera (5,) as `network.prior` wants them, of a
  calibration with drawn errors, or without any;
- depth (H, W) float32, m, +Inf for the sky, NaN where it is not to be learnt; label (H, W) uint8,
  indices in `network.fused.CLASSES`, 255 where it is not known; own (H, W) uint8, 1 on the
  vehicle's own body;
- measured (2, H/4, W/4), see `inference.model_file.MEASURED`: what motion measured where the data
  set has it, else zeros; while training less and worse than that, see `training.measured`;
- layers of truth where they are stored, see `datasets.shards.TRUTH_LAYERS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from depth_perception.datasets import labels
from depth_perception.datasets.augmentation import Augmentation
from depth_perception.datasets.sample import TrueCamera
from depth_perception.datasets.source import open_source
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.inference.network_inputs import network_camera, network_rays
from depth_perception.network.fused import CLASSES
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.measured import PREFIX, measured_depth, worsened

Request = tuple[int, int, int]
"""Index of an image, index of its size in `DataConfiguration.sizes`, seed of its changes."""
NOMINAL = GroundPlane()
_GROUPS = {
    "road": (labels.ROAD,),
    "flat": (labels.SIDEWALK, labels.TERRAIN),
    "building": (labels.BUILDING, labels.WALL, labels.FENCE),
    "thin": (labels.POLE, labels.LIGHT, labels.SIGN),
    "vegetation": (labels.VEGETATION,),
    "sky": (labels.SKY,),
    "person": (labels.PERSON, labels.RIDER),
    "vehicle": (
        labels.CAR,
        labels.TRUCK,
        labels.BUS,
        labels.TRAIN,
        labels.MOTORCYCLE,
        labels.BICYCLE,
    ),
}
UNKNOWN = 255


def _table() -> NDArray[np.uint8]:
    table = np.full(256, UNKNOWN, np.uint8)
    for index, name in enumerate(CLASSES):
        table[list(_GROUPS[name])] = index
    return table


_CLASS_OF = _table()


def with_errors(
    T_base_camera: NDArray[np.float64], data: DataConfiguration, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Turn a mounting by drawn angles and lift it, as a calibration may be wrong."""
    spread = data.large_error if rng.uniform() < data.large_share else data.pitch_error
    roll, pitch = np.radians(rng.normal(0, spread, 2))
    turn = np.array([[1, 0, pitch], [0, 1, -roll], [-pitch, roll, 1.0]])
    u, _, v = np.linalg.svd(turn)
    out = T_base_camera.copy()
    out[:3, :3] = u @ v @ T_base_camera[:3, :3]
    out[2, 3] *= 1 + rng.normal(0, data.height_error)
    return out


def degraded(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Make a picture (H, W, 3) as another camera would: blur or sharpen, grey, noise, JPEG."""
    if rng.uniform() < 0.3:
        soft = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2)))
        if rng.uniform() < 0.5:
            soft = cv2.addWeighted(image, 1.0 + 0.8, soft, -0.8, 0)
        image = np.asarray(soft, np.uint8)
    if rng.uniform() < 0.1:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    if rng.uniform() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 8), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.uniform() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    return image


class TrainingImages(Dataset[dict[str, torch.Tensor]]):
    """All images of some data sets, changed as each request says.

    Args:
        data: Folders, sizes, errors.
        folders: Instead of those of `data`.
        change: Whether images are changed and calibration gets errors; else whole images at the
            first size, as calibrated.

    Raises:
        DatasetError: A folder is no data set.
    """

    def __init__(
        self, data: DataConfiguration, folders: tuple[str, ...] = (), change: bool = True
    ) -> None:
        self.data, self.change = data, change
        self._readers = [open_source(folder) for folder in folders or data.folders]
        self._images = [
            (r, i, k)
            for r, reader in enumerate(self._readers)
            for i in range(len(reader))
            for k in range(len(reader.cameras(i)))
        ]
        self._changes = changes_of(data, change)

    def __len__(self) -> int:
        """Count the images."""
        return len(self._images)

    def nearest_size(self) -> int:
        """Index in `data.sizes` of the size whose shape is most like the first image's.

        A wide image at a high size would lose its sides.
        """
        if not self._images:
            return 0
        reader, number, k = self._images[0]
        model = self._readers[reader].read(number, lambda _: [k]).cameras[0].model
        shape = np.log(model.width / model.height)
        return int(np.argmin([abs(np.log(w / h) - shape) for w, h in self.data.sizes]))

    def __getitem__(self, request: Request) -> dict[str, torch.Tensor]:
        """Make one image."""
        index, size, seed = request
        reader, number, k = self._images[index]
        rng = np.random.default_rng([seed, 83])
        whole = self._readers[reader].read(number, lambda _: [k])
        whole = self._changes[size](whole, rng)
        camera, in_use = whole.cameras[0], whole.ground_in_use
        calibrated = camera.T_base_calibrated
        measured = measured_depth(camera.layers, (camera.model.width, camera.model.height))
        T, ground = calibrated, in_use or NOMINAL
        known: GroundPlane | None = ground
        if self.change:
            measured = worsened(measured, self.data, np.random.default_rng([seed, 101]))
            camera, T, known = changed(camera, self.data, rng)
            if measured.any():
                # It was measured with the calibration of the data set, which is wrong enough, and
                # with the road that was found then: rays and measurements are to agree.
                T, known = calibrated, None if known is None else ground
        made = arrays(camera, T, known, measured)
        return {name: torch.from_numpy(v) for name, v in made.items()}


def changes_of(data: DataConfiguration, change: bool = True) -> list[Augmentation]:
    """What is done to a frame set, for each size; without changes whole images at that size."""
    if not change:
        return [Augmentation(size, 0.0, (1.0, 1.0), 0, 0, 0, 0, 0) for size in data.sizes]
    usual, a = Augmentation(), data.appearance
    return [
        replace(
            usual,
            size=size,
            crop=data.crop,
            brightness=a * usual.brightness,
            contrast=a * usual.contrast,
            saturation=a * usual.saturation,
            tint=a * usual.tint,
            gamma=a * usual.gamma,
        )
        for size in data.sizes
    ]


def changed(
    camera: TrueCamera, data: DataConfiguration, rng: np.random.Generator
) -> tuple[TrueCamera, NDArray[np.float64], GroundPlane | None]:
    """A camera with a worse picture, its mounting as wrongly calibrated, and the ground or None."""
    camera = replace(camera, image=degraded(camera.image, rng))
    T = with_errors(camera.T_base_calibrated, data, rng)
    return camera, T, None if rng.uniform() < data.prior_drop else NOMINAL


def arrays(
    camera: TrueCamera,
    T: NDArray[np.float64],
    ground: GroundPlane | None,
    measured: NDArray[np.float32] | None = None,
) -> dict[str, NDArray[Any]]:
    """One camera's sample, see the module's head; layers of truth as they are stored.

    Args:
        camera: Image and truth.
        T: (4, 4) mounting that the network is told of.
        ground: Plane that it is told of; None: no calibration.
        measured: (2, H/4, W/4) instead of the camera's own measured depth.
    """
    own = camera.label == labels.OWN_BODY
    size = camera.model.width, camera.model.height
    return {
        **{name: v for name, v in camera.layers.items() if not name.startswith(PREFIX)},
        "measured": measured_depth(camera.layers, size) if measured is None else measured,
        "own": own.astype(np.uint8),
        "image": np.ascontiguousarray(camera.image[..., ::-1].transpose(2, 0, 1)),
        "rays": network_rays(camera.model, size),
        "camera": network_camera(camera.model, T, ground),
        "depth": np.where(own, np.nan, camera.depth).astype(np.float32),
        "label": _CLASS_OF[camera.label],
    }


def collate(items: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Samples as one batch, without what only some of them have, such as a layer of truth."""
    alike = set.intersection(*(set(item) for item in items))
    return {name: torch.stack([item[name] for item in items]) for name in sorted(alike)}


def evenly_spread(count: int, most: int) -> NDArray[np.intp]:
    """Indices below `count`: all of them, or `most` spread evenly where there are more; 0: all."""
    chosen = np.arange(count)
    return chosen[np.linspace(0, count - 1, most).astype(int)] if 0 < most < count else chosen


class Requests(Sampler[list[Request]]):
    """Batches without end, the same for the same seed; each rank takes its own share.

    Args:
        images: How many there are.
        sizes: How many sizes there are.
        batch: Images in a batch.
        seed: Of order and changes.
        first: Step to begin with, so that a resumed run goes on where it was.
        rank: This process.
        ranks: How many there are.
    """

    def __init__(
        self,
        images: int,
        sizes: int,
        batch: int,
        seed: int,
        first: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._images, self._sizes, self._batch, self._seed = images, sizes, batch, seed
        self._first, self._rank, self._ranks = first, rank, ranks

    def __iter__(self) -> Iterator[list[Request]]:
        """Yield batches of requests."""
        step, together = self._first, self._batch * self._ranks
        epoch, order = -1, np.zeros(0, np.int64)
        while True:
            rng = np.random.default_rng([self._seed, 97, step])
            size = int(rng.integers(self._sizes))
            batch = []
            for i in range(self._batch):
                count = step * together + self._rank * self._batch + i
                if count // self._images != epoch:
                    epoch = count // self._images
                    order = np.random.default_rng([self._seed, 89, epoch]).permutation(self._images)
                batch.append((int(order[count % self._images]), size, self._seed * 7919 + count))
            yield batch
            step += 1
