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

"""Rates, gaps and wrong stamps of recorded topics, from the stamps in the order of recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

GAP = 2.5
"""A pause of more than this many median periods is a gap."""

DAY_NS = 86_400_000_000_000
"""Stamps this far from most others are of another clock: no drive is as long."""

_YEAR_2000_NS = 946_684_800_000_000_000


def timing(stamps: Sequence[int]) -> dict[str, Any]:
    """Describe when the messages of a topic were taken.

    Args:
        stamps: Of every message, ns, in the order in which they were recorded.

    Returns:
        ``messages``, ``rate_hz``, ``gaps`` and ``longest_s``; where there are such, also
        ``zero_stamps`` (zero or negative), ``other_clock`` (a day or more from most others) with
        ``other_clock_first`` and ``median_stamp`` in ns, and ``not_rising``. Rates and gaps are
        those between messages whose stamps are right.
    """
    zero = [stamp <= 0 for stamp in stamps]
    filled = sorted(stamp for stamp in stamps if stamp > 0)
    median_stamp = filled[len(filled) // 2] if filled else 0
    other = [stamp > 0 and abs(stamp - median_stamp) >= DAY_NS for stamp in stamps]
    right = [not (z or o) for z, o in zip(zero, other, strict=True)]
    periods = np.array(
        [
            (stamps[i + 1] - stamps[i]) * 1e-9
            for i in range(len(stamps) - 1)
            if right[i] and right[i + 1]
        ]
    )
    out: dict[str, Any] = {"messages": len(stamps), "rate_hz": None, "gaps": 0, "longest_s": None}
    if len(periods):
        median = float(np.median(periods))
        if median > 0:
            out["rate_hz"] = round(1 / median, 2)
            out["gaps"] = int((periods > GAP * median).sum())
        out["longest_s"] = round(float(periods.max()), 3)
        if (periods <= 0).any():
            out["not_rising"] = int((periods <= 0).sum())
    if any(zero):
        out["zero_stamps"] = sum(zero)
    if any(other):
        first = next(stamp for stamp, is_other in zip(stamps, other, strict=True) if is_other)
        out |= {"other_clock": sum(other), "other_clock_first": first, "median_stamp": median_stamp}
    return out


def timing_notes(topic: str, entry: Mapping[str, Any], what: str) -> list[str]:
    """Say what is odd about the stamps of a topic.

    Args:
        topic: Its name.
        entry: Of `timing`.
        what: What its messages are: ``image`` or ``scan``.
    """
    notes = []
    if entry["gaps"]:
        notes.append(f"{topic}: {entry['gaps']} gaps, longest {entry['longest_s']} s")
    if "not_rising" in entry:
        notes.append(
            f"{topic}: {entry['not_rising']} stamps repeat or go back; such {what}s may be left out"
            " of frame sets"
        )
    if "zero_stamps" in entry:
        notes.append(
            f"{topic}: {_counted(entry['zero_stamps'], what)} a stamp of zero; left out. Fix: let"
            " the driver fill header.stamp"
        )
    if "other_clock" in entry:
        notes.append(
            f"{topic}: {_counted(entry['other_clock'], what)} a stamp of another clock, the first"
            f" {instant(entry['other_clock_first'])}, most others about"
            f" {instant(entry['median_stamp'])}; left out, or in sets of their own. Fix: let the"
            " driver take header.stamp from one clock"
        )
    return notes


def clock_problems(stamps: Mapping[str, Sequence[int]], why: str) -> list[str]:
    """Say which topics are stamped by another clock than most: a day or more from them.

    Args:
        stamps: Of every message, ns, by topic.
        why: What cannot be done with such a topic.
    """
    medians = {}
    for topic, every in stamps.items():
        filled = sorted(stamp for stamp in every if stamp > 0)
        if filled:
            medians[topic] = filled[len(filled) // 2]
    if not medians:
        return []
    ordered = sorted(medians.values())
    reference = ordered[(len(ordered) - 1) // 2]
    return [
        f"{topic}: its stamps are of another clock, {instant(median)}, where other topics are at"
        f" {instant(reference)}; {why}. Fix: synchronise the clocks of both drivers"
        for topic, median in medians.items()
        if abs(median - reference) >= DAY_NS
    ]


def instant(stamp: int) -> str:
    """Write a stamp (ns) for people: a date, or seconds where it is no time of day."""
    if stamp < _YEAR_2000_NS:
        return f"{stamp * 1e-9:.1f} s (time since boot, or of a simulation?)"
    try:
        date = datetime.fromtimestamp(stamp // 1_000_000_000, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return f"{stamp} ns"
    return date.strftime("%Y-%m-%d %H:%M:%S UTC")


def _counted(count: int, what: str) -> str:
    return f"1 {what} has" if count == 1 else f"{count} {what}s have"
