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

"""Which cameras there are, from the graph of running nodes."""

from __future__ import annotations

import dataclasses

from rclpy.node import Node

from depth_perception.parameters import Parameters
from depth_perception.rig.camera_topics import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPES,
    CameraTopics,
    find_cameras,
    is_depth_camera,
    match_image_topic,
    no_image_beside,
    unclear_cameras,
    why_no_camera,
)

_LISTED = 6
"""Topics that a message names; a robot may have a hundred."""


def resolved(node: Node, parameters: Parameters) -> Parameters:
    """Expand topic names in the parameters by the node's namespace and remappings."""
    return dataclasses.replace(
        parameters,
        image_topics=[node.resolve_topic_name(topic) for topic in parameters.image_topics],
        camera_info_topics=[
            node.resolve_topic_name(topic) for topic in parameters.camera_info_topics
        ],
    )


def camera_topics(node: Node, parameters: Parameters) -> dict[str, str]:
    """Return type by name of the image and camera_info topics that somebody publishes.

    A node in a namespace sees only the cameras of its namespace, so that two vehicles on one
    network do not mix; topics that the parameters name are seen wherever they are.
    """
    namespace = node.get_namespace().rstrip("/") + "/"
    named = {*parameters.image_topics, *parameters.camera_info_topics}
    return {
        topic: types[0]
        for topic, types in node.get_topic_names_and_types()
        if types[0] in (CAMERA_INFO_TYPE, *IMAGE_TYPES)
        and (topic.startswith(namespace) or topic in named)
        and (topic in named or "surround_depth" not in topic.split("/"))
        and node.count_publishers(topic) > 0
    }


def discover(node: Node, parameters: Parameters) -> tuple[dict[str, CameraTopics], dict[str, str]]:
    """Find the cameras that the parameters name, or all there are.

    Returns:
        Topics by camera name, and why each camera that was named, or whose topics are not clear,
        is not among them.
    """
    topics = camera_topics(node, parameters)
    found = find_cameras(topics, parameters)
    absent = {
        name: why_no_camera(name, topics, parameters)
        for name in parameters.cameras or unclear_cameras(topics, parameters)
        if name not in found
    }
    return found, absent


def why_no_cameras(node: Node, parameters: Parameters) -> str:
    """Say in one line why no camera was found, with what there is instead."""
    topics = camera_topics(node, parameters)
    infos = [topic for topic, kind in topics.items() if kind == CAMERA_INFO_TYPE]
    images = [topic for topic, kind in topics.items() if kind in IMAGE_TYPES]
    where = "" if node.get_namespace() == "/" else f" in namespace {node.get_namespace()}"
    reasons = [
        f"{info} is of depth, labels or the like"
        if is_depth_camera(info)
        else no_image_beside(info)
        for info in sorted(infos)
        if is_depth_camera(info) or match_image_topic(info, topics) is None
    ]
    if reasons:
        return (
            f"{', '.join(reasons)}; image topics{where}: {', '.join(sorted(images)) or 'none'}."
            " Fix: set cameras, image_topics and camera_info_topics"
        )
    if images:
        return (
            f"no camera_info topic{where}, only images on {', '.join(sorted(images))}. Fix: publish"
            " sensor_msgs/CameraInfo beside each image topic"
        )
    elsewhere = sorted(
        topic
        for topic, types in node.get_topic_names_and_types()
        if types[0] in (CAMERA_INFO_TYPE, *IMAGE_TYPES)
        and topic not in topics
        and "surround_depth" not in topic.split("/")
        and node.count_publishers(topic) > 0
    )
    absent = (
        f"nobody publishes a camera_info topic{where} ({CAMERA_INFO_TYPE}, beside an image topic"
        f" of {' or '.join(IMAGE_TYPES)})"
    )
    if elsewhere:
        more = f" and {len(elsewhere) - _LISTED} more" if len(elsewhere) > _LISTED else ""
        return (
            f"{absent}; elsewhere there are {', '.join(elsewhere[:_LISTED])}{more}. Fix: start the"
            " node in their namespace, or set cameras, image_topics and camera_info_topics"
        )
    return f"{absent}. Fix: start the cameras or a bag, and check ROS_DOMAIN_ID"
