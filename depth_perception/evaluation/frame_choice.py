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

"""Which frame sets a report shows, chosen while the drive is scored: the worst, and a typical one.

Pictures of all frame sets of a long drive would fill the memory, and drawing them all would take
longer than scoring. So each set is drawn only if it could be shown at the end.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Largest(Generic[T]):
    """The ``number`` items with the largest keys, largest first; of equal ones the earliest."""

    def __init__(self, number: int) -> None:
        """Keep so many."""
        self.number = number
        self.items: list[tuple[float, T]] = []

    def offer(self, key: float, make: Callable[[], T]) -> None:
        """Keep what ``make`` returns if the key is among the largest so far; else do not call."""
        place = bisect.bisect_right([-kept for kept, _ in self.items], -key)
        if place < self.number:
            self.items.insert(place, (key, make()))
            del self.items[self.number :]


KEPT = 12
"""Candidates of the typical frame set: each may be some MB of pictures."""

CLOSE = 8
"""A candidate is made where an eighth of all keys so far has none."""


class Typical(Generic[T]):
    """The item whose key is nearest to the median of all keys, as near as candidates are kept.

    Which key is the median is known at the end alone. Candidates are spread over the ranks so that
    also the keys of a drive that grows ever worse have one near their median.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._keys: list[float] = []
        self._kept: list[tuple[float, T]] = []

    def offer(self, key: float, make: Callable[[], T]) -> None:
        """Count a key, and keep what ``make`` returns if it fills a gap."""
        bisect.insort(self._keys, key)
        kept = [k for k, _ in self._kept]
        place = bisect.bisect_right(kept, key)
        low = self._rank(kept[place - 1]) if place else 0
        high = self._rank(kept[place]) if place < len(kept) else len(self._keys)
        if len(self._keys) < KEPT or high - low > len(self._keys) / CLOSE:
            self._kept.insert(place, (key, make()))
        if len(self._kept) > KEPT:
            del self._kept[self._most_dispensable()]

    def _rank(self, key: float) -> int:
        return bisect.bisect_left(self._keys, key)

    def _most_dispensable(self) -> int:
        """Give the place of the candidate without which the smallest gap is left."""
        ranks = [0, *(self._rank(key) for key, _ in self._kept), len(self._keys)]
        gaps = [ranks[k + 1] - ranks[k - 1] for k in range(1, len(ranks) - 1)]
        return gaps.index(min(gaps))

    @property
    def item(self) -> tuple[float, T] | None:
        """The chosen key and item; None before the first."""
        if not self._kept:
            return None
        median = self._keys[(len(self._keys) - 1) // 2]
        # Not the difference of keys: the worst may be infinite.
        rank = self._rank(median)
        return min(self._kept, key=lambda item: (abs(self._rank(item[0]) - rank), item[0]))
