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

"""The pixel loops of `moving`. All write into arrays that the caller gives."""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled, inlined

SLACK_ROWS = 2
"""By so many rows a foot may be seen too high or too low."""


@inlined
def _first_of(parents, at):  # type: ignore[no-untyped-def]
    """The first pixel of the patch that a pixel is known to belong to."""
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


@compiled
def label_surfaces(inverse_depth, good, change, labels, parents):  # type: ignore[no-untyped-def]
    """Number patches of pixels whose inverse depth changes by no step from one to the next.

    Args:
        inverse_depth: (h, w) float32, 1/m.
        good: (h, w) bool: the pixels that are looked at.
        change: Largest relative change from a pixel to the next, as a share of the larger.
        labels: (h, w) int32, written: 0 where nothing is looked at; numbered by first pixels.
        parents: (h * w,) int32, for the loop's own use.

    Returns:
        How many patches there are.
    """
    height, width = labels.shape
    for v in range(height):
        for u in range(width):
            if not good[v, u]:
                continue
            at = v * width + u
            first = at
            parents[at] = at
            here = inverse_depth[v, u]
            if u > 0 and good[v, u - 1]:
                there = inverse_depth[v, u - 1]
                if abs(there - here) <= change * max(there, here):
                    first = _first_of(parents, at - 1)
                    parents[at] = first
            if v > 0 and good[v - 1, u]:
                there = inverse_depth[v - 1, u]
                if abs(there - here) <= change * max(there, here):
                    other = _first_of(parents, at - width)
                    parents[max(first, other)] = min(first, other)
    count = 0
    for v in range(height):
        for u in range(width):
            if not good[v, u]:
                labels[v, u] = 0
                continue
            at = v * width + u
            first = _first_of(parents, at)
            if first == at:
                count += 1
                labels[v, u] = count
            else:
                labels[v, u] = labels[first // width, first % width]
    return count


@compiled
def measure_patches(labels, sizes, columns, last):  # type: ignore[no-untyped-def]
    """Count the pixels of each patch, and the columns in which it has any.

    Args:
        labels: (h, w) int32, of `label_surfaces`.
        sizes: (count + 1,) int64, zeros, added to.
        columns: (count + 1,) int64 likewise.
        last: (count + 1,) int64, -1 in all, for the loop's own use.
    """
    for u in range(labels.shape[1]):
        for v in range(labels.shape[0]):
            label = labels[v, u]
            sizes[label] += 1
            if last[label] != u:
                last[label] = u
                columns[label] += 1


@compiled
def compare_with_feet(labels, inverse_depth, plane, flat, reach, sums, counts):  # type: ignore[no-untyped-def]
    """Compare each patch with the ground that is seen directly below it.

    Args:
        labels: (h, w) int32, of `label_surfaces`.
        inverse_depth: (h, w) float32, 1/m.
        plane: (h, w) float32, of the ground, 1/m; 0 at and above the horizon.
        flat: (h, w) bool: pixels that were found on the ground.
        reach: Rows between a patch and the ground below it at the most.
        sums: (count + 1,) float64: sum of ln(measured / ground at the foot) of each patch, 0 where
            the two agree.
        counts: (count + 1,) int64: of how many columns.
    """
    height, width = labels.shape
    for u in range(width):
        ground_row = -1
        last = 0
        for v in range(height - 1, -1, -1):
            label = labels[v, u]
            if flat[v, u]:
                ground_row = v
                last = 0
                continue
            if label == 0:
                continue
            if label != last and ground_row >= 0 and ground_row - v <= reach:
                # It stands somewhere between the ground that is seen and its own lowest row, give
                # or take what no match tells from its neighbour.
                near = plane[min(ground_row + SLACK_ROWS, height - 1), u]
                far = plane[max(v - SLACK_ROWS, 0), u]
                here = inverse_depth[v, u]
                if near > 0 and here > 0:
                    if here > near:
                        sums[label] += np.log(here / near)
                    elif here < far:
                        sums[label] += np.log(here / far)
                    counts[label] += 1
            last = label
            ground_row = -1


@compiled
def clear_above(labels, against, inverse_depth, plane, change, rise, height, top, moving, above):  # type: ignore[no-untyped-def]
    """Mark what lies above the foot of a moving thing, up to a thing's height, and is not there.

    A thing that moves falls into patches, of which only the lowest is seen to stand on the ground.

    Args:
        labels: (h, w) int32, of `label_surfaces`.
        against: (count + 1,) bool: patches that contradict the ground on which they stand.
        inverse_depth: (h, w) float32, 1/m.
        plane: (h, w) float32, of the ground, 1/m.
        change: Largest difference of the logarithm from the foot's inverse depth.
        rise: (h, w) float32: height that a pixel's ray gains for each metre of depth.
        height: Of the camera over the ground, m.
        top: Largest height of a thing that moves, m.
        moving: (h, w) bool, written.
        above: (h, w) bool, written: all that lies there, measured or not.
    """
    rows, columns = labels.shape
    for u in range(columns):
        foot = np.float32(0)
        for v in range(rows - 1, -1, -1):
            label = labels[v, u]
            # The lowest row of the patch; a farther thing's foot does not end a nearer one.
            if against[label] and plane[v, u] > 0 and foot <= 0:
                foot = plane[v, u]
            if foot <= 0:
                continue
            if height + rise[v, u] / foot > top:
                foot = np.float32(0)
                continue
            above[v, u] = True
            if label != 0 and abs(np.log(inverse_depth[v, u] / foot)) > change:
                moving[v, u] = True
