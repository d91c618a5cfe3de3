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

"""What is said of images and frame sets at log level debug, in words.

Who may want to say something gets a `Debug` and calls it with what makes the text, so that nothing
is put into words while nobody reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Debug = Callable[..., None]
"""``debug(make, *arguments)`` says the text ``make(*arguments)`` if the level is debug."""


def silent(make: Callable[..., str], *arguments: object) -> None:
    """Say nothing: the `Debug` of whoever was given none."""


def stamp_text(stamp: int) -> str:
    """Write a stamp (ns) as seconds with all its digits, to be found in messages."""
    sec, nanosec = divmod(stamp, 1_000_000_000)
    return f"{sec}.{nanosec:09d}"


def image_text(camera: str, stamp: int, *fate: str) -> str:
    """Say of a camera's image, named by its stamp (ns), what became of it, in some words."""
    return " ".join((f"{camera}: image {stamp_text(stamp)}", *fate))


def set_text(stamp: int, *fate: str) -> str:
    """Say of a frame set, named by its stamp (ns), what became of it, in some words."""
    return " ".join((f"frame set {stamp_text(stamp)}", *fate))


def members_text(stamps: Mapping[str, int], missing: Mapping[str, str]) -> str:
    """List the cameras of a set by how much later than the first their stamps (ns) are.

    Args:
        stamps: By camera.
        missing: Why each of the other cameras is not in it.
    """
    first = min(stamps.values(), default=0)
    text = ", ".join(f"{name} +{(stamp - first) * 1e-6:.1f} ms" for name, stamp in stamps.items())
    without = ", ".join(f"{name} ({why})" for name, why in missing.items())
    return f"{text}; without {without}" if without else text


def timings_text(latencies: Mapping[str, float]) -> str:
    """List stages with how long they took, given in seconds."""
    return ", ".join(f"{stage} {seconds * 1e3:.1f} ms" for stage, seconds in latencies.items())
