"""One thread that computes, with a short queue in front of it that drops its oldest."""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Worker(Generic[Job]):
    """Runs ``work`` on each job in a thread of its own.

    Callbacks that only `put` never wait, so no message is lost while one set is computed.
    """

    def __init__(
        self, work: Callable[[Job], None], failed: Callable[[Exception], None], queue_size: int
    ) -> None:
        """Start the thread.

        Args:
            work: Called with each job.
            failed: Gets what ``work`` raises; the thread goes on.
            queue_size: Jobs that wait.
        """
        self.dropped = 0
        """Jobs thrown away because newer ones came before their turn."""
        self._work = work
        self._failed = failed
        self._queue: deque[Job] = deque()
        self._queue_size = queue_size
        self._changed = threading.Condition()
        self._stopped = False
        self._busy = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="depth worker", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue a job; the oldest goes when there is no room."""
        with self._changed:
            while len(self._queue) >= self._queue_size:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(job)
            self._changed.notify()

    @property
    def busy(self) -> bool:
        """True while there is something to do."""
        with self._changed:
            return self._busy or bool(self._queue)

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the jobs that wait, for at most ``timeout`` seconds, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout)
        # What is still at it has nobody left to publish for.
        self._abandoned = self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                while not self._queue:
                    if self._stopped:
                        return
                    self._changed.wait()
                job = self._queue.popleft()
                self._busy = True
            self._guarded(functools.partial(self._work, job))

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # whatever one frame set does, the next one gets its turn
            if not self._abandoned:
                self._failed(error)
