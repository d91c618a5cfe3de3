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

"""The life of a node's process: start, spin, stop on a signal, exit code."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

import rclpy
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from depth_perception.errors import DepthPerceptionError
from depth_perception.ros.dds_profile import transport_environment
from depth_perception.ros.launcher import LAUNCHER

RCLError = rclpy_implementation.RCLError

_WAKE_UP_S = 0.2
_M_ARENA_MAX = -8  # malloc.h
_TRIM_PERIOD_S = 10.0


class Application(Protocol):
    """A node with the work that it does beside its callbacks.

    Attributes:
        node: Spun until the work is finished or a signal comes.
        finished: Set when there is nothing more to do.
        exit_code: Of the process.
    """

    finished: threading.Event
    exit_code: int

    @property
    def node(self) -> Node:
        """The node."""

    def close(self) -> None:
        """End threads and whatever else outlives a callback."""


def split_arguments(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line (without the program) into the program's own part and that of ROS.

    rcl would take ``/a:=/b`` for a rule of its own also before ``--ros-args``.
    """
    own: list[str] = []
    for_ros: list[str] = []
    inside = False
    for arg in args:
        if arg == "--ros-args":
            inside = True
        elif arg == "--" and inside:
            inside = False
            continue
        (for_ros if inside else own).append(arg)
    return own, for_ros


def run(name: str, make: Callable[[], Application], args: Sequence[str]) -> int:
    """Run an application until it is finished or the process gets SIGINT or SIGTERM.

    An impossible parameter or argument ends it with one line and exit code 1. A signal, or the end
    of the launch that started it (see `ros.launcher`), ends it with exit code 0: the node stops
    first and ROS after it, so that nothing publishes into a context that is gone.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    # For good: a second signal while the interpreter ends must not turn success into failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    os.environ.update(transport_environment())
    _keep_memory_together(stop)
    application: Application | None = None
    try:
        rclpy.init(args=[name, *args], signal_handler_options=SignalHandlerOptions.NO)
        application = make()
        executor = new_executor()
        executor.add_node(application.node)
        launcher = _launcher()
        while not (stop.is_set() or application.finished.is_set()) and rclpy.ok():
            if launcher and not _runs(launcher):
                application.node.get_logger().warning("the launch that started this has ended")
                break
            _spin_once(executor, application.node)
        application.close()
        executor.remove_node(application.node)
        application.node.destroy_node()
        return application.exit_code
    except DepthPerceptionError as error:
        return _fail(name, str(error))
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (InvalidTopicNameException, RCLError) as error:
        return _fail(name, " ".join(str(error).split()))
    finally:
        stop.set()
        rclpy.try_shutdown()


def new_executor() -> Executor:
    """Make what calls callbacks, one at a time.

    With rclpy's `EventsExecutor`, where there is one: the older executor looks through everything
    that a node has, in Python, each time that it waits, which costs a camera node a fifth of a core
    and its other threads the interpreter.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _launcher() -> int:
    """Return the id of the launch process that wants us to end with it; 0 for none."""
    text = os.environ.get(LAUNCHER, "")
    return int(text) if text.isdecimal() else 0


def _runs(process: int) -> bool:
    """Tell whether a process runs; one that is not our parent may be of another user."""
    if os.getppid() == process:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _keep_memory_together(stop: threading.Event) -> None:
    """Hold glibc to two heaps, and give back what they do not use, until `stop` is set.

    With a heap for each thread, images fragment them all, for minutes; and whatever a burst took,
    when the machine was busy and frame sets piled up, would stay with the process for good. A trim
    takes about a millisecond, beside Python's lock.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 2)
        trim = libc.malloc_trim
    except (AttributeError, OSError):  # another C library has none
        return

    def keep_trimmed() -> None:
        while not stop.wait(_TRIM_PERIOD_S):
            trim(0)

    threading.Thread(target=keep_trimmed, name="malloc_trim", daemon=True).start()


def _spin_once(executor: Executor, node: Node) -> None:
    """Run one callback; what it raises is logged, and the node goes on."""
    try:
        executor.spin_once(timeout_sec=_WAKE_UP_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        raise
    except Exception:  # e.g. a transition that the state does not have, asked for by a client
        if not rclpy.ok():
            raise
        node.get_logger().error(f"a callback failed: {traceback.format_exc()}")


def _fail(name: str, reason: str) -> int:
    if rclpy.ok():
        rclpy.logging.get_logger(name).fatal(reason)
    else:
        print(f"{name}: {reason}", file=sys.stderr)
    return 1
