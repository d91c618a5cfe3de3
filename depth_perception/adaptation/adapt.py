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


"""Adapt the fused network to a vehicle: record a teacher, learn, judge, and only then give it away.

In: recorded drives without labels. Out: an int8 ONNX file for `fused.model`, or the reason why
there is none. Everything is kept in a folder of work, so that the same call goes on where it was
stopped: a window of a drive that was recorded, rehearsal, and training are not made again.

1. The last part of each drive is held out. Windows of consecutive sets, spread over the rest, are
   computed forth and back (`adaptation.recording`); windows that teach nothing are left out and
   said.
2. The network in the package learns from them and, so that it forgets little, from synthetic
   drives as it saw them before.
3. Of the weights between the start and what was learnt those are taken that have most of it and are
   hardly worse on synthetic drives that were held out (`training.weights_between`).
4. Before and after are judged on what was held out (`adaptation.judging`). What is worse is not
   given away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from depth_perception.adaptation.judging import judge
from depth_perception.adaptation.learning import learn, written
from depth_perception.adaptation.settings import HELD_OUT, LEARN, Options, Render, Report, Say
from depth_perception.adaptation.windows import finish, held_out, name_of, plan, record
from depth_perception.datasets.sample import DatasetError
from depth_perception.datasets.source import FrameSource, open_source
from depth_perception.errors import ConfigurationError
from depth_perception.parameters import Parameters

BETTER, NO_WORSE, ROAD_POINTS = 0.98, 1.02, 0.01
"""Depth from one image must fall to this share, with motion it may rise by that; and of the road no
more than so much may be lost."""


def adapt(
    sources: Sequence[str],
    output: Path,
    work: Path,
    parameters: Parameters,
    options: Options,
    *,
    render: Render | None = None,
    say: Say = print,
    check: Callable[[], None] = lambda: None,
) -> Report:
    """Adapt the network to the drives of a vehicle, see the module's head.

    Args:
        sources: Drives, see `datasets.source.open_source`.
        output: ONNX file that is written where the network is better.
        work: Folder that keeps what was done.
        parameters: Of the pipeline that measures and judges.
        options: How.
        render: Makes synthetic drives; None: nothing is rehearsed.
        say: Where progress goes.
        check: Called now and then, and may raise.

    Raises:
        DatasetError: A drive cannot be read, or none of them teaches anything; says why.
        ConfigurationError: The folder of work belongs to other drives or options.
    """
    work.mkdir(parents=True, exist_ok=True)
    _same_work(work, sources, options)
    level = replace(parameters.ground, height=0.0, roll=0.0, pitch=0.0)  # as a source gives drives
    parameters = replace(
        parameters,
        estimator="fused",
        ground=level,
        motion=replace(parameters.motion, enabled=True, matching_rate=0.0),
        fused=replace(parameters.fused, rate=0.0),
    )
    report = Report()
    drives = {text: open_source(text) for text in sources}
    plans = {text: plan(source, options, len(drives)) for text, source in drives.items()}
    for place, (text, source) in enumerate(drives.items()):
        to_learn, held = plans[text]
        report.drives[text] = {"learnt": 0, "held_out": 0, "left_out": []}
        for folder, windows in ((work / LEARN, to_learn), (work / HELD_OUT, held)):
            # What judges is always looked at both ways.
            both = folder.name != LEARN or "backwards" not in options.without
            given = (parameters, report.drives[text], say, check, both)
            record(source, place, windows, folder, *given)
    counts = {name: finish(work / name) for name in (LEARN, HELD_OUT)}
    if not counts[LEARN] or not counts[HELD_OUT]:
        why = "; ".join(t for d in report.drives.values() for t in d["left_out"])
        raise DatasetError(
            f"{'nothing to learn from' if not counts[LEARN] else 'nothing to judge by'}: {why}",
            expected="a drive by day that moves, with calibration that is right",
            fix="name other drives, or calibrate first: depth_perception calibrate",
        )
    before = _judged(drives, plans, work, parameters, say, check)
    report.before = before
    run = learn(work, options, render, report, say)
    adapted = written(work, run, sources, options, report, say)
    report.after = _judged(drives, plans, work, parameters, say, check, adapted)
    report.refused = worse(report.before, report.after)
    if not report.refused:
        output.parent.mkdir(parents=True, exist_ok=True)
        part = output.with_name(output.name + ".part")
        part.write_bytes(adapted.read_bytes())
        part.replace(output)
    (work / "report.json").write_text(report.as_json())
    return report


def _judged(
    drives: Mapping[str, FrameSource],
    plans: Mapping[str, tuple[list[list[int]], list[list[int]]]],
    work: Path,
    parameters: Parameters,
    say: Say,
    check: Callable[[], None],
    model: Path | None = None,
) -> dict[str, dict[str, float]]:
    """Figures of a network on what was held out, from one image and with motion."""
    out: dict[str, list[dict[str, float]]] = {"one image": [], "with motion": []}
    if model is not None:
        parameters = replace(parameters, fused=replace(parameters.fused, model=str(model)))
    say(f"judging {'the network in use' if model is None else 'what was learnt'}")
    for place, (text, source) in enumerate(drives.items()):
        windows = [
            w for w in plans[text][1] if (work / HELD_OUT / f"{name_of(place, w)}.tar").exists()
        ]
        if not windows:
            continue
        taught, references = held_out(work / HELD_OUT, place, windows)
        for mode, found in out.items():
            moving = replace(parameters.motion, enabled=mode == "with motion")
            chosen = replace(parameters, motion=moving)
            found.append(judge(source, windows, taught, references, chosen, check))
    return {
        mode: {
            name: float(np.mean([f[name] for f in found if name in f]))
            for name in sorted({name for f in found for name in f})
        }
        for mode, found in out.items()
    }


def worse(
    before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Say in what an adapted network is not better, or worse, than it must be; nothing: it is."""
    for mode, figures in before.items():
        lost = sorted(set(figures) - set(after[mode]))
        if lost or "parallax_abs_rel" not in figures:
            return [f"{mode}: there is no figure of {', '.join(lost or ['parallax'])} to judge by"]
    out = []
    alone, then = before["one image"], after["one image"]
    for name, what in (("parallax_abs_rel", "parallax"), ("lidar_abs_rel", "LiDAR")):
        if name not in alone:
            continue
        limit = BETTER if name == "parallax_abs_rel" else 1.0
        if then[name] > limit * alone[name]:
            out.append(
                f"depth from one image is off by {then[name]:.3f} from {what} it did not learn"
                f" from, {alone[name]:.3f} before"
            )
        if after["with motion"][name] > NO_WORSE * before["with motion"][name]:
            out.append(
                f"with motion it is off by {after['with motion'][name]:.3f} from {what},"
                f" {before['with motion'][name]:.3f} before"
            )
    for mode in before:
        if after[mode].get("road_a10", 1.0) < before[mode].get("road_a10", 0.0) - ROAD_POINTS:
            out.append(
                f"{mode}: {100 * after[mode]['road_a10']:.1f} % of the road lie in the ground,"
                f" {100 * before[mode]['road_a10']:.1f} % before"
            )
    return out


def _same_work(work: Path, sources: Sequence[str], options: Options) -> None:
    """Write what the folder of work is for, or compare it with what is there."""
    chosen = {name: value for name, value in asdict(options).items() if name != "device"}
    mine = json.loads(json.dumps({"sources": list(sources), "options": chosen}))
    path = work / "work.json"
    if not path.exists():
        path.write_text(json.dumps(mine, indent=1))
        return
    before = json.loads(path.read_text())
    if before != mine:
        raise ConfigurationError(
            f"'{work}' holds work on other drives or with other options",
            expected=json.dumps(before),
            fix="name another --work, or delete this one",
        )
