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

"""Which topics are published now, for who starts nodes and is none."""

from __future__ import annotations

import time

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from depth_perception.parameters import Parameters
from depth_perception.rig.camera_topics import CAMERA_INFO_TYPE, IMAGE_TYPES, find_cameras
from depth_perception.ros.discovery import camera_topics, resolved
from depth_perception.ros.topic_names import TopicNames

PATIENCE_S = 3.0
"""Others are heard of within this time, or are not there."""
_SETTLED_S = 0.7


def present_topics(
    namespace: str, parameters: Parameters, patience: float = PATIENCE_S
) -> dict[str, str]:
    """Look for cameras, as the node in that namespace would.

    Args:
        namespace: Without a leading ``/``; empty for the global one.
        parameters: Which cameras, and what their topics are called.
        patience: How long to wait for the first camera, s.

    Returns:
        Type by name of the cameras' topics and of everything that is no image or calibration.
    """
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node(
            "depth_perception_rviz_setup",
            namespace=namespace,
            context=context,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        try:
            return _settled(node, parameters, patience)
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)


def _settled(node: Node, parameters: Parameters, patience: float) -> dict[str, str]:
    """Wait until cameras are there and no further ones have come for a while."""
    names = TopicNames(node, [])
    parameters = resolved(names, parameters)
    begin = changed = time.monotonic()
    known: set[str] = set()
    while True:
        topics, _ = camera_topics(names, parameters)
        found = set(find_cameras(topics, parameters))
        now = time.monotonic()
        if found != known:
            known, changed = found, now
        enough = now - changed > _SETTLED_S
        if (known and enough) or now - begin > patience:
            break
        time.sleep(0.1)
    others = {
        name: types[0]
        for name, types in node.get_topic_names_and_types()
        if types[0] not in (CAMERA_INFO_TYPE, *IMAGE_TYPES)
    }
    return {**others, **topics}
