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

"""What every chart is made of: round numbers for an axis, words as wide as they are, SVG elements.

In: numbers and words. Out: numbers and SVG text. `charts` puts them together.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from depth_perception.evaluation.drawing import font

WIDTH = 380
"""Width of a chart in its own units, which are about pixels."""

SIZE = 12
"""Size of its texts."""

ZOOM_FROM = 0.9
"""Shares that are all above this get an axis that does not start at zero."""

STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
"""Numbers, times a power of ten, at which an axis may end."""


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return at most about ``most`` + 1 round numbers from ``low`` to ``high``."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(k * step, 12) for k in range(first, last + 1)]


def round_up(value: float) -> float:
    """Return the end of an axis from zero that has room for a value."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        power * k for k in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * k >= value * (1 - 1e-9)
    )


def share_start(values: Sequence[float]) -> float:
    """Return where an axis of shares starts: at zero, but near the values where all are high.

    An axis from 0 to 100 % shows no difference between 99.2 and 99.8 %. Where all are 100 % there
    is none to show.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) < ZOOM_FROM or min(finite) >= 1:
        return 0.0
    # The shortest bar keeps a fifth of the axis.
    return max(
        start for start in (0.8, 0.9, 0.95, 0.98, 0.99) if min(finite) - start >= 0.2 * (1 - start)
    )


def zoomed_ticks(start: float, most: int) -> list[float]:
    """Return ``start`` and round shares up to one, at most ``most`` steps of the same size."""
    steps = {k: (1 - start) / k for k in (5, 4, 2) if k <= most}
    # Its first digit: 1, 2 or 5 are those of round steps.
    digits = {k: round(step / 10 ** math.floor(math.log10(step)), 6) for k, step in steps.items()}
    parts = next((k for k, digit in digits.items() if digit in (1, 2, 5)), 1)
    return [start + (1 - start) * k / parts for k in range(parts + 1)]


def decimals(step: float) -> int:
    """Return how many decimals numbers so far apart need."""
    return next((k for k in range(6) if abs(step * 10**k - round(step * 10**k)) < 1e-6), 6)


def plain(values: Sequence[float], unit: str = "", factor: float = 1.0) -> Callable[[float], str]:
    """Return how to write numbers of an axis, all with the decimals that their steps need."""
    steps = [factor * (b - a) for a, b in pairwise(values)] or [factor * v for v in values]
    places = max((decimals(step) for step in steps), default=0)
    return lambda value: f"{factor * value:.{places}f}{unit}"


def width_of(text: str, size: int = SIZE) -> float:
    """Return about how wide a text is drawn; system fonts are rather narrower than this one."""
    return float(font(size).getlength(text))


def shortened(words: str, width: float) -> str:
    """Return words, their middle left out where they are wider."""
    kept = len(words)
    cut = words
    while kept > 2 and width_of(cut) > width:
        kept -= 1
        cut = f"{words[: (kept + 1) // 2]}…{words[len(words) - kept // 2 :]}"
    return cut


def wrapped(text: str, width: float, size: int = SIZE) -> list[str]:
    """Break a text into lines that are at most so wide."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def hint(text: str) -> str:
    """Return what is shown when the pointer rests on an element; nothing for no words."""
    return f"<title>{html.escape(text)}</title>" if text else ""


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """Write words at a place; ``kind`` is a class of the style sheet."""
    extra = f' text-anchor="{anchor}"' if anchor != "start" else ""
    extra += f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{html.escape(words)}</text>'


def svg(height: float, parts: Sequence[str], label: str) -> str:
    """Return a drawing of `WIDTH`; ``label`` is what a screen reader says of it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {math.ceil(height)}" role="img"'
        f' aria-label="{html.escape(label)}">' + "".join(parts) + "</svg>"
    )
