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

"""The Fast DDS profile that lets large images through, as environment variables. No ROS here."""

from __future__ import annotations

import os
import re
import shutil
from functools import lru_cache
from pathlib import Path

from depth_perception.errors import ConfigurationError
from depth_perception.resources import config_file

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS reads its profile: the name up to Jazzy, and the one of later distributions."""


SEGMENT_BYTES = 256 * 2**20
"""Shared memory that each process takes under config/fastdds.xml."""


_FAST_DDS = ("", "rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp")


def transport_environment(profile: str = "auto") -> dict[str, str]:
    """Environment variables that make Fast DDS carry large images; empty when all is set.

    Args:
        profile: A file, ``auto`` for config/fastdds.xml unless the user chose one, or ``none``.

    Raises:
        ConfigurationError: The file does not exist.
    """
    if profile == "none" or (
        profile == "auto" and any(os.environ.get(v) for v in PROFILE_VARIABLES)
    ):
        return {}
    if profile == "auto":
        if os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") not in _FAST_DDS:
            return {}
        if not _shared_memory_suffices():
            return {}
    path = config_file("fastdds.xml") if profile == "auto" else Path(os.path.expanduser(profile))
    if not path.is_file():
        raise ConfigurationError(
            f"fastdds_profile:={path} does not exist", expected="an XML file", fix="correct it"
        )
    return dict.fromkeys(PROFILE_VARIABLES, str(path.resolve()))


def transport_warning() -> str:
    """Say why this process sends large images without config/fastdds.xml; empty when it has it."""
    if os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") not in _FAST_DDS:
        return ""
    if any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return ""
    return (
        "Fast DDS runs with its defaults, which lose most large images: /dev/shm has less than"
        f" {4 * SEGMENT_BYTES / 2**30:.0f} GiB free. Fix: give it more (docker run --shm-size=2g);"
        " 'depth_perception doctor' measures what arrives"
    )


def too_large(width: int, height: int) -> str:
    """Say why images of a size may be lost on the way; empty when they fit.

    Args:
        width: Of the images, px.
        height: Of the images, px; a pixel of bgr8 has 3 bytes.
    """
    path = next((os.environ[v] for v in PROFILE_VARIABLES if os.environ.get(v)), "")
    if os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") not in _FAST_DDS or not path:
        return ""
    limits = _message_limits(path)
    size = 3 * width * height
    if not limits or size <= max(limits):
        return ""
    return (
        f"an image of {width}x{height} bgr8 has {size / 2**20:.0f} MiB, and messages of more than"
        f" {max(limits) / 2**20:.0f} MiB (maxMessageSize in {path}) may never arrive. Fix: give"
        " driver and node a copy of that file with a larger maxMessageSize and segment_size, by"
        f" {PROFILE_VARIABLES[0]}, or send compressed images"
    )


@lru_cache(maxsize=8)
def _message_limits(path: str) -> tuple[int, ...]:
    """Largest messages that a profile lets through, bytes: the middleware reads it but once."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(int(found) for found in re.findall(r"<maxMessageSize>\s*(\d+)\s*<", text))


def _shared_memory_suffices() -> bool:
    """Tell whether player, node and a viewer fit into /dev/shm; a container has 64 MB."""
    try:
        return shutil.disk_usage("/dev/shm").free >= 4 * SEGMENT_BYTES
    except OSError:
        return False
