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

"""Change frame sets the way another camera or another day would, and keep their geometry true.

In: a `TrueFrameSet` and a source of chance. Out: another one, whose images, depth, labels, lenses,
mountings and ground plane agree with one another as those of the first did. `Augmentation` does
all of it; the functions do one thing each, exactly:

- `mirrored`: the world left for right (y to -y in base_link), with every camera's lens;
- `cropped`: a window of the images, then resized; K follows, half pixels included. Depth is
  interpolated on surfaces only (`evaluation.metrics.sample_depth`: in inverse depth, exact on
  planes), and all else that is not a picture takes the nearest pixel. Sparse depth, as a LiDAR's,
  keeps its points: each goes to its pixel, of several in one the nearest counts;
- `recoloured`: light and colour of the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.sample import TrueCamera, TrueFrameSet
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.depth_values import is_unknown
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.sampling import sample_depth

_MIRROR_BASE = np.diag([1.0, -1.0, 1.0, 1.0])
_MIRROR_CAMERA = np.diag([-1.0, 1.0, 1.0, 1.0])
_SPARSE = 0.2
"""Share of known pixels below which depth is sparse."""
_TANGENTIAL_X = 3
"""Place in D of the tangential coefficient that is odd in x."""


@dataclass(frozen=True)
class Augmentation:
    """What may be changed; called with a frame set and a source of chance.

    Attributes:
        size: (width, height) of the images that come out, px; None keeps the window's.
        flip: Probability that left and right are swapped.
        crop: (smallest, largest) share of the image's width that is kept.
        brightness: Largest change of the exposure, as a factor's logarithm.
        contrast: Largest relative change of the contrast.
        saturation: Largest relative change of the colours' strength.
        tint: Largest relative change of a colour channel.
        gamma: Largest change of the tone curve's exponent, as its logarithm.
    """

    size: tuple[int, int] | None = None
    flip: float = 0.5
    crop: tuple[float, float] = (0.6, 1.0)
    brightness: float = 0.35
    contrast: float = 0.25
    saturation: float = 0.4
    tint: float = 0.08
    gamma: float = 0.25

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        if not 0.0 < self.crop[0] <= self.crop[1] <= 1.0:
            raise ConfigurationError(f"crop={self.crop}", expected="0 < smallest <= largest <= 1")
        if self.size is not None and min(self.size) < 1:
            raise ConfigurationError(f"size={self.size}", expected="a positive width and height")

    def __call__(self, sample: TrueFrameSet, rng: np.random.Generator) -> TrueFrameSet:
        """Draw a change and apply it: the same window share, but not place, for all cameras."""
        if rng.uniform() < self.flip:
            sample = mirrored(sample)
        share = float(np.exp(rng.uniform(*np.log(self.crop))))
        cameras = []
        for camera in sample.cameras:
            window = _draw_window(camera.model, share, self.size, rng)
            cameras.append(cropped(camera, window, self.size or window[2:]))
        sample = replace(sample, cameras=tuple(cameras))
        return recoloured(
            sample,
            gain=np.exp(rng.uniform(-self.brightness, self.brightness))
            * (1 + rng.uniform(-self.tint, self.tint, 3)),
            contrast=1 + rng.uniform(-self.contrast, self.contrast),
            saturation=1 + rng.uniform(-self.saturation, self.saturation),
            gamma=float(np.exp(rng.uniform(-self.gamma, self.gamma))),
        )


def mirrored(sample: TrueFrameSet) -> TrueFrameSet:
    """Swap left and right: the frame set that the mirrored vehicle sees in the mirrored world.

    With M = diag(1, -1, 1) in the base frame and X = diag(-1, 1, 1) in the optical frame, a pose T
    becomes M T X, a rigid motion again, and a pixel (u, v) becomes (width - 1 - u, v). Each place
    of the rig, with its name, gets the mirrored camera that lies nearest: the left camera of a
    symmetric rig becomes the right one. Its facts say ``mirrored: True``.
    """
    cameras = [_mirrored_camera(camera) for camera in sample.cameras]
    order = _nearest_places(
        [camera.T_base_camera for camera in sample.cameras],
        [camera.T_base_camera for camera in cameras],
    )
    placed = tuple(
        replace(cameras[i], name=sample.cameras[place].name) for place, i in enumerate(order)
    )
    in_use = sample.ground_in_use
    if in_use is not None:
        in_use = _mirrored_plane(in_use)
    facts = {name: value for name, value in sample.facts.items() if name != "mirrored"}
    if "mirrored" not in sample.facts:
        facts["mirrored"] = True
    return replace(
        sample,
        cameras=placed,
        ground=_mirrored_plane(sample.ground),
        facts=facts,
        ground_in_use=in_use,
    )


def _mirrored_plane(plane: GroundPlane) -> GroundPlane:
    other_roll = np.diag([-1.0, 1.0, 1.0])
    covariance = other_roll @ plane.covariance @ other_roll
    return GroundPlane(plane.normal * [1.0, -1.0, 1.0], plane.height, covariance, plane.source)


def mirrored_model(model: CameraModel) -> CameraModel:
    """The lens whose image is `model`'s, read from right to left."""
    K = model.K.copy()
    K[0, 2] = model.width - 1 - K[0, 2]
    K[0, 1] = -K[0, 1]
    D = model.D.copy()
    if model.distortion_model != "equidistant" and D.size > _TANGENTIAL_X:
        D[_TANGENTIAL_X] = -D[_TANGENTIAL_X]
    X = _MIRROR_CAMERA[:3, :3]
    return replace(model, K=K, D=D, R=X @ model.R @ X)


def _mirrored_camera(camera: TrueCamera) -> TrueCamera:
    def turned(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(values[:, ::-1])

    layers = {name: turned(values) for name, values in camera.layers.items()}
    if "normal" in layers:
        layers["normal"] = layers["normal"] * np.array([-1, 1, 1], np.float32)
    return replace(
        camera,
        model=mirrored_model(camera.model),
        T_base_camera=_MIRROR_BASE @ camera.T_base_camera @ _MIRROR_CAMERA,
        T_base_calibrated=_MIRROR_BASE @ camera.T_base_calibrated @ _MIRROR_CAMERA,
        image=turned(camera.image),
        depth=turned(camera.depth),
        label=turned(camera.label),
        layers=layers,
    )


def _nearest_places(places: list[NDArray[Any]], poses: list[NDArray[Any]]) -> list[int]:
    """For each place the pose that goes there: nearest pairs first, each used once."""
    cost = np.array([[_difference(a, b) for b in poses] for a in places])
    order = [0] * len(places)
    for _ in places:
        place, pose = np.unravel_index(int(np.argmin(cost)), cost.shape)
        order[int(place)] = int(pose)
        cost[place, :] = cost[:, pose] = np.inf
    return order


def _difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Metres apart, plus the distance of the optical axes' directions."""
    apart = np.linalg.norm(a[:3, 3] - b[:3, 3])
    return float(apart + np.linalg.norm(a[:3, 2] - b[:3, 2]))


def _draw_window(
    model: CameraModel, share: float, size: tuple[int, int] | None, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """x, y, width, height of a window; of the shape of what comes out, where it fits."""
    aspect = size[0] / size[1] if size else model.width / model.height
    width = max(2, round(share * model.width))
    height = max(2, round(width / aspect))
    if height > model.height:
        height = model.height
        width = min(model.width, max(2, round(height * aspect)))
    x = int(rng.integers(model.width - width + 1))
    y = int(rng.integers(model.height - height + 1))
    return x, y, width, height


def cropped(
    camera: TrueCamera, window: tuple[int, int, int, int], size: tuple[int, int]
) -> TrueCamera:
    """Cut a window (x, y, width, height) out of a camera's image and resize it to `size`.

    Raises:
        ConfigurationError: The window is not inside of the image.
    """
    x, y, width, height = window
    if min(x, y) < 0 or x + width > camera.model.width or y + height > camera.model.height:
        raise ConfigurationError(
            f"window {window} of an image of {camera.model.width}x{camera.model.height} px",
            expected="(x, y, width, height) inside of the image",
        )
    model = camera.model.cropped(x, y, width, height)
    cut = (slice(y, y + height), slice(x, x + width))
    if size == (width, height):
        return replace(
            camera,
            model=model,
            image=camera.image[cut],
            depth=camera.depth[cut],
            label=camera.label[cut],
            layers={k: v[cut] for k, v in camera.layers.items()},
        )
    shrinks = size[0] <= width and size[1] <= height
    image = cv2.resize(
        camera.image[cut], size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    u, v = _sources(size, (width, height))
    column, row = np.rint(u).astype(np.intp), np.rint(v).astype(np.intp)
    nearest = np.ix_(np.clip(row, 0, height - 1), np.clip(column, 0, width - 1))
    if is_sparse(camera.depth):
        depth = resized_points(camera.depth[cut], size)
    else:
        # Of the whole image, so that the window's edges lie between pixels, too.
        places = np.stack(np.meshgrid(u + x, v + y), axis=-1).reshape(-1, 2)
        depth = sample_depth(camera.depth, places).reshape(size[1], size[0]).astype(np.float32)
    layers: Mapping[str, NDArray[Any]] = {k: w[cut][nearest] for k, w in camera.layers.items()}
    return replace(
        camera,
        model=model.resized(*size),
        image=np.asarray(image, np.uint8),
        depth=depth,
        label=camera.label[cut][nearest],
        layers=layers,
    )


def is_sparse(depth: NDArray[np.floating]) -> bool:
    """Tell a LiDAR's depth (H, W) from an image of surfaces: less than 20 % of it is known."""
    return int(np.count_nonzero(~is_unknown(depth))) < _SPARSE * depth.size


def resized_points(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize sparse depth (h, w) to `size` (width, height): each point goes to its pixel.

    Of several in a pixel the nearest counts; NaN where there is none. A larger image has as many.
    """
    height, width = depth.shape
    row, column = np.nonzero(~is_unknown(depth))
    u, v = (2 * column + 1) * size[0] // (2 * width), (2 * row + 1) * size[1] // (2 * height)
    out = np.full((size[1], size[0]), np.nan, np.float32)
    np.fmin.at(out, (v, u), depth[row, column])
    return out


def _sources(
    size: tuple[int, int], source: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows of the source's pixels at which a resized image's pixels lie."""
    u = (np.arange(size[0]) + 0.5) * source[0] / size[0] - 0.5
    v = (np.arange(size[1]) + 0.5) * source[1] / size[1] - 0.5
    return u, v


def recoloured(
    sample: TrueFrameSet,
    *,
    gain: NDArray[np.float64] | float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    gamma: float = 1.0,
) -> TrueFrameSet:
    """Change light and colour of all images alike; truth stays.

    Args:
        sample: The frame set.
        gain: Factor on all channels, or (3,) on blue, green and red.
        contrast: Factor on the distance from mid-grey.
        saturation: Factor on the distance from grey of the same brightness.
        gamma: Exponent on the result, from 0 to 1.
    """
    cameras = []
    for camera in sample.cameras:
        light = camera.image.astype(np.float32) * (np.asarray(gain, np.float32) / 255)
        grey = light @ np.array([0.114, 0.587, 0.299], np.float32)
        light = grey[..., None] + np.float32(saturation) * (light - grey[..., None])
        light = np.float32(0.45) + np.float32(contrast) * (light - np.float32(0.45))
        light = np.power(np.clip(light, 0, 1), np.float32(gamma))
        cameras.append(replace(camera, image=np.rint(light * 255).astype(np.uint8)))
    return replace(sample, cameras=tuple(cameras))
