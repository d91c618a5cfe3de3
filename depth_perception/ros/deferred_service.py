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

"""A service whose answer comes later, from any thread, under every executor of rclpy.

A callback that is a coroutine would do the same, but not under `EventsExecutor`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

Answer = Callable[[Any], None]


class DeferredService:
    """Offers a service; each request is handed on together with what sends its answer."""

    def __init__(
        self, node: Node, kind: Any, name: str, callback: Callable[[Any, Any, Answer], None]
    ) -> None:
        """Offer it.

        Args:
            node: Whose service it is.
            kind: Its class.
            name: Its name.
            callback: Gets the request, an empty response, and what is to be called with it once it
                is filled in. It must not wait.
        """
        self._callback = callback
        self._lock = threading.Lock()
        self._open: dict[int, Any] = {}
        self._early: set[int] = set()
        self._service = node.create_service(kind, name, self._ask)
        self._send = self._service.send_response
        self._service.send_response = self._hold  # type: ignore[method-assign]

    def _ask(self, request: Any, response: Any) -> Any:
        self._callback(request, response, self._answer)
        return response

    def _hold(self, response: Any, header: Any) -> None:
        """Take what an executor would send when the callback returns, and who has asked."""
        with self._lock:
            if id(response) not in self._early:
                self._open[id(response)] = header
                return
            self._early.discard(id(response))
        self._deliver(response, header)

    def _answer(self, response: Any) -> None:
        with self._lock:
            header = self._open.pop(id(response), None)
            if header is None:  # answered before the callback has returned
                self._early.add(id(response))
                return
        self._deliver(response, header)

    def _deliver(self, response: Any, header: Any) -> None:
        # Else the node is gone, and whoever asked sees that.
        with contextlib.suppress(rclpy_implementation.InvalidHandle):
            self._send(response, header)
