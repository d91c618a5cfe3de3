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

"""Read depth images where the LiDAR knows the truth, and compare two cameras there.

In: a depth image and the LiDAR points that its source image shows. Out: `ImageSample`, arrays over
the points.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.lidar_truth import LidarTruth, plane_depth_at
from depth_perception.evaluation.scores import ImageSample
from depth_perception.frames.surround_result import CameraResult
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import RigCamera
from depth_perception.geometry.sampling import sample_depth, sample_nearest, sample_nearest_value
from depth_perception.geometry.transforms import Matrix, inverse, transform_points


def image_sample(
    result: CameraResult,
    truth: LidarTruth,
    planes: Mapping[str, GroundPlane | None],
    camera: RigCamera,
    embodied: bool = False,
    exact: NDArray[np.float64] | None = None,
) -> ImageSample:
    """Read a depth image where the LiDAR knows the truth: exact for every camera model.

    Points are projected with the depth image's own camera and pose, which differ from the source
    image's by resizing and rectification.

    Args:
        result: The depth image.
        truth: The points.
        planes: To read at the points, by name.
        camera: The rig's camera.
        embodied: Also read the embodied depth beside the depth image.
        exact: (h, w) exact truth on the depth image's pixels, to be read, too.
    """
    in_view = transform_points(inverse(result.T_base_camera), truth.points)
    uv = result.camera.project(in_view)
    unknown = np.full(len(truth), np.nan)
    return ImageSample(
        truth=truth,
        stamp=result.stamp,
        uv=uv,
        depth=in_view[:, 2],
        prediction=sample_depth(result.depth, uv),
        level=sample_nearest(result.level, uv),
        planes={
            name: unknown
            if plane is None
            else plane_depth_at(truth.points, camera.T_base_camera, plane)
            for name, plane in planes.items()
        },
        true_planes=truth.depth,
        size=(result.camera.width, result.camera.height),
        embodied=sample_depth(result.embodied, uv) if embodied else None,
        measured=None if result.measured is None else sample_nearest_value(result.measured, uv),
        measured_sigma=None
        if result.measured_sigma is None
        else sample_nearest_value(result.measured_sigma, uv),
        measured_kind=None
        if result.measured_kind is None
        else sample_nearest(result.measured_kind, uv),
        confidence=sample_nearest_value(result.confidence, uv),
        exact=None if exact is None else sample_depth(exact, uv),
    )


def disagreement(
    one: ImageSample,
    i: NDArray[np.intp],
    first: CameraResult,
    two: ImageSample,
    j: NDArray[np.intp],
    second: CameraResult,
    motion: Matrix | None,
) -> NDArray[np.float64]:
    """|D_A->B - D_B| / D_B at common points: what A sees, looked at from B.

    Args:
        one: Samples of camera A.
        i: Places of the common points in it.
        first: Result of camera A.
        two: Samples of camera B.
        j: Places of the same points in it.
        second: Result of camera B.
        motion: Of the base frame from A's instant to B's, None without.
    """
    known = np.isfinite(one.prediction[i]) & np.isfinite(two.prediction[j])
    i, j = i[known], j[known]
    rays = transform_points(inverse(first.T_base_camera), one.truth.points[i])
    seen = transform_points(first.T_base_camera, rays / rays[:, 2:] * one.prediction[i][:, None])
    if motion is not None:
        seen = transform_points(motion, seen)
    from_b = transform_points(inverse(second.T_base_camera), seen)[:, 2]
    expected = two.prediction[j]
    return np.abs(from_b - expected) / expected
