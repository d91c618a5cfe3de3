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

"""Topics of a bag as its metadata.yaml lists them: all that can be said where rosbags is missing.

``ros2 launch`` runs in the Python of the system; on a robot, where pip's packages lie in a virtual
environment, only the nodes have them. In: a rosbag2 directory. Out: types by topic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def listed_topics(path: Path) -> dict[str, str]:
    """Map topics to types; empty where there is no metadata.yaml, or it lists none."""
    try:
        text = (path / "metadata.yaml").read_text(encoding="utf-8")
        listed: Any = yaml.safe_load(text)["rosbag2_bagfile_information"]
        topics = [item["topic_metadata"] for item in listed["topics_with_message_count"]]
        return {str(topic["name"]): str(topic["type"]) for topic in topics}
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return {}
