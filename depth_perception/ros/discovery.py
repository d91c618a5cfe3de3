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
import difflib
from collections.abc import Iterable, Mapping

from depth_perception.parameters import Parameters
from depth_perception.rig.camera_topics import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPES,
    CameraTopics,
    camera_name,
    find_cameras,
    is_depth_camera,
    match_image_topic,
    no_image_beside,
    unclear_cameras,
    why_no_camera,
)
from depth_perception.ros.topic_names import TopicNames

_LISTED = 6
"""Topics that a message names; a robot may have a hundred."""


def resolved(names: TopicNames, parameters: Parameters) -> Parameters:
    """Expand topic names in the parameters by the node's namespace; remapping comes later."""
    return dataclasses.replace(
        parameters,
        image_topics=[names.own(topic) for topic in parameters.image_topics],
        camera_info_topics=[names.own(topic) for topic in parameters.camera_info_topics],
    )


def camera_topics(
    names: TopicNames, parameters: Parameters
) -> tuple[dict[str, str], dict[str, str]]:
    """Sort the image and camera_info topics that somebody publishes.

    A node in a namespace sees only the cameras of its namespace, so that two vehicles on one
    network do not mix; topics that the parameters or remapping rules name are seen wherever they
    are.

    Returns:
        Type by the node's own name of those that it sees, and type by name of those elsewhere.
    """
    node = names.node
    namespace = node.get_namespace().rstrip("/") + "/"
    named = {*parameters.image_topics, *parameters.camera_info_topics}
    graph = {
        topic: types[0]
        for topic, types in node.get_topic_names_and_types()
        if types[0] in (CAMERA_INFO_TYPE, *IMAGE_TYPES) and node.count_publishers(topic) > 0
    }
    inside: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    for topic, kind in names.seen(graph, named).items():
        if "surround_depth" in topic.split("/") and topic not in named:
            continue
        seen = topic.startswith(namespace) or topic in named or topic in names.rules
        (inside if seen else elsewhere)[topic] = kind
    return inside, elsewhere


def discover(
    names: TopicNames, parameters: Parameters
) -> tuple[dict[str, CameraTopics], dict[str, str]]:
    """Find the cameras that the parameters name, or all there are.

    Returns:
        Topics by camera name, and why each camera that was named, or whose topics are not clear,
        is not among them.
    """
    topics, elsewhere = camera_topics(names, parameters)
    found = find_cameras(topics, parameters)
    absent = {
        name: why_no_camera(name, topics, parameters, elsewhere)
        + _remapped_to_nothing(names, topics, elsewhere, name)
        + _where(names, parameters, elsewhere, name)
        for name in parameters.cameras or unclear_cameras(topics, parameters)
        if name not in found
    }
    return {name: _on_graph(names, camera) for name, camera in found.items()}, absent


def _on_graph(names: TopicNames, camera: CameraTopics) -> CameraTopics:
    return dataclasses.replace(
        camera,
        image=names.on_graph(camera.image),
        info=names.on_graph(camera.info),
        labels=names.on_graph(camera.labels) if camera.labels else "",
    )


def why_no_cameras(names: TopicNames, parameters: Parameters) -> str:
    """Say in one line why no camera was found, with what there is instead."""
    topics, elsewhere = camera_topics(names, parameters)
    infos = [topic for topic, kind in topics.items() if kind == CAMERA_INFO_TYPE]
    images = [topic for topic, kind in topics.items() if kind in IMAGE_TYPES]
    where = _in_namespace(names)
    nowhere = _remapped_to_nothing(names, topics, elsewhere)
    reasons = [
        f"{_said(names, info)} is of depth, labels or the like"
        if is_depth_camera(info)
        else no_image_beside(_said(names, info))
        for info in sorted(infos)
        if is_depth_camera(info) or match_image_topic(info, topics) is None
    ]
    if reasons:
        listed = ", ".join(_said(names, image) for image in sorted(images))
        return (
            f"{', '.join(reasons)}; image topics{where}: {listed or 'none'}{nowhere}. Fix: set"
            " cameras, image_topics and camera_info_topics, or remap the other topic, too"
        )
    if images:
        listed = ", ".join(_said(names, image) for image in sorted(images))
        return (
            f"no camera_info topic{where}, only images on {listed}{nowhere}. Fix: publish"
            " sensor_msgs/CameraInfo beside each image topic, or remap camera_info, too"
        )
    absent = (
        f"nobody publishes a camera_info topic{where} ({CAMERA_INFO_TYPE}, beside an image topic"
        f" of {' or '.join(IMAGE_TYPES)}){nowhere}"
    )
    if elsewhere:
        return absent + _where(names, parameters, elsewhere)
    return f"{absent}. Fix: start the cameras or a bag, and check ROS_DOMAIN_ID"


def _in_namespace(names: TopicNames) -> str:
    """Say where was searched, where that is not everywhere."""
    namespace = names.node.get_namespace()
    return "" if namespace == "/" else f" in namespace {namespace}"


def _said(names: TopicNames, own: str) -> str:
    """Name a topic as the node does, and as the graph does where that differs."""
    return f"{own} (remapped to {names.rules[own]})" if own in names.rules else own


def _remapped_to_nothing(
    names: TopicNames, topics: Mapping[str, str], elsewhere: Mapping[str, str], camera: str = ""
) -> str:
    """Name the rules for camera topics that lead to topics which nobody publishes."""
    out = []
    for own, actual in names.rules.items():
        last = own.rpartition("/")[2]
        if own in topics or not ("camera_info" in last or "image" in last or last == "compressed"):
            continue
        if "surround_depth" in own.split("/") or (camera and camera not in own.split("/")):
            continue
        known = [names.on_graph(topic) for topic in (*topics, *elsewhere)]
        near = difflib.get_close_matches(actual, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        out.append(f"; {own} is remapped to {actual}, which nobody publishes{hint}")
    return "".join(out)


def _where(
    names: TopicNames, parameters: Parameters, elsewhere: Mapping[str, str], camera: str = ""
) -> str:
    """Say where else cameras are, and how to have them: in all, or the one of a name.

    Empty where everything is seen, or topics were named, for which namespaces do not count.
    """
    if not elsewhere or (camera and (parameters.image_topics or parameters.camera_info_topics)):
        return ""
    infos = sorted(topic for topic, kind in elsewhere.items() if kind == CAMERA_INFO_TYPE)
    infos = [info for info in infos if not is_depth_camera(info)] or infos
    own = [info for info in infos if camera_name(info) == camera]
    if camera and not own:
        return "" if not infos else f"; searched{_in_namespace(names)}; {_listed(infos)}"
    chosen = own or infos
    if not chosen:
        return f"; elsewhere there are {_list(elsewhere)}. Fix: publish CameraInfo beside them"
    shown = {topic for info in chosen for topic in (info, match_image_topic(info, elsewhere) or "")}
    searched = f"; searched{_in_namespace(names)}" if camera else ""
    return (
        f"{searched}; {_listed(shown - {''})}. Fix: {_start_there(chosen)}, or remap both topics"
        f" of a camera: {_rules(chosen[0], elsewhere)}; or set cameras, image_topics and"
        " camera_info_topics"
    )


def _start_there(infos: Iterable[str]) -> str:
    """Say how to start the node where cameras are."""
    spaces = sorted({"/".join(info.split("/")[:-2]) or "/" for info in infos})
    named = " or ".join(spaces)
    if spaces == ["/"]:
        return "start the node without a namespace"
    launch = spaces[0].lstrip("/")
    hint = f"-r __ns:={spaces[0]}" + (f", namespace:={launch} of the launch file" if launch else "")
    return f"start the node in their namespace, {named} ({hint})"


def _rules(info: str, topics: Mapping[str, str]) -> str:
    """Write the rules that make one camera the node's own."""
    folder = "/".join(info.split("/")[:-2])
    both = [match_image_topic(info, topics), info]
    return " ".join(
        f"-r {topic.removeprefix(folder).lstrip('/')}:={topic}" for topic in both if topic
    )


def _listed(topics: Iterable[str]) -> str:
    return f"elsewhere there are {_list(topics)}"


def _list(topics: Iterable[str]) -> str:
    every = sorted(topics)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return ", ".join(every[:_LISTED]) + more
