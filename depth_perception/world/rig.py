"""The vehicle in the synthetic street: six cameras and a LiDAR like nuScenes', and its motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel

from .raycast import cast_rays
from .scene import FloatArray, Scene

SPEED = 8.0  # m/s along the street
SWAY, SWAY_LENGTH = 0.2, 70.0  # the path weaves by +-0.2 m every 70 m
LIDAR_RANGE = 100.0  # m
LIDAR_NOISE = 0.02  # standard deviation of range, m
LIDAR_LOST = 0.02  # share of returns that are dropped


@dataclass(frozen=True)
class WorldCamera:
    """A pinhole camera on the vehicle."""

    name: str
    model: CameraModel  # without distortion
    T_base_camera: FloatArray  # (4, 4), optical frame: z forward, x right, y down
    delay: float  # of its shutter after the start of a frame set, s


# name, x, y, z (m), yaw, pitch down, roll (degrees), horizontal field of view (degrees), delay (s)
_CAMERAS = (
    ("CAM_FRONT", 1.70, 0.015, 1.51, 0.0, 0.4, 0.1, 70.0, 0.008),
    ("CAM_FRONT_RIGHT", 1.55, -0.49, 1.50, -55.0, 0.3, -0.2, 70.0, 0.016),
    ("CAM_BACK_RIGHT", 1.02, -0.48, 1.56, -110.0, 0.5, 0.2, 70.0, 0.024),
    ("CAM_BACK", 0.03, 0.0, 1.57, 180.0, 0.6, -0.1, 110.0, 0.032),
    ("CAM_BACK_LEFT", 1.03, 0.48, 1.59, 110.0, 0.2, 0.3, 70.0, 0.040),
    ("CAM_FRONT_LEFT", 1.52, 0.495, 1.51, 55.0, 0.6, 0.0, 70.0, 0.0),
)


def _rotation(yaw: float, pitch: float, roll: float) -> FloatArray:
    """Turn about z, then y (positive: nose down), then x; radians."""
    cz, sz, cy, sy = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cx, sx = np.cos(roll), np.sin(roll)
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    return about_z @ about_y @ about_x


def _pose(x: float, y: float, z: float, rotation: FloatArray) -> FloatArray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation, (x, y, z)
    return T


def surround_cameras(width: int = 800) -> tuple[WorldCamera, ...]:
    """The six cameras, 16:9, at any width in pixels."""
    height = round(width * 9 / 16)
    optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    cameras = []
    for name, x, y, z, yaw, pitch, roll, field, delay in _CAMERAS:
        focal = 0.5 * width / np.tan(np.radians(field) / 2.0)
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        rotation = _rotation(*np.radians([yaw, pitch, roll])) @ optical
        model = CameraModel(width, height, K)
        cameras.append(WorldCamera(name, model, _pose(x, y, z, rotation), delay))
    return tuple(cameras)


def lidar_mounting() -> FloatArray:
    """T_base_lidar (4, 4): on the roof, turned by -90 degrees as on nuScenes' vehicles."""
    return _pose(0.94, 0.0, 1.84, _rotation(-np.pi / 2.0, 0.0, 0.0))


def ego_pose(time: float) -> FloatArray:
    """T_odom_base (4, 4) at `time` seconds: 8 m/s along x with a slight sway, level on the road."""
    x = SPEED * time
    phase = 2.0 * np.pi * x / SWAY_LENGTH
    slope = SWAY * 2.0 * np.pi / SWAY_LENGTH * np.cos(phase)
    return _pose(x, SWAY * np.sin(phase), 0.0, _rotation(float(np.arctan(slope)), 0.0, 0.0))


def ego_twist(time: float) -> tuple[float, float]:
    """Forward speed (m/s) and yaw rate (rad/s) in base_link."""
    wave = 2.0 * np.pi / SWAY_LENGTH
    slope = SWAY * wave * np.cos(wave * SPEED * time)
    bend = -SWAY * wave * wave * np.sin(wave * SPEED * time) * SPEED
    return SPEED * float(np.hypot(1.0, slope)), float(bend / (1.0 + slope * slope))


def scan_lidar(scene: Scene, time: float, *, seed: int = 0) -> NDArray[np.float32]:
    """One revolution of 32 beams, taken at one instant: (M, 4) x, y, z, intensity in LIDAR_TOP.

    Elevations from +10.67 to -30.67 degrees, 1084 azimuths, 2 cm range noise, 2 % lost. It sees
    the vehicle's own bonnet, as a LiDAR on a roof does. Intensity is 0 to 255.
    """
    elevation = np.radians(np.linspace(10.67, -30.67, 32))[:, None]
    azimuth = np.linspace(np.pi, -np.pi, 1084, endpoint=False)[None, :]
    beams = np.stack(
        np.broadcast_arrays(
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ),
        axis=-1,
    ).reshape(-1, 3)
    T_odom_base = ego_pose(time)
    T_odom_lidar = T_odom_base @ lidar_mounting()
    origin = np.ascontiguousarray(T_odom_lidar[:3, 3])
    distance, _, strength = cast_rays(
        scene, time, T_odom_base, origin, beams @ T_odom_lidar[:3, :3].T
    )
    rng = np.random.default_rng([seed, 2])
    noise = rng.normal(0.0, LIDAR_NOISE, distance.shape)
    kept = (distance < LIDAR_RANGE) & (rng.uniform(size=distance.shape) >= LIDAR_LOST)
    ranges = (distance + noise)[kept]
    intensity = np.clip(255.0 * strength[kept], 0.0, 255.0)
    points = np.column_stack([beams[kept] * ranges[:, None], np.round(intensity)])
    return points.astype(np.float32)
