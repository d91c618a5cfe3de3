"""The topics of one result: what the node publishes and replay writes, named and built once.

Architecture: "Outputs". Topic names are relative; the node resolves them in its namespace, replay
writes them below ``/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from depth_perception import messages
from depth_perception.frames.surround_result import CameraResult, SurroundResult
from depth_perception.geometry.ground_plane import SOURCES
from depth_perception.messages.headers import MessageTypes
from depth_perception.parameters import Parameters

ROOT = "surround_depth"

IMAGE = "sensor_msgs/msg/Image"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
CLOUD = "sensor_msgs/msg/PointCloud2"
OCCUPANCY = "nav_msgs/msg/OccupancyGrid"
GROUND = "depth_perception/msg/GroundPlane"
STATUS = "depth_perception/msg/SurroundDepthStatus"


@dataclass(frozen=True)
class Output:
    """One topic and how its message is made from a result; made only when ``build`` is called."""

    topic: str
    type_name: str
    stamp: int
    build: Callable[[MessageTypes], Any]


def camera_topics(camera: str, rectified: bool = True) -> dict[str, tuple[str, str]]:
    """Topic and type of each output of one camera, by short name."""
    image = "image_rect" if rectified else "image_raw"
    root = f"{ROOT}/{camera}"
    return {
        "depth": (f"{root}/depth/{image}", IMAGE),
        "camera_info": (f"{root}/depth/camera_info", CAMERA_INFO),
        "confidence": (f"{root}/depth/confidence", IMAGE),
        "embodied": (f"{root}/embodied/{image}", IMAGE),
    }


def vehicle_topics() -> dict[str, tuple[str, str]]:
    """Topic and type of each output of the whole vehicle, by short name."""
    return {
        "points": (f"{ROOT}/points", CLOUD),
        "obstacles": (f"{ROOT}/obstacles", CLOUD),
        "occupancy": (f"{ROOT}/occupancy", OCCUPANCY),
        "ground": (f"{ROOT}/ground", GROUND),
        "status": (f"{ROOT}/status", STATUS),
    }


@dataclass(frozen=True)
class Counters:
    """How many frame sets went which way since the start."""

    processed: int = 0
    dropped: int = 0
    incomplete: int = 0


def outputs(
    result: SurroundResult, parameters: Parameters, counters: Counters, *, now: int, latency: float
) -> Iterator[Output]:
    """Yield every output of one result.

    Args:
        result: From the pipeline.
        parameters: ``rectify`` and ``output.depth_encoding`` hold.
        counters: For the status.
        now: Time of publication, nanoseconds of the clock that stamps are of; for ages.
        latency: Seconds from the set's arrival to now.
    """
    for name, camera in result.cameras.items():
        yield from _camera_outputs(name, camera, parameters)
    topics = vehicle_topics()
    stamp, frame = result.stamp, result.base_frame
    for short, cloud in (("points", result.points), ("obstacles", result.obstacles)):
        if cloud is not None:
            build = partial(messages.cloud_message, stamp=stamp, frame_id=frame, points=cloud)
            yield Output(*topics[short], stamp, build)
    if result.occupancy is not None:
        grid = result.occupancy
        yield Output(
            *topics["occupancy"],
            stamp,
            lambda types: messages.occupancy_message(types, stamp, frame, grid),
        )
    ground = result.ground
    yield Output(
        *topics["ground"],
        stamp,
        lambda types: messages.ground_message(
            types,
            stamp,
            frame,
            ground.normal,
            ground.height,
            ground.covariance,
            SOURCES.index(ground.source),
        ),
    )
    yield Output(
        *topics["status"],
        stamp,
        lambda types: status_message(types, result, counters, now=now, latency=latency),
    )


def _camera_outputs(name: str, camera: CameraResult, parameters: Parameters) -> Iterator[Output]:
    topics = camera_topics(name, parameters.rectify)
    stamp, frame = camera.stamp, camera.frame_id
    encoding = parameters.output.depth_encoding
    # Calibration first: whoever pairs the two has it when the image comes.
    yield Output(
        *topics["camera_info"],
        stamp,
        lambda types: messages.camera_info_message(types, stamp, frame, camera.camera),
    )
    yield Output(
        *topics["depth"],
        stamp,
        lambda types: messages.depth_message(types, stamp, frame, camera.depth, encoding),
    )
    yield Output(
        *topics["confidence"],
        stamp,
        lambda types: messages.image_message(types, stamp, frame, camera.confidence, "32FC1"),
    )
    yield Output(
        *topics["embodied"],
        stamp,
        lambda types: messages.depth_message(types, stamp, frame, camera.embodied, encoding),
    )


def status_message(
    types: MessageTypes,
    result: SurroundResult,
    counters: Counters,
    *,
    now: int,
    latency: float,
    order: Sequence[str] = (),
    latest: Mapping[str, int] | None = None,
) -> Any:
    """Build a ``depth_perception/SurroundDepthStatus``.

    Args:
        types: What makes the messages.
        result: What was computed, and why cameras are missing.
        counters: Frame sets since the start.
        now: Time of publication, nanoseconds, for ages.
        latency: Seconds from the set's arrival to now.
        order: Names of all cameras, in the order of the message; others come after them.
        latest: Stamp (ns) of the latest image of each camera that ever sent one.
    """
    names = dict.fromkeys([*order, *result.cameras, *result.missing])
    cameras = []
    for name in names:
        present = name in result.cameras
        stamp = result.cameras[name].stamp if present else (latest or {}).get(name, 0)
        sec, nanosec = divmod(stamp, 1_000_000_000)
        cameras.append(
            types.new(
                "depth_perception/msg/CameraStatus",
                name=name,
                stamp=types.new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec),
                age=max(0.0, (now - stamp) * 1e-9) if stamp else float("nan"),
                present=present,
                reason="" if present else result.missing.get(name, "no image yet"),
            )
        )
    return types.new(
        "depth_perception/msg/SurroundDepthStatus",
        header=messages.header(types, result.stamp, result.base_frame),
        estimator=result.estimator,
        provider=result.provider,
        model=result.model,
        cameras=cameras,
        stage_names=list(result.latencies),
        stage_latencies=types.array(np.array(list(result.latencies.values()), dtype=np.float64)),
        latency=float(latency),
        frame_sets_processed=counters.processed,
        frame_sets_dropped=counters.dropped,
        frame_sets_incomplete=counters.incomplete,
    )
