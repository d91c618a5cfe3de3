"""Frame sets: one image per camera, nearest in time, maybe with cameras missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError

Payload = TypeVar("Payload")


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """One decoded image of one camera.

    Attributes:
        stamp: Time of capture, nanoseconds.
        image: (height, width, 3) uint8, BGR.
        labels: (h, w) class ids of a label image of the same field of view, of any size; None
            without one.
    """

    stamp: int
    image: NDArray[np.uint8]
    labels: NDArray[np.integer] | None = None


@dataclass(frozen=True, eq=False)
class FrameSet:
    """The images of all cameras at about one instant.

    Attributes:
        stamp: Time of the set, nanoseconds: its earliest image.
        frames: By camera name; absent cameras are not in it.
        missing: Why each absent camera is absent.
    """

    stamp: int
    frames: Mapping[str, CameraFrame]
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AssembledSet(Generic[Payload]):
    """A closed set of stamped payloads (messages or images) by camera name."""

    stamp: int
    members: Mapping[str, tuple[int, Payload]]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """True when every camera is present."""
        return not self.missing


class FrameSetAssembler(Generic[Payload]):
    """Groups stamped payloads of N cameras into sets by nearest stamp within a tolerance.

    A set opens with the first payload that fits no open set. A payload joins the open set whose
    stamp is nearest, when it is within the tolerance and its camera's place is free or held by a
    payload that is farther from the set's stamp. A set closes when it is complete, when a later
    set completes before it, or by `flush` (the caller's deadline). It never waits for more than
    that, and never holds more than ``max_open`` sets.

    Times are nanoseconds of the payloads' own stamps; no clock is read.
    """

    def __init__(self, cameras: list[str], tolerance: int, max_open: int = 4) -> None:
        """Set the cameras, in the order that sets list them, and the tolerance in nanoseconds."""
        if not cameras:
            raise ConfigurationError(
                "frame sets: no cameras", expected="at least one", fix="name cameras"
            )
        if tolerance < 0:
            raise ConfigurationError(
                f"sync.tolerance: {tolerance * 1e-9} s", expected="0 or more", fix="e.g. 0.05"
            )
        self.cameras = list(cameras)
        self.tolerance = int(tolerance)
        self.max_open = max_open
        self._open: list[tuple[int, dict[str, tuple[int, Payload]]]] = []
        self._last_closed = -(2**63)
        self.late = 0
        """Payloads dropped because their set had already closed."""

    def add(self, camera: str, stamp: int, payload: Payload) -> list[AssembledSet[Payload]]:
        """Add one payload; return the sets that this closes, oldest first."""
        best: tuple[int, int] | None = None
        for index, (set_stamp, members) in enumerate(self._open):
            distance = abs(stamp - set_stamp)
            held = members.get(camera)
            free = held is None or distance < abs(held[0] - set_stamp)
            if distance <= self.tolerance and free and (best is None or distance < best[0]):
                best = (distance, index)
        if best is None:
            if stamp <= self._last_closed:
                self.late += 1
                return []
            self._open.append((stamp, {camera: (stamp, payload)}))
            self._open.sort(key=lambda item: item[0])
            best_index = next(i for i, item in enumerate(self._open) if item[0] == stamp)
        else:
            best_index = best[1]
            self._open[best_index][1][camera] = (stamp, payload)
        closed: list[AssembledSet[Payload]] = []
        if len(self._open[best_index][1]) == len(self.cameras):
            closed += [self._close() for _ in range(best_index + 1)]
        while len(self._open) > self.max_open:
            closed.append(self._close())
        return closed

    def flush(self, before: int | None = None) -> list[AssembledSet[Payload]]:
        """Close the open sets whose stamp is before ``before`` (all of them when None)."""
        closed = []
        while self._open and (before is None or self._open[0][0] < before):
            closed.append(self._close())
        return closed

    def reset(self) -> None:
        """Forget everything, e.g. after time jumped backwards."""
        self._open.clear()
        self._last_closed = -(2**63)

    def _close(self) -> AssembledSet[Payload]:
        _, members = self._open.pop(0)
        ordered = {name: members[name] for name in self.cameras if name in members}
        stamps = [stamp for stamp, _ in ordered.values()]
        self._last_closed = max(self._last_closed, *stamps)
        missing = tuple(name for name in self.cameras if name not in ordered)
        return AssembledSet(min(stamps), ordered, missing)
