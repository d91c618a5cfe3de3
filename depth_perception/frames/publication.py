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

"""The topics of one result: what the node publishes and replay writes, named and built once.

Architecture: "Outputs". Topic names are relative; the node resolves them in its namespace, replay
writes them below ``/``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from depth_perception import messages
from depth_perception.frames.surround_result import CameraResult, MotionState, SurroundResult
from depth_perception.geometry.depth_colours import colour_depth
from depth_perception.geometry.ground_plane import SOURCES
from depth_perception.messages.sensors import MessageTypes
from depth_perception.parameters import Parameters

ROOT = "surround_depth"

IMAGE = "sensor_msgs/msg/Image"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
CLOUD = "sensor_msgs/msg/PointCloud2"
OCCUPANCY = "nav_msgs/msg/OccupancyGrid"
GROUND = "depth_perception/msg/GroundPlane"
STATUS = "depth_perception/msg/SurroundDepthStatus"
TWIST = "geometry_msgs/msg/TwistWithCovarianceStamped"


def camera_topics(
    camera: str, rectified: bool = True, motion: bool = False
) -> dict[str, tuple[str, str]]:
    """Topic and type of each output of one camera, by short name, in the order of publication.

    Calibration comes before its images: whoever pairs the two has it when the image comes.

    Args:
        camera: Its name.
        rectified: As the parameter ``rectify``.
        motion: As the parameter ``motion.enabled``: without, nothing is measured.
    """
    image = "image_rect" if rectified else "image_raw"
    root = f"{ROOT}/{camera}"
    topics = {
        "camera_info": (f"{root}/depth/camera_info", CAMERA_INFO),
        "depth": (f"{root}/depth/{image}", IMAGE),
        "confidence": (f"{root}/depth/confidence", IMAGE),
        "colour": (f"{root}/depth/image_color", IMAGE),
        "embodied_info": (f"{root}/embodied/camera_info", CAMERA_INFO),
        "embodied": (f"{root}/embodied/{image}", IMAGE),
    }
    if motion:
        topics["measured_info"] = (f"{root}/measured/camera_info", CAMERA_INFO)
        topics["measured"] = (f"{root}/measured/{image}", IMAGE)
        topics["measured_colour"] = (f"{root}/measured/image_color", IMAGE)
    return topics


def vehicle_topics(motion: bool = False) -> dict[str, tuple[str, str]]:
    """Topic and type of each output of the whole vehicle, by short name.

    Args:
        motion: As the parameter ``motion.enabled``: without, nobody knows how it moves.
    """
    topics = {
        "points": (f"{ROOT}/points", CLOUD),
        "obstacles": (f"{ROOT}/obstacles", CLOUD),
        "occupancy": (f"{ROOT}/occupancy", OCCUPANCY),
        "ground": (f"{ROOT}/ground", GROUND),
        "status": (f"{ROOT}/status", STATUS),
    }
    if motion:
        topics["twist"] = (f"{ROOT}/twist", TWIST)
    return topics


@dataclass
class Counters:
    """How many frame sets went which way since the start; they are counted up in place.

    Attributes:
        processed: With results.
        dropped: Left out, for want of time.
        incomplete: With results, though a camera was missing.
        computed: Images of which depth was computed.
        carried: Images whose depth is that of an earlier one, as it is seen from there.
        effort: Share that is done now of the work that may be put off, 0 to 1.
    """

    processed: int = 0
    dropped: int = 0
    incomplete: int = 0
    computed: int = 0
    carried: int = 0
    effort: float = 1.0


@dataclass(frozen=True)
class Demand:
    """What is to be computed because somebody listens to what is made of it.

    Attributes:
        cameras: Names of the cameras whose images are needed.
        clouds: Whether the point clouds are.
        occupancy: Whether the occupancy map is.
        embodied: Whether embodied depth is, beside an estimator's own.
    """

    cameras: tuple[str, ...] = ()
    clouds: bool = False
    occupancy: bool = False
    embodied: bool = False

    def __str__(self) -> str:
        """Name the cameras, and the stages that only some outputs need."""
        stages = [name for name in ("clouds", "occupancy", "embodied") if getattr(self, name)]
        return ", ".join(self.cameras or ("no camera",)) + "".join(f"; {s}" for s in stages)


STAGES = {
    "depth": "",
    "camera_info": "",
    "confidence": "",
    "colour": "",
    "embodied_info": "",
    "embodied": "embodied",
    "measured_info": "",
    "measured": "",
    "measured_colour": "",
    "points": "clouds",
    "obstacles": "clouds",
    "occupancy": "occupancy",
    "ground": "",
    "status": "",
    "twist": "",
}
"""Of each output, by short name: the stage that only some outputs need. What is of a camera needs
that camera's images, what is of the whole vehicle those of all cameras."""

FOR_PEOPLE = {"colour", "measured_colour"}
"""Outputs that say in colours what others say in numbers: bags do without."""


def demand_of(
    heard: Collection[str], cameras: Sequence[str], rectify: bool, motion: bool = False
) -> Demand:
    """Say what is needed for the topics that somebody listens to.

    Args:
        heard: Topics (relative, as here) that somebody listens to.
        cameras: Names of all cameras there are.
        rectify: As the parameter.
        motion: As the parameter ``motion.enabled``.
    """

    def listened(topics: Mapping[str, tuple[str, str]]) -> set[str]:
        return {short for short, (topic, _) in topics.items() if topic in heard}

    vehicle = listened(vehicle_topics(motion))
    by_camera = {name: listened(camera_topics(name, rectify, motion)) for name in cameras}
    stages = {STAGES[short] for short in vehicle.union(*by_camera.values())}
    return Demand(
        cameras=tuple(name for name in cameras if vehicle or by_camera[name]),
        clouds="clouds" in stages,
        occupancy="occupancy" in stages,
        embodied="embodied" in stages,
    )


def messages_of(
    result: SurroundResult,
    parameters: Parameters,
    types: MessageTypes,
    heard: Collection[str] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Yield (topic, message) of each output of a result but its status.

    Args:
        result: From the pipeline.
        parameters: ``rectify`` and ``output.depth_encoding`` hold.
        types: What makes the messages.
        heard: Topics whose messages are wanted; None: all that a bag keeps, which is all but
            pictures that are made of others.
    """

    def wanted(topic: str) -> bool:
        return heard is None or topic in heard

    for name, camera in result.cameras.items():
        outputs = camera_topics(name, parameters.rectify, parameters.motion.enabled)
        for short, (topic, _) in outputs.items():
            if short.startswith("measured") and camera.measurement is None:
                continue
            if wanted(topic) and not (heard is None and short in FOR_PEOPLE):
                yield topic, _camera_message(short, camera, types, parameters)
    topics = vehicle_topics(parameters.motion.enabled)
    stamp, frame = result.stamp, result.base_frame
    for short, cloud in (("points", result.points), ("obstacles", result.obstacles)):
        topic = topics[short][0]
        if cloud is not None and wanted(topic):
            yield topic, messages.cloud_message(types, stamp, frame, cloud)
    topic = topics["occupancy"][0]
    if result.occupancy is not None and wanted(topic):
        yield topic, messages.occupancy_message(types, stamp, frame, result.occupancy)
    topic = topics["ground"][0]
    if wanted(topic):
        ground = result.ground
        yield (
            topic,
            messages.ground_message(
                types,
                stamp,
                frame,
                ground.normal,
                ground.height,
                ground.covariance,
                SOURCES.index(ground.source),
            ),
        )
    moves = result.motion
    if "twist" in topics and moves is not None and moves.velocity is not None:
        topic = topics["twist"][0]
        if wanted(topic):
            assert moves.velocity_covariance is not None
            velocity = moves.velocity, moves.velocity_covariance
            yield topic, messages.twist_message(types, stamp, frame, *velocity)


def _camera_message(
    short: str, camera: CameraResult, types: MessageTypes, parameters: Parameters
) -> Any:
    """Build one output of one camera by its short name in `camera_topics`."""
    stamp, frame, encoding = camera.stamp, camera.frame_id, parameters.output.depth_encoding
    if short.endswith("_info"):
        return messages.camera_info_message(types, stamp, frame, camera.camera)
    if short == "depth":
        return messages.depth_message(types, stamp, frame, camera.depth, encoding)
    if short == "confidence":
        return messages.image_message(types, stamp, frame, camera.confidence, "32FC1")
    if short == "measured" and camera.measured is not None:
        return messages.depth_message(types, stamp, frame, camera.measured, encoding)
    if short == "measured_colour" and camera.measured is not None:
        return messages.image_message(types, stamp, frame, colour_depth(camera.measured), "bgr8")
    if short == "colour":
        return messages.image_message(types, stamp, frame, colour_depth(camera.depth), "bgr8")
    assert short == "embodied", short
    return messages.depth_message(types, stamp, frame, camera.embodied, encoding)


def status_message(
    types: MessageTypes,
    result: SurroundResult,
    counters: Counters,
    *,
    now: int,
    latency: float,
    order: Sequence[str] = (),
    latest: Mapping[str, int] | None = None,
    stages: Mapping[str, float] | None = None,
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
        stages: Seconds by stage; None: the result's.
    """
    stages = result.latencies if stages is None else stages
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
    moves = result.motion or MotionState(source="")
    return types.new(
        "depth_perception/msg/SurroundDepthStatus",
        header=messages.header(types, result.stamp, result.base_frame),
        estimator=result.estimator,
        provider=result.provider,
        model=result.model,
        cameras=cameras,
        stage_names=list(stages),
        stage_latencies=types.array(np.array(list(stages.values()), dtype=np.float64)),
        latency=float(latency),
        motion_source=moves.source,
        motion_speed=moves.speed,
        motion_length_factor=moves.length_factor,
        motion_length_factor_sigma=moves.length_factor_sigma,
        motion_problem=moves.problem,
        frame_sets_processed=counters.processed,
        frame_sets_dropped=counters.dropped,
        frame_sets_incomplete=counters.incomplete,
    )
