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

"""Which topics belong to which camera: by name, from the graph of a bag or of running nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from depth_perception.parameters import Parameters
from depth_perception.yaml_mapping import near_name, nearest

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"

_IMAGE_NAMES = ("image_rect_color", "image_rect", "image_color", "image_raw", "image", "image_mono")
_NOT_IMAGES = (
    "depth",
    "label",
    "mask",
    "confidence",
    "segmentation",
    "theora",
    "embodied",
    "truth",
)


_TRANSPORTS = ("compressed", "theora", "zstd", "ffmpeg")
"""Last names of topics that carry the images of the topic before them."""
_RECTIFIED_WORDS = ("rect", "rectified", "undistorted", "undistort")
_RAW_WORDS = ("raw", "unrectified", "distorted", "unrect")

_NOT_CAMERAS = ("depth", "disparity", "confidence", "segmentation", "labels")


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera.

    Attributes:
        name: The camera's name.
        image: Topic of its images.
        compressed: True when they are ``CompressedImage``.
        rectified: True when they are rectified, as ``image_kinds`` or the topic's name says.
        info: Topic of its calibration.
        labels: Topic of its label images, or empty.
        note: What is worth knowing about how they were chosen, or empty.
    """

    name: str
    image: str
    compressed: bool
    rectified: bool
    info: str
    labels: str = ""
    note: str = field(default="", compare=False)


def camera_name(info_topic: str) -> str:
    """Name a camera after the path element before ``camera_info``."""
    parts = [part for part in info_topic.split("/") if part]
    return parts[-2] if len(parts) > 1 else parts[-1] if parts else ""


def is_rectified_topic(topic: str) -> bool:
    """Tell from its name whether a topic carries rectified images, e.g. ``image_rect_color``.

    What its last name says counts (``rect``, ``raw``), else the nearest folder that says anything:
    ``/rectified/left/image``, ``/left_rect/image``.
    """
    parts = [part for part in topic.split("/") if part]
    if parts and parts[-1] in _TRANSPORTS:
        parts.pop()
    for part in reversed(parts):
        words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1_\2", part).lower())
        for before, word in zip(["", *words], words, strict=False):
            if word in _RECTIFIED_WORDS:
                return before not in ("not", "non", "un", "no")
        if any(word in _RAW_WORDS for word in words):
            return False
    return False


def _is_rectified(parameters: Parameters, index: int, topic: str) -> bool:
    """Tell whether a camera's images are rectified: as ``image_kinds`` says, else its topic."""
    kinds = parameters.image_kinds
    kind = "auto" if not kinds else kinds[0] if len(kinds) == 1 else kinds[index]
    return is_rectified_topic(topic) if kind == "auto" else kind == "rectified"


def is_depth_camera(info_topic: str) -> bool:
    """Tell from its topics whether a camera delivers depth, labels or the like, not images."""
    parent = info_topic.rsplit("/", 1)[0].rsplit("/", 1)[-1].lower()
    return any(word in _NOT_CAMERAS for word in parent.split("_"))


def match_image_topic(info_topic: str, topics: Mapping[str, str]) -> str | None:
    """Find the image topic beside a camera_info topic.

    Args:
        info_topic: E.g. ``/CAM_FRONT/camera_info``.
        topics: Type by topic name.

    Returns:
        The best of the image topics in the same namespace: rectified before raw, raw transport
        before compressed; None without any. Beside a ``camera_info_rect`` only rectified ones: it
        has no distortion, and the focal length of those.
    """
    prefix = info_topic.rsplit("/", 1)[0] + "/"
    candidates = []
    for topic, type_name in topics.items():
        rest = topic.removeprefix(prefix)
        if rest == topic or type_name not in IMAGE_TYPES or rest.count("/") > 1:
            continue
        if any(word in rest.lower() for word in _NOT_IMAGES):
            continue
        if _only_rectified(info_topic) and not is_rectified_topic(topic):
            continue
        base = rest.split("/")[0].removesuffix("_compressed")
        rank = _IMAGE_NAMES.index(base) if base in _IMAGE_NAMES else len(_IMAGE_NAMES)
        candidates.append((rank, type_name == IMAGE_TYPES[1], len(rest), topic))
    return min(candidates)[-1] if candidates else None


def find_cameras(topics: Mapping[str, str], parameters: Parameters) -> dict[str, CameraTopics]:
    """Find the cameras that the parameters name, or all that the topics show.

    Args:
        topics: Type by topic name: ``{"/CAM_FRONT/camera_info": "sensor_msgs/msg/CameraInfo"}``.
        parameters: ``cameras``, ``image_topics``, ``image_kinds``, ``camera_info_topics`` and
            ``segmentation.labels_topic`` hold; what they leave empty is found.

    Returns:
        By name, in the order of ``parameters.cameras``, else by topic name. A camera whose topics
        are not there (yet), or not clear, is left out; see `why_no_camera`.
    """
    infos = _infos_by_camera(topics, parameters)
    found: dict[str, CameraTopics] = {}
    for index, name in enumerate(parameters.cameras or infos):
        if parameters.camera_info_topics:
            info: str | None = parameters.camera_info_topics[index]
        else:
            info = _choose_info(infos.get(name, []), topics, parameters)
        if info is None:
            continue
        if parameters.image_topics:
            image: str | None = parameters.image_topics[index]
        else:
            image = match_image_topic(info, topics)
        if image is None or topics.get(image) not in IMAGE_TYPES:
            continue
        if topics.get(info, CAMERA_INFO_TYPE) != CAMERA_INFO_TYPE:
            continue
        labels = parameters.segmentation.labels_topic
        if labels and not labels.startswith("/"):
            labels = f"{info.rsplit('/', 1)[0]}/{labels}"
        found[name] = CameraTopics(
            name=name,
            image=image,
            compressed=topics[image] == IMAGE_TYPES[1],
            rectified=_is_rectified(parameters, index, image),
            info=info,
            labels=labels,
            note="" if parameters.camera_info_topics else _note(info, infos.get(name, [])),
        )
    return found


def unclear_cameras(topics: Mapping[str, str], parameters: Parameters) -> list[str]:
    """Name the cameras that are left out because several CameraInfo topics are of their name."""
    if parameters.camera_info_topics:
        return []
    infos = _infos_by_camera(topics, parameters)
    return [
        name
        for name, same in infos.items()
        if len(same) > 1
        and (not parameters.cameras or name in parameters.cameras)
        and _choose_info(same, topics, parameters) is None
    ]


def _infos_by_camera(topics: Mapping[str, str], parameters: Parameters) -> dict[str, list[str]]:
    """CameraInfo topics by the camera that they are named after, in the order of their names."""
    infos: dict[str, list[str]] = {}
    for topic in sorted(topics):
        if topics[topic] != CAMERA_INFO_TYPE or _is_our_output(topic):
            continue
        if parameters.cameras or not is_depth_camera(topic):
            infos.setdefault(camera_name(topic), []).append(topic)
    return infos


def _choose_info(infos: list[str], topics: Mapping[str, str], parameters: Parameters) -> str | None:
    """Choose among the CameraInfo topics of one camera; None when there is no reason to.

    The one called ``camera_info`` goes before others beside it, such as ``camera_info_rect``: by
    definition (sensor_msgs/CameraInfo) its K and D are of the raw images and its P of the rectified
    ones. In several namespaces, the one with images counts.
    """
    if len(infos) < 2 or parameters.image_topics:
        return infos[0] if infos else None
    for rule in (
        lambda info: match_image_topic(info, topics) is not None,
        lambda info: info.rsplit("/", 1)[-1] == "camera_info",
    ):
        infos = [info for info in infos if rule(info)] or infos
    return infos[0] if len(infos) == 1 else None


def _note(info: str, infos: list[str]) -> str:
    """Say which CameraInfo was taken where there are several in its namespace."""
    folder = info.rsplit("/", 1)[0]
    others = [other for other in infos if other != info and other.rsplit("/", 1)[0] == folder]
    if not others:
        return ""
    return (
        f"{info} is used and {', '.join(others)} is not: K and D of camera_info are of the raw"
        " images, and its P of the rectified ones. To use another, set cameras, image_topics and"
        " camera_info_topics"
    )


def _only_rectified(info_topic: str) -> bool:
    """Tell whether a CameraInfo is one of the rectified images alone, e.g. ``camera_info_rect``."""
    return is_rectified_topic("/" + info_topic.rsplit("/", 1)[-1])


def why_no_camera(
    name: str,
    topics: Mapping[str, str],
    parameters: Parameters,
    elsewhere: Mapping[str, str] | None = None,
) -> str:
    """Say what a wanted camera lacks, for an error or a status.

    Args:
        name: Of the camera.
        topics: Type by topic name, those that count.
        parameters: ``cameras`` and the topics hold.
        elsewhere: Type by name of topics that would count if the parameters named them.
    """
    nameable = {**(elsewhere or {}), **topics}
    infos = [t for t, kind in topics.items() if kind == CAMERA_INFO_TYPE and camera_name(t) == name]
    if parameters.camera_info_topics:
        index = parameters.cameras.index(name)
        reason = _not_of(
            topics, parameters.camera_info_topics[index], (CAMERA_INFO_TYPE,), nameable
        )
        if reason:
            return reason
    if parameters.image_topics:
        index = parameters.cameras.index(name)
        reason = _not_of(topics, parameters.image_topics[index], IMAGE_TYPES, nameable)
        if reason:
            return reason
    if parameters.camera_info_topics:
        return f"no image topic beside {parameters.camera_info_topics[index]}"
    if not infos:
        known = {camera_name(topic) for topic, kind in topics.items() if kind == CAMERA_INFO_TYPE}
        reason = f"no CameraInfo topic named .../{name}/camera_info"
        return f"{reason}; expected {nearest(name, known)}" if known else reason
    if name in unclear_cameras(topics, parameters):
        return (
            f"{len(infos)} CameraInfo topics are of that name: {', '.join(sorted(infos))}; expected"
            " one. Fix: set cameras, image_topics and camera_info_topics"
        )
    return no_image_beside(sorted(infos)[0])


def no_image_beside(info_topic: str) -> str:
    """Say that a camera has no images of the kind that its CameraInfo is of."""
    kind = "rectified image" if _only_rectified(info_topic) else "image"
    return f"no {kind} topic beside {info_topic}"


def _not_of(
    topics: Mapping[str, str], topic: str, kinds: tuple[str, ...], nameable: Mapping[str, str]
) -> str:
    """Say why a topic that was named will not do, and which is near; empty when it will."""
    if topic not in topics:
        near = near_name(topic, [other for other, kind in nameable.items() if kind in kinds])
        return f"topic {topic} does not exist" + (f" (did you mean {near}?)" if near else "")
    if topics[topic] not in kinds:
        return f"topic {topic} is a {topics[topic]}; expected {' or '.join(kinds)}"
    return ""


def _is_our_output(topic: str) -> bool:
    return "surround_depth" in topic.split("/")
