"""From messages as they arrive to closed frame sets: waits, deadlines and jumps of time.

An image waits until its camera's calibration is known (and its label image is there, where labels
are wanted), then joins a set of `FrameSetAssembler`. Nothing waits longer than ``sync.timeout``.
Time that jumps backwards, as at the end of a looped bag, starts everything anew.

Called from one thread. Reads no clock: every call brings the node's time and a steady time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depth_perception.frame_set import AssembledSet, FrameSetAssembler
from depth_perception.parameters import SyncParameters

_HELD_IMAGES = 4
_HELD_LABELS = 20
_ACTIVE_NS = 5_000_000_000


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image message and the label message of the same stamp, if there is one."""

    image: Any
    labels: Any = None


@dataclass(frozen=True)
class Now:
    """The node's time, which may be a simulation's, and one that only goes forward; both ns."""

    ros: int
    steady: int


class FrameSetCollector:
    """Collects the messages of all cameras into frame sets."""

    def __init__(self, sync: SyncParameters, with_labels: bool) -> None:
        """Start without cameras; `set_cameras` names them."""
        self.tolerance = round(sync.tolerance * 1e9)
        self.timeout = round(sync.timeout * 1e9)
        self.with_labels = with_labels
        self.jumps = 0
        """How often time has jumped backwards."""
        self._assembler: FrameSetAssembler[Arrival] | None = None
        self._calibrated: set[str] = set()
        self._latest_ros = -(2**63)
        self._forget()

    def _forget(self) -> None:
        self._waiting: dict[str, dict[int, tuple[Any, Now]]] = {}
        self._labels: dict[str, dict[int, Any]] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self._behind: dict[str, tuple[int, Any]] = {}
        self._opened: list[tuple[Now, int]] = []
        if self._assembler is not None:
            self._assembler.reset()

    def set_cameras(self, names: Sequence[str]) -> None:
        """Name the cameras that make a complete set; open sets are given up."""
        self._assembler = FrameSetAssembler(list(names), self.tolerance)
        self._forget()

    def reset(self) -> None:
        """Start anew after time jumped; calibration stays."""
        self.jumps += 1
        self._forget()

    def add_calibration(self, name: str, now: Now) -> list[AssembledSet[Arrival]]:
        """Note that a camera's calibration is known; its waiting images go on."""
        if name in self._calibrated:
            return []
        self._calibrated.add(name)
        return self._release(name, now)

    def add_labels(
        self, name: str, stamp: int, message: Any, now: Now
    ) -> list[AssembledSet[Arrival]]:
        """Keep a label image; the image of the same stamp goes on."""
        kept = self._labels.setdefault(name, {})
        kept[stamp] = message
        while len(kept) > _HELD_LABELS:
            kept.pop(next(iter(kept)))
        return self._release(name, now)

    def add_image(
        self, name: str, stamp: int, message: Any, now: Now
    ) -> list[AssembledSet[Arrival]]:
        """Add an image; return the sets that this closes, oldest first."""
        last_stamp, last_steady = self._last.get(name, (-(2**63), 0))
        repeated = stamp == last_stamp and now.steady - last_steady > self.tolerance
        if stamp < last_stamp or repeated:
            return self._went_back(name, stamp, message, now)
        self._behind.pop(name, None)
        self._last[name] = (stamp, now.steady)
        waiting = self._waiting.setdefault(name, {})
        waiting[stamp] = (message, now)
        while len(waiting) > _HELD_IMAGES:
            waiting.pop(next(iter(waiting)))
        return self._release(name, now)

    def _went_back(
        self, name: str, stamp: int, message: Any, now: Now
    ) -> list[AssembledSet[Arrival]]:
        """Tell a bag that starts again from one camera whose clock stands still or is off."""
        self._behind[name] = (stamp, message)
        active = [n for n, (_, at) in self._last.items() if now.steady - at < _ACTIVE_NS]
        if 2 * len(self._behind) <= len(active):
            return []
        again = dict(self._behind)
        self.reset()
        closed = []
        for other, (other_stamp, other_message) in again.items():
            closed += self.add_image(other, other_stamp, other_message, now)
        return closed

    def expire(self, now: Now) -> list[AssembledSet[Arrival]]:
        """Close what has waited long enough."""
        if now.ros < self._latest_ros:
            self._latest_ros = now.ros
            self.reset()
            return []
        self._latest_ros = now.ros
        closed = []
        for name, waiting in self._waiting.items():
            for stamp in [s for s, (_, since) in waiting.items() if self._due(since, now)]:
                message, since = waiting.pop(stamp)
                closed += self._join(name, stamp, message, since)
        due = [stamp for since, stamp in self._opened if self._due(since, now)]
        if due and self._assembler is not None:
            self._opened = [item for item in self._opened if not self._due(item[0], now)]
            closed += self._assembler.flush(before=max(due) + 1)
        return closed

    def _due(self, since: Now, now: Now) -> bool:
        # The node's time is what counts, so that slow replay keeps its sets together; where it
        # stands still (the bag is over), the steady time ends the wait.
        waited = now.steady - since.steady
        return now.ros - since.ros >= self.timeout or waited >= 5 * self.timeout + 10**9

    def _release(self, name: str, now: Now) -> list[AssembledSet[Arrival]]:
        """Let the images of a camera join that have all they need."""
        closed: list[AssembledSet[Arrival]] = []
        if name not in self._calibrated:
            return closed
        waiting, labels = self._waiting.get(name, {}), self._labels.get(name, {})
        for stamp in list(waiting):
            if not self.with_labels or stamp in labels:
                message, _ = waiting.pop(stamp)
                closed += self._join(name, stamp, message, now)
        return closed

    def _join(self, name: str, stamp: int, message: Any, since: Now) -> list[AssembledSet[Arrival]]:
        if self._assembler is None:
            return []
        labels = self._labels.get(name, {}).pop(stamp, None)
        self._opened.append((since, stamp))
        closed = self._assembler.add(name, stamp, Arrival(message, labels))
        if closed:
            newest = max(stamp for stamp, _ in closed[-1].members.values())
            self._opened = [item for item in self._opened if item[1] > newest]
        return closed
