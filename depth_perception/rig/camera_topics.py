"""Which topics belong to which camera: by name, from the graph of a bag or of running nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depth_perception.errors import ConfigurationError
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


_NOT_CAMERAS = ("depth", "disparity", "confidence", "segmentation", "labels")


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera.

    Attributes:
        name: The camera's name.
        image: Topic of its images.
        compressed: True when they are ``CompressedImage``.
        rectified: True when the topic's name says that they are rectified.
        info: Topic of its calibration.
        labels: Topic of its label images, or empty.
    """

    name: str
    image: str
    compressed: bool
    rectified: bool
    info: str
    labels: str = ""


def camera_name(info_topic: str) -> str:
    """Name a camera after the path element before ``camera_info``."""
    parts = [part for part in info_topic.split("/") if part]
    return parts[-2] if len(parts) > 1 else parts[-1] if parts else ""


def is_rectified_topic(topic: str) -> bool:
    """Tell from its name whether a topic carries rectified images, e.g. ``image_rect_color``."""
    parts = [part for part in topic.split("/") if part]
    if parts and parts[-1] in ("compressed", "theora", "zstd", "ffmpeg"):
        parts.pop()  # a transport of the topic before it
    words = parts[-1].split("_") if parts else []
    return any(word in ("rect", "rectified", "undistorted") for word in words)


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
        before compressed; None without any.
    """
    prefix = info_topic.rsplit("/", 1)[0] + "/"
    candidates = []
    for topic, type_name in topics.items():
        rest = topic.removeprefix(prefix)
        if rest == topic or type_name not in IMAGE_TYPES or rest.count("/") > 1:
            continue
        if any(word in rest.lower() for word in _NOT_IMAGES):
            continue
        base = rest.split("/")[0].removesuffix("_compressed")
        rank = _IMAGE_NAMES.index(base) if base in _IMAGE_NAMES else len(_IMAGE_NAMES)
        candidates.append((rank, type_name == IMAGE_TYPES[1], len(rest), topic))
    return min(candidates)[-1] if candidates else None


def find_cameras(topics: Mapping[str, str], parameters: Parameters) -> dict[str, CameraTopics]:
    """Find the cameras that the parameters name, or all that the topics show.

    Args:
        topics: Type by topic name: ``{"/CAM_FRONT/camera_info": "sensor_msgs/msg/CameraInfo"}``.
        parameters: ``cameras``, ``image_topics``, ``camera_info_topics`` and
            ``segmentation.labels_topic`` hold; what they leave empty is found.

    Returns:
        By name, in the order of ``parameters.cameras``, else by topic name. A camera whose topics
        are not there (yet) is left out; see `why_no_cameras`.
    """
    infos = {
        topic: camera_name(topic)
        for topic, type_name in topics.items()
        if type_name == CAMERA_INFO_TYPE and not _is_our_output(topic)
    }
    if not parameters.cameras:
        infos = {topic: name for topic, name in infos.items() if not is_depth_camera(topic)}
    found: dict[str, CameraTopics] = {}
    wanted = parameters.cameras or [infos[topic] for topic in sorted(infos)]
    for index, name in enumerate(wanted):
        if parameters.camera_info_topics:
            info: str | None = parameters.camera_info_topics[index]
        else:
            same = [topic for topic in sorted(infos) if infos[topic] == name]
            if len(same) > 1 and not parameters.image_topics:
                raise ConfigurationError(
                    f"camera '{name}' has {len(same)} camera_info topics: {', '.join(same)}",
                    expected="one",
                    fix="set cameras, image_topics and camera_info_topics",
                )
            info = same[0] if same else None
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
            rectified=is_rectified_topic(image),
            info=info,
            labels=labels,
        )
    return found


def why_no_camera(name: str, topics: Mapping[str, str], parameters: Parameters) -> str:
    """Say what a wanted camera lacks, for an error or a status."""
    infos = [t for t, kind in topics.items() if kind == CAMERA_INFO_TYPE and camera_name(t) == name]
    if parameters.camera_info_topics:
        index = parameters.cameras.index(name)
        reason = _not_of(topics, parameters.camera_info_topics[index], (CAMERA_INFO_TYPE,))
        if reason:
            return reason
    if parameters.image_topics:
        index = parameters.cameras.index(name)
        reason = _not_of(topics, parameters.image_topics[index], IMAGE_TYPES)
        if reason:
            return reason
    if parameters.camera_info_topics:
        return f"no image topic beside {parameters.camera_info_topics[index]}"
    if not infos:
        known = {camera_name(topic) for topic, kind in topics.items() if kind == CAMERA_INFO_TYPE}
        reason = f"no CameraInfo topic named .../{name}/camera_info"
        return f"{reason}; expected {nearest(name, known)}" if known else reason
    return f"no image topic beside {infos[0]}"


def _not_of(topics: Mapping[str, str], topic: str, kinds: tuple[str, ...]) -> str:
    """Say why a topic that was named will not do; empty when it will."""
    if topic not in topics:
        near = near_name(topic, [other for other, kind in topics.items() if kind in kinds])
        return f"topic {topic} does not exist" + (f" (did you mean {near}?)" if near else "")
    if topics[topic] not in kinds:
        return f"topic {topic} is a {topics[topic]}; expected {' or '.join(kinds)}"
    return ""


def _is_our_output(topic: str) -> bool:
    return "surround_depth" in topic.split("/")
