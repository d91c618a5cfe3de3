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

"""Where a recording goes: into a file, to the viewer on the screen, or to a browser.

A file has its name when it is whole; until then, and when the work breaks off, it is called
``NAME.part.rrd``, and opens.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError

APPLICATION = "depth_perception"
ENDING = ".rrd"
VIEWER_PORT = 9876
WEB_PORT = 9090
_MEMORY = "2GiB"
"""What the server for browsers keeps; of what is more, the oldest is dropped."""


def new_stream(name: str) -> Any:
    """Make a ``rerun.RecordingStream`` that goes nowhere yet.

    Args:
        name: What the viewer calls it, e.g. the bag's name.
    """
    import rerun

    stream = rerun.RecordingStream(APPLICATION)
    # The time of logging says nothing of a drive, and would differ from run to run.
    stream.set_log_time_enabled(False)
    stream.set_log_tick_enabled(False)
    stream.send_recording_name(name)
    return stream


def part_of(path: Path) -> Path:
    """Name of a file until it is whole."""
    return path.with_name(path.name.removesuffix(ENDING) + ".part" + ENDING)


def check_new_file(path: Path, overwrite: bool) -> None:
    """Refuse a file of another kind, or one that is there and may not be replaced.

    Raises:
        ConfigurationError: It is such.
    """
    if path.suffix != ENDING:
        raise ConfigurationError(
            f"--save '{path}'",
            expected=f"a name that ends in {ENDING}, by which rerun knows its files",
            fix=f"--save {path}{ENDING}",
        )
    if path.exists() and not overwrite:
        raise ConfigurationError(
            f"--save '{path}' exists", expected="a new file", fix="name another, or add --overwrite"
        )


@contextmanager
def to_file(stream: Any, path: Path) -> Iterator[None]:
    """Write what is logged inside to a file."""
    part = part_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stream.save(str(part))
    try:
        yield
    finally:
        stream.flush()
        stream.disconnect()
    part.replace(path)


def screen(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether there is a screen that a window can open on."""
    there = os.environ if environment is None else environment
    if sys.platform != "linux":
        return True
    return bool(there.get("DISPLAY") or there.get("WAYLAND_DISPLAY"))


def check_screen() -> None:
    """Refuse to open a window where there is no screen.

    Raises:
        ConfigurationError: There is none; says what to do instead.
    """
    if not screen():
        raise ConfigurationError(
            "there is no screen to open the viewer on (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            expected="a desktop",
            fix="--save FILE.rrd, to be opened elsewhere with 'rerun FILE.rrd', or --web, to be"
            " seen in a browser",
        )


def to_screen(stream: Any) -> None:
    """Open the viewer, and send it what is logged from now on; it stays when we end.

    Raises:
        ConfigurationError: Its program is not there, or does not start.
    """
    import rerun

    try:
        rerun.spawn(
            port=VIEWER_PORT,
            recording=stream,
            executable_path=_executable(),
            hide_welcome_screen=True,
        )
    except Exception as error:
        raise ConfigurationError(
            f"the viewer does not start: {' '.join(str(error).split())}",
            fix="start 'rerun' by hand to see why, or use --save FILE.rrd or --web",
        ) from None


def to_browser(stream: Any, port: int = WEB_PORT) -> str:
    """Serve what is logged from now on, and the viewer for browsers, as long as we run.

    Args:
        stream: What is logged to.
        port: Of the page; the data has a port of its own.

    Returns:
        Address of the page.

    Raises:
        ConfigurationError: A port is taken.
    """
    import rerun

    for number, what in ((port, "the page"), (VIEWER_PORT, "its data")):
        _check_port(number, what)
    address = stream.serve_grpc(grpc_port=VIEWER_PORT, server_memory_limit=_MEMORY)
    rerun.serve_web_viewer(web_port=port, open_browser=screen(), connect_to=address)
    return f"http://localhost:{port}?url={address.replace('+', '%2B')}"


def until_interrupted(wait: Callable[[float], None] = time.sleep) -> None:
    """Serve on until Ctrl-C."""
    while True:
        wait(1.0)


def _check_port(port: int, what: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} of {what} cannot be had ({error.strerror})",
                expected="a free port",
                fix="end what uses it, such as another --web or a rerun viewer, or choose --port",
            ) from None


def _executable() -> str | None:
    """Find the viewer's program: beside this Python, which need not be on the PATH."""
    beside = shutil.which("rerun", path=str(Path(sys.executable).parent))
    return beside or shutil.which("rerun")
