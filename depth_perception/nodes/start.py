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

"""Where the executables begin: a signal that comes while modules load ends the process, no more.

To load a node takes seconds. Ctrl-C would raise KeyboardInterrupt in the middle of whatever module
is read then, whose traceback nobody wants, and which code in C may turn into another error. The
exit code is 0, as whenever a signal ends a node: ``ros2 launch`` calls anything else an error.
Nothing is imported here that takes time.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType


def surround_depth() -> int:
    """Run the node ``surround_depth``; returns the exit code."""
    return _run("surround_depth")


def bag_player() -> int:
    """Run the node ``bag_player``; returns the exit code."""
    return _run("bag_player")


def _run(node: str) -> int:
    # `ros.process` sets handlers of its own when everything is there.
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in the background of a shell
            signal.signal(number, _end)
    try:
        module = importlib.import_module(f"depth_perception.nodes.{node}")
    except ImportError as error:
        if not hasattr(error, "fix"):  # as errors.LibraryError has it
            raise
        sys.exit(f"{node}: {error}")
    return int(module.main())


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(0)  # nothing is open yet
