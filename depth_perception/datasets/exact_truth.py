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

from collections.abc import Iterable, Mapping


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
