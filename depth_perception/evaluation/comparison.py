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

"""The same drive before and after: what got better, what worse, and how sure that is.

In: a former run and this one. Out: `Comparison`. Only frame sets that both runs scored are
compared, pair by pair: what differs between two streets does not blur what differs between two
versions. Intervals come from resampling the frame sets' differences in blocks, since neighbours of
a drive resemble each other and are worth less than as many independent ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.evaluation.former_run import FormerFrame, FormerRun
from depth_perception.evaluation.scores import plain

FIGURES = (
    ("abs_rel", "AbsRel", False),
    ("rmse", "RMSE", False),
    ("delta1", "δ1", True),
    ("a10", "A10", True),
    ("coverage", "coverage", True),
)
"""Field, name on the page, and whether more is better (then it is a share, too)."""

MORE_IS_BETTER = {"A10 on the road": True, "obstacle cloud F": True, "flicker": False}
"""Of the figures of the whole drive; those that are not named here are not judged."""

RESAMPLED = 2000
"""Drives drawn for an interval."""

SEED = 0
"""Of the random numbers: the same two runs give the same interval."""

FEWEST = 3
"""Of fewer frame sets there is no interval."""

LISTED = 5
"""Frame sets listed as those that changed most, for each way."""


@dataclass(frozen=True)
class Difference:
    """One figure before and after.

    Attributes:
        name: Of the figure, or of the camera.
        share: Whether it is a share, to be written in percent.
        before: Mean over the frame sets of both runs.
        after: As ``before``.
        low: Lower end of the 95 % interval of after - before; NaN without one.
        high: Its upper end.
        frames: Frame sets that were compared; 0 for a figure of the whole drive.
        verdict: ``better``, ``worse``, ``same`` (exactly), ``unclear`` or empty (not judged).
    """

    name: str
    share: bool
    before: float
    after: float
    low: float
    high: float
    frames: int
    verdict: str

    @property
    def change(self) -> float:
        """After minus before."""
        return self.after - self.before


@dataclass(frozen=True)
class FrameChange:
    """AbsRel of one frame set before and after, and by camera."""

    number: int
    seconds: float
    before: float
    after: float
    cameras: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """A drive before and after.

    Attributes:
        before: The former run.
        after: This run.
        figures: Over all cameras.
        cameras: AbsRel by camera.
        worse: Frame sets that got worse, most first.
        better: Frame sets that got better, most first.
        shared: Frame sets of both runs.
        alone: Frame sets of the former run alone, and of this run alone.
    """

    before: FormerRun
    after: FormerRun
    figures: list[Difference]
    cameras: list[Difference]
    worse: list[FrameChange]
    better: list[FrameChange]
    shared: int
    alone: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the runs themselves, as JSON can hold it: NaN becomes null."""
        return plain(
            {
                "former": {"bag": self.before.name, "estimator": self.before.what},
                "figures": [dataclasses.asdict(item) for item in self.figures],
                "cameras": [dataclasses.asdict(item) for item in self.cameras],
                "worse": [dataclasses.asdict(item) for item in self.worse],
                "better": [dataclasses.asdict(item) for item in self.better],
                "shared": self.shared,
                "alone": self.alone,
            }
        )


def compare(before: FormerRun, after: FormerRun) -> Comparison:
    """Compare two runs of one drive.

    Raises:
        ConfigurationError: They are of different drives or rigs, or scored against other truth.
    """
    before.check_cameras(after.cameras)
    after.check_cameras(before.cameras)
    stamps = sorted(before.frames.keys() & after.frames.keys())
    if not stamps:
        raise ConfigurationError(
            f"--against: the former run ('{before.name}') and this one ('{after.name}') have no"
            " frame set in common: another drive",
            expected="a former run of the same drive",
            fix="run evaluate with the former version on this bag, and name its result",
        )
    if before.truth != after.truth:
        raise ConfigurationError(
            "--against: the former run was scored against other truth:"
            f" {before.truth[0]} up to {before.truth[1]:g} m, this one against {after.truth[0]} up"
            f" to {after.truth[1]:g} m",
            expected="the same --lidar and --max-depth",
            fix="run one of the two again with those of the other",
        )
    same_sets = before.frames.keys() == after.frames.keys()
    pairs = [(before.frames[stamp], after.frames[stamp]) for stamp in stamps]
    first = min(after.frames)
    changes = [
        FrameChange(
            now.number,
            (now.stamp - first) * 1e-9,
            old.metric["abs_rel"],
            now.metric["abs_rel"],
            {n: (old.cameras[n], now.cameras[n]) for n in now.cameras if n in old.cameras},
        )
        for old, now in pairs
    ]
    known = [c for c in changes if math.isfinite(c.after - c.before)]
    known.sort(key=lambda c: (c.before - c.after, c.number))
    return Comparison(
        before,
        after,
        [_of_metric(pairs, *figure) for figure in FIGURES]
        # Figures of whole runs say nothing where one of them saw more of the drive.
        + (_of_totals(before, after) if same_sets else []),
        _of_cameras(pairs, after.cameras) if len(after.cameras) > 1 else [],
        [c for c in known if c.after > c.before][:LISTED],
        [c for c in known[::-1] if c.after < c.before][:LISTED],
        len(pairs),
        (len(before.frames) - len(pairs), len(after.frames) - len(pairs)),
    )


def paired(
    name: str,
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    *,
    share: bool = False,
    more_is_better: bool = False,
) -> Difference:
    """Compare (N,) values of a figure by frame set, in the drive's order; NaN has no say."""
    use = np.isfinite(before) & np.isfinite(after)
    old, now = np.asarray(before)[use], np.asarray(after)[use]
    count = len(old)
    if not count:
        return Difference(name, share, math.nan, math.nan, math.nan, math.nan, 0, "")
    low, high = interval(now - old)
    if not (now - old).any():
        verdict = "same"
    elif low > 0 or high < 0:
        verdict = "better" if (low > 0) == more_is_better else "worse"
    else:
        verdict = "unclear"
    return Difference(name, share, float(old.mean()), float(now.mean()), low, high, count, verdict)


def interval(differences: NDArray[np.floating], level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the mean's interval from (N,) differences in the drive's order.

    A bootstrap of circular blocks, each the cube root of N long.
    """
    count = len(differences)
    if count < FEWEST:
        return math.nan, math.nan
    block = max(1, round(count ** (1 / 3)))
    rng = np.random.default_rng(SEED)
    # Sums of blocks from every start: no array of all drawn frame sets is needed.
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([differences, differences[:block]]))])
    sums = around[block : block + count] - around[:count]
    starts = rng.integers(0, count, (RESAMPLED, -(-count // block)))
    means = sums[starts].mean(axis=1) / block
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


Pairs = list[tuple[FormerFrame, FormerFrame]]
"""Each frame set before and after."""


def _of_metric(pairs: Pairs, field: str, name: str, more_is_better: bool) -> Difference:
    old = np.array([before.metric.get(field, math.nan) for before, _ in pairs])
    now = np.array([after.metric.get(field, math.nan) for _, after in pairs])
    return paired(name, old, now, share=more_is_better, more_is_better=more_is_better)


def _of_cameras(pairs: Pairs, names: list[str]) -> list[Difference]:
    found = []
    for name in names:
        old = np.array([before.cameras.get(name, math.nan) for before, _ in pairs])
        now = np.array([after.cameras.get(name, math.nan) for _, after in pairs])
        found.append(paired(name, old, now))
    return found


def _of_totals(before: FormerRun, after: FormerRun) -> list[Difference]:
    found = []
    for name, now in after.totals.items():
        old = before.totals.get(name, math.nan)
        if not (math.isfinite(old) and math.isfinite(now)):
            continue
        share = name in MORE_IS_BETTER
        verdict = "same" if share and old == now else ""
        found.append(Difference(name, share, old, now, math.nan, math.nan, 0, verdict))
    return found
