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

"""A managed node: what each transition does is said by its owner, and a failure is one line.

States and transitions are those of https://design.ros2.org/articles/node_lifecycle.html.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Protocol

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from depth_perception.errors import DepthPerceptionError
from depth_perception.ros.debug_log import LOGGER_SERVICE


class Managed(Protocol):
    """What a managed node owns. Each may raise; `release` must not."""

    def configure(self) -> None:
        """Read parameters, load files, warm up: unconfigured to inactive."""

    def activate(self) -> None:
        """Begin to take input: inactive to active."""

    def deactivate(self) -> None:
        """Take no more input: active to inactive."""

    def release(self) -> None:
        """Give back everything that `configure` and `activate` took, from any state."""


class ManagedNode(LifecycleNode):
    """A lifecycle node whose transitions call its owner.

    Attributes:
        failure: What the latest transition raised; None when it went well.
    """

    def __init__(self, name: str, owner: Managed, **options: Any) -> None:
        """Make the node, unconfigured.

        Args:
            name: Of the node.
            owner: Called at every transition.
            options: Of `rclpy.node.Node`.
        """
        self._owner = owner
        self.failure: Exception | None = None
        self._starting = False
        super().__init__(name, **LOGGER_SERVICE, **options)

    @property
    def state(self) -> str:
        """Label of the present state, e.g. ``active``."""
        return str(self._state_machine.current_state[1])

    def start(self) -> None:
        """Configure and activate.

        Raises:
            Exception: What kept it from that; who started it says so, it is not logged here.
        """
        self._starting = True
        try:
            for transition in (self.trigger_configure, self.trigger_activate):
                if transition() != TransitionCallbackReturn.SUCCESS:
                    assert self.failure is not None
                    raise self.failure
        finally:
            self._starting = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, warm up and advertise; a failure leaves nothing behind."""
        done = self._do(self._owner.configure)
        if done != TransitionCallbackReturn.SUCCESS:
            self._owner.release()
            return done
        return self._then(done, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        return self._then(self._do(self._owner.activate), super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, after the work at hand."""
        return self._then(self._do(self._owner.deactivate), super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back."""
        return self._then(self._do(self._owner.release), super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back, whatever the state."""
        return self._then(self._do(self._owner.release), super().on_shutdown, state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back; the node may then be configured again."""
        return self._do(self._owner.release)

    def _do(self, call: Callable[[], None]) -> TransitionCallbackReturn:
        self.failure = None
        try:
            call()
        except DepthPerceptionError as error:
            self.failure = error
            self._say(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # a transition must end in a state, whatever it met
            self.failure = error
            self._say(traceback.format_exc())
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _say(self, problem: str) -> None:
        if not self._starting:
            self.get_logger().error(problem)

    @staticmethod
    def _then(
        done: TransitionCallbackReturn, inherited: Callable[[LifecycleState], Any], state: Any
    ) -> TransitionCallbackReturn:
        return inherited(state) if done == TransitionCallbackReturn.SUCCESS else done
