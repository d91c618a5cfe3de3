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

"""Topics of the exact truth that a bag of the synthetic world carries beside its cameras."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


def exact_topics(topics: Mapping[str, str], cameras: Iterable[str]) -> list[str]:
    """Name the topics of truth depth that a bag has for its cameras, and their label images."""
    found = []
    for camera in cameras:
        if _depth_topic(camera) in topics:
            found += [_depth_topic(camera), _label_topic(camera)]
    return [topic for topic in found if topic in topics]


def _depth_topic(camera: str) -> str:
    return f"/truth/{camera}/depth"


def _label_topic(camera: str) -> str:
    return f"/{camera}/labels"


OBJECTS_TOPIC = "/truth/objects"
"""Every thing with an instance id, its box and its speed: visualization_msgs/MarkerArray."""

_SPEED = re.compile(r"(\d+(?:\.\d+)?) m/s\s*$")


def moving_topics(topics: Mapping[str, str], cameras: Iterable[str]) -> list[str]:
    """Name the topics that say which pixels show things that move; none where a bag lacks them."""
    found = [_instance_topic(camera) for camera in cameras if _instance_topic(camera) in topics]
    return [*found, OBJECTS_TOPIC] if found and OBJECTS_TOPIC in topics else []


def speeds_of(message: Any) -> dict[int, float]:
    """Return the speed (m/s) of each instance of a `OBJECTS_TOPIC` message.

    A marker's text ends with it, as in ``car 12.3 m 8.0 m/s``; markers whose text does not are left
    out.
    """
    found = {}
    for marker in message.markers:
        speed = _SPEED.search(marker.text)
        if speed:
            found[int(marker.id)] = float(speed[1])
    return found


def _instance_topic(camera: str) -> str:
    return f"/truth/{camera}/instance"
