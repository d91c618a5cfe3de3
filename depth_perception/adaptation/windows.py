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


"""Windows of drives: which are learnt from, which judge, and what was recorded of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_perception.adaptation.recording import Taught, teach, write_manifest, write_window
from depth_perception.adaptation.settings import LEARN, Options, Say
from depth_perception.datasets.sample import TrueFrameSet
from depth_perception.datasets.shards import ShardReader
from depth_perception.datasets.source import FrameSource
from depth_perception.parameters import Parameters

LEAST_SPEED, LEAST_LIGHT, LEAST_KNOWN, LEAST_MEASURED = 0.3, 20.0, 0.15, 0.03
"""A window teaches nothing that is slower, m/s, darker (mean grey of 255), of whose pixels the
teacher knows a smaller share, or motion and other cameras measured a smaller one beside the
ground."""


def plan(
    source: FrameSource, options: Options, drives: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Choose windows of consecutive sets of a drive: those to learn from, and those held out.

    Args:
        source: The drive, or several in one source: each has its end held out.
        options: How many.
        drives: Sources that share `options.frame_sets`.
    """
    learn: list[list[int]] = []
    held: list[list[int]] = []
    for stretch in stretches(source):
        cut = len(stretch) - max(2, round(options.hold_out * len(stretch)))
        if cut < 2:
            continue
        learn += _windows(stretch[:cut], options.window)
        held += _windows(stretch[cut:], options.window)
    most = max(1, options.frame_sets // (drives * options.window))
    return _spread(learn, most), _spread(held, max(1, round(most * options.hold_out)))


def stretches(source: FrameSource) -> list[list[int]]:
    """Sets of a source that follow one another, by drive."""
    found: list[list[int]] = []
    for number in range(len(source)):
        if number and source.neighbour(number - 1, 1) == number:
            found[-1].append(number)
        else:
            found.append([number])
    return found


def _windows(numbers: list[int], length: int) -> list[list[int]]:
    count = max(1, round(len(numbers) / length))
    return [list(map(int, part)) for part in np.array_split(numbers, count) if len(part) > 1]


def _spread(windows: list[list[int]], most: int) -> list[list[int]]:
    if len(windows) <= most:
        return windows
    chosen = np.linspace(0, len(windows) - 1, most).round().astype(int)
    return [windows[i] for i in sorted({int(i) for i in chosen})]


def name_of(place: int, window: Sequence[int]) -> str:
    """Name the files of a window of the drive at that place, without their ending."""
    return f"drive{place:03d}_{window[0]:08d}"


def record(
    source: FrameSource,
    place: int,
    windows: Sequence[Sequence[int]],
    folder: Path,
    parameters: Parameters,
    facts: dict[str, Any],
    say: Say,
    check: Callable[[], None],
    backwards: bool = True,
) -> None:
    """Compute windows of a drive that are not there yet; note what teaches nothing."""
    kind = "learnt" if folder.name == LEARN else "held_out"
    for window in windows:
        path = folder / f"{name_of(place, window)}.tar"
        note = path.with_suffix(".json")
        if not note.exists():
            ways = "forth and back" if backwards else "forth"
            say(f"{kind.replace('_', ' ')}: sets {window[0]} to {window[-1]}, {ways}")
            taught = teach(source, window, parameters, check, backwards)
            why = useless(taught)
            if not why:
                write_window(path, taught)
            folder.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps({"sets": 0 if why else len(taught.sets), "why": why}))
        found = json.loads(note.read_text())
        facts[kind] += found["sets"]
        if found["why"]:
            facts["left_out"].append(f"sets {window[0]} to {window[-1]}: {found['why']}")
            say(facts["left_out"][-1])


def useless(taught: Taught) -> str:
    """Say why a window teaches nothing; empty when it does."""
    if not taught.sets:
        return "no camera gave depth"
    speeds = np.array(taught.speeds)
    known = speeds[np.isfinite(speeds)]
    moved = float(np.median(known)) if len(known) else math.nan
    light = float(np.mean([c.image.mean() for s in taught.sets for c in s.cameras]))
    share = float(np.mean([np.isfinite(c.depth).mean() for s in taught.sets for c in s.cameras]))
    if not len(known):
        return "nothing is known of how the vehicle moved"
    if light < LEAST_LIGHT:
        return f"dark: mean grey {light:.0f} of 255"
    if moved < LEAST_SPEED:
        return f"standing: {moved:.1f} m/s"
    if share < LEAST_KNOWN:
        return (
            f"both ways agree on {100 * share:.0f} % of the pixels alone; calibration, stamps or"
            " odometry may be wrong"
        )
    found = [np.isfinite(d).mean() for by_name in taught.references for d in by_name.values()]
    if np.mean(found) < LEAST_MEASURED:
        return (
            f"both ways measured {100 * np.mean(found):.1f} % of the pixels beside the ground, at"
            f" {moved:.1f} m/s: more frame sets a second, or a slower drive, measure more"
        )
    return ""


def finish(folder: Path) -> int:
    """Make a data set of the windows that are there; return how many sets it has."""
    counts = {}
    for note in sorted(folder.glob("drive*.json")):
        sets = json.loads(note.read_text())["sets"]
        if sets:
            counts[note.with_suffix(".tar").name] = int(sets)
    if counts:
        write_manifest(folder, counts, {"made_by": "depth_perception adapt"})
    return sum(counts.values())


def held_out(
    folder: Path, place: int, windows: Sequence[Sequence[int]]
) -> tuple[dict[int, TrueFrameSet], dict[int, dict[str, Any]]]:
    """Read what was recorded of windows of a drive: sets and references by number."""
    taught: dict[int, TrueFrameSet] = {}
    references: dict[int, dict[str, Any]] = {}
    reader = ShardReader(folder)
    first = 0
    starts = {}
    for entry in reader.manifest["shards"]:
        starts[entry["name"]] = (first, int(entry["sets"]))
        first += int(entry["sets"])
    for window in windows:
        name = name_of(place, window)
        begin, count = starts[f"{name}.tar"]
        for index in range(begin, begin + count):
            item = reader.read(index)
            taught[int(item.key)] = item
        with np.load(folder / f"{name}.npz") as arrays:
            for entry in arrays.files:
                key, dot, camera = entry.partition(".")
                if dot:
                    references.setdefault(int(key), {})[camera] = arrays[entry]
    return taught, references
