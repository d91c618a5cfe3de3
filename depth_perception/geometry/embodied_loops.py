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

"""The pixel loops of embodied depth. All write into arrays that the caller gives.

Arrays are (h, w): ``surface`` uint8 of `Surface`, ``inverse`` float32 inverse plane depth in 1/m (0
at and above the horizon), ``sigma`` float32 relative standard deviations, ``contact`` float32
inverse depth in 1/m of the ground that a pixel's thing stands on (NaN unknown).
"""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled
from depth_perception.geometry.surface import Surface

# Plain numbers, which compiled code takes in as constants. The levels are those of
# `embodied_depth.Level`, which imports this file.
_ROAD, _GROUND = int(Surface.ROAD), int(Surface.GROUND)
_OBJECT, _STRUCTURE = int(Surface.OBJECT), int(Surface.STRUCTURE)
_SKY, _OTHER, _EGO = int(Surface.SKY), int(Surface.OTHER), int(Surface.EGO)
_LEVEL_UNKNOWN, _LEVEL_ROAD, _LEVEL_GROUND, _LEVEL_EXTENDED, _LEVEL_BEYOND = 0, 1, 2, 3, 5


@compiled
def measure_flat(surface, plane, plane_sigma, highest, max_range, depth, sigma, levels):  # type: ignore[no-untyped-def]
    """Give flat surfaces the plane's depth up to level ``highest``, and mark the sky."""
    for v in range(surface.shape[0]):
        for u in range(surface.shape[1]):
            kind = surface[v, u]
            if kind == _SKY:
                depth[v, u], levels[v, u] = np.inf, _LEVEL_BEYOND
                continue
            if kind == _ROAD:
                level = _LEVEL_ROAD
            elif kind == _GROUND and highest >= _LEVEL_GROUND:
                level = _LEVEL_GROUND
            else:
                continue
            z = plane[v, u]
            if z <= max_range:
                depth[v, u], levels[v, u] = z, level
                sigma[v, u] = plane_sigma[v, u]
            elif z < np.inf:
                # Flat up to the horizon is out of range; what lies above it is not flat.
                depth[v, u], levels[v, u] = np.inf, _LEVEL_BEYOND


@compiled
def scan_columns(surface, inverse, inverse_sigma, contact, foot_sigma, reach):  # type: ignore[no-untyped-def]
    """Carry the inverse depth of each column's foot up its standing run.

    A run whose foot touches ground within ``reach`` rows gets the mean of the last ground pixel
    and the first of its own, which is the edge between them; other runs stay NaN. A run that
    continues behind an object is a new run: its foot is hidden.
    """
    height, width = surface.shape
    for u in range(width):
        ground_row = -1
        foot = np.float32(np.nan)
        spread = np.float32(np.nan)
        previous = -1
        for v in range(height - 1, -1, -1):
            kind = surface[v, u]
            if kind in (_ROAD, _GROUND):
                ground_row = v if inverse[v, u] > 0 else -1
            elif kind in (_STRUCTURE, _OTHER):
                if kind != previous:
                    foot = np.float32(np.nan)
                    if ground_row >= 0 and ground_row - v <= reach:
                        foot = inverse[ground_row, u]
                        if inverse[v, u] > 0:
                            foot = np.float32(0.5) * (foot + inverse[v, u])
                        spread = inverse_sigma[ground_row, u]
                contact[v, u] = foot
                foot_sigma[v, u] = spread
            previous = kind


@compiled
def bridge_hidden_feet(surface, contact, foot_sigma):  # type: ignore[no-untyped-def]
    """Give runs with hidden feet the foot of the same structure left and right of what hides it.

    Interpolates linearly in inverse depth between visible columns of one row. Beyond the outermost
    visible foot a structure is taken to go on at its depth; of what is of unknown class nothing is
    known there.
    """
    height, width = surface.shape
    for v in range(height):
        u = 0
        while u < width:
            kind = surface[v, u]
            if kind not in (_STRUCTURE, _OTHER):
                u += 1
                continue
            end = u
            while end < width and surface[v, end] == kind:
                end += 1
            left = -1
            x = u
            while x < end:
                if contact[v, x] > 0:
                    left = x
                    x += 1
                    continue
                right = x
                while right < end and not contact[v, right] > 0:
                    right += 1
                if left < 0 and right == end:
                    break
                if kind == _OTHER and (left < 0 or right == end):
                    x = right
                    continue
                first = left if left >= 0 else right
                last = right if right < end else left
                a, b = contact[v, first], contact[v, last]
                spread = max(foot_sigma[v, first], foot_sigma[v, last])
                for i in range(x, right):
                    f = np.float32(0)
                    if last > first:
                        f = np.float32(i - first) / np.float32(last - first)
                    contact[v, i] = a + (b - a) * f
                    foot_sigma[v, i] = spread
                x = right
            u = end


@compiled
def connected_equals(mask, values, ids):  # type: ignore[no-untyped-def]
    """Number the 4-connected regions of equal values in a mask from 1; return one past the last.

    Two passes with union-find; OpenCV's labelling knows only two values.
    """
    height, width = mask.shape
    parent = np.zeros(mask.size // 2 + 2, dtype=np.int32)
    used = 0
    for v in range(height):
        for u in range(width):
            if not mask[v, u]:
                continue
            left = ids[v, u - 1] if u > 0 and values[v, u - 1] == values[v, u] else 0
            up = ids[v - 1, u] if v > 0 and values[v - 1, u] == values[v, u] else 0
            while left != 0 and parent[left] != left:
                left = parent[left]
            while up != 0 and parent[up] != up:
                up = parent[up]
            if left == 0 and up == 0:
                used += 1
                if used == parent.size:
                    parent = np.append(parent, np.zeros_like(parent))
                parent[used] = used
                ids[v, u] = used
            elif left == 0 or up == 0:
                ids[v, u] = left + up
            else:
                root = min(left, up)
                parent[max(left, up)] = root
                ids[v, u] = root
    final = np.zeros(used + 1, dtype=np.int32)
    count = 1
    for label in range(1, used + 1):
        root = label
        while parent[root] != root:
            root = parent[root]
        if root == label:
            final[label] = count
            count += 1
        else:
            final[label] = final[root]
    for v in range(height):
        for u in range(width):
            if ids[v, u] != 0:
                ids[v, u] = final[ids[v, u]]
    return count


@compiled
def stand_objects(  # type: ignore[no-untyped-def]
    ids, count, surface, inverse, plane_sigma, contact, foot_sigma, reach, cut_sigma
):
    """Give each object one inverse depth: the median over the lowest twentieth of its contacts.

    A contact is the lowest pixel of an object's column run, with visible ground within ``reach``
    rows below it and no other standing thing between. An object without one that is cut by the
    image's lower edge or the own body stands at most where the ground would be seen there: that,
    with ``cut_sigma``, is its depth.
    Others (their feet are hidden by something) stay unknown. ``ids`` numbers each pixel's object
    from 1, 0 without one; ``count`` is one more than the highest number.
    """
    height, width = ids.shape
    rooms = 1024
    owners = np.empty(rooms, dtype=np.int64)
    feet = np.empty(rooms, dtype=np.float32)
    spreads = np.empty(rooms, dtype=np.float32)
    found = 0
    cut_at = np.zeros(count, dtype=np.float32)
    for v in range(height):
        for u in range(width):
            owner = ids[v, u]
            if owner == 0:
                continue
            if v == height - 1 or surface[v + 1, u] == _EGO:
                cut_at[owner] = max(cut_at[owner], inverse[v, u])
                continue
            if ids[v + 1, u] == owner:
                continue
            for below in range(v + 1, min(v + reach + 1, height)):
                kind = surface[below, u]
                if kind in (_OBJECT, _STRUCTURE):
                    break  # its feet are behind that
                if kind in (_ROAD, _GROUND) and inverse[below, u] > 0:
                    if found == rooms:
                        owners = np.append(owners, np.empty_like(owners))
                        feet = np.append(feet, np.empty_like(feet))
                        spreads = np.append(spreads, np.empty_like(spreads))
                        rooms *= 2
                    foot = inverse[below, u]
                    if inverse[v, u] > 0:
                        foot = np.float32(0.5) * (foot + inverse[v, u])
                    owners[found], feet[found] = owner, foot
                    spreads[found] = plane_sigma[below, u]
                    found += 1
                    break
    # Rows were visited downwards, and sorting keeps that order: an object's lowest come last.
    order = np.argsort(owners[:found], kind="mergesort")
    depth_of = np.full(count, np.nan, dtype=np.float32)
    sigma_of = np.full(count, np.nan, dtype=np.float32)
    first = 0
    while first < found:
        owner = owners[order[first]]
        last = first
        while last < found and owners[order[last]] == owner:
            last += 1
        lowest = order[last - max(1, int(np.ceil(0.05 * (last - first)))) : last]
        depth_of[owner] = np.median(feet[lowest])
        sigma_of[owner] = np.median(spreads[lowest])
        first = last
    for owner in range(1, count):
        if np.isnan(depth_of[owner]) and cut_at[owner] > 0:
            depth_of[owner], sigma_of[owner] = cut_at[owner], cut_sigma
    for v in range(height):
        for u in range(width):
            if ids[v, u] != 0:
                contact[v, u] = depth_of[ids[v, u]]
                foot_sigma[v, u] = sigma_of[ids[v, u]]


@compiled
def measure_standing(  # type: ignore[no-untyped-def]
    surface,
    contact,
    foot_sigma,
    rays,
    to_up,
    camera_height,
    own_sigma,
    max_range,
    max_object_height,
    depth,
    sigma,
    levels,
):
    """Turn contacts into depth where nothing is known yet.

    ``rays`` are (h, w, 3) optical rays with third component 1, ``to_up`` (3,) the third row of the
    rotation to the base frame, which gives a ray's upward part, ``camera_height`` the optical
    centre's height over the ground in metres, ``own_sigma`` the relative spread of depth within a
    standing thing.
    """
    for v in range(surface.shape[0]):
        for u in range(surface.shape[1]):
            inverse = contact[v, u]
            if not inverse > 0 or levels[v, u] != _LEVEL_UNKNOWN:
                continue
            z = np.float32(1) / inverse
            if surface[v, u] == _OTHER:
                up = rays[v, u, 0] * to_up[0] + rays[v, u, 1] * to_up[1] + rays[v, u, 2] * to_up[2]
                if camera_height + z * up > max_object_height:
                    continue
            if z > max_range:
                depth[v, u], levels[v, u] = np.inf, _LEVEL_BEYOND
            else:
                depth[v, u], levels[v, u] = z, _LEVEL_EXTENDED
                sigma[v, u] = np.hypot(foot_sigma[v, u], own_sigma)
