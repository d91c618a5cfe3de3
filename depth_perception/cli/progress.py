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

"""How far a long piece of work is: a bar on a terminal, else a line every 10 s and one at the end.

A log file or a pipe would show nothing of a bar, and hours of silence look like a hang.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")

PERIOD_S = 10.0
"""Time between two lines. Work that is done sooner says nothing but its result."""


class Progress:
    """Counts pieces of work and shows the count on stderr; use it in a ``with``.

    Lines come from a thread of their own, so that also a single piece which takes a minute is
    seen to be at work.

    Attributes:
        done: Pieces that are done.
        total: Of how many; 0 while that is not known.
    """

    def __init__(self, what: str, total: int = 0, unit: str = "set") -> None:
        """Begin.

        Args:
            what: The work, in a word or a path.
            total: How many pieces there are; 0 when it is not known.
            unit: What one piece is.
        """
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self._begun = time.monotonic()
        self._said = False
        self._ended = threading.Event()
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total or None, unit=unit, desc=what)
        else:
            threading.Thread(target=self._say_now_and_then, name="progress", daemon=True).start()

    def update(self, count: int = 1) -> None:
        """Note that so many more pieces are done."""
        self.to(self.done + count)

    def to(self, done: int, total: int | None = None) -> None:
        """Note how many pieces are done, and of how many when that is news."""
        before, self.done = self.done, done
        if total is not None:
            self.total = total
        if self._bar is not None:
            self._bar.total = self.total or None
            self._bar.update(done - before)

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items; each counts when the next one is asked for."""
        for item in items:
            yield item
            self.update()

    def __enter__(self) -> Progress:
        """Give the progress itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; where lines were said, say the last one."""
        self._ended.set()
        if self._bar is not None:
            self._bar.close()
        elif self._said:
            self._say("done" if kind is None else "broken off")

    def _say_now_and_then(self) -> None:
        while not self._ended.wait(PERIOD_S):
            self._said = True
            self._say("")

    def _say(self, end: str) -> None:
        of = f" of {self.total}" if self.total else ""
        seconds = time.monotonic() - self._begun
        text = f"{self.what}: {self.done}{of} {self.unit}s, {seconds:.0f} s"
        print(text + (f", {end}" if end else ""), file=sys.stderr, flush=True)
