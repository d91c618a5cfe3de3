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

"""Embodied scene depth of a training image: what calibration and classes say, never its depth.

In: one camera of a frame set, its mounting as calibrated, the ground plane. Out: `EmbodiedDepth` up
to level scene, and the same as maps at stride 4 that a network looks at. Classes are those of the
data set, or of the fused network where a data set has none (a drive with LiDAR alone).

Source: methods.md 3.1, after Vision-Language Embodiment (CVPR 2025, arXiv 2503.16535).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from depth_perception.datasets import labels
from depth_perception.datasets.sample import TrueCamera
from depth_perception.datasets.source import NOT_KNOWN
from depth_perception.errors import ModelError
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.embodied_depth import (
    EmbodiedDepth,
    Level,
    confidence_of,
    embodied_depth,
)
from depth_perception.geometry.ground_plane import DEFAULT_PITCH_STD, GroundPlane, camera_height
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.surface import Surface
from depth_perception.inference.model_file import STRIDE
from depth_perception.inference.network_inputs import LEAST_HEIGHT, network_camera, network_rays
from depth_perception.network.checkpoint import load_checkpoint
from depth_perception.network.depth_coding import (
    REFERENCE_FOCAL,
    USUAL_LOG_DEPTH,
    focal_shift,
    log_depth_of_code,
)
from depth_perception.network.fused import CLASSES, FusedSurround
from depth_perception.network.prior import prior_of
from depth_perception.resources import WEIGHTS_FOLDER
from depth_perception.segmentation.classes import class_map

COLUMN = 8
"""px across in which what stands on the ground has one depth, see `scene_depth`."""
CHANNELS = 4
"""Of the maps, see `scene_maps`."""
BEYOND = 80.0
"""Depth of what is beyond range at least, m."""
_TOLERANCE = 0.10
OWN = WEIGHTS_FOLDER / "lite.pt"
"""Says the classes of drives without labels."""
_IDS = {
    "road": labels.ROAD,
    "flat": labels.SIDEWALK,
    "building": labels.BUILDING,
    "thin": labels.POLE,
    "vegetation": labels.VEGETATION,
    "sky": labels.SKY,
    "person": labels.PERSON,
    "vehicle": labels.CAR,
}
"""What a class of the fused network is taken for, as it tells no finer ones apart."""


def focal_length(camera: TrueCamera) -> float:
    """Mean focal length of a camera, px."""
    return math.sqrt(abs(camera.model.K[0, 0] * camera.model.K[1, 1]))


def surfaces(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`Surface` of each pixel of a label image (h, w) of Cityscapes' train ids, 255 own body."""
    surface = class_map("cityscapes").apply(label)
    surface[label == labels.OWN_BODY] = Surface.EGO
    return surface


def scene_depth(
    camera: TrueCamera,
    T_base_camera: NDArray[np.float64],
    ground: GroundPlane | None,
    max_range: float = BEYOND,
    level: Level = Level.SCENE,
    columns: bool = False,
) -> EmbodiedDepth | None:
    """Embodied depth, as a rule to scene level, of the size of the camera's image.

    Args:
        camera: Its lens, classes and, where stored, instances count; its depth does not.
        T_base_camera: 4x4, as calibrated.
        ground: The ground plane that is assumed; None: no calibration.
        max_range: Farther is +Inf, m.
        level: Up to which.
        columns: Where no instances are stored, things that touch have a depth for each `COLUMN` of
            their feet; else one depth together, as one thing.

    Returns:
        None without a calibration, without a camera above the ground, or without classes.
    """
    known = bool((camera.label < NOT_KNOWN).any())
    if ground is None or not known or camera_height(ground, T_base_camera) <= LEAST_HEIGHT:
        return None
    source = RigCamera(camera.name, camera.model, T_base_camera, camera.name, camera.model)
    instances = camera.layers.get("instance")
    if instances is None and columns:
        instances = np.broadcast_to(np.arange(camera.model.width) // COLUMN, camera.label.shape)
    if instances is not None:  # pixels of one number but two classes are two things
        instances = instances.astype(np.int64) * 256 + camera.label
    return embodied_depth(
        camera_view(source, ground, 0),
        surfaces(camera.label),
        instances=camera.label if instances is None else instances,
        level=level,
        max_range=max_range,
    )


def scene_maps(
    embodied: EmbodiedDepth | None, size: tuple[int, int], focal: float
) -> NDArray[np.float32]:
    """Embodied depth as a network looks at it; all 0 where there is none.

    Args:
        embodied: Of an image of `size`.
        size: (width, height), px, multiples of 4.
        focal: Focal length, px.

    Returns:
        (`CHANNELS`, height / 4, width / 4): the code of depth, see
        `network.depth_coding`; 1 where depth is known; probability that it is right to 10 %; 1 for
        the sky and what is beyond range.
    """
    width, height = size[0] // STRIDE, size[1] // STRIDE
    if embodied is None:
        return np.zeros((CHANNELS, height, width), np.float32)
    middle = slice(STRIDE // 2, None, STRIDE)
    depth, sigma = embodied.depth[middle, middle], embodied.sigma[middle, middle]
    known = np.isfinite(depth) & (depth > 0)
    log_depth = (
        np.log(np.where(known, depth, 1)) + math.log(REFERENCE_FOCAL / focal) - USUAL_LOG_DEPTH
    )
    trust = confidence_of(np.where(known, sigma, np.nan))
    return np.stack([log_depth * known, known, trust, np.isposinf(depth)]).astype(np.float32)


def anchor_error(
    depth: torch.Tensor,
    maps: torch.Tensor,
    rays: torch.Tensor,
    camera: torch.Tensor,
    farthest: float = BEYOND,
) -> torch.Tensor:
    """How far depth is from what embodied depth says of it.

    Where the ground is seen, or the foot of what stands on it, that is a depth; of the sky, and
    beyond range, at least `BEYOND`; and what a camera sees does not lie below the ground: elsewhere
    at most the plane's depth along each ray.

    Args:
        depth: (N, 1, H, W), m.
        maps: (N, `CHANNELS`, H/4, W/4), see `scene_maps`, of embodied depth to extended level.
        rays: (N, 3, H/4, W/4), see `network.prior.prior_of`.
        camera: (N, `network.prior.CAMERA`).
        farthest: That depth can be, m: no more is asked of the sky.

    Returns:
        Mean over squares of 4 px, each as much as it is trusted, of the difference of log depth, or
        of what it is outside of its bound; 0 where nothing is known. The plane is trusted as far as
        its pitch is right (`DEFAULT_PITCH_STD`), the sky's place wholly.
    """
    prior = prior_of(rays, camera)
    log_depth, known, trust, beyond = maps.float().split(1, 1)
    log_depth = log_depth_of_code(log_depth, focal_shift(prior.focal))
    plane = prior.height / prior.slope.clamp(min=1e-6)
    sigma = (DEFAULT_PITCH_STD * plane / prior.height).clamp(min=1e-6)
    above = (prior.known > 0) & (prior.height > LEAST_HEIGHT) & (plane < BEYOND)
    below = torch.erf(_TOLERANCE / math.sqrt(2) / sigma) * above * (1 - known)
    sky = beyond * (1 - known) * ~above
    # A mean of inverse depth is that at the middle of a square, on planes exactly so. Rays are of
    # the middles of 4 px; the maps are of the pixel at `STRIDE` / 2, the middle of 3 px.
    inverse = 1 / depth.float()
    whole = -torch.log(functional.avg_pool2d(inverse, STRIDE))
    inner = -torch.log(functional.avg_pool2d(inverse[..., 1:, 1:], STRIDE - 1, STRIDE))
    far = math.log(min(BEYOND, farthest))
    weight = torch.cat([known * trust, sky, below], 1)
    apart = torch.cat(
        [
            (inner - log_depth).abs(),
            (far - whole).clamp(min=0),
            (whole - torch.log(plane)).clamp(min=0),
        ],
        1,
    )
    return (apart * weight).sum() / weight.sum().clamp(min=1.0)


class Classes:
    """Train ids of an image: as they are stored, or as the fused network sees them.

    Args:
        source: "labels": those of the data set and, of images that have none, as the network that
            comes with the package sees them; or a checkpoint of the fused network, for all images.
            A network is read when it is first needed, so that this can be handed to processes.
    """

    def __init__(self, source: str = "labels") -> None:
        self.source = source
        self._network: FusedSurround | None = None
        if source != "labels" and not Path(source).is_file():
            raise ModelError(
                f"options.segments '{source}' does not exist",
                expected="labels, or a checkpoint of the fused network",
                fix="correct the path; the package's own is depth_perception/weights/lite.pt",
            )

    def __call__(
        self, camera: TrueCamera, T_base_camera: NDArray[np.float64], ground: GroundPlane | None
    ) -> NDArray[np.uint8]:
        """(H, W) train ids, 255 on the own body, `datasets.source.NOT_KNOWN` where nobody knows."""
        labelled = self.source == "labels"
        if labelled and bool((camera.label < NOT_KNOWN).any()):
            return camera.label
        if self._network is None:
            self._network, _ = load_checkpoint(OWN if labelled else self.source)
        size = (camera.model.width, camera.model.height)
        image = np.ascontiguousarray(camera.image[..., ::-1].transpose(2, 0, 1))
        with torch.inference_mode():
            out = self._network(
                torch.from_numpy(image)[None],
                torch.from_numpy(network_rays(camera.model, size))[None],
                torch.from_numpy(network_camera(camera.model, T_base_camera, ground))[None],
            )
            semantics, road, sky = (
                functional.interpolate(item, size[::-1], mode="bilinear", align_corners=False)[0]
                for item in (out.semantics, out.road, out.sky)
            )
        ids = np.array([_IDS[name] for name in CLASSES], np.uint8)[semantics.argmax(0).numpy()]
        ids[road[0].numpy() > 0] = labels.ROAD
        ids[sky[0].numpy() > 0] = labels.SKY
        ids[camera.label == labels.OWN_BODY] = labels.OWN_BODY
        return ids
