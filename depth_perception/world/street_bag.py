"""Write a drive through the synthetic street as a rosbag2 bag: cameras, LiDAR, poses, truth.

    python -m depth_perception.world.street_bag --output DIR --frames 10 --seed 0

Topics: /CAM_X/image_raw/compressed, /CAM_X/camera_info, /CAM_X/labels (mono8, Cityscapes train ids,
255 own body), /LIDAR_TOP/points, /odom, /tf, /tf_static; and /CAM_X/truth/depth (32FC1) on request.
"""

from __future__ import annotations

import argparse
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from depth_perception.datasets.bag_writer import BagTypes, latched_qos
from depth_perception.geometry.transforms import quaternion_of
from depth_perception.messages import (
    camera_info_message,
    cloud_message,
    depth_message,
    header,
    image_message,
)

from .raycast import render
from .rig import (
    SPEED,
    WorldCamera,
    ego_pose,
    ego_twist,
    lidar_mounting,
    scan_lidar,
    surround_cameras,
)
from .scene import FloatArray, Scene
from .street import build_street

START = 1_700_000_000_000_000_000  # stamp of the start of the first frame set, ns
LIDAR_DELAY = 0.020  # the revolution's instant after the start of a frame set, s
ODOMETRY_RATE = 50.0  # Hz
TRUTH_SETS = 2  # frame sets with truth depth, which hardly compresses
JPEG_QUALITY = 90

_STORE = get_typestore(Stores.ROS2_JAZZY)
_TYPES = BagTypes(_STORE)

Dated = tuple[int, str, Any]  # stamp (ns), topic, message


def write_street_bag(
    path: str | Path,
    *,
    frames: int = 10,
    seed: int = 0,
    rate: float = 5.0,
    width: int = 800,
    truth: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a bag directory of `frames` frame sets at `rate` Hz; the images are 16:9.

    The images of a set are spread over 40 ms and each is rendered at its own instant. Message
    contents depend on the arguments only. `truth` adds exact depth for the first `TRUTH_SETS`
    sets. `progress` is called with (sets done, frames). Raises `ValueError` for bad numbers and
    what rosbags raises when `path` exists already.
    """
    if frames < 1 or not 0.0 < rate <= 20.0 or width < 64:
        raise ValueError(
            f"frames={frames}, rate={rate}, width={width}: expected at least 1 frame, "
            "a rate up to 20 Hz (a set takes 40 ms), and a width from 64 pixels"
        )
    scene = build_street(seed, SPEED * frames / rate)
    cameras = surround_cameras(width)
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    # Chunks are compressed, as `ros2 bag record` does it: labels shrink to a fiftieth.
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    connections: dict[str, Connection] = {}

    def write(stamp: int, topic: str, message: Any) -> None:
        kind = message.__msgtype__
        if topic not in connections:
            qos = [latched_qos()] if topic == "/tf_static" else []
            connections[topic] = writer.add_connection(
                topic, kind, typestore=_STORE, offered_qos_profiles=qos
            )
        writer.write(connections[topic], stamp, _STORE.serialize_cdr(message, kind))

    moving = _motion(frames / rate)
    with writer, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        write(moving[0][0], "/tf_static", _static_transforms(moving[0][0], cameras))
        for i in range(frames):
            start = i / rate
            jobs = [pool.submit(_lidar_messages, scene, i, start, seed)]
            for camera in cameras:
                wanted = truth and i < TRUTH_SETS
                jobs.append(pool.submit(_camera_messages, scene, camera, i, start, seed, wanted))
            end = _stamp((i + 1) / rate) if i + 1 < frames else moving[-1][0] + 1
            messages = [message for job in jobs for message in job.result()]
            messages += [message for message in moving if message[0] < end]
            moving = [message for message in moving if message[0] >= end]
            for stamp, topic, message in sorted(messages, key=lambda m: m[:2]):
                write(stamp, topic, message)
            if progress is not None:
                progress(i + 1, frames)


def _stamp(time: float) -> int:
    return START + round(time * 1e9)


def _noise_seed(seed: int, index: int, name: str) -> int:
    """A seed for one sensor's noise in one frame set, the same on every run and machine."""
    return (seed * 1_000_003 + index * 101 + zlib.crc32(name.encode())) & 0x7FFFFFFF


def _camera_messages(
    scene: Scene, camera: WorldCamera, index: int, start: float, seed: int, truth: bool
) -> list[Dated]:
    """What one camera publishes for one frame set that starts at `start` seconds."""
    time, name, model = start + camera.delay, camera.name, camera.model
    stamp = _stamp(time)
    view = render(
        scene, time, ego_pose(time), camera.T_base_camera, model.K, model.width, model.height,
        seed=_noise_seed(seed, index, name),
    )  # fmt: skip
    done, jpeg = cv2.imencode(".jpg", view.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError(f"OpenCV did not encode a JPEG image of shape {view.image.shape}")
    compressed = _TYPES.new(
        "sensor_msgs/msg/CompressedImage",
        header=header(_TYPES, stamp, name),
        format="jpeg",
        data=jpeg.reshape(-1),
    )
    messages = {
        "camera_info": camera_info_message(_TYPES, stamp, name, model),
        "image_raw/compressed": compressed,
        "labels": image_message(_TYPES, stamp, name, view.labels, "mono8"),
    }
    if truth:
        messages["truth/depth"] = depth_message(_TYPES, stamp, name, view.depth)
    return [(stamp, f"/{name}/{topic}", message) for topic, message in messages.items()]


def _lidar_messages(scene: Scene, index: int, start: float, seed: int) -> list[Dated]:
    """The LiDAR's cloud for one frame set that starts at `start` seconds."""
    time = start + LIDAR_DELAY
    points = scan_lidar(scene, time, seed=_noise_seed(seed, index, "LIDAR_TOP"))
    columns = points.view([(name, "<f4") for name in ("x", "y", "z", "intensity")]).reshape(-1)
    stamp = _stamp(time)
    return [(stamp, "/LIDAR_TOP/points", cloud_message(_TYPES, stamp, "LIDAR_TOP", columns))]


def _transform(stamp: int, parent: str, child: str, T: FloatArray) -> Any:
    x, y, z = (float(c) for c in T[:3, 3])
    qx, qy, qz, qw = (float(c) for c in quaternion_of(T))
    return _TYPES.new(
        "geometry_msgs/msg/TransformStamped",
        header=header(_TYPES, stamp, parent),
        child_frame_id=child,
        transform=_TYPES.new(
            "geometry_msgs/msg/Transform",
            translation=_TYPES.new("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
            rotation=_TYPES.new("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
        ),
    )


def _static_transforms(stamp: int, cameras: tuple[WorldCamera, ...]) -> Any:
    mountings = [(c.name, c.T_base_camera) for c in cameras] + [("LIDAR_TOP", lidar_mounting())]
    transforms = [_transform(stamp, "base_link", name, T) for name, T in mountings]
    return _TYPES.new("tf2_msgs/msg/TFMessage", transforms=transforms)


def _motion(duration: float) -> list[Dated]:
    """/tf and /odom from a little before the first image to a little after the last."""
    messages: list[Dated] = []
    for i in range(-5, int(np.ceil((duration + 0.1) * ODOMETRY_RATE)) + 1):
        time = i / ODOMETRY_RATE
        stamp = _stamp(time)
        T = ego_pose(time)
        transform = _transform(stamp, "odom", "base_link", T)
        messages.append(
            (stamp, "/tf", _TYPES.new("tf2_msgs/msg/TFMessage", transforms=[transform]))
        )
        x, y, z = (float(c) for c in T[:3, 3])
        speed, yaw_rate = ego_twist(time)
        pose = _TYPES.new(
            "geometry_msgs/msg/Pose",
            position=_TYPES.new("geometry_msgs/msg/Point", x=x, y=y, z=z),
            orientation=transform.transform.rotation,
        )
        twist = _TYPES.new(
            "geometry_msgs/msg/Twist",
            linear=_TYPES.new("geometry_msgs/msg/Vector3", x=speed, y=0.0, z=0.0),
            angular=_TYPES.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=yaw_rate),
        )
        small = np.diag([1e-4] * 6).reshape(-1)
        odometry = _TYPES.new(
            "nav_msgs/msg/Odometry",
            header=header(_TYPES, stamp, "odom"),
            child_frame_id="base_link",
            pose=_TYPES.new("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=small),
            twist=_TYPES.new(
                "geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=small
            ),
        )
        messages.append((stamp, "/odom", odometry))
    return messages


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Write a bag of a synthetic street.")
    parser.add_argument("--output", type=Path, required=True, help="bag directory to create")
    parser.add_argument("--frames", type=int, default=10, help="frame sets (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="which street (default 0)")
    parser.add_argument("--rate", type=float, default=5.0, help="frame sets a second (default 5)")
    parser.add_argument("--width", type=int, default=800, help="image width (default 800)")
    parser.add_argument("--truth", action="store_true", help="exact depth of the first sets too")
    options = parser.parse_args(arguments)
    from tqdm import tqdm

    with tqdm(total=options.frames, unit="set", desc=str(options.output)) as bar:
        write_street_bag(
            options.output,
            frames=options.frames,
            seed=options.seed,
            rate=options.rate,
            width=options.width,
            truth=options.truth,
            progress=lambda done, _: bar.update(done - bar.n),
        )


if __name__ == "__main__":
    main()
