"""Where the executables begin: a signal that comes while modules load ends the process, no more.

To load a node takes seconds. Ctrl-C would raise KeyboardInterrupt in the middle of whatever module
is read then, whose traceback nobody wants, and which code in C may turn into another error. Nothing
is imported here that takes time.
"""

from __future__ import annotations

import importlib
import signal


def surround_depth() -> int:
    """Run the node ``surround_depth``; returns the exit code."""
    return _run("surround_depth")


def bag_player() -> int:
    """Run the node ``bag_player``; returns the exit code."""
    return _run("bag_player")


def _run(node: str) -> int:
    # Unless it is ignored, as in the background of a shell. `ros.process` sets its own handlers.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return int(importlib.import_module(f"depth_perception.nodes.{node}").main())
