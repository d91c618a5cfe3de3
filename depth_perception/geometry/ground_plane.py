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

"""The road as a plane, and the depth that a calibrated camera measures on it in closed form.

In: a plane in the base frame and a camera's mounting. Out: depth of every pixel whose ray meets the
plane, the horizon, and how uncertain that depth is. Depth is along the optical axis, metres.

For a pixel's ray r (third component 1, rotated into the base frame) from the optical centre t and
the plane {X : n.X = g}: Z = (g - n.t) / (n.r). For a pinhole, 1/Z = a u + b v + c: three numbers
per camera describe the whole plane.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel

SOURCES = ("nominal", "estimated", "external")

DEFAULT_PITCH_STD = float(np.deg2rad(0.4))
DEFAULT_ROLL_STD = float(np.deg2rad(0.4))
DEFAULT_HEIGHT_STD = 0.03


def _default_covariance() -> NDArray[np.float64]:
    return np.diag(np.square([DEFAULT_ROLL_STD, DEFAULT_PITCH_STD, DEFAULT_HEIGHT_STD]))


@dataclass(frozen=True, eq=False)
class GroundPlane:
    """The road plane in the base frame: points X with ``normal . X = height``.

    Attributes:
        normal: (3,) unit vector, up.
        height: Signed distance of the plane from the base frame's origin along ``normal``, metres.
        covariance: (3, 3) of (roll, pitch, height): rad, rad, metres.
        source: ``nominal`` (from the mounting), ``estimated`` (online) or ``external``.
    """

    normal: NDArray[np.float64] = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    height: float = 0.0
    covariance: NDArray[np.float64] = field(default_factory=_default_covariance)
    source: str = "nominal"

    def __post_init__(self) -> None:
        """Normalise the normal; refuse one without length."""
        normal = np.asarray(self.normal, dtype=np.float64).reshape(3)
        length = float(np.linalg.norm(normal))
        if not np.isfinite(length) or length < 1e-9 or not np.isfinite(self.height):
            raise ConfigurationError(
                f"ground plane: normal {normal.tolist()}, height {self.height}",
                expected="a normal of length 1 and a finite height",
                fix="set ground.height to the road's z in the base frame",
            )
        object.__setattr__(self, "normal", normal / length)
        object.__setattr__(self, "height", float(self.height) / length)
        object.__setattr__(self, "covariance", np.asarray(self.covariance, dtype=np.float64))

    @classmethod
    def from_angles(
        cls,
        roll: float = 0.0,
        pitch: float = 0.0,
        height: float = 0.0,
        covariance: NDArray[np.float64] | None = None,
        source: str = "nominal",
    ) -> GroundPlane:
        """Build a plane from its roll and pitch in the base frame (rad, about x and then y)."""
        normal = np.array(
            [np.sin(pitch) * np.cos(roll), -np.sin(roll), np.cos(pitch) * np.cos(roll)]
        )
        return cls(
            normal, height, _default_covariance() if covariance is None else covariance, source
        )

    @property
    def pitch(self) -> float:
        """Rotation about y that tilts the base frame's z axis onto the normal, rad.

        Positive when the road falls away ahead of the vehicle.
        """
        return float(np.arctan2(self.normal[0], self.normal[2]))

    @property
    def roll(self) -> float:
        """Rotation about x that tilts the base frame's z axis onto the normal, rad.

        Positive when the road falls to the vehicle's right.
        """
        return float(np.arctan2(-self.normal[1], np.hypot(self.normal[0], self.normal[2])))

    def signed_distance(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Height above the plane of (..., 3) points of the base frame, metres."""
        return np.asarray(points, dtype=np.float64) @ self.normal - self.height


def camera_height(ground: GroundPlane, T_base_camera: NDArray[np.float64]) -> float:
    """Distance of the optical centre from the plane, metres; positive above it."""
    return float(ground.signed_distance(T_base_camera[:3, 3]))


def inverse_depth_coefficients(
    camera: CameraModel, T_base_camera: NDArray[np.float64], ground: GroundPlane
) -> NDArray[np.float64]:
    """Return (a, b, c) with 1/Z = a u + b v + c on the plane, for a camera without distortion.

    Units: 1/(m px), 1/(m px), 1/m. Above the horizon the value is negative. Source: methods.md 3.1.

    Raises:
        ConfigurationError: The camera has distortion, so that no such form exists (use per-pixel
            rays, `plane_depth`), or it is not above the plane.
    """
    if not camera.is_pinhole:
        raise ConfigurationError(
            f"inverse plane depth of a '{camera.distortion_model}' camera is not affine in the"
            " pixel",
            expected="a camera without distortion",
            fix="rectify the image, or use plane_depth with per-pixel rays",
        )
    h = _checked_height(ground, T_base_camera)
    down = -(T_base_camera[:3, :3].T @ ground.normal) / h
    if np.array_equal(camera.R, np.eye(3)):
        return down @ np.linalg.inv(camera.K)
    # A rectifying rotation keeps lines straight, but z of the camera frame is then no longer the
    # third component of K's ray: the form is affine only for depth along the rectified axis.
    return (camera.R @ down) @ np.linalg.inv(camera.K)


def plane_depth(
    rays: NDArray[np.floating], T_base_camera: NDArray[np.float64], ground: GroundPlane
) -> NDArray[np.float64]:
    """Depth at which rays meet the plane, for any camera model.

    Args:
        rays: (..., 3) rays of the optical frame with third component 1.
        T_base_camera: 4x4.
        ground: The plane, in the base frame.

    Returns:
        (...) metres along the optical axis; +Inf at and above the horizon, NaN for NaN rays.
    """
    h = _checked_height(ground, T_base_camera)
    descent = -(np.asarray(rays, dtype=np.float64) @ (T_base_camera[:3, :3].T @ ground.normal))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = h / descent
    return np.where(descent > 0, depth, np.where(np.isnan(descent), np.nan, np.inf))


def horizon_row(
    camera: CameraModel,
    T_base_camera: NDArray[np.float64],
    ground: GroundPlane,
    u: NDArray[np.floating] | float,
) -> NDArray[np.float64]:
    """Row v of the plane's horizon at column u of a pinhole; NaN where the horizon is vertical."""
    a, b, c = inverse_depth_coefficients(camera, T_base_camera, ground)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(abs(b) > 1e-12, -(a * np.asarray(u, dtype=np.float64) + c) / b, np.nan)


def plane_depth_relative_sigma(
    rays: NDArray[np.floating],
    depth: NDArray[np.floating],
    T_base_camera: NDArray[np.float64],
    ground: GroundPlane,
) -> NDArray[np.float64]:
    """First-order standard deviation of plane depth over plane depth, from the plane's covariance.

    With p the point in the base frame and h the camera's height, a plane that turns about the base
    frame's origin changes ln Z by (dn.p - dg) / h: pitch acts along x (Z d / h for a camera above
    the origin that looks ahead), roll along y (X r / h), height everywhere alike (dh / h). Source:
    methods.md 3.1.

    Args:
        rays: (..., 3), third component 1.
        depth: (...) from `plane_depth`, metres.
        T_base_camera: 4x4.
        ground: The plane with its covariance of (roll, pitch, height).

    Returns:
        (...) sigma_Z / Z; +Inf where depth is.
    """
    h = _checked_height(ground, T_base_camera)
    direction = np.asarray(rays, dtype=np.float64) @ T_base_camera[:3, :3].T
    with np.errstate(invalid="ignore", over="ignore"):
        x = depth * direction[..., 0] + T_base_camera[0, 3]
        y = depth * direction[..., 1] + T_base_camera[1, 3]
        S = ground.covariance
        variance = (
            S[0, 0] * y * y
            + S[1, 1] * x * x
            + S[2, 2]
            - 2 * S[0, 1] * x * y
            + 2 * S[0, 2] * y
            - 2 * S[1, 2] * x
        ) / (h * h)
        sigma = np.sqrt(np.maximum(variance, 0))
    return np.where(np.isfinite(depth), sigma, np.where(np.isinf(depth), np.inf, np.nan))


def fit_ground_plane(
    points: NDArray[np.floating],
    *,
    tolerance: float = 0.2,
    max_tilt: float = float(np.deg2rad(10.0)),
    iterations: int = 200,
    seed: int = 0,
) -> GroundPlane:
    """Fit a plane to (N, 3) points of the base frame by RANSAC and least squares on its inliers.

    Args:
        points: Points near the road, metres, e.g. those of a LiDAR within 4 m of the x axis.
        tolerance: Distance within which a point belongs to the plane, metres.
        max_tilt: Planes steeper than this against the base frame are walls, rad.
        iterations: Number of random triples.
        seed: Of the random choice, so that results repeat.

    Raises:
        ConfigurationError: Fewer than 10 points support any plane.
    """
    points = np.asarray(points, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 10:
        raise ConfigurationError(
            f"ground plane fit: {len(points)} points",
            expected="at least 10 finite points on the road",
            fix="check that the LiDAR sees the road and that its transform is right",
        )
    rng = np.random.default_rng(seed)
    sample = points[rng.choice(len(points), min(len(points), 4000), replace=False)]
    best, best_count = np.zeros(len(points), dtype=bool), 0
    for _ in range(iterations):
        p0, p1, p2 = sample[rng.choice(len(sample), 3, replace=False)]
        normal = np.cross(p1 - p0, p2 - p0)
        length = np.linalg.norm(normal)
        if length < 1e-6 or abs(normal[2]) / length < np.cos(max_tilt):
            continue
        normal /= length
        count = int((np.abs((sample - p0) @ normal) < tolerance / 2).sum())
        if count > best_count:
            best, best_count = np.abs((points - p0) @ normal) < tolerance / 2, count
    if best_count < 10:
        raise ConfigurationError(
            "ground plane fit: no plane with enough points",
            expected=f"10 points within {tolerance / 2} m of a plane tilted less than"
            f" {np.rad2deg(max_tilt):.0f} degrees",
            fix="check the LiDAR's transform to the base frame",
        )
    for _ in range(5):
        chosen = points[best]
        A = np.column_stack([chosen[:, :2], np.ones(len(chosen))])
        a, b, c = np.linalg.lstsq(A, chosen[:, 2], rcond=None)[0]
        scale = np.sqrt(1 + a * a + b * b)
        best = np.abs(points @ np.array([-a, -b, 1]) / scale - c / scale) < tolerance
    return GroundPlane(np.array([-a, -b, 1.0]), float(c), source="estimated")


def _checked_height(ground: GroundPlane, T_base_camera: NDArray[np.float64]) -> float:
    h = camera_height(ground, T_base_camera)
    if h <= 0.01:
        raise ConfigurationError(
            f"camera at {T_base_camera[:3, 3].round(3).tolist()} is {h:.3f} m above the ground"
            " plane",
            expected="a camera above the road",
            fix="set ground.height to the road's z in the base frame (e.g. minus the height of"
            " base_link over the road), or correct the camera's transform",
        )
    return h
