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

"""Tasks on Ray: a session on this machine or on a cluster, and one outcome for each job.

In: a function of one job, and the jobs. Out: `Outcome` after `Outcome` as they are done, of what
failed its error. Ray starts a task again whose worker was killed, whose node went away, or whose
bag or disk failed; after that it is an outcome with an error, and the others go on.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from depth_perception.cluster.libraries import load
from depth_perception.datasets.sample import DatasetError
from depth_perception.errors import BagError, ConfigurationError, DepthPerceptionError

WAITING = 1000
"""Tasks that Ray holds at a time: it slows down with a million, and needs only some ahead."""

_OBJECTS = 512 << 20
"""Memory for what tasks hand over, bytes, of a session on this machine. More goes to the disk."""

_FAULTS = {
    "OutOfMemoryError": "memory ran out: fewer --workers, or more memory for a task",
    "WorkerCrashedError": "its process was killed, often for want of memory: fewer --workers",
    "NodeDiedError": "its machine went away: run again",
    "OutOfDiskError": "a machine's disk is full: make room there, or name another --cache",
    "OwnerDiedError": "the process that it belonged to went away: run again",
    "TaskCancelledError": "it was cancelled",
}
"""Errors of Ray by name: what happened and what helps."""


@dataclass(frozen=True)
class Resources:
    """What one task takes of a machine, and how often it is tried again.

    Attributes:
        cpus: Cores, which is also its number of threads.
        gpus: GPUs, also a part of one.
        retries: How often a task that failed is started again.
    """

    cpus: int = 1
    gpus: float = 0.0
    retries: int = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one job: a value, or in one line why there is none.

    Attributes:
        number: The job's place in the list.
        value: What the function returned; None where it failed.
        error: Empty where it did not.
    """

    number: int
    value: Any
    error: str


@contextlib.contextmanager
def session(address: str = "", workers: int = 0) -> Iterator[int]:
    """Connect to a cluster, or start Ray on this machine, and end it again.

    Nothing of a local session outlasts it: its processes end, and its files, which lie in a folder
    of their own, are removed. Where this process has connected to Ray already, that is used, and
    left as it is.

    Args:
        address: ``HOST:PORT``, ``auto`` or ``ray://HOST:PORT``; empty starts Ray here.
        workers: Cores that tasks may use of this machine, where Ray is started here; 0: all.

    Yields:
        The number of cores.

    Raises:
        ConfigurationError: Ray is not installed, or no cluster answers at the address.
    """
    # Said before Ray is imported, which reads it then. Whoever wants either sets it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = load("ray")
    if ray.is_initialized():
        yield int(ray.cluster_resources().get("CPU", 1))
        return
    # Paths of sockets may have 107 characters, and Ray's own part is long.
    folder = None if address else tempfile.mkdtemp(prefix="ray_", dir=_short_folder())
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if folder is not None:
            ray.init(
                address="local",
                num_cpus=workers or None,
                include_dashboard=False,
                object_store_memory=_OBJECTS,
                _temp_dir=folder,
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
        # Ray takes SIGTERM for itself; the command says what it leaves behind, and ends.
        with contextlib.suppress(ValueError):  # not in the main thread
            for number, handler in handlers.items():
                signal.signal(number, handler)
        yield int(ray.cluster_resources().get("CPU", 1))
    except (ConnectionError, ValueError, RuntimeError) as error:
        if ray.is_initialized():
            raise
        raise ConfigurationError(
            f"--cluster '{address}': no Ray cluster answers ({' '.join(str(error).split())})",
            expected="HOST:PORT as 'ray start --head' says it",
            fix="start one, correct the address, or leave it out for Ray on this machine",
        ) from None
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def outcomes(
    function: Callable[[Any], Any], jobs: Sequence[Any], resources: Resources
) -> Iterator[Outcome]:
    """Run a function once for each job, in a session; yield each outcome as it comes.

    What is not done when the iteration ends early, as by Ctrl-C, is cancelled.

    Args:
        function: Of a module, not of another function: workers import it.
        jobs: What it is called with.
        resources: Of each task.
    """
    ray = load("ray")

    run = ray.remote(
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
        max_retries=resources.retries,
        retry_exceptions=[OSError, MemoryError, BagError, DatasetError],
        # On the machine that has least to do, so that a second attempt is seldom where the first
        # was: a full disk may be one machine's own.
        scheduling_strategy="SPREAD",
    )(_run)
    left = iter(enumerate(jobs))
    running: dict[Any, int] = {}
    try:
        while True:
            for number, job in itertools.islice(left, WAITING - len(running)):
                running[run.remote(function, job, resources.cpus)] = number
            if not running:
                return
            # With an end, so that a signal is seen while nothing is done.
            for ready in ray.wait(list(running), timeout=1.0)[0]:
                yield _outcome(ready, running.pop(ready))
    finally:
        for task in running:
            with contextlib.suppress(Exception):
                ray.cancel(task, force=True)


def _outcome(task: Any, number: int) -> Outcome:
    ray = load("ray")

    try:
        return Outcome(number, ray.get(task), "")
    except ray.exceptions.RayError as error:
        return Outcome(number, None, explained(error))


def explained(error: Exception) -> str:
    """Say in one line why a task failed: the package's own words, else what Ray knows."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, DepthPerceptionError):
        return str(cause)
    name = type(cause).__name__
    if name in _FAULTS:
        return f"{name}: {_FAULTS[name]}"
    lines = [line for line in str(cause).splitlines() if line.strip()] or [""]
    return f"{name}: {lines[0].strip()}" if lines[0] else name


def _run(function: Callable[[Any], Any], job: Any, cpus: int) -> Any:
    settle(cpus)
    return function(job)


def settle(cpus: int) -> None:
    """Let this process compute with so many threads: others have the other cores."""
    import cv2

    from depth_perception.inference.onnx_session import THREADS

    os.environ[THREADS] = str(cpus)
    cv2.setNumThreads(cpus)


def _short_folder() -> str | None:
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > 30 and os.access("/tmp", os.W_OK) else None
