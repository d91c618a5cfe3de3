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

"""A node's log at level debug: what is not read is not put into words."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rclpy.logging import LoggingSeverity
from rclpy.node import Node

from depth_perception.frames.debug_text import Debug

LOGGER_SERVICE: dict[str, Any] = (
    {"enable_logger_service": True}
    if "enable_logger_service" in inspect.signature(Node.__init__).parameters
    else {}
)
"""Options of a node whose level can be changed by service while it runs; Humble has no such."""


def debug_of(node: Node) -> Debug:
    """Return what says texts in the log of a node while its level is debug.

    The level is looked up at every call: it may be changed while the node runs.
    """
    log = node.get_logger()

    def debug(make: Callable[..., str], *arguments: object) -> None:
        if log.is_enabled_for(LoggingSeverity.DEBUG):
            log.debug(make(*arguments))

    return debug
