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

"""The one way in: from messages as they arrive to frame sets and the rig, for node, bags, training.

In go stamped images, label images and calibration by `Ingest.add_image` and the like, transforms by
`RigTracker.add_transforms`. Each call returns the frame sets that it closes, still as messages;
`Ingest.decode` makes arrays of a set and keeps the rig up to date. What else a vehicle tells,
odometry and points of a LiDAR or radar, goes to the pipeline beside the sets.

The ``add_`` methods, `expire` and `flush` belong to one thread, `decode` to one other or the same.
Nothing here reads a clock: calls bring the node's time, or a bag's, and a steady time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import DepthPerceptionError
from depth_perception.frames.assembler import Assembler, FrameSetAssembler, Now
from depth_perception.frames.camera_feed import NOT_ASKED_FOR, CameraFeed
from depth_perception.frames.debug_text import Debug, image_text, silent
from depth_perception.frames.frame_set import CameraFrame, CameraMessages, FrameSet
from depth_perception.geometry.rig import Rig
from depth_perception.messages.sensors import decode_labels, stamp_of, zero_stamp
from depth_perception.parameters import Parameters, SyncParameters
from depth_perception.rig.camera_topics import CameraTopics
from depth_perception.rig.tracker import RigTracker

_HELD_IMAGES = 4
_HELD_LABELS = 20
_SAME_JUMP_NS = 1_000_000_000
"""Stamps and clock that jump within this time (steady) have jumped together."""

MessageSet = FrameSet[CameraMessages]
"""A closed frame set whose images are not decoded yet."""
MakeAssembler = Callable[[Sequence[str], SyncParameters], Assembler[CameraMessages]]
"""Makes what groups the images of these cameras."""


class Ingest:
    """Takes messages, gives frame sets and the rig; see the module's head.

    Attributes:
        cameras: What has arrived from each camera, by name, in the order of frame sets. Replaced,
            never changed, when cameras are found.
        absent: Why cameras that were named are not among them.
        rig: Follows calibration, image sizes and transforms.
    """

    def __init__(
        self,
        parameters: Parameters,
        rig: RigTracker,
        *,
        assembler: Callable[[Sequence[str], SyncParameters], Assembler[CameraMessages]]
        | None = None,
        recorded: bool = False,
        problem: Callable[[str, str], None] = lambda camera, reason: None,
        recovered: Callable[[str], None] = lambda camera: None,
        debug: Debug = silent,
    ) -> None:
        """Start without cameras; `set_cameras` names them.

        Args:
            parameters: ``sync`` holds.
            rig: Follows calibration, image sizes and transforms.
            assembler: What groups images, made anew when the cameras change; None: our own.
            recorded: Messages come from a recording: sets wait for all cameras, images for their
                calibration, and nothing has a deadline.
            problem: Called with (camera or "", reason) for what is wrong with messages.
            recovered: Called with a camera's name when its images can be used again.
            debug: Told what becomes of images and frame sets.
        """
        self.cameras: Mapping[str, CameraFeed] = {}
        self.absent: Mapping[str, str] = {}
        self.rig = rig
        self._parameters = parameters
        self._make_assembler = assembler or self._own_assembler
        self._recorded = recorded
        self._problem, self._recovered, self._debug = problem, recovered, debug
        self._timeout = round(parameters.sync.timeout * 1e9)
        self._assembler: Assembler[CameraMessages] | None = None
        self._waiting: dict[str, dict[int, tuple[Any, Now]]] = {}
        self._labels: dict[str, dict[int, Any]] = {}
        self._jumps = 0
        self._jumped = self._latest_time = -(2**63)
        self._dropped_before: dict[str, Counter[str]] = {}
        # OpenCV decodes outside of Python's lock: JPEGs of several cameras take the time of one.
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    # Cameras and parameters.

    def set_cameras(
        self,
        topics: Iterable[CameraTopics],
        absent: Mapping[str, str] = MappingProxyType({}),
        asked_for: Iterable[str] | None = None,
    ) -> list[MessageSet]:
        """Name the cameras there are; what has arrived from those that stay is kept.

        Args:
            topics: Of all cameras, in the order of frame sets.
            absent: Why others that were named are not there.
            asked_for: The cameras whose images come, and whom a set waits for; None: all.

        Returns:
            The sets that were open.
        """
        feeds = {}
        for item in topics:
            feed = self.cameras.get(item.name)
            feeds[item.name] = feed or CameraFeed(item, self._recorded)
        wanted = set(feeds if asked_for is None else asked_for)
        before = [name for name, feed in self.cameras.items() if feed.asked_for]
        for name, feed in feeds.items():
            if name in wanted and not feed.asked_for:
                feed.stamp = 0  # what came meanwhile was not lost on the way
            feed.asked_for = name in wanted
        self.cameras, self.absent = feeds, dict(absent)
        for name in self._waiting.keys() - wanted:
            del self._waiting[name]
        for name in self._labels.keys() - wanted:
            del self._labels[name]
        names = [name for name in feeds if name in wanted]
        return [] if names == before else self._renew(self._parameters.sync, names)

    def set_parameters(self, parameters: Parameters) -> list[MessageSet]:
        """Take other live parameters; return the sets that were open when ``sync`` changed."""
        before, self._parameters = self._parameters, parameters
        self._timeout = round(parameters.sync.timeout * 1e9)
        if parameters.sync == before.sync:
            return []
        return self._renew(parameters.sync, [n for n, f in self.cameras.items() if f.asked_for])

    @property
    def jumps(self) -> int:
        """How often time has jumped."""
        return self._jumps + (self._assembler.jumps if self._assembler else 0)

    @property
    def stamp_faults(self) -> dict[str, str]:
        """What is wrong with the stamps of cameras whose images are left out for it."""
        return self._assembler.stamp_faults if self._assembler else {}

    def dropped(self, name: str) -> Counter[str]:
        """Images of a camera that were left out of frame sets, by reason, since the start."""
        now = self._assembler.dropped_by_camera.get(name) if self._assembler else None
        return self._dropped_before.get(name, Counter()) + (now or Counter())

    def absence(self, name: str) -> str:
        """Say what keeps a camera from having a part in frame sets."""
        feed, fault = self.cameras[name], self.stamp_faults.get(name)
        return f"{feed.topics.image}: {fault}" if fault else feed.absence()

    # Messages.

    def add_image(self, name: str, message: Any, now: Now) -> list[MessageSet]:
        """Add an image message of a camera; return the sets that this closes, oldest first.

        It waits until the camera's calibration is known and its label image is there, where the
        camera has such a topic, but no longer than ``sync.timeout``.
        """
        feed = self.cameras.get(name)
        if feed is None:
            return []
        stamp = stamp_of(message.header.stamp)
        feed.arrived(stamp)
        if stamp <= 0:
            reason = zero_stamp(feed.topics.image, stamp)
            feed.refuse(reason)
            self._problem(name, reason)
        if feed.info is not None and not feed.topics.labels:
            return self._join(feed, stamp, message, now)
        waiting = self._waiting.setdefault(name, {})
        waiting[stamp] = (message, now)
        closed = self._release(feed)
        if stamp in waiting:
            awaited = feed.topics.labels if feed.info is not None else feed.topics.info
            self._debug(image_text, name, stamp, "waits for", awaited)
        if len(waiting) > _HELD_IMAGES and (feed.info is not None or not self._recorded):
            first = next(iter(waiting))
            held, since = waiting.pop(first)
            if feed.info is not None:  # its labels are late; the image is not lost for that
                self._debug(image_text, name, first, "waits no longer, as others do")
                closed += self._join(feed, first, held, since)
            else:
                self._debug(image_text, name, first, "is left out, without", feed.topics.info)
        return closed

    def add_calibration(self, name: str, message: Any) -> list[MessageSet]:
        """Take a camera's CameraInfo; its waiting images go on."""
        feed = self.cameras.get(name)
        if feed is None:
            return []
        first, feed.info = feed.info is None, message
        if not first:
            return []
        self._debug("{}: calibration has come on {}".format, name, feed.topics.info)
        return self._release(feed)

    def add_labels(self, name: str, message: Any) -> list[MessageSet]:
        """Keep a label image; the image of the same stamp goes on."""
        feed = self.cameras.get(name)
        if feed is None:
            return []
        stamp = stamp_of(message.header.stamp)
        if stamp <= 0:
            self._problem(name, zero_stamp(feed.topics.labels, stamp))
            return []
        kept = self._labels.setdefault(name, {})
        kept.pop(stamp, None)
        kept[stamp] = message
        while len(kept) > _HELD_LABELS:
            kept.pop(next(iter(kept)))
        return self._release(feed)

    def expire(self, now: Now) -> list[MessageSet]:
        """Close what has waited long enough."""
        if self._assembler is None:
            return []
        closed: list[MessageSet] = []
        if now.ros < self._latest_time:
            self._debug("the clock has gone back: what waits is left out".format)
            # Deadlines of the time before the jump would lie in the future.
            self._waiting.clear()
            self._labels.clear()
            # Where the stamps have jumped just before, the assembler has begun anew already.
            if now.steady - self._jumped > _SAME_JUMP_NS:
                self._jumps += 1
                closed += self._assembler.restart()
        self._latest_time = now.ros
        for name, waiting in self._waiting.items():
            feed = self.cameras.get(name)
            if feed is None or feed.info is None:
                continue
            for stamp in [s for s, (_, since) in waiting.items() if self._overdue(since, now)]:
                message, since = waiting.pop(stamp)
                self._debug(image_text, name, stamp, "waits no longer for", feed.topics.labels)
                closed += self._join(feed, stamp, message, since)
        return closed + self._assembler.expire(now)

    def flush(self) -> list[MessageSet]:
        """Close everything: nothing more will come."""
        closed: list[MessageSet] = []
        for name, waiting in self._waiting.items():
            feed = self.cameras.get(name)
            for stamp in list(waiting):
                message, since = waiting.pop(stamp)
                if feed is not None and feed.info is not None:
                    closed += self._join(feed, stamp, message, since)
        return closed + (self._assembler.flush() if self._assembler else [])

    # Arrays.

    def decode(
        self, closed: MessageSet, names: Collection[str] | None = None
    ) -> tuple[FrameSet[CameraFrame], Rig]:
        """Decode one set.

        Args:
            closed: The set.
            names: The cameras that are needed; None: all.

        Returns:
            The frame set, with the reason for each camera that is missing, and the rig of all
            cameras that were ever usable.
        """
        cameras = self.cameras
        frames: dict[str, CameraFrame] = {}
        faults: dict[str, str] = {}
        needed = cameras.keys() if names is None else cameras.keys() & set(names)
        held = {name: item for name, item in closed.frames.items() if name in needed}
        decoded = self._pool.map(lambda name: _decoded(cameras[name], held[name]), held)
        for (name, item), arrays in zip(held.items(), decoded, strict=True):
            feed = cameras[name]
            try:
                if isinstance(arrays, DepthPerceptionError):
                    raise arrays
                height, width = arrays.image.shape[:2]
                frame_id = item.image.header.frame_id
                camera = self.rig.camera(feed.topics, item.info, (width, height), frame_id)
            except DepthPerceptionError as error:
                faults[name] = str(error)
                feed.refuse(faults[name])
                self._problem(name, faults[name])
                continue
            frames[name] = arrays
            doubts = camera.doubts if camera is not feed.camera else ()
            feed.camera = camera
            for text in (*doubts, *feed.decoder.news()):
                self._problem(name, text)
            if feed.reason:
                feed.reason = ""
                self._recovered(name)
        missing = {
            name: faults.get(name) or (feed.absence() if name in needed else NOT_ASKED_FOR)
            for name, feed in cameras.items()
            if name not in frames
        }
        stamp = min((frame.stamp for frame in frames.values()), default=closed.stamp)
        return FrameSet(stamp, frames, {**missing, **self.absent}), self.rig.rig_of(cameras)

    def _own_assembler(
        self, cameras: Sequence[str], sync: SyncParameters
    ) -> Assembler[CameraMessages]:
        tolerance, anchor = round(sync.tolerance * 1e9), sync.anchor_of(cameras)
        if self._recorded:
            return FrameSetAssembler(
                cameras, tolerance, anchor=anchor, wait_for_all=True, max_open=8, debug=self._debug
            )
        if anchor not in cameras:
            # Cameras are found one after another; until the anchor is there, sets do without.
            anchor = ""
        return FrameSetAssembler(
            cameras, tolerance, timeout=self._timeout, anchor=anchor, debug=self._debug
        )

    def _renew(self, sync: SyncParameters, names: Sequence[str]) -> list[MessageSet]:
        """Group images anew; return the sets that were open."""
        closed: list[MessageSet] = []
        self._debug("frame sets begin anew, of: {}".format, ", ".join(names) or "no camera")
        old = self._assembler
        if old is not None:
            closed = old.flush()
            self._jumps += old.jumps
            for name in old.dropped_by_camera:
                self._dropped_before[name] = self.dropped(name)
        self._assembler = self._make_assembler(names, sync) if names else None
        return closed

    def _overdue(self, since: Now, now: Now) -> bool:
        waited = now.steady - since.steady
        return now.ros - since.ros >= self._timeout or waited >= 5 * self._timeout + 10**9

    def _release(self, feed: CameraFeed) -> list[MessageSet]:
        """Let the images of a camera join that have all they need."""
        closed: list[MessageSet] = []
        name = feed.topics.name
        if feed.info is None:
            return closed
        waiting, labels = self._waiting.get(name, {}), self._labels.get(name, {})
        for stamp in list(waiting):
            if not feed.topics.labels or stamp in labels:
                message, since = waiting.pop(stamp)
                closed += self._join(feed, stamp, message, since)
        return closed

    def _join(self, feed: CameraFeed, stamp: int, message: Any, since: Now) -> list[MessageSet]:
        """Hand an image that has all it needs to the assembler."""
        if self._assembler is None or not feed.asked_for:
            self._debug(image_text, feed.topics.name, stamp, "is left out:", NOT_ASKED_FOR)
            return []
        labels = None
        if feed.topics.labels:
            labels = self._labels.get(feed.topics.name, {}).pop(stamp, None)
        jumps = self._assembler.jumps
        item = CameraMessages(stamp, message, feed.info, labels)
        closed = self._assembler.add(feed.topics.name, stamp, item, since)
        if self._assembler.jumps != jumps:
            self._jumped = since.steady
        return closed


def _decoded(feed: CameraFeed, item: CameraMessages) -> CameraFrame | DepthPerceptionError:
    """Decode image and labels of one camera; hand back what is wrong with them."""
    labels: NDArray[np.integer] | None = None
    try:
        image = feed.decoder.decode(item.image)
        if item.labels is not None:
            labels = decode_labels(item.labels, feed.topics.labels)
    except DepthPerceptionError as error:
        return error
    return CameraFrame(item.stamp, image, labels)
