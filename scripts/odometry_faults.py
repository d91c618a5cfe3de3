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

"""Write copies of a bag whose odometry is wrong, to see what depth from motion makes of that.

    python scripts/odometry_faults.py BAG FOLDER [FAULT ...]
    for fault in FOLDER/*; do
      depth_perception evaluate "$fault" --estimator embodied --set motion.enabled=true
    done

Every other message is copied as it is. The faults:

    none     as recorded
    away     there is no odometry
    scaled   ways are 3 % longer
    delayed  stamps are 0.1 s late
    frozen   from half way on the pose stays as it is, with new stamps
    jumping  every half second the odometry frame moves, by 2 m sideways and 5 degrees
    reset    half way the odometry frame begins anew at the vehicle
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from depth_perception import messages
from depth_perception.datasets.bag import ODOMETRY_TYPE, BagReader
from depth_perception.datasets.bag_writer import BagWriter
from depth_perception.errors import DepthPerceptionError
from depth_perception.geometry.transforms import Matrix, inverse, quaternion_of
from depth_perception.parameters import Parameters

LONGER, LATE_NS, JUMP_EVERY_S, JUMP_M, JUMP_DEG = 1.03, 100_000_000, 0.5, 2.0, 5.0

Pose = tuple[int, Matrix]
"""Stamp (ns) and T_odom_base."""


def scaled(poses: list[Pose]) -> list[Pose]:
    """Make all ways longer."""
    start = poses[0][1][:3, 3]
    out = []
    for stamp, T in poses:
        longer = T.copy()
        longer[:3, 3] = start + LONGER * (T[:3, 3] - start)
        out.append((stamp, longer))
    return out


def delayed(poses: list[Pose]) -> list[Pose]:
    """Stamp all poses late."""
    return [(stamp + LATE_NS, T) for stamp, T in poses]


def frozen(poses: list[Pose]) -> list[Pose]:
    """Keep the pose of half way."""
    half = len(poses) // 2
    return [(stamp, T if k < half else poses[half][1]) for k, (stamp, T) in enumerate(poses)]


def jumping(poses: list[Pose]) -> list[Pose]:
    """Move the odometry frame again and again."""
    angle = np.radians(JUMP_DEG)
    jump = np.eye(4)
    jump[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    jump[1, 3] = JUMP_M
    out = []
    for stamp, T in poses:
        count = int((stamp - poses[0][0]) * 1e-9 / JUMP_EVERY_S)
        out.append((stamp, np.linalg.matrix_power(jump, count) @ T))
    return out


def reset(poses: list[Pose]) -> list[Pose]:
    """Let the odometry frame begin anew half way."""
    half = len(poses) // 2
    anew = inverse(poses[half][1])
    return [(stamp, T if k < half else anew @ T) for k, (stamp, T) in enumerate(poses)]


FAULTS: dict[str, Callable[[list[Pose]], list[Pose]]] = {
    "none": lambda poses: poses,
    "away": lambda poses: [],
    "scaled": scaled,
    "delayed": delayed,
    "frozen": frozen,
    "jumping": jumping,
    "reset": reset,
}


def write(reader: BagReader, folder: Path, fault: str) -> None:
    """Write one copy of an opened bag.

    Args:
        reader: The bag.
        folder: Of the copy.
        fault: Of `FAULTS`.

    Raises:
        BagError: There is something in the folder already.
    """
    odometry = [topic for topic, kind in reader.topics.items() if kind == ODOMETRY_TYPE]
    held: dict[str, list[tuple[int, Any]]] = {topic: [] for topic in odometry}
    with BagWriter(folder) as writer:
        for topic, time, message in reader.messages(list(reader.topics)):
            if topic in held:
                held[topic].append((time, message))
                continue
            writer.write(topic, message, time, latched=topic.endswith("tf_static"))
        for topic, items in held.items():
            poses = [
                (messages.stamp_of(m.header.stamp), messages.decode_pose(m.pose.pose, topic))
                for _, m in items
            ]
            changed = FAULTS[fault](poses)
            for (time, message), (stamp, T) in zip(items[: len(changed)], changed, strict=True):
                message = copy.deepcopy(message)
                message.header = messages.header(writer.types, stamp, message.header.frame_id)
                place, turn = message.pose.pose.position, message.pose.pose.orientation
                place.x, place.y, place.z = (float(value) for value in T[:3, 3])
                turn.x, turn.y, turn.z, turn.w = (float(value) for value in quaternion_of(T))
                writer.write(topic, message, time)


def main() -> int:
    """Write the copies that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("faults", nargs="*", help=f"of {', '.join(FAULTS)}; all")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.faults if name not in FAULTS]
    if unknown:
        parser.error(f"no fault is called {unknown[0]}; there are {', '.join(FAULTS)}")
    try:
        for fault in arguments.faults or FAULTS:
            with BagReader(arguments.bag, Parameters()) as reader:
                write(reader, arguments.folder / fault, fault)
            print(arguments.folder / fault)
    except DepthPerceptionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
