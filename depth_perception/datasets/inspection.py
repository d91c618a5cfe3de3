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

"""What a bag holds, and what would stop the package from working on it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.timing import clock_problems, timing, timing_notes
from depth_perception.errors import DepthPerceptionError
from depth_perception.geometry.ground_plane import GroundPlane, horizon_row
from depth_perception.rig.builder import ego_masks_of, nominal_ground
from depth_perception.rig.camera_topics import IMAGE_TYPES
from depth_perception.rig.ego_mask import masks_without_camera
from depth_perception.rig.mounting import height_doubt, height_error, view_error


def inspect_bag(reader: BagReader) -> dict[str, Any]:
    """Describe an opened bag as a JSON-able dictionary.

    ``problems`` lists what would stop it from working, ``notes`` what is worth knowing.
    """
    problems: list[str] = []
    notes: list[str] = []
    cameras: list[dict[str, Any]] = []
    try:
        rig = reader.rig
    except DepthPerceptionError as error:
        problems.append(str(error))
        rig = None
    stamps = _stamps(reader)
    ground = nominal_ground(reader.parameters.ground)
    if rig is not None:
        for camera in rig:
            topics = reader.cameras[camera.name]
            forward = camera.T_base_camera[:3, 2]
            model = camera.model
            field_of_view = _field_of_view(camera.view)
            entry = {
                "name": camera.name,
                "image_topic": topics.image,
                "camera_info_topic": topics.info,
                "frame_id": camera.frame_id,
                "size": [model.width, model.height],
                "rectified": topics.rectified or model.is_pinhole,
                "distortion_model": "none" if model.is_pinhole else model.distortion_model,
                "focal_px": [round(float(model.K[0, 0]), 1), round(float(model.K[1, 1]), 1)],
                "field_of_view_deg": [round(angle, 1) for angle in field_of_view],
                "position_m": camera.position.round(3).tolist(),
                "yaw_deg": round(float(np.rad2deg(np.arctan2(forward[1], forward[0]))), 1),
                "pitch_deg": round(float(np.rad2deg(np.arcsin(-forward[2]))), 2),
                "height_m": round(float(camera.position[2]), 3),
                **timing(stamps[topics.image]),
            }
            cameras.append(entry)
            _check_mounting(camera, ground, rig.base_frame, entry, problems, notes)
            notes += timing_notes(topics.image, entry, "image")
        of_images = {
            reader.cameras[name].image: stamps[reader.cameras[name].image] for name in rig.names
        }
        problems += clock_problems(of_images, "no frame set holds both")
        notes += masks_without_camera(ego_masks_of(reader.parameters), rig.names)
    missing = [text for text in reader.problems if "is left out" in text]
    if rig is not None:  # else the error says why each camera is left out
        problems += [text for text in missing if text not in problems]
    problems += [text for text in reader.losses if text not in problems]
    notes += [text for text in reader.problems if text not in [*missing, *reader.losses]]
    problems += _scan_problems(reader)
    notes += _transform_notes(reader, problems + notes)
    lidars = [
        {"topic": topic, "messages": reader.counts[topic], **timing(stamps[topic])}
        for topic in reader.lidar_topics
    ]
    for lidar in lidars:
        notes += timing_notes(lidar["topic"], lidar, "scan")
    lonely = [
        topic
        for topic, kind in sorted(reader.topics.items())
        if kind in IMAGE_TYPES and topic not in {c.image for c in reader.cameras.values()}
    ]
    if lonely:
        notes.append("image topics that are not used: " + ", ".join(lonely))
    if not lidars:
        notes.append(
            "no LiDAR (sensor_msgs/PointCloud2): replay works; evaluate needs one, or exact depth"
        )
    if not reader.odometry:
        notes.append("no odometry: LiDAR points are not moved to the images' instants")
    return {
        "bag": str(reader.path),
        "duration_s": round((reader.end_time - reader.start_time) * 1e-9, 3),
        "topics": {
            topic: {"type": kind, "messages": reader.counts[topic]}
            for topic, kind in sorted(reader.topics.items())
        },
        "cameras": cameras,
        "transforms": [list(edge) for edge in reader.transforms.edges],
        "base_frame": reader.parameters.base_frame,
        "lidars": lidars,
        "odometry_poses": len(reader.odometry),
        "notes": notes,
        "problems": problems,
    }


def _stamps(reader: BagReader) -> dict[str, list[int]]:
    topics = [camera.image for camera in reader.cameras.values()] + reader.lidar_topics
    stamps: dict[str, list[int]] = defaultdict(list)
    for topic, _, message in reader.messages(topics):
        stamps[topic].append(messages.stamp_of(message.header.stamp))
    return stamps


def _transform_notes(reader: BagReader, said: list[str]) -> list[str]:
    """Say which transforms place nothing, and what they contradict each other on elsewhere."""
    cameras = [camera.image for camera in reader.cameras.values()]
    unused = reader.transforms.unused([*cameras, *reader.lidar_topics])
    notes = [f"transforms that place no camera: {', '.join(unused)}"] if unused else []
    everything = "\n".join(said)
    return notes + [
        f"{text} (nothing depends on it)"
        for text in reader.transforms.contradictions
        if text not in everything
    ]


def _scan_problems(reader: BagReader) -> list[str]:
    """Say why the first scan of a LiDAR could not be scored against."""
    out = []
    for topic in reader.lidar_topics:
        for _, _, message in reader.messages([topic]):
            try:
                points = messages.decode_points(message, topic)
                reader.view(topic).lookup(reader.parameters.base_frame, message.header.frame_id)
                if len(points) == 0:
                    out.append(f"{topic}: its first scan has no finite point")
            except DepthPerceptionError as error:
                text = str(error)
                out.append(text if text.startswith(topic) else f"{topic}: {text}")
            break
    return out


def _field_of_view(camera: Any) -> tuple[float, float]:
    """Horizontal and vertical field of view through the image centre, degrees."""
    w, h = camera.width - 1, camera.height - 1
    pixels = np.array([[0, h / 2], [w, h / 2], [w / 2, 0], [w / 2, h]])
    rays = camera.lift(pixels)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    return (
        float(np.rad2deg(np.arccos(np.clip(rays[0] @ rays[1], -1, 1)))),
        float(np.rad2deg(np.arccos(np.clip(rays[2] @ rays[3], -1, 1)))),
    )


def _check_mounting(
    camera: Any,
    ground: GroundPlane,
    base_frame: str,
    entry: dict[str, Any],
    problems: list[str],
    notes: list[str],
) -> None:
    """Add what is impossible or odd about how a camera is mounted."""
    name = camera.name
    error = height_error(camera, ground, base_frame) or view_error(camera, ground)
    if error is not None:
        problems.append(str(error))
        return
    if doubt := height_doubt(camera, ground, base_frame):
        notes.append(doubt)
    up = -camera.T_base_camera[2, 1]
    if up < 0.5:
        notes.append(
            f"camera {name}: its y axis does not point down (tilt {np.rad2deg(np.arccos(up)):.0f}"
            " deg); is its frame an optical frame (z forward, x right, y down)?"
        )
    if camera.view.is_pinhole:
        horizon = float(
            horizon_row(camera.view, camera.T_base_camera, ground, camera.view.width / 2)
        )
        entry["horizon_row"] = round(horizon, 1)
        if up > 0.5 and horizon >= camera.view.height:
            notes.append(f"camera {name} sees only what is above the horizon")


def print_inspection(inspection: dict[str, Any]) -> None:
    """Print a description as tables."""
    # Names of topics and frames may hold brackets or colons, which are to be read as they stand.
    console = Console(width=100, highlight=False, markup=False, emoji=False)
    title = Text.assemble((str(inspection["bag"]), "bold"), f"  {inspection['duration_s']} s")
    console.print(title, soft_wrap=True)
    table = Table(box=box.SIMPLE, header_style="")
    for column in ("camera", "size", "lens", "field, deg", "rate", "images", "height", "yaw, deg"):
        table.add_column(column, no_wrap=True)
    for c in inspection["cameras"]:
        table.add_row(
            c["name"],
            f"{c['size'][0]}x{c['size'][1]}",
            "rectified" if c["rectified"] else c["distortion_model"],
            f"{c['field_of_view_deg'][0]:.0f} x {c['field_of_view_deg'][1]:.0f}",
            "-" if c["rate_hz"] is None else f"{c['rate_hz']} Hz",
            str(c["messages"]),
            f"{c['height_m']:.2f} m",
            f"{c['yaw_deg']:.0f}",
        )
    if inspection["cameras"]:
        console.print(table)
    for c in inspection["cameras"]:
        topics = f"{c['image_topic']}, {c['camera_info_topic']}"
        console.print(f"images    {topics} in frame {c['frame_id']}", soft_wrap=True)
    for lidar in inspection["lidars"]:
        rate = "" if lidar["rate_hz"] is None else f", {lidar['rate_hz']} Hz"
        console.print(f"LiDAR     {lidar['topic']}: {lidar['messages']} scans{rate}")
    console.print(f"odometry  {inspection['odometry_poses']} poses")
    console.print(f"TF        base frame {inspection['base_frame']}")
    children: dict[str, list[str]] = defaultdict(list)
    for parent, child in inspection["transforms"]:
        children[parent].append(child)
    for parent, names in children.items():
        console.print(f"          {parent} -> {', '.join(names)}", soft_wrap=True)
    for note in inspection["notes"]:
        console.print(f"note: {note}", soft_wrap=True)
    for problem in inspection["problems"]:
        console.print(f"problem: {problem}", style="bold", soft_wrap=True)
    console.print("nothing stops it from working" if not inspection["problems"] else "")
