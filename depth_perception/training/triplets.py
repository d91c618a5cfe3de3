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

"""Training samples of one camera at three instants: for self-supervision.

In: frame sets whose drives have neighbours. Out: for each request, in a dict,

- image (3, 3, H, W) uint8 RGB: the frame, the one before, the one after; undistorted;
- K (3, 3) float32, px; T (2, 4, 4) float32: from the frame's camera to the one before and after,
  identity where `posed` is 0: the drive knows no odometry;
- depth, label and layers of truth of the frame, rays and camera as in `samples`;
- embodied (4, H/4, W/4) float32 of the frame, where it is asked for: `embodied_scene.scene_maps`
  to extended level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from depth_perception.datasets.augmentation import is_sparse
from depth_perception.datasets.sample import DatasetError, TrueCamera, TrueFrameSet
from depth_perception.datasets.source import FrameSource, open_source
from depth_perception.geometry.camera import CameraModel, rectification_maps
from depth_perception.geometry.camera_info import rectified_view
from depth_perception.geometry.embodied_depth import Level
from depth_perception.geometry.transforms import inverse
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.embodied_scene import Classes, scene_depth, scene_maps
from depth_perception.training.samples import NOMINAL, Request, arrays, changes_of

DRIVES = "make drives: depth_perception world --dataset DIR --sets-per-drive 5 --spacing 0.1"
"""Advice for who has none."""


def undistorted(camera: TrueCamera) -> TrueCamera:
    """The camera as a pinhole along the same axis; depth and labels take the nearest pixel.

    Sparse depth keeps its points: each goes to its pixel, of several in one the nearest counts.
    """
    if camera.model.is_pinhole:
        return _along_its_axis(camera)
    lens = camera.model
    arrays_of = (np.asarray(a, np.float64).tobytes() for a in (lens.K, lens.D, lens.R))
    model, maps = _rectification(lens.width, lens.height, lens.distortion_model, *arrays_of)

    def brought(values: NDArray, how: int, outside: float) -> NDArray:
        return cv2.remap(values, *maps, how, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)

    return replace(
        camera,
        model=model,
        image=brought(camera.image, cv2.INTER_LINEAR, 0),
        depth=points_seen_by(model, camera)
        if is_sparse(camera.depth)
        else brought(camera.depth, cv2.INTER_NEAREST, float("nan")),
        label=brought(camera.label, cv2.INTER_NEAREST, 255),
        layers={
            name: brought(
                values.astype(np.float32),
                cv2.INTER_NEAREST,
                float("nan") if name in ("measured_inverse_depth", "measured_sigma") else 0.0,
            ).astype(values.dtype)
            for name, values in camera.layers.items()
        },
    )


def _along_its_axis(camera: TrueCamera) -> TrueCamera:
    """A rectified image's camera, turned so that its optical frame is the rectified one."""
    R = camera.model.R
    if np.array_equal(R, np.eye(3)):
        return camera
    turn = np.eye(4)
    turn[:3, :3] = R.T
    depth = (camera.depth * (camera.model.rays() @ R[2])).astype(np.float32)
    return replace(
        camera,
        model=replace(camera.model, R=np.eye(3)),
        depth=depth,
        T_base_camera=camera.T_base_camera @ turn,
        T_base_calibrated=camera.T_base_calibrated @ turn,
    )


@lru_cache(maxsize=4)
def _rectification(
    width: int, height: int, distortion_model: str, K: bytes, D: bytes, R: bytes
) -> tuple[CameraModel, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The pinhole of a lens, and its maps: of the three views of a triplet the lens is the same."""
    K_, D_, R_ = (np.frombuffer(a) for a in (K, D, R))
    lens = CameraModel(width, height, K_.reshape(3, 3), D_, distortion_model, R_.reshape(3, 3))
    view = rectified_view(lens)
    return view, rectification_maps(lens, view)


def image_alone(camera: TrueCamera) -> TrueCamera:
    """The camera without depth and layers of truth, which take long to cut and to resize."""
    return replace(camera, depth=np.full_like(camera.depth, np.nan), layers={})


def points_seen_by(model: CameraModel, camera: TrueCamera) -> NDArray[np.float32]:
    """Sparse depth of a camera in the pixels of another lens at its place, (H, W) m, or NaN."""
    v, u = np.nonzero(~np.isnan(camera.depth))
    uv = model.project(camera.model.lift(np.stack([u, v], axis=-1).astype(np.float64)))
    with np.errstate(invalid="ignore"):
        inside = ((uv > -0.5) & (uv < np.array([model.width, model.height]) - 0.5)).all(axis=1)
    column, row = np.rint(uv[inside]).astype(np.intp).T
    out = np.full((model.height, model.width), np.nan, np.float32)
    np.fmin.at(out, (row, column), camera.depth[v, u][inside])
    return out


class Triplets(Dataset[dict[str, torch.Tensor]]):
    """Images with one before and one after, of every camera that can be undistorted.

    Args:
        data: Sizes, crops, changes of light and colour; folders unless given. Nothing is mirrored.
        folders: Instead of those of `data`.
        change: See `samples.TrainingImages`; errors of calibration are not added.
        step: How many sets before and after.
        classes: Of the frames, from which embodied depth is made; None: it is not made.
        posed: A triplet without odometry is passed over, and any other one taken.
    """

    def __init__(
        self,
        data: DataConfiguration,
        folders: tuple[str, ...] = (),
        change: bool = True,
        step: int = 1,
        classes: Classes | None = None,
        posed: bool = False,
    ) -> None:
        self.step, self._classes, self._posed = step, classes, posed
        self._without: set[int] = set()
        self._names = folders or data.folders
        self._sources: list[FrameSource] = [open_source(f) for f in folders or data.folders]
        self._triplets = [
            (s, i, name)
            for s, source in enumerate(self._sources)
            for i in range(len(source))
            for name in self._common(source, i)
        ]
        self._changes = [replace(item, flip=0.0) for item in changes_of(data, change)]

    def _common(self, source: FrameSource, index: int) -> list[str]:
        around = [source.neighbour(index, offset) for offset in (-self.step, self.step)]
        if None in around:
            return []
        names = [set(source.cameras(i)) for i in around if i is not None]
        return [name for name in source.cameras(index) if all(name in n for n in names)]

    def __len__(self) -> int:
        """Count the triplets."""
        return len(self._triplets)

    def __getitem__(self, request: Request) -> dict[str, torch.Tensor]:
        """Make one triplet.

        Raises:
            DatasetError: Odometry is asked for, and no triplet has any.
        """
        first, size, seed = request
        if not self._posed:
            return self._triplet(first, size, seed)
        for index in self._tried(first, seed):
            if index not in self._without:
                item = self._triplet(index, size, seed)
                if item["posed"] > 0:
                    return item
                self._without.add(index)
        raise DatasetError(
            f"{', '.join(self._names)}: no three frames in a row have odometry",
            expected="T_odom_base in their facts",
            fix="name drives with odometry; hybrid_depth also learns without (options.posed=false)",
        )

    def _tried(self, first: int, seed: int) -> Iterator[int]:
        yield first
        yield from np.random.default_rng([seed, 101]).permutation(len(self)).tolist()

    def _triplet(self, index: int, size: int, seed: int) -> dict[str, torch.Tensor]:
        number, middle, name = self._triplets[index]
        source = self._sources[number]
        views = []
        for offset in (0, -self.step, self.step):
            near = source.neighbour(middle, offset) if offset else middle
            assert near is not None  # `_triplets` has only such
            k = source.cameras(near).index(name)
            whole = source.read(near, lambda _, k=k: [k])  # type: ignore[misc]
            camera = image_alone(whole.cameras[0]) if offset else whole.cameras[0]
            whole = replace(whole, cameras=(undistorted(camera),))
            # The same window and the same colours for all three.
            views.append(self._changes[size](whole, np.random.default_rng([seed, 83])))
        frame = views[0].cameras[0]
        motions = [motion(views[0], view) for view in views[1:]]
        posed = all(m is not None for m in motions)
        T = np.stack([m if posed and m is not None else np.eye(4) for m in motions])
        item = arrays(frame, frame.T_base_calibrated, views[0].ground_in_use or NOMINAL)
        images = [view.cameras[0].image[..., ::-1].transpose(2, 0, 1) for view in views]
        item = {
            **item,
            "image": np.stack(images),
            "K": frame.model.K.astype(np.float32),
            "T": T.astype(np.float32),
            "posed": np.array(posed, np.float32),
        }
        if self._classes is not None:
            item["embodied"] = self._embodied(frame, float(item["camera"][4]))
        return {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in item.items()}

    def _embodied(self, frame: TrueCamera, focal: float) -> NDArray[np.float32]:
        assert self._classes is not None
        T = frame.T_base_calibrated
        seen = self._classes(frame, T, NOMINAL)
        alike = seen is frame.label  # who sees no classes sees no instances
        blind = replace(
            frame,
            label=seen,
            depth=np.full_like(frame.depth, np.nan),
            layers=frame.layers if alike else {},
        )
        size = (frame.model.width, frame.model.height)
        depth = scene_depth(blind, T, NOMINAL, level=Level.EXTENDED, columns=True)
        return scene_maps(depth, size, focal)


def motion(frame: TrueFrameSet, other: TrueFrameSet) -> NDArray[np.float64] | None:
    """T_other_frame of the sets' first cameras; None without odometry."""
    poses = []
    for item in (frame, other):
        if "T_odom_base" not in item.facts:
            return None
        poses.append(np.asarray(item.facts["T_odom_base"]) @ item.cameras[0].T_base_camera)
    return np.asarray(inverse(poses[1]) @ poses[0])
