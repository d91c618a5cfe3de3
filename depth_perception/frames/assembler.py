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

"""Grouping stamped images of several cameras into frame sets, nearest in time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Generic, Protocol

from depth_perception.errors import ConfigurationError
from depth_perception.frames.debug_text import Debug, image_text, members_text, set_text, silent
from depth_perception.frames.frame_set import FrameSet
from depth_perception.frames.open_set import NEVER, CameraStamps, HeldImage, Now, OpenSet, Payload
from depth_perception.yaml_mapping import nearest

ACTIVE_NS = 5_000_000_000
"""A camera that was heard within this time has a say in what time it is."""
JUMP_NS = 5_000_000_000
"""A stamp this far from the other cameras' is a wrong clock, or a jump of time for all."""
STOPPED_AFTER = 2
"""A camera that missed so many sets in a row is not waited for until it is heard again."""
DROP_REASONS = {
    "zero_stamp": "header.stamp is zero",
    "duplicate": "the stamp of the image before",
    "backward": "older than the image before",
    "behind": "far behind the other cameras' stamps",
    "ahead": "far ahead of the other cameras' stamps",
    "late": "their frame set had closed",
    "superseded": "another image of the camera fitted its frame set better",
    "no_anchor": "no image of the anchor camera (sync.anchor) near them",
}
"""Why images are left out of frame sets, in words."""
_NEAR_NS = 1_000_000_000
_REMEMBERED = 8


_START = Now(0, 0)


class Assembler(Protocol[Payload]):
    """Groups images into sets: `FrameSetAssembler`, or message_filters behind the same face."""

    jumps: int
    dropped_by_camera: dict[str, Counter[str]]
    stamp_faults: dict[str, str]

    def add(self, camera: str, stamp: int, payload: Payload, now: Now) -> list[FrameSet[Payload]]:
        """Add an image; return the sets that this closes."""

    def expire(self, now: Now) -> list[FrameSet[Payload]]:
        """Close the sets whose deadline has passed."""

    def flush(self) -> list[FrameSet[Payload]]:
        """Close every open set."""

    def restart(self) -> list[FrameSet[Payload]]:
        """Forget the stamps so far; return the sets that this closes."""


class FrameSetAssembler(Generic[Payload]):
    """Groups stamped payloads of N cameras into sets; never waits for a camera that stopped.

    A payload joins the open set whose mean stamp is nearest, among those that it fits: a set spans
    at most the tolerance. With an anchor camera, a set is what lies within the tolerance of one of
    the anchor's stamps. A set closes when every camera is there that can still come, when a later
    set closes, or at its deadline (`expire`). A camera can no longer come when it has sent
    something newer, when its next image is not due yet, or when it has missed the last two sets.

    Stamps that contradict the other cameras' are kept apart. When most cameras agree on the new
    time, as at the end of a looped bag or when a clock is set, it is taken, and nothing is lost;
    until then they are counted and left out, so that one wrong clock disturbs nobody else.

    Holds at most ``max_open`` sets, and one payload of each camera whose stamp is doubtful. Reads
    no clock: calls bring the time. Not thread-safe.

    Attributes:
        cameras: Names, in the order in which sets list them.
        dropped_by_camera: Payloads left out, by reason (see `DROP_REASONS`), for each camera.
        stamp_faults: Why the latest payload of a camera was left out, while that is so.
        jumps: How often time has jumped.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        tolerance: int,
        *,
        timeout: int | None = None,
        anchor: str = "",
        wait_for_all: bool = False,
        max_open: int = 4,
        debug: Debug = silent,
    ) -> None:
        """Start with no open set.

        Args:
            cameras: Names, in the order in which sets list them.
            tolerance: How far apart stamps of a set may be, nanoseconds.
            timeout: How long after its first payload a set closes at the latest, nanoseconds; None
                for never.
            anchor: Camera that sets are centred on; empty for none.
            wait_for_all: Also wait for cameras that seem to have stopped. For replay, where waiting
                costs nothing.
            max_open: Sets that may wait; one more closes the oldest.
            debug: Told why sets close and images are left out.

        Raises:
            ConfigurationError: No camera, a negative tolerance, or an anchor that is no camera.
        """
        if not cameras:
            raise ConfigurationError(
                "frame sets: no cameras", expected="at least one", fix="name cameras"
            )
        if tolerance < 0:
            raise ConfigurationError(
                f"sync.tolerance: {tolerance * 1e-9} s", expected="0 or more", fix="e.g. 0.05"
            )
        if anchor and anchor not in cameras:
            raise ConfigurationError(
                f"sync.anchor: '{anchor}'",
                expected=nearest(anchor, cameras),
                fix="correct the name",
            )
        self.cameras = list(cameras)
        self.tolerance = int(tolerance)
        self.timeout = timeout
        self.anchor = anchor
        self.wait_for_all = wait_for_all
        self.max_open = max_open
        self._debug = debug
        self.jumps = 0
        self.dropped_by_camera: dict[str, Counter[str]] = {name: Counter() for name in cameras}
        self.stamp_faults: dict[str, str] = {}
        self._states = {name: CameraStamps() for name in cameras}
        self._open: list[OpenSet[Payload]] = []
        self._closed: deque[tuple[int, int, Mapping[str, object]]] = deque(maxlen=_REMEMBERED)
        self._held: dict[str, HeldImage] = {}
        self._latest_good = NEVER

    def add(
        self, camera: str, stamp: int, payload: Payload, now: Now = _START
    ) -> list[FrameSet[Payload]]:
        """Add one payload.

        Args:
            camera: One of ``cameras``.
            stamp: Its time of capture, nanoseconds.
            payload: What the set will hold.
            now: When it arrived.

        Returns:
            The sets that this closes, oldest first.
        """
        state = self._states[camera]
        state.heard = now.steady
        reason = self._fault(state, stamp, now)
        if not reason:
            if camera in self._held:
                self._drop_held(camera)
            self.stamp_faults.pop(camera, None)
            return self._accept(camera, state, stamp, payload, now)
        if reason in ("zero_stamp", "duplicate", "late"):
            self._drop(camera, reason, stamp)
            return []
        if camera in self._held:
            self._drop_held(camera)
        self._held[camera] = HeldImage(reason, stamp, payload, now)
        fault = self.stamp_faults[camera] = self._explain(reason, stamp, state)
        self._debug(image_text, camera, stamp, "is held back:", fault)
        forward = reason == "ahead"
        agreed = [name for name, held in self._held.items() if (held.reason == "ahead") == forward]
        active = sum(now.steady - other.heard < ACTIVE_NS for other in self._states.values())
        return self._jump(agreed) if 2 * len(agreed) > active else []

    def expire(self, now: Now) -> list[FrameSet[Payload]]:
        """Close the sets whose deadline has passed."""
        due = -1
        for index, item in enumerate(self._open):
            if self._due(item.since, now):
                due = index
        return self._close(due + 1, "at its deadline (sync.timeout)")

    def flush(self) -> list[FrameSet[Payload]]:
        """Close every open set."""
        why = "as every open set does"
        return self._close(len(self._open), why, why)

    def _due(self, since: Now, now: Now) -> bool:
        # The node's time is what counts, so that slow replay keeps its sets together; where it
        # stands still (the bag is over), the steady time ends the wait.
        return self.timeout is not None and (
            now.ros - since.ros >= self.timeout
            or now.steady - since.steady >= 5 * self.timeout + 10**9
        )

    def _reference(self, now: Now) -> CameraStamps | None:
        """Return the camera with the lower median of the latest stamps: no wrong clock moves it."""
        known = [
            (state.stamp, index)
            for index, state in enumerate(self._states.values())
            if state.stamp != NEVER and now.steady - state.heard < ACTIVE_NS
        ]
        if not known:
            return None
        known.sort()
        return self._states[self.cameras[known[(len(known) - 1) // 2][1]]]

    def _fault(self, state: CameraStamps, stamp: int, now: Now) -> str:
        """Name what is wrong with a stamp; empty when nothing is."""
        if stamp <= 0:
            return "zero_stamp"
        if stamp == state.stamp and now.steady - state.arrived <= self.tolerance:
            return "duplicate"
        if stamp <= state.stamp:
            return "backward"
        if -_NEAR_NS < stamp - self._latest_good < _NEAR_NS:
            return ""  # it was right a moment ago, as nearly every stamp is
        reference = self._reference(now)
        if reference is None:
            return ""
        self._latest_good = reference.stamp
        ahead = stamp - reference.stamp
        if ahead < -JUMP_NS:
            return "behind"
        if ahead > JUMP_NS + now.steady - reference.arrived:
            return "ahead"
        if self.timeout is not None and ahead < -(self.timeout + self.tolerance + 10**9):
            return "late"
        return ""

    @property
    def dropped(self) -> Counter[str]:
        """Payloads left out, by reason, of all cameras."""
        return sum(self.dropped_by_camera.values(), Counter())

    def _explain(self, reason: str, stamp: int, state: CameraStamps) -> str:
        if reason == "backward":
            return f"stamps went back by {(state.stamp - stamp) * 1e-9:.3f} s"
        known = sorted(other.stamp for other in self._states.values() if other.stamp != NEVER)
        off = abs(stamp - known[(len(known) - 1) // 2]) * 1e-9
        side = "behind" if reason == "behind" else "ahead of"
        return f"stamps are {off:.1f} s {side} the other cameras'"

    def _drop(self, camera: str, reason: str, stamp: int) -> None:
        self.dropped_by_camera[camera][reason] += 1
        self._debug(_dropped_text, camera, stamp, reason)

    def _drop_held(self, camera: str) -> None:
        held = self._held.pop(camera)
        self._drop(camera, held.reason, held.stamp)

    def _jump(self, names: Sequence[str]) -> list[FrameSet[Payload]]:
        """Take the time on which most cameras agree."""
        self.jumps += 1
        self._debug("time has jumped: most cameras agree ({})".format, ", ".join(names))
        return self._start_over(names)

    def restart(self) -> list[FrameSet[Payload]]:
        """Forget the stamps so far, as the clock has gone back; returns the sets that this closes.

        What was held back because its stamp was older is right now. This is no jump of its own: who
        has the clock counts it.
        """
        return self._start_over([n for n, held in self._held.items() if held.reason != "ahead"])

    def _start_over(self, names: Sequence[str]) -> list[FrameSet[Payload]]:
        closed = self.flush()
        again = sorted(((self._held.pop(name), name) for name in names), key=lambda d: d[0].stamp)
        for state in self._states.values():
            state.stamp, state.missed = NEVER, 0
            state.gaps.clear()
        self._closed.clear()
        self._latest_good = NEVER
        for held, name in again:
            closed += self.add(name, held.stamp, held.payload, held.now)  # type: ignore[arg-type]
        return closed

    def _accept(
        self, camera: str, state: CameraStamps, stamp: int, payload: Payload, now: Now
    ) -> list[FrameSet[Payload]]:
        if state.stamp != NEVER:
            state.gaps.append(stamp - state.stamp)
        state.stamp, state.arrived, state.missed = stamp, now.steady, 0
        self._assign(camera, stamp, payload, now)
        ready = max(0, len(self._open) - self.max_open)
        why = "as too many were open"
        for index in range(len(self._open) - 1, ready - 1, -1):
            if self._ready(self._open[index]):
                ready, why = index + 1, "as nothing more can come"
                break
        return self._close(ready, why) if ready else []

    def _assign(self, camera: str, stamp: int, payload: Payload, now: Now) -> None:
        """Put a payload into the set that suits it best, or into a new one."""
        if camera == self.anchor:
            self._open_around_anchor(stamp, payload, now)
            return
        best: OpenSet[Payload] | None = None
        for item in self._open:
            if not self._fits(item, stamp):
                continue
            distance = abs(stamp - item.centre)
            held = item.members.get(camera)
            if held is not None and abs(held[0] - item.centre) <= distance:
                continue
            if best is None or distance < abs(stamp - best.centre):
                best = item
        if best is None:
            for low, high, members in self._closed:
                if camera not in members and high - self.tolerance <= stamp <= low + self.tolerance:
                    self._drop(camera, "late", stamp)
                    return
            best = self._new(stamp, now)
        if camera in best.members:
            self._drop(camera, "superseded", best.members[camera][0])
            best.members[camera] = (stamp, payload)
            self._update_span(best)
            return
        members = best.members
        members[camera] = (stamp, payload)
        best.total += stamp
        if stamp < best.low:
            best.low = stamp
        elif stamp > best.high:
            best.high = stamp
        if self.anchor not in members:
            best.centre = best.total // len(members)

    def _new(self, stamp: int, now: Now) -> OpenSet[Payload]:
        made: OpenSet[Payload] = OpenSet(stamp, now)
        self._open.append(made)
        self._open.sort(key=lambda item: item.low)
        return made

    def _open_around_anchor(self, stamp: int, payload: Payload, now: Now) -> None:
        """Open the set of an anchor's image with what lies nearest to it."""
        others = [item for item in self._open if self.anchor not in item.members]
        made = self._new(stamp, now)
        made.members[self.anchor] = (stamp, payload)
        for item in others:
            for name, held in list(item.members.items()):
                distance = abs(held[0] - stamp)
                rival = made.members.get(name)
                if distance > self.tolerance or (
                    rival is not None and abs(rival[0] - stamp) <= distance
                ):
                    continue
                if rival is not None:
                    self._drop(name, "superseded", rival[0])
                made.members[name] = item.members.pop(name)
            if item.members:
                self._update_span(item)
        self._open = [item for item in self._open if item.members]
        self._update_span(made)

    def _fits(self, item: OpenSet[Payload], stamp: int) -> bool:
        if self.anchor in item.members:
            return abs(stamp - item.centre) <= self.tolerance
        return max(item.high, stamp) - min(item.low, stamp) <= self.tolerance

    def _update_span(self, item: OpenSet[Payload]) -> None:
        """Update what a set spans."""
        stamps = [member[0] for member in item.members.values()]
        item.low, item.high, item.total = min(stamps), max(stamps), sum(stamps)
        anchor = item.members.get(self.anchor)
        item.centre = item.total // len(stamps) if anchor is None else anchor[0]

    def _ready(self, item: OpenSet[Payload]) -> bool:
        """Tell whether every camera is there that can still come."""
        members = item.members
        if len(members) == len(self.cameras):
            return True
        for name, state in self._states.items():
            if name not in members and self._may_come(state, item):
                return False
        return True

    def _may_come(self, state: CameraStamps, item: OpenSet[Payload]) -> bool:
        if state.missed >= STOPPED_AFTER and not self.wait_for_all:
            return False
        if state.stamp == NEVER:
            return True
        latest = item.low + self.tolerance
        if state.stamp > latest:
            return False  # it has sent something newer
        period = state.period
        return state.stamp + period - period // 10 <= latest  # else it is not due

    def _absence(self, state: CameraStamps, item: OpenSet[Payload]) -> str:
        """Say why a camera is not in a set that closes."""
        if state.stamp == NEVER:
            return "nothing has come from it"
        if state.missed >= STOPPED_AFTER and not self.wait_for_all:
            return f"missed {state.missed} sets in a row: not waited for"
        if state.stamp > item.low + self.tolerance:
            return f"has sent a newer one, {(state.stamp - item.low) * 1e-6:.1f} ms later"
        if not self._may_come(state, item):
            return f"not due: one comes each {state.period * 1e-6:.1f} ms"
        return f"none came; its latest is {(item.low - state.stamp) * 1e-6:.1f} ms older"

    def _closing(self, item: OpenSet[Payload], why: str) -> str:
        """Say why a set closes, and what is in it."""
        members = item.members
        missing = {
            name: self._absence(state, item)
            for name, state in self._states.items()
            if name not in members
        }
        stamps = {name: members[name][0] for name in self.cameras if name in members}
        why = why if missing else "complete"
        return set_text(item.low, "closes", f"{why}:", members_text(stamps, missing))

    def _close(
        self, count: int, why: str, before: str = "as a later one does"
    ) -> list[FrameSet[Payload]]:
        """Close the oldest ``count`` sets: the last of them for one reason, those before it too."""
        if count <= 0:
            return []
        closing, self._open = self._open[:count], self._open[count:]
        out = []
        for item in closing:
            self._debug(self._closing, item, why if item is closing[-1] else before)
            members = item.members
            if self.anchor and self.anchor not in members:
                state = self._states[self.anchor]
                if state.stamp < item.low and self._may_come(state, item):
                    state.missed += 1
                if state.missed < STOPPED_AFTER:
                    for name, member in members.items():
                        self._drop(name, "no_anchor", member[0])
                    continue
            missing = {
                name: "no image within sync.tolerance of the other cameras' images"
                for name in self.cameras
                if name not in members
            }
            for name in missing:
                state = self._states[name]
                if name != self.anchor and state.stamp < item.low and self._may_come(state, item):
                    state.missed += 1
            self._closed.append((item.low, item.high, members))
            ordered = {name: members[name][1] for name in self.cameras if name in members}
            out.append(FrameSet(item.low, ordered, missing))
        return out


def _dropped_text(camera: str, stamp: int, reason: str) -> str:
    return image_text(camera, stamp, "is left out:", DROP_REASONS[reason])
