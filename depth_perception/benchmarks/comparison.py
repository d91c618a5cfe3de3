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

"""What got slower since the last release: one file of `benchmarks.stages` beside another.

No two machines are alike, and one is not alike from hour to hour. So each time is taken in units of
a yardstick that was measured in the same run, copying 26 MB, which is what most stages wait for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RELEASE = Path("docs/benchmarks/release.json")
"""The file of the last release, from the repository's root."""
YARDSTICK = "copy of the input"
SLOWER = 1.3
"""What takes so many times as long is told; less than that is noise."""
LEAST_MS = 0.05
"""Shorter stages say nothing."""
_NAMED = ("cameras", "scenario", "encoding", "listens")
_SAME = ("machine", "cores", "python", "numpy", "opencv", "onnxruntime")


def times_of(result: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """Yield all medians of a result, ms, each with its place in it."""
    for key, value in result.items():
        place = f"{path} > {key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from times_of(value, place)
        elif isinstance(value, (list, tuple)):
            for item in value:
                if isinstance(item, Mapping):
                    yield from times_of(item, f"{place} {_title(item)}")
        elif key in ("p50", "p50_ms", "cpu_ms_per_camera") and isinstance(value, (int, float)):
            yield path if key != "cpu_ms_per_camera" else place, float(value)


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what got slower.

    Args:
        before: A file of `benchmarks.stages`, read.
        now: Another.

    Returns:
        Lines: where the machines differ, what got slower, what is new and what is gone.
    """
    lines = [
        f"the release was measured with {key} {before.get(key)}, this is {now.get(key)}"
        for key in _SAME
        if before.get(key) != now.get(key)
    ]
    then, here = dict(times_of(before)), dict(times_of(now))
    unit_then, unit_here = (_yardstick(item) for item in (before, now))
    if not (unit_then and unit_here):
        return [*lines, f"no comparison: a file lacks the yardstick, '{YARDSTICK}'"]
    scale = unit_here / unit_then
    lines.append(f"copying takes {scale:.2f} times as long as at the release: times are by that")
    slower = []
    for place, ms in here.items():
        known = then.get(place)
        if known is None or min(known, ms) < LEAST_MS:
            continue
        ratio = ms / (known * scale)
        if ratio > SLOWER:
            slower.append((ratio, f"slower, {ratio:.2f} times: {place}, {known:g} -> {ms:g} ms"))
    lines += [text for _, text in sorted(slower, reverse=True)]
    if not slower:
        lines.append(f"nothing takes {SLOWER:g} times as long as at the release")
    gone = sorted(then.keys() - here.keys())
    lines += [f"not measured any more: {place}" for place in gone]
    return lines


def compare_with_release(now: Mapping[str, Any], path: Path = RELEASE) -> list[str]:
    """Compare with the file of the last release, where it is there; see `compare`."""
    try:
        before = json.loads(path.read_text())
    except OSError:
        return [f"{path} is not there: nothing to compare with"]
    except ValueError as error:
        return [f"{path} is no JSON ({error}): nothing to compare with"]
    return compare(before, now)


def _yardstick(result: Mapping[str, Any]) -> float:
    item = result.get("stages", {}).get(YARDSTICK, {})
    return float(item.get("p50_ms", 0.0))


def _title(item: Mapping[str, Any]) -> str:
    """Name an entry of a list by what was measured."""
    return ", ".join(str(item[key]) for key in _NAMED if key in item)
