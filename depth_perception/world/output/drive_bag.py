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

"""Write a drive through the synthetic world as a rosbag2 bag, with the topics of a real rig.

Sensors: `/<camera>/image_raw/compressed` (or image_rect, as the rig has it),
`/<camera>/camera_info`, `/<lidar>/points`, `/odom`, `/tf`, `/tf_static` (the calibrated
mountings, which may be wrong).
Labels: `/<camera>/labels` (mono8, Cityscapes train ids, 255 own body). Truth, exact:
`/truth/<camera>/{depth,instance,normal,albedo,shading,mirror,extrinsics}`, `/truth/ground`,
`/truth/objects`, `/truth/road_profile`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.bag_writer import BagTypes, BagWriter, package_typestore
from depth_perception.geometry.ground_plane import SOURCES
from depth_perception.geometry.transforms import quaternion_of
from depth_perception.messages.ground import ground_message
from depth_perception.messages.sensors import (
    camera_info_message,
    cloud_message,
    depth_message,
    header,
    image_message,
)
from depth_perception.messages.transforms import transform_message
from depth_perception.world.output.rigs import MountedCamera, WorldRig, make_rig
from depth_perception.world.output.sensors import SensorSuite
from depth_perception.world.render.renderer import View
from depth_perception.world.scene import roundabout
from depth_perception.world.scene.drive import Drive, make_drive
from depth_perception.world.scene.street_contents import PlacedObject

START = 1_700_000_000_000_000_000
"""Stamp of the start of the first frame set, ns."""

TRUTH = ("depth", "instance", "normal", "albedo", "shading", "mirror")
"""Truth images that can be written; each camera has its own topics for them."""

LIDAR_DELAY = 0.020  # the revolution's instant after the start of a frame set, s
ODOMETRY_RATE = 50.0  # Hz

_STORE = package_typestore()
_TYPES = BagTypes(_STORE)

StampedMessage = tuple[int, str, Any]  # stamp (ns), topic, message


def write_drive_bag(
    path: str | Path,
    *,
    seed: int = 0,
    rig: WorldRig | None = None,
    seconds: float = 5.0,
    rate: float = 0.0,
    setting: str = "",
    weather: str = "",
    speed: float | None = None,
    lifelike: bool = False,
    truth: tuple[str, ...] = ("depth",),
    samples: int = 2,
    device: str = "",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Drive:
    """Write a bag directory; the same arguments give the same messages on the same processor.

    Args:
        path: The bag's directory; it appears when the drive is whole.
        seed: Which street, traffic, light and vehicle.
        rig: Sensors; by default those of nuScenes, 640 px wide.
        seconds: Length of the drive.
        rate: Frame sets a second; by default the rig's own.
        setting: Kind of place, see `plan.SETTINGS`; empty draws one.
        weather: See `weather.WEATHERS`; empty draws one.
        speed: Of the vehicle, m/s; by default drawn.
        lifelike: With more of what real drives show, see `make_drive`.
        truth: Truth images to write, of `TRUTH`.
        samples: Rays a pixel for the pictures; truth is that of the pixel's centre.
        device: A Warp device; by default a GPU where there is one.
        overwrite: Replace a bag that lies there.
        progress: Called with (frame sets done, of how many).

    Returns:
        The drive.

    Raises:
        ValueError: For an impossible argument.
        BagError: The path is taken, or cannot be written.
    """
    unknown = set(truth) - set(TRUTH)
    if unknown:
        raise ValueError(f"truth {', '.join(sorted(unknown))}: expected of {', '.join(TRUTH)}")
    rig = rig or make_rig("nuscenes")
    rate = rate or rig.rate
    if not (0.0 < rate <= 60.0 and seconds > 0.0 and samples >= 1):
        raise ValueError(
            f"rate={rate}, seconds={seconds}, samples={samples}: expected a rate up to 60 Hz, "
            "a duration above 0 and at least one sample"
        )
    drive = make_drive(
        seed, duration=seconds, setting=setting, weather=weather, speed=speed, lifelike=lifelike
    )
    suite = SensorSuite(drive, rig, device=device)
    frames = max(1, round(seconds * rate))
    moving = list(_motion(drive, frames / rate))
    with (
        # Chunks are compressed: labels shrink to a fiftieth.
        BagWriter(path, overwrite=overwrite, compressed=True) as writer,
        ThreadPoolExecutor(max_workers=os.cpu_count()) as pool,
    ):

        def write(stamp: int, topic: str, message: Any) -> None:
            latched = topic in ("/tf_static", "/truth/road_profile")
            writer.write(topic, message, stamp, latched=latched)

        first = moving[0][0]
        write(first, "/tf_static", _static_transforms(first, rig))
        write(first, "/truth/road_profile", _road_profile(first, drive, seconds))
        for i in range(frames):
            start = i / rate
            jobs = []
            # Warp traces rays in this thread; pictures and messages are made beside it.
            for camera in sorted(rig.cameras, key=lambda c: c.delay):
                view = suite.view(camera, start + camera.delay, samples=samples)
                jobs.append(pool.submit(_camera_messages, suite, camera, view, start, truth))
            messages = [_scan_message(suite, start + LIDAR_DELAY)]
            messages += _truth_messages(drive, start)
            for job in jobs:
                messages += job.result()
            end = _stamp((i + 1) / rate) if i + 1 < frames else moving[-1][0] + 1
            messages += [m for m in moving if m[0] < end]
            moving = [m for m in moving if m[0] >= end]
            for stamp, topic, message in sorted(messages, key=lambda m: m[:2]):
                write(stamp, topic, message)
            if progress is not None:
                progress(i + 1, frames)
    return drive


def _stamp(time: float) -> int:
    return START + round(time * 1e9)


def _camera_messages(
    suite: SensorSuite, camera: MountedCamera, view: View, start: float, truth: tuple[str, ...]
) -> list[StampedMessage]:
    """What one camera publishes for one frame set that starts at `start` seconds."""
    time, name = start + camera.delay, camera.name
    stamp = _stamp(time)
    picture, quality = suite.picture(camera, view, time, jpeg=False), suite.jpeg_quality(camera)
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"OpenCV did not encode a JPEG image of shape {picture.shape}")
    compressed = _TYPES.new(
        "sensor_msgs/msg/CompressedImage",
        header=header(_TYPES, stamp, name),
        format="jpeg",
        data=jpeg.reshape(-1),
    )
    messages: list[StampedMessage] = [
        (stamp, suite.rig.topic.format(camera=name), compressed),
        (stamp, f"/{name}/camera_info", camera_info_message(_TYPES, stamp, name, camera.model)),
        (stamp, f"/{name}/labels", image_message(_TYPES, stamp, name, view.label, "mono8")),
    ]
    for layer in truth:
        message = _truth_image(layer, view, stamp, name)
        messages.append((stamp, f"/truth/{name}/{layer}", message))
    return messages


def _truth_image(layer: str, view: View, stamp: int, frame: str) -> Any:
    if layer == "depth":
        return depth_message(_TYPES, stamp, frame, view.depth)
    if layer == "instance":
        # 16 bits are enough: more than 65,535 things do not fit into a street.
        return image_message(_TYPES, stamp, frame, view.instance.astype(np.uint16), "16UC1")
    if layer == "mirror":
        return image_message(_TYPES, stamp, frame, _bytes(view.mirror), "mono8")
    if layer == "normal":
        return image_message(_TYPES, stamp, frame, _bytes(view.normal * 0.5 + 0.5), "rgb8")
    # The square root keeps dark surfaces apart in 8 bits.
    light = view.albedo if layer == "albedo" else view.shading * 0.5
    return image_message(_TYPES, stamp, frame, _bytes(np.sqrt(np.maximum(light, 0.0))), "rgb8")


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)


def _scan_message(suite: SensorSuite, time: float) -> StampedMessage:
    points = suite.scan(time)
    columns = points.view([(name, "<f4") for name in ("x", "y", "z", "intensity")]).reshape(-1)
    stamp, frame = _stamp(time), suite.rig.lidar.name
    return (stamp, f"/{frame}/points", cloud_message(_TYPES, stamp, frame, columns))


def _truth_messages(drive: Drive, time: float) -> list[StampedMessage]:
    """The true ground under the vehicle, and every object with its box."""
    stamp = _stamp(time)
    normal, height = drive.road_plane(time)
    ego = drive.ego_pose(time)[:3, 3]
    markers = [_marker(placed, stamp, ego) for placed in drive.objects(time)]
    array = _TYPES.new("visualization_msgs/msg/MarkerArray", markers=markers)
    plane = ground_message(
        _TYPES, stamp, "base_link", normal, height, np.zeros((3, 3)), SOURCES.index("external")
    )
    return [(stamp, "/truth/ground", plane), (stamp, "/truth/objects", array)]


def _marker(placed: PlacedObject, stamp: int, ego: NDArray[np.float64]) -> Any:
    """An object's box: namespace its kind, id its instance, text its distance and speed."""
    T = placed.T_odom_object.copy()
    distance = float(np.linalg.norm(T[:3, 3] - ego))
    T[:3, 3] += T[:3, 2] * placed.size[2] / 2.0
    speed = float(np.linalg.norm(placed.velocity))
    zero = _TYPES.new("builtin_interfaces/msg/Duration", sec=0, nanosec=0)
    return _TYPES.new(
        "visualization_msgs/msg/Marker",
        header=header(_TYPES, stamp, "odom"),
        ns=placed.kind,
        id=placed.instance,
        type=1,
        action=0,
        pose=_pose(T),
        scale=_vector(placed.size),
        color=_TYPES.new("std_msgs/msg/ColorRGBA", r=0.1, g=0.8, b=0.2, a=0.4),
        lifetime=zero,
        frame_locked=False,
        points=[],
        colors=[],
        texture_resource="",
        texture=_TYPES.new(
            "sensor_msgs/msg/CompressedImage",
            header=header(_TYPES, 0, ""),
            format="",
            data=np.zeros(0, np.uint8),
        ),
        uv_coordinates=[],
        text=f"{placed.kind} {distance:.1f} m {speed:.1f} m/s",
        mesh_resource="",
        mesh_file=_TYPES.new(
            "visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, np.uint8)
        ),
        mesh_use_embedded_materials=False,
    )


def _vector(xyz: Any) -> Any:
    x, y, z = (float(c) for c in xyz)
    return _TYPES.new("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def _point(xyz: Any) -> Any:
    x, y, z = (float(c) for c in xyz)
    return _TYPES.new("geometry_msgs/msg/Point", x=x, y=y, z=z)


def _quaternion(T: NDArray[np.float64]) -> Any:
    x, y, z, w = (float(c) for c in quaternion_of(T))
    return _TYPES.new("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def _pose(T: NDArray[np.float64]) -> Any:
    return _TYPES.new(
        "geometry_msgs/msg/Pose", position=_point(T[:3, 3]), orientation=_quaternion(T)
    )


def _static_transforms(stamp: int, rig: WorldRig) -> Any:
    mountings = [(c.name, c.T_base_calibrated) for c in rig.cameras]
    mountings.append((rig.lidar.name, rig.lidar.T_base_lidar))
    # The true mountings are frames of their own, so that TF shows how wrong the calibration is.
    wrong = [c for c in rig.cameras if not np.array_equal(c.T_base_camera, c.T_base_calibrated)]
    mountings += [(f"truth/{c.name}", c.T_base_camera) for c in wrong]
    transforms = [transform_message(_TYPES, stamp, "base_link", name, T) for name, T in mountings]
    return _TYPES.new("tf2_msgs/msg/TFMessage", transforms=transforms)


def _road_profile(stamp: int, drive: Drive, seconds: float) -> Any:
    """The surface along the vehicle's lane, a pose each metre, from behind it to far ahead."""
    s = np.arange(-20.0, drive.speed * seconds + 100.0, 1.0)
    t = roundabout.path(drive.plan, s, np.full(len(s), drive.lane.t))
    points = drive.spine.world(s, t, drive.plan.shape.height(s, t))
    upright = _quaternion(np.eye(4))
    poses = [
        _TYPES.new(
            "geometry_msgs/msg/PoseStamped",
            header=header(_TYPES, stamp, "odom"),
            pose=_TYPES.new("geometry_msgs/msg/Pose", position=_point(p), orientation=upright),
        )
        for p in points
    ]
    return _TYPES.new("nav_msgs/msg/Path", header=header(_TYPES, stamp, "odom"), poses=poses)


def _motion(drive: Drive, duration: float) -> Iterator[StampedMessage]:
    """/tf and /odom from a little before the first image to a little after the last."""
    small = np.diag([1e-4] * 6).reshape(-1)
    for i in range(-5, int(np.ceil((duration + 0.1) * ODOMETRY_RATE)) + 1):
        time = i / ODOMETRY_RATE
        stamp = _stamp(time)
        T = drive.ego_pose(time)
        transform = transform_message(_TYPES, stamp, "odom", "base_link", T)
        yield (stamp, "/tf", _TYPES.new("tf2_msgs/msg/TFMessage", transforms=[transform]))
        linear, angular = drive.ego_twist(time)
        twist = _TYPES.new(
            "geometry_msgs/msg/Twist", linear=_vector(linear), angular=_vector(angular)
        )
        odometry = _TYPES.new(
            "nav_msgs/msg/Odometry",
            header=header(_TYPES, stamp, "odom"),
            child_frame_id="base_link",
            pose=_TYPES.new(
                "geometry_msgs/msg/PoseWithCovariance", pose=_pose(T), covariance=small
            ),
            twist=_TYPES.new(
                "geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=small
            ),
        )
        yield (stamp, "/odom", odometry)
