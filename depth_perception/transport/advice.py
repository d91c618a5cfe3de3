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

"""What this machine's settings mean for large images, and what to change. No ROS is imported.

Reads the environment, /dev/shm and the kernel's buffers; gives findings, each in one line with its
fix. docs/transport.md explains them.
"""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depth_perception.ros.dds_profile import PROFILE_VARIABLES, SEGMENT_BYTES

CYCLONE = "rmw_cyclonedds_cpp"
SHARED_MEMORY = Path("/dev/shm")
KERNEL = {"net.core.rmem_max": 2**31 - 1, "net.ipv4.ipfrag_high_thresh": 128 * 2**20}
"""Kernel settings that large images over UDP need, and to what to set them."""
ENOUGH = {"net.core.rmem_max": 64 * 2**20, "net.ipv4.ipfrag_high_thresh": 64 * 2**20}
FRAGMENT_TIME_S = 3
_PROC = Path("/proc/sys")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is.
        seen: How it stands.
        fix: What to change; empty when it is right.
    """

    subject: str
    seen: str
    fix: str = ""

    def __str__(self) -> str:
        """Make one line of it."""
        return f"{self.subject}: {self.seen}" + (f". Fix: {self.fix}" if self.fix else "")


def of_middleware(rmw: str) -> Finding:
    """Say whether the middleware in use is one whose settings are known here."""
    if "fastrtps" in rmw:
        return Finding("middleware", f"{rmw}; see the profile")
    if rmw == CYCLONE:
        uri = os.environ.get("CYCLONEDDS_URI", "")
        if uri:
            return Finding("middleware", f"{rmw} with CYCLONEDDS_URI={uri}")
        return Finding(
            "middleware",
            f"{rmw} with its defaults: images go through UDP, in small sockets",
            "set CYCLONEDDS_URI to a file as in docs/transport.md",
        )
    return Finding(
        "middleware",
        f"{rmw}, whose settings for large images are not known here; what counts is"
        " the share above",
    )


def of_profile(rmw: str, profile: str, set_bytes: int) -> Finding:
    """Say which Fast DDS profile applies, and whether its shared memory holds enough.

    Args:
        rmw: Identifier of the middleware.
        profile: File in force; empty for Fast DDS's defaults.
        set_bytes: Bytes of the images of all cameras at one instant.
    """
    if "fastrtps" not in rmw:
        return Finding("Fast DDS profile", f"none applies to {rmw}")
    variable = next((name for name in PROFILE_VARIABLES if os.environ.get(name)), "")
    if not profile:
        return Finding(
            "Fast DDS profile",
            "none: its defaults lose large images",
            "leave fastdds_profile:=auto, and let /dev/shm have"
            f" {4 * SEGMENT_BYTES / 2**30:.0f} GiB free",
        )
    seen = f"{profile} ({'from ' + variable if variable else 'applied by launch and by the nodes'})"
    try:
        root = ElementTree.parse(profile).getroot()
    except (OSError, ElementTree.ParseError) as error:
        return Finding(
            "Fast DDS profile",
            f"{profile} cannot be read: {error}",
            f"correct {variable}, or unset it so that config/fastdds.xml applies",
        )
    # Its tags have a namespace in one file and none in another.
    segment = max((_integer(e.text) for e in root.iter() if _tag(e) == "segment_size"), default=0)
    if segment < 2 * set_bytes:
        return Finding(
            "Fast DDS profile",
            f"{seen}: shared memory of {mebibytes(segment)} holds less than two instants of all"
            f" cameras ({mebibytes(2 * set_bytes)})",
            "raise segment_size in it, or unset the variable so that config/fastdds.xml applies",
        )
    return Finding("Fast DDS profile", f"{seen}, shared memory of {mebibytes(segment)} a process")


def of_shared_memory(rmw: str, folder: Path = SHARED_MEMORY) -> Finding:
    """Say how large /dev/shm is, what is free, and how much of it Fast DDS holds."""
    needed = 4 * SEGMENT_BYTES if "fastrtps" in rmw else 0
    try:
        usage = shutil.disk_usage(folder)
        held = sum(path.lstat().st_blocks * 512 for path in folder.glob("*fastrtps*"))
    except OSError as error:
        return Finding(
            str(folder),
            f"cannot be read ({error.strerror})",
            "mount a tmpfs there, or images go through UDP",
        )
    seen = (
        f"{mebibytes(usage.total)}, {mebibytes(usage.free)} free, {mebibytes(held)} in use by"
        " Fast DDS"
    )
    if usage.free >= needed:
        return Finding(str(folder), seen)
    if usage.total >= needed and held > usage.total // 4:
        fix = "end what runs, then 'fastdds shm clean', which removes what dead processes left"
    else:
        fix = (
            "docker run --shm-size=2g, or mount -o remount,size=2g /dev/shm;"
            f" {mebibytes(needed)} free are needed"
        )
    return Finding(str(folder), seen, fix)


def of_kernel(over_udp: bool, proc: Path = _PROC) -> list[Finding]:
    """Say what the kernel's buffers are, and to what to set them when images go through UDP.

    Args:
        over_udp: Images between processes of this machine do so.
        proc: Where the kernel shows its settings.
    """
    out = []
    for name, wanted in KERNEL.items():
        value = kernel_setting(name, proc)
        if value is None:
            out.append(Finding(name, "not shown here (a container); look at the host"))
            continue
        small = value < ENOUGH[name]
        seen = f"{value} ({mebibytes(value)})"
        if small and not over_udp:
            seen += ": small, which matters only for images from other machines"
        out.append(Finding(name, seen, f"sysctl -w {name}={wanted}" if small and over_udp else ""))
    time = kernel_setting("net.ipv4.ipfrag_time", proc)
    if time is not None:
        long = time > FRAGMENT_TIME_S
        seen = f"{time} s" + (" that an incomplete image holds the buffer" if long else "")
        fix = f"sysctl -w net.ipv4.ipfrag_time={FRAGMENT_TIME_S}" if long and over_udp else ""
        out.append(Finding("net.ipv4.ipfrag_time", seen, fix))
    return out


def kernel_setting(name: str, proc: Path = _PROC) -> int | None:
    """Read a kernel setting such as ``net.core.rmem_max``; None where it is not shown."""
    try:
        return int((proc / name.replace(".", "/")).read_text())
    except (OSError, ValueError):
        return None


def of_settings(rmw: str, profile: str, set_bytes: int) -> list[Finding]:
    """Collect all of the above; arguments as `of_profile` takes them."""
    over_udp = not ("fastrtps" in rmw and profile)
    return [
        of_middleware(rmw),
        *([of_profile(rmw, profile, set_bytes)] if "fastrtps" in rmw else []),
        of_shared_memory(rmw),
        *of_kernel(over_udp),
    ]


def mebibytes(number: int) -> str:
    """Write a number of bytes for people."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"


def environment_profile(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name the user's own Fast DDS profile."""
    return {name: environment[name] for name in PROFILE_VARIABLES if environment.get(name)}


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _integer(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0
