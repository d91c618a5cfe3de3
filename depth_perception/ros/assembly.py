"""From messages as they arrive to closed frame sets: what an image waits for before it joins one.

An image waits until its camera's calibration is known (and its label image is there, where labels
are wanted), then goes to the assembler. Nothing waits longer than ``sync.timeout``.

Called from one thread. Reads no clock: every call brings the node's time and a steady time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from depth_perception.frames.assembler import AssembledSet, FrameSetAssembler, Now
from depth_perception.parameters import SyncParameters

_HELD_IMAGES = 4
_HELD_LABELS = 20
_SAME_JUMP_NS = 1_000_000_000
"""Stamps and clock that jump within this time (steady) have jumped together."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image message and the label message of the same stamp, if there is one."""

    image: Any
    labels: Any = None


class Assembler(Protocol):
    """Groups images into sets: `FrameSetAssembler`, or message_filters behind the same face."""

    jumps: int
    dropped_by_camera: dict[str, Counter[str]]
    doubts: dict[str, str]

    def add(
        self, camera: str, stamp: int, payload: Arrival, now: Now
    ) -> list[AssembledSet[Arrival]]:
        """Add an image; return the sets that this closes."""

    def expire(self, now: Now) -> list[AssembledSet[Arrival]]:
        """Close the sets whose deadline has passed."""

    def flush(self) -> list[AssembledSet[Arrival]]:
        """Close every open set."""

    def restart(self) -> list[AssembledSet[Arrival]]:
        """Forget the stamps so far; return the sets that this closes."""


def make_assembler(sync: SyncParameters, cameras: Sequence[str]) -> Assembler:
    """Make the assembler that ``sync.policy`` asks for.

    Raises:
        ConfigurationError: The anchor is no camera, or message_filters is not installed.
    """
    tolerance, timeout = round(sync.tolerance * 1e9), round(sync.timeout * 1e9)
    if sync.policy == "approximate_time":
        from depth_perception.ros.approximate_time import ApproximateTimeAssembler

        return ApproximateTimeAssembler(cameras, tolerance)
    anchor = sync.anchor_of(cameras)
    if anchor and anchor not in cameras:
        # Cameras are found one after another; until the anchor is there, sets do without.
        anchor = ""
    return FrameSetAssembler(cameras, tolerance, timeout=timeout, anchor=anchor)


class FrameSetCollector:
    """Collects the messages of all cameras into frame sets."""

    def __init__(self, sync: SyncParameters, with_labels: bool) -> None:
        """Start without cameras; `set_cameras` names them.

        Raises:
            ConfigurationError: The policy needs what is not installed.
        """
        self.with_labels = with_labels
        self._sync = sync
        self._timeout = round(sync.timeout * 1e9)
        self._names: list[str] = []
        self._assembler: Assembler | None = None
        self._calibrated: set[str] = set()
        self._latest_ros = -(2**63)
        self._jumped = -(2**63)
        self._waiting: dict[str, dict[int, tuple[Any, Now]]] = {}
        self._labels: dict[str, dict[int, Any]] = {}
        self._jumps = 0
        self._before: dict[str, Counter[str]] = {}
        if sync.policy == "approximate_time":
            make_assembler(sync, ["probe"])

    @property
    def jumps(self) -> int:
        """How often time has jumped."""
        return self._jumps + (self._assembler.jumps if self._assembler else 0)

    @property
    def doubts(self) -> dict[str, str]:
        """What is wrong with the stamps of cameras whose images are left out for it."""
        return self._assembler.doubts if self._assembler else {}

    def dropped(self, name: str) -> Counter[str]:
        """Images of a camera that were left out of frame sets, by reason, since the start."""
        now = self._assembler.dropped_by_camera.get(name, Counter()) if self._assembler else None
        return self._before.get(name, Counter()) + (now or Counter())

    def set_cameras(self, names: Sequence[str]) -> list[AssembledSet[Arrival]]:
        """Name the cameras that make a complete set; return the sets that were open."""
        return self._renew(self._sync, names)

    def set_sync(self, sync: SyncParameters) -> list[AssembledSet[Arrival]]:
        """Take other tolerances; return the sets that were open."""
        return self._renew(sync, self._names)

    def _renew(self, sync: SyncParameters, names: Sequence[str]) -> list[AssembledSet[Arrival]]:
        closed: list[AssembledSet[Arrival]] = []
        old = self._assembler
        if old is not None:
            closed = old.flush()
            self._jumps += old.jumps
            for name in old.dropped_by_camera:
                self._before[name] = self.dropped(name)
        self._sync, self._names = sync, list(names)
        self._timeout = round(sync.timeout * 1e9)
        self._assembler = make_assembler(sync, names) if names else None
        return closed

    def add_calibration(self, name: str, now: Now) -> list[AssembledSet[Arrival]]:
        """Note that a camera's calibration is known; its waiting images go on."""
        if name in self._calibrated:
            return []
        self._calibrated.add(name)
        return self._release(name)

    def add_labels(self, name: str, stamp: int, message: Any) -> list[AssembledSet[Arrival]]:
        """Keep a label image; the image of the same stamp goes on."""
        kept = self._labels.setdefault(name, {})
        kept.pop(stamp, None)
        kept[stamp] = message
        while len(kept) > _HELD_LABELS:
            kept.pop(next(iter(kept)))
        return self._release(name)

    def add_image(
        self, name: str, stamp: int, message: Any, now: Now
    ) -> list[AssembledSet[Arrival]]:
        """Add an image; return the sets that this closes, oldest first."""
        if name in self._calibrated and not self.with_labels:
            return self._join(name, stamp, message, now)
        waiting = self._waiting.setdefault(name, {})
        waiting[stamp] = (message, now)
        closed = self._release(name)
        if len(waiting) > _HELD_IMAGES:
            first = next(iter(waiting))
            held, since = waiting.pop(first)
            if name in self._calibrated:  # its labels are late; the image is not lost for that
                closed += self._join(name, first, held, since)
        return closed

    def expire(self, now: Now) -> list[AssembledSet[Arrival]]:
        """Close what has waited long enough."""
        if self._assembler is None:
            return []
        closed: list[AssembledSet[Arrival]] = []
        if now.ros < self._latest_ros:
            # Deadlines of the time before the jump would lie in the future.
            self._waiting.clear()
            self._labels.clear()
            if now.steady - self._jumped > _SAME_JUMP_NS:
                self._jumps += 1
                closed += self._assembler.restart()
            else:
                closed += self._assembler.flush()
        self._latest_ros = now.ros
        for name, waiting in self._waiting.items():
            if name not in self._calibrated:
                continue
            for stamp in [s for s, (_, since) in waiting.items() if self._due(since, now)]:
                message, since = waiting.pop(stamp)
                closed += self._join(name, stamp, message, since)
        return closed + self._assembler.expire(now)

    def _due(self, since: Now, now: Now) -> bool:
        waited = now.steady - since.steady
        return now.ros - since.ros >= self._timeout or waited >= 5 * self._timeout + 10**9

    def _release(self, name: str) -> list[AssembledSet[Arrival]]:
        """Let the images of a camera join that have all they need."""
        closed: list[AssembledSet[Arrival]] = []
        if name not in self._calibrated:
            return closed
        waiting, labels = self._waiting.get(name, {}), self._labels.get(name, {})
        for stamp in list(waiting):
            if not self.with_labels or stamp in labels:
                message, since = waiting.pop(stamp)
                closed += self._join(name, stamp, message, since)
        return closed

    def _join(self, name: str, stamp: int, message: Any, since: Now) -> list[AssembledSet[Arrival]]:
        if self._assembler is None or name not in self._names:
            return []
        labels = self._labels.get(name, {}).pop(stamp, None)
        jumps = self._assembler.jumps
        closed = self._assembler.add(name, stamp, Arrival(message, labels), since)
        if self._assembler.jumps != jumps:
            self._jumped = since.steady
        return closed
