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

"""What SIGINT (Ctrl-C) and SIGTERM do to a verb: it tidies up, says one line, and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(KeyboardInterrupt):
    """A signal that ends the work; its text, if any, says what is left of it.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int = signal.SIGINT, text: str = "") -> None:
        """Set which signal it was, and what there is to say."""
        super().__init__(text)
        self.number = number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interruption` in the main thread at the first signal, and let tidying up be finished.

    SIGTERM would end the process at once, and leave files behind that look whole. A second signal
    is held off, so that what was begun is closed; the third one ends the process where it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    count = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            raise Interruption(number)
        if count > 2:
            os._exit(128 + number)
        print("finishing what is open; once more ends at once", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # A handler of C code, which Python cannot name, is left replaced.
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def leaving(text: Callable[[], str]) -> Iterator[None]:
    """Let an interruption of what is inside say what it leaves behind.

    Args:
        text: Called when it comes.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.args = (text(),)
        raise


def said(stop: KeyboardInterrupt) -> int:
    """Print the one line of an interruption; the exit code is that of shells, 128 and the signal.

    Args:
        stop: What was raised.

    Returns:
        130 for SIGINT, 143 for SIGTERM.
    """
    text = str(stop)
    print("interrupted" + (f": {text}" if text else ""), file=sys.stderr, flush=True)
    return 128 + (stop.number if isinstance(stop, Interruption) else signal.SIGINT)
