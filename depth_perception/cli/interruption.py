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
from typing import Any

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
def interruptible() -> Iterator[list[int]]:
    """Raise `Interruption` in the main thread at the first signal, and let tidying up be finished.

    SIGTERM would end the process at once, and leave files behind that look whole. A second signal
    is held off, so that what was begun is closed; the third one ends the process where it is.

    Yields:
        The signals that have come: code in C may make another error of what was raised inside it.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # only the main thread may set handlers
        return

    again: list[tuple[int, threading.Timer]] = []

    def repeat(number: int) -> None:
        again.append((number, threading.Timer(0.01, os.kill, (os.getpid(), number))))
        again[-1][1].start()

    def on_signal(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code is on_ignored.__code__:
                # On a busy machine the timer is quicker than what started it, where nothing can be
                # raised either.
                repeat(number)
                return
            frame = frame.f_back
        came.append(number)
        if len(came) == 1:
            raise Interruption(number)
        if len(came) > 2:
            os._exit(128 + number)
        print("finishing what is open; once more ends at once", file=sys.stderr, flush=True)

    def on_ignored(unraisable: Any) -> None:
        # Where nothing can be raised, as when an object goes, Python would print it and go on.
        if not isinstance(unraisable.exc_value, Interruption):
            ignored(unraisable)
            return
        came.clear()
        repeat(unraisable.exc_value.number)

    ignored, sys.unraisablehook = sys.unraisablehook, on_ignored
    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield came
    finally:
        sys.unraisablehook = ignored
        for _, timer in again:
            timer.cancel()
        for number, handler in before.items():
            # A handler of C code, which Python cannot name, is left replaced.
            if handler is not None:
                signal.signal(number, handler)
    if again and not came:
        raise Interruption(again[-1][0])


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Let a signal end the process at once and without a word: inside, modules are loaded.

    Raised in the middle of a module, an interruption may be swallowed, be printed as ignored, or
    come out of code in C as another error; and there is nothing to tidy up yet.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
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
