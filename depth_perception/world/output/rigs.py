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

"""Vehicles with cameras and a LiDAR: drawn around those of the public data sets, and small robots.

Each rig has two sets of extrinsics: the true mounting, from which the images are made, and the
slightly wrong one that its calibration says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.transforms import OPTICAL_AXES, rotation_of_angles
from depth_perception.world.objects import car_details, vehicles
from depth_perception.world.objects.mesh import FloatArray, Mesh, SurfaceProperties, join
from depth_perception.world.surfaces.materials import INDEX, Colour


@dataclass(frozen=True)
class MountedCamera:
    """One camera on a vehicle.

    Attributes:
        name: Also its frame.
        model: Lens and image size.
        T_base_camera: (4, 4) true pose of the optical frame.
        T_base_calibrated: (4, 4) the pose that the calibration says.
        delay: Of its shutter after the start of a frame set, s.
    """

    name: str
    model: CameraModel
    T_base_camera: NDArray[np.float64]
    T_base_calibrated: NDArray[np.float64]
    delay: float


@dataclass(frozen=True)
class LidarModel:
    """A spinning laser scanner.

    Attributes:
        name: Also its frame.
        T_base_lidar: (4, 4) pose.
        elevations: (B,) of its beams, rad.
        columns: Firings a revolution.
        reach: Largest range, m.
        noise: Standard deviation of a range, m.
        lost: Share of echoes that are lost.
    """

    name: str
    T_base_lidar: NDArray[np.float64]
    elevations: FloatArray
    columns: int
    reach: float
    noise: float = 0.02
    lost: float = 0.02


@dataclass(frozen=True)
class WorldRig:
    """All sensors of a vehicle.

    Attributes:
        name: Such as "nuscenes".
        cameras: In the order in which the data set lists them.
        lidar: Its scanner.
        body: The vehicle's own body in base_link; None where no camera could see it.
        topic: Pattern of the image topics, with {camera}.
        rate: Usual frame sets a second.
    """

    name: str
    cameras: tuple[MountedCamera, ...]
    lidar: LidarModel
    body: Mesh | None
    topic: str
    rate: float


def mounting(
    x: float, y: float, z: float, yaw: float, pitch: float, roll: float
) -> NDArray[np.float64]:
    """Pose (4, 4) of an optical frame: metres; degrees, pitch positive when it looks down."""
    T = np.eye(4)
    T[:3, :3] = rotation_of_angles(*np.radians([roll, pitch, yaw])) @ OPTICAL_AXES
    T[:3, 3] = x, y, z
    return T


# name, x, y, z (m), yaw, pitch down, roll (degrees), horizontal field of view (degrees), delay (s)
_CameraRow = tuple[str, float, float, float, float, float, float, float, float]

_NUSCENES: tuple[_CameraRow, ...] = (
    ("CAM_FRONT", 1.70, 0.015, 1.51, 0.0, 0.4, 0.1, 65.0, 0.008),
    ("CAM_FRONT_RIGHT", 1.55, -0.49, 1.50, -55.0, 0.3, -0.2, 65.0, 0.016),
    ("CAM_BACK_RIGHT", 1.02, -0.48, 1.56, -110.0, 0.5, 0.2, 65.0, 0.024),
    ("CAM_BACK", 0.03, 0.0, 1.57, 180.0, 0.6, -0.1, 90.0, 0.032),
    ("CAM_BACK_LEFT", 1.03, 0.48, 1.59, 110.0, 0.2, 0.3, 65.0, 0.040),
    ("CAM_FRONT_LEFT", 1.52, 0.495, 1.51, 55.0, 0.6, 0.0, 65.0, 0.0),
)
_DDAD: tuple[_CameraRow, ...] = (
    ("CAMERA_01", 1.75, 0.0, 1.54, 0.0, 0.5, 0.3, 48.0, 0.0),
    ("CAMERA_05", 1.55, 0.52, 1.53, 62.0, 1.0, 0.0, 86.0, 0.0),
    ("CAMERA_06", 1.55, -0.52, 1.53, -62.0, 1.0, 0.0, 86.0, 0.0),
    ("CAMERA_07", 1.05, 0.55, 1.53, 118.0, 1.0, 0.0, 86.0, 0.0),
    ("CAMERA_08", 1.05, -0.55, 1.53, -118.0, 1.0, 0.0, 86.0, 0.0),
    ("CAMERA_09", 0.0, 0.0, 1.55, 180.0, 2.0, 0.0, 86.0, 0.0),
)
_KITTI: tuple[_CameraRow, ...] = (("image_02", 1.68, 0.06, 1.65, 0.0, 0.2, 0.0, 81.4, 0.0),)
_WAYMO: tuple[_CameraRow, ...] = (
    ("FRONT", 1.55, 0.0, 2.10, 0.0, 0.0, 0.0, 50.0, 0.0),
    ("FRONT_LEFT", 1.50, 0.12, 2.10, 45.0, 0.0, 0.0, 50.0, 0.005),
    ("FRONT_RIGHT", 1.50, -0.12, 2.10, -45.0, 0.0, 0.0, 50.0, 0.005),
    ("SIDE_LEFT", 1.42, 0.17, 2.10, 90.0, 0.0, 0.0, 50.0, 0.01),
    ("SIDE_RIGHT", 1.42, -0.17, 2.10, -90.0, 0.0, 0.0, 50.0, 0.01),
)
_FISHEYE: tuple[_CameraRow, ...] = (
    ("front", 3.70, 0.0, 0.70, 0.0, 25.0, 0.0, 180.0, 0.0),
    ("left", 1.90, 0.98, 1.00, 90.0, 40.0, 0.0, 180.0, 0.0),
    ("rear", -0.95, 0.0, 0.90, 180.0, 35.0, 0.0, 180.0, 0.0),
    ("right", 1.90, -0.98, 1.00, -90.0, 40.0, 0.0, 180.0, 0.0),
)
_ROBOT: tuple[_CameraRow, ...] = (
    ("front", 0.30, 0.0, 0.45, 0.0, 5.0, 0.0, 85.0, 0.0),
    ("left", 0.0, 0.22, 0.45, 90.0, 5.0, 0.0, 85.0, 0.0),
    ("rear", -0.30, 0.0, 0.45, 180.0, 5.0, 0.0, 85.0, 0.0),
    ("right", 0.0, -0.22, 0.45, -90.0, 5.0, 0.0, 85.0, 0.0),
)


@dataclass(frozen=True)
class _RigFamily:
    """A family of rigs; `aspect` is width over height of its images."""

    rows: tuple[_CameraRow, ...]
    aspect: float
    topic: str
    rate: float
    lidar: tuple[float, float, float, float, int, int, float]  # x z low high beams columns reach
    shows_body: float  # share of cameras with a wing, a bonnet or a roof edge in view
    fisheye: bool = False
    vehicle: bool = True


_FAMILIES: dict[str, _RigFamily] = {
    "nuscenes": _RigFamily(
        _NUSCENES,
        16 / 9,
        "/{camera}/image_raw/compressed",
        12.0,
        (0.94, 1.84, -30.67, 10.67, 32, 1084, 100.0),
        0.3,
    ),
    "ddad": _RigFamily(
        _DDAD,
        1936 / 1216,
        "/{camera}/image_rect/compressed",
        10.0,
        (1.0, 1.95, -25.0, 15.0, 64, 1440, 200.0),
        0.8,
    ),
    "kitti": _RigFamily(
        _KITTI,
        1242 / 375,
        "/{camera}/image_rect/compressed",
        10.0,
        (1.0, 1.73, -24.8, 2.0, 64, 1800, 120.0),
        0.15,
    ),
    "waymo": _RigFamily(
        _WAYMO,
        1.5,
        "/{camera}/image_raw/compressed",
        10.0,
        (1.43, 2.18, -17.6, 2.4, 64, 1800, 75.0),
        0.3,
    ),
    "fisheye": _RigFamily(
        _FISHEYE,
        1.5,
        "/{camera}/image_raw/compressed",
        10.0,
        (1.2, 1.9, -25.0, 15.0, 32, 1024, 100.0),
        0.0,
        fisheye=True,
    ),
    "robot": _RigFamily(
        _ROBOT,
        4 / 3,
        "/{camera}/image_raw/compressed",
        10.0,
        (0.0, 0.6, -15.0, 15.0, 16, 900, 60.0),
        0.15,
        vehicle=False,
    ),
}
RIGS = tuple(_FAMILIES)
"""Names of the families of rigs."""


def make_rig(
    name: str = "nuscenes",
    *,
    width: int = 640,
    height: int = 0,
    seed: int | None = None,
    miscalibration: float = 0.0,
) -> WorldRig:
    """Make a rig.

    Args:
        name: One of `RIGS`.
        width: Of the images, px.
        height: Of the images, px; by default by the family's aspect ratio.
        seed: Varies heights, angles, fields of view, lenses and the number of cameras around the
            family's; None gives the family's own.
        miscalibration: Standard deviation of the calibration's rotations, degrees; positions are
            wrong by 2 cm a degree.

    Raises:
        ValueError: For a name that does not exist or an impossible size.
    """
    if name not in _FAMILIES:
        raise ValueError(f"rig {name!r}: expected one of {', '.join(RIGS)}")
    if width < 32 or height < 0:
        raise ValueError(f"images of {width}x{height} px: expected at least 32 columns")
    family = _FAMILIES[name]
    rng = np.random.default_rng([0 if seed is None else seed, 5, len(name)])
    vary = seed is not None
    height = height or int(round(width / family.aspect / 2)) * 2
    lift = float(rng.uniform(-0.2, 0.5)) if vary and family.vehicle else 0.0
    if vary and not family.vehicle:
        lift = float(rng.uniform(-0.15, 0.6))
    common = rng.normal(0, [0.6, 0.3]) if vary else np.zeros(2)
    lens = (
        _lens(family, rng)
        if vary
        else ("equidistant" if family.fisheye else "plumb_bob", np.zeros(4))
    )
    zoom = float(np.exp(rng.normal(0, 0.15))) if vary else 1.0
    keep = _kept(family, rng) if vary else list(range(len(family.rows)))
    cameras = []
    for i in keep:
        label, x, y, z, yaw, pitch, roll, field, delay = family.rows[i]
        own = rng.normal(0, [0.06, 0.06, 0.05, 3.0, 0.8, 0.5]) if vary else np.zeros(6)
        T = mounting(
            x + own[0],
            y + own[1],
            max(z + lift + own[2], 0.25),
            yaw + own[3],
            pitch + common[0] + own[4],
            roll + common[1] + own[5],
        )
        model = _camera_model(width, height, field * (1 / zoom), lens, family.fisheye)
        wrong = np.eye(4)
        angles = rng.normal(0, miscalibration, 3) if miscalibration else np.zeros(3)
        wrong[:3, :3] = rotation_of_angles(*np.radians(angles[::-1]))
        wrong[:3, 3] = rng.normal(0, 0.02 * miscalibration, 3) if miscalibration else 0.0
        cameras.append(MountedCamera(label, model, T, T @ wrong, delay))
    x, z, low, high, beams, columns, reach = family.lidar
    T_lidar = np.eye(4)
    T_lidar[:3, 3] = x, 0.0, max(z, max(c.T_base_camera[2, 3] for c in cameras) + 0.2)
    if name == "nuscenes":
        T_lidar[:3, :3] = rotation_of_angles(0.0, 0.0, -np.pi / 2)
    lidar_name = {"nuscenes": "LIDAR_TOP", "kitti": "velo_link"}.get(name, "lidar")
    lidar = LidarModel(
        lidar_name, T_lidar, np.radians(np.linspace(high, low, beams)), columns, reach
    )
    body = _own_body(family, cameras, rng, vary)
    bent = any(not c.model.is_pinhole for c in cameras)
    topic = family.topic.replace("image_rect", "image_raw") if bent else family.topic
    return WorldRig(name, tuple(cameras), lidar, body, topic, family.rate)


def _kept(family: _RigFamily, rng: np.random.Generator) -> list[int]:
    """Which of the family's cameras a varied rig has: most often all."""
    n = len(family.rows)
    if n == 1 or rng.uniform() < 0.75:
        return list(range(n))
    return sorted(rng.choice(n, int(rng.integers(1, n)), replace=False).tolist())


def _lens(family: _RigFamily, rng: np.random.Generator) -> tuple[str, NDArray[np.float64]]:
    if family.fisheye:
        return "equidistant", rng.normal(0, [0.02, 0.01, 0.004, 0.001])
    style = rng.uniform()
    if style < 0.5:
        return "plumb_bob", np.zeros(4)
    barrel = float(rng.uniform(-0.32, 0.02))
    if style < 0.9:
        # The second coefficient keeps the image's corners from folding back.
        return "plumb_bob", np.array([barrel, 0.28 * barrel**2 + 0.02, *rng.normal(0, 5e-4, 2)])
    return "rational_polynomial", np.array(
        [barrel, 0.08, *rng.normal(0, 3e-4, 2), 0.005, 0.02, 0.01, 0.001]
    )


def _camera_model(
    width: int, height: int, field: float, lens: tuple[str, NDArray[np.float64]], fisheye: bool
) -> CameraModel:
    name, D = lens
    if fisheye:
        focal = 0.5 * width / np.radians(min(field, 190.0) / 2.0)
    else:
        focal = 0.5 * width / np.tan(np.radians(min(field, 120.0)) / 2.0)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    model = CameraModel(width, height, K, D, name)
    if not fisheye and D.any() and not np.isfinite(model.rays()).all():
        return CameraModel(width, height, K)  # so strong that the corners would be empty
    return model


def _own_body(
    family: _RigFamily, cameras: list[MountedCamera], rng: np.random.Generator, vary: bool
) -> Mesh | None:
    """The vehicle below its cameras, and the wings and edges that some of them look across."""
    parts = []
    colour = car_details.paint_colour(rng)
    for i, camera in enumerate(cameras):
        # The family's own rig shows its body where the data set does: not ahead.
        shown = rng.uniform() < family.shows_body if vary else family.shows_body > 0.5 and i > 0
        if shown:
            parts.append(_panel(camera, colour, rng))
    if family.vehicle:
        names = ("hatchback", "saloon", "estate", "suv")
        mesh = vehicles.as_own_body(vehicles.VEHICLES[names[int(rng.integers(len(names)))]](rng))
        low, high = mesh.bounds()
        # base_link is under the rear axle, about 1.3 m behind the middle.
        top = min(c.T_base_camera[2, 3] for c in cameras)
        if family.fisheye:
            size = (4.55 / (high[0] - low[0]), 1.86 / (high[1] - low[1]), 1.0)
        else:
            size = (1.0, 1.0, float((top - rng.uniform(0.05, 0.25)) / high[2]))
        parts.append(mesh.scaled(*size).placed(1.37, 0.0))
    return _without_camera_boxes(join(parts), cameras) if parts else None


def _panel(camera: MountedCamera, colour: Colour, rng: np.random.Generator) -> Mesh:
    """A rounded piece of bodywork across the lower part of a camera's picture."""
    T = camera.T_base_camera
    forward = np.array([T[0, 2], T[1, 2], 0.0])
    forward /= np.linalg.norm(forward)
    half = np.arctan2(camera.model.height / 2, camera.model.K[1, 1])
    pitch = np.arcsin(np.clip(-T[2, 2], -1, 1))
    # Where its edge shall lie: in the lower quarter of the picture.
    below = pitch + half * rng.uniform(0.45, 0.95)
    radii = rng.uniform([0.35, 0.6, 0.15], [0.7, 1.8, 0.45])
    ahead = radii[0] + rng.uniform(0.05, 0.25)
    drop = radii[2] + ahead * np.tan(below)
    surface = SurfaceProperties(INDEX["paint"], colour, labels.OWN_BODY)
    mesh = surface.ellipsoid((0.0, 0.0, 0.0), radii, around=36, down=19)
    x, y, z = T[:3, 3] + forward * ahead
    yaw = float(np.arctan2(forward[1], forward[0]) + rng.normal(0, 0.3))
    y += rng.normal(0, 0.2)
    return mesh.placed(x, y, z - drop, yaw)


def _without_camera_boxes(mesh: Mesh, cameras: list[MountedCamera]) -> Mesh | None:
    """Leave out the triangles around each camera: a lens looks out of the body, not into it."""
    corners = mesh.vertices[mesh.triangles]
    centre = corners.mean(axis=1)
    keep = np.ones(len(centre), bool)
    for camera in cameras:
        eye = camera.T_base_camera[:3, 3]
        near = np.minimum(
            np.linalg.norm(centre - eye, axis=1), np.linalg.norm(corners - eye, axis=2).min(axis=1)
        )
        keep &= near > 0.12
    if not keep.any():
        return None
    chosen = {
        name: getattr(mesh, name)[keep]
        for name in ("triangles", "material", "tint", "label", "instance")
    }
    return replace(mesh, **chosen)
