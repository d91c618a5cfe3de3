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

"""Make training data: many short drives, rendered by several processes into shards.

In: how many frame sets, a seed, rigs, an image size. Out: a folder of tar files in WebDataset's
layout with a manifest; `datasets.shards` says what is in them, and reads them.

Plain tars were chosen over LMDB (lmdb 3.0, one growing file that must be copied whole and that one
process writes at a time): a shard is written once and renamed, so that a killed run goes on where
it was, it can be passed on and checked by itself, and tarfile, tar, or the `webdataset` library
(1.0, BSD-3-Clause) read it without torch. Members are not compressed, so that any set is one seek
away, too.

The same arguments give the same bytes, however many processes work and however often they were
killed: every drive is made by itself from the seed and its number (`dataset_plan`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_perception import __version__
from depth_perception.datasets.manifest import MANIFEST
from depth_perception.datasets.sample import DatasetError, TrueFrameSet
from depth_perception.datasets.shards import (
    FORMAT,
    FORMAT_VERSION,
    TAR_END,
    encode_set,
    read_manifest,
)
from depth_perception.errors import ConfigurationError
from depth_perception.world.output.dataset_plan import (
    DatasetPlan,
    DrivePlan,
    open_drive,
    render_set,
)
from depth_perception.world.output.rigs import RIGS

if TYPE_CHECKING:
    from depth_perception.world.output.sensors import SensorSuite

PARTS = "parts"
"""Folder of finished drives that wait for the others of their shard."""
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)

Progress = Callable[[int, int], None]
"""Called with the number of finished frame sets and of all."""


@dataclass(frozen=True)
class DriveJob:
    """A drive to be made by another process: `make_drive` takes it.

    Attributes:
        folder: Of the data set; all machines see it.
        plan: Of the data set.
        drive: Of the drive.
    """

    folder: str
    plan: DatasetPlan
    drive: DrivePlan


MakeDrives = Callable[[Sequence[DriveJob], Callable[[DriveJob], None]], None]
"""Has `make_drive` called for each of the jobs, and calls the second for each that is done."""


def write_dataset(
    folder: str | Path,
    *,
    frames: int,
    workers: int = 0,
    seed: int = 0,
    width: int = 640,
    height: int = 352,
    sets_per_drive: int = 6,
    rigs: Sequence[str] | None = None,
    truth: Sequence[str] = (),
    samples: int = 1,
    miscalibration: float = 0.2,
    spacing: float = 2.5,
    measured: bool = False,
    progress: Progress | None = None,
    make: MakeDrives | None = None,
) -> dict[str, Any]:
    """Make a data set, or go on with one that was begun with the same arguments.

    More `frames` than before add to it. Several workers are processes that are spawned: a script
    that calls this needs ``if __name__ == "__main__":``.

    Args:
        folder: Where to; made when absent.
        frames: Number of frame sets.
        workers: Processes, one thread each; 0 is one where there is a GPU, else one a core.
        seed: Of everything.
        width: Of the images, px.
        height: Of the images, px.
        sets_per_drive: Frame sets of one drive; more are cheaper and more alike.
        rigs: Families of rigs to draw from; all by default.
        truth: Layers to store beside depth and label, some of `shards.TRUTH_LAYERS`.
        samples: Rays a pixel for the light.
        miscalibration: Typical error of the calibration, degrees.
        spacing: Mean time between two sets of a drive, s.
        measured: Sets follow each other as a vehicle's do, 2 to 12 a second, and hold the depth
            that its motion measured; see `measured_sets`.
        progress: Called with (finished, all) frame sets.
        make: Makes the drives that are missing, e.g. on a cluster; by default this machine does.

    Returns:
        The manifest.

    Raises:
        ConfigurationError: Impossible arguments, or others than the folder was begun with.
        DatasetError: A drive could not be made (names its seed), or a worker was killed.
        KeyboardInterrupt: After all workers have ended; run again to continue.
    """
    if frames < 1 or workers < 0:
        raise ConfigurationError(
            f"frames={frames}, workers={workers}",
            expected="frames of 1 or more, workers of 0 (by itself) or more",
        )
    plan = DatasetPlan(
        seed,
        width,
        height,
        sets_per_drive,
        tuple(rigs if rigs is not None else RIGS),
        tuple(truth),
        samples,
        miscalibration,
        spacing,
        measured,
    )
    folder = Path(folder)
    assembly = _ShardAssembly(folder, plan, frames, progress)
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    assembly.save()
    missing = assembly.begin()
    if missing:
        workers = 1 if make else min(workers or _usual_workers(), len(missing))
        if make is not None:
            make([DriveJob(str(folder.resolve()), plan, drive) for drive in missing], assembly.note)
        elif workers == 1:
            for drive in missing:
                _make_part(folder, plan, drive)
                assembly.finish(drive)
        else:
            _make_parts_in_processes(folder, plan, missing, workers, assembly.finish)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    return assembly.manifest


def _usual_workers() -> int:
    from depth_perception.world.render.renderer import default_device

    if default_device().startswith("cuda"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _ShardAssembly:
    """Which drives are done, and the shards that are put together from them."""

    def __init__(
        self, folder: Path, plan: DatasetPlan, frames: int, progress: Progress | None
    ) -> None:
        self.folder, self.plan, self.frames, self.progress = folder, plan, frames, progress
        arguments = json.loads(json.dumps(asdict(plan)))
        self.manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "package": __version__,
            "frames": frames,
            "complete": False,
            "arguments": arguments,
            "shards": [],
        }
        if (folder / MANIFEST).exists():
            before = read_manifest(folder)
            _check_same(folder, before, self.manifest)
            self.manifest["shards"] = [s for s in before["shards"] if self._is_complete(s)]
        elif folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(
                f"'{folder}' holds something else",
                expected="a new or empty folder, or one that write_dataset began",
                fix="name another folder",
            )
        self.done: set[int] = set()

    def _shard_of(self, drive: int) -> int:
        return drive // self.plan.drives_per_shard

    def _drives_of(self, shard: int) -> range:
        n = self.plan.drives_per_shard
        drives = -(-self.frames // self.plan.sets_per_drive)
        return range(shard * n, min((shard + 1) * n, drives))

    def _sets_of(self, drive: int) -> int:
        n = self.plan.sets_per_drive
        return min(n, self.frames - drive * n)

    def _is_complete(self, entry: dict[str, Any]) -> bool:
        """Tell whether a shard of an earlier run is still there and as full as it is to be."""
        path = self.folder / entry["name"]
        sets = sum(self._sets_of(k) for k in self._drives_of(int(entry["name"][6:12])))
        return bool(
            entry["sets"] == sets and path.exists() and path.stat().st_size == entry["bytes"]
        )

    def begin(self) -> list[DrivePlan]:
        """The drives that are still to be made; those of an earlier run count as done."""
        ready = {int(entry["name"][6:12]) for entry in self.manifest["shards"]}
        missing = []
        for k in range(-(-self.frames // self.plan.sets_per_drive)):
            drive = self.plan.drive(k, self._sets_of(k))
            if self._shard_of(k) in ready:
                self.done.add(k)
            elif _part(self.folder, drive).exists():
                self.finish(drive)
            else:
                missing.append(drive)
        self._report()
        return missing

    def finish(self, drive: DrivePlan) -> None:
        """Note a finished drive, and put its shard together when it was the last one of it."""
        self.done.add(drive.number)
        shard = self._shard_of(drive.number)
        if self.done.issuperset(self._drives_of(shard)):
            self._assemble(shard)
            self.save()
        self._report()

    def note(self, job: DriveJob) -> None:
        """Note a drive that another process has finished."""
        self.finish(job.drive)

    def _assemble(self, shard: int) -> None:
        plans = [self.plan.drive(k, self._sets_of(k)) for k in self._drives_of(shard)]
        name = f"shard-{shard:06d}.tar"
        digest = hashlib.sha256()
        with _atomic_write(self.folder / name) as file:
            for drive in plans:
                data = _part(self.folder, drive).read_bytes()
                digest.update(data)
                file.write(data)
            digest.update(TAR_END)
            file.write(TAR_END)
            size = file.tell()
        sets = sum(len(drive.times) for drive in plans)
        entry = {"name": name, "sets": sets, "bytes": size, "sha256": digest.hexdigest()}
        shards = [s for s in self.manifest["shards"] if s["name"] != name]
        self.manifest["shards"] = sorted([*shards, entry], key=lambda s: s["name"])
        self.save()
        for drive in plans:
            _part(self.folder, drive).unlink()

    def save(self) -> None:
        """Write the manifest."""
        total = sum(entry["sets"] for entry in self.manifest["shards"])
        self.manifest["complete"] = total == self.frames
        with _atomic_write(self.folder / MANIFEST) as file:
            file.write((json.dumps(self.manifest, indent=1) + "\n").encode())

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(sum(self._sets_of(k) for k in self.done), self.frames)


def _check_same(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    # A data set of before an argument was there was made with its default.
    old = {**json.loads(json.dumps(asdict(DatasetPlan()))), **before["arguments"]}
    new = now["arguments"]
    differs = [f"{k}={old.get(k)!r}, now {new[k]!r}" for k in new if old.get(k) != new[k]]
    if before["package"] != now["package"]:
        differs.append(f"package {before['package']}, now {now['package']}")
    if before["frames"] > now["frames"]:
        differs.append(f"frames={before['frames']}, now {now['frames']}")
    if differs:
        raise ConfigurationError(
            f"data set '{folder}' was begun with {'; '.join(differs)}",
            expected="the same arguments (frames may grow)",
            fix="name another folder, or delete this one",
        )


@contextlib.contextmanager
def _atomic_write(path: Path) -> Iterator[Any]:
    """Write a file under another name and rename it when it is whole."""
    temporary = path.with_name(path.name + ".unfinished")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DatasetError(
            f"'{path}' cannot be written ({error.strerror})",
            fix="free space or name another folder, and run again: finished drives are kept",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _part(folder: Path, drive: DrivePlan) -> Path:
    return folder / PARTS / f"drive-{drive.number:07d}-{len(drive.times)}.tar"


def _make_part(
    folder: Path, plan: DatasetPlan, drive: DrivePlan, check: Callable[[], None] = lambda: None
) -> None:
    """Render a drive and store its sets, a tar file without its end."""
    try:
        suite = open_drive(plan, drive)
        with _atomic_write(_part(folder, drive)) as file:
            for sample in _sets(plan, drive, suite, check):
                file.write(encode_set(sample))
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(
            f"drive {drive.number} (seed {drive.seed}, {drive.rig} rig of seed {drive.rig_seed},"
            f" {plan.width}x{plan.height} px) cannot be made: {type(error).__name__}: {error}",
            fix="report these numbers; another seed avoids it",
        ) from error


def make_drive(job: DriveJob) -> None:
    """Render a drive and store its sets: the task of a process that is not this one's.

    Raises:
        DatasetError: It cannot be made, or not be written.
    """
    _make_part(Path(job.folder), job.plan, job.drive)


def _sets(
    plan: DatasetPlan, drive: DrivePlan, suite: SensorSuite, check: Callable[[], None]
) -> Iterator[TrueFrameSet]:
    if plan.measured:
        from depth_perception.world.output.measured_sets import measured_sets

        yield from measured_sets(plan, drive, suite, check)
        return
    for index in range(len(drive.times)):
        yield render_set(plan, drive, suite, index, check)


def _make_parts_in_processes(
    folder: Path,
    plan: DatasetPlan,
    drives: list[DrivePlan],
    workers: int,
    finish: Callable[[DrivePlan], None],
) -> None:
    """Make drives in processes. Spawned: Warp does not survive a fork."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, context, _begin_worker, (stop,))
        try:
            futures: dict[Future[None], DrivePlan] = {
                pool.submit(_worker_part, folder, plan, drive): drive for drive in drives
            }
            for future in as_completed(futures):
                future.result()
                finish(futures[future])
        except BrokenProcessPool:
            raise DatasetError(
                "a worker process was killed",
                expected="workers that live",
                fix="use fewer workers if memory ran out, and run again: finished drives are kept",
            ) from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that are started now compute with one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Worker:
    """What a worker process was given when it began."""

    stop: Any = None


def _begin_worker(stop: Any) -> None:
    import signal

    import cv2

    cv2.setNumThreads(1)
    # Ctrl-C reaches all processes of a terminal; the first one tells the others through `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Worker.stop = stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _worker_part(folder: Path, plan: DatasetPlan, drive: DrivePlan) -> None:
    def check() -> None:
        if _Worker.stop.is_set():
            raise DatasetError("stopped")

    check()
    _make_part(folder, plan, drive, check)
