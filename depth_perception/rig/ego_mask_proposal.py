"""Finding the vehicle's own body in a drive: what keeps its place while everything else moves.

In: frames of one camera over a drive. Out: a mask to look at before use.

A body is shiny: it mirrors the world, so its brightness changes nearly as much as the world's, and
plain asphalt hardly changes at all. Brightness therefore tells little. What tells is that the
*outline* of a body stays where it is: there every frame has an edge, of the same direction, whereas
the edges of the world pass by. The mask is what lies between an edge of the image and the outermost
outline that stays, found as one least-cost seam for each of the four edges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import BagError

WORKING_WIDTH = 480
MIN_FRAMES = 5
SURE_FRAMES = 20
MAX_FRAMES = 120

# A frame counts as moved when at most of the textured pixels (gradient above _TEXTURE, grey levels
# per pixel) the gradient changed by this share of itself since the last frame that counted: a tenth
# of a second of driving shows the same picture again and proves nothing.
_MIN_CHANGE = 0.8
_TEXTURE = 3.0
# Gradients (grey levels per pixel) well below this are noise and compression.
_GRADIENT_FLOOR = 1.5
# Steadiness from which on a gradient is taken for an outline, for endless frames; chance makes few
# frames look steadier.
_STEADY, _STEADY_CHANCE = 0.27, 0.85
# And on a straight road lane markings, kerbs and clouds look steady: an outline must stand out from
# what 95 % of the image reaches.
_STANDS_OUT, _MOST_STEADY = 1.4, 0.8
# In units of one fully steady outline pixel under the seam: what an outline pixel inside the region
# is worth (so that the outermost of several outlines wins), and what each row that the region
# claims costs, each such row of passing edges, and each row that the seam jumps between columns.
_GAIN_INSIDE, _COST_ROW, _COST_MOVING, _COST_JUMP = 0.1, 0.002, 0.004, 0.06
# How deep a body may reach into the image from each edge, as a share of the image.
_REACH = {"bottom": 0.6, "top": 0.35, "left": 0.3, "right": 0.3}
_MIN_SHARE = 0.002
_SUPPORT, _STEEP = 0.6, 6


@dataclass(frozen=True, eq=False)
class EgoMaskProposal:
    """A proposed mask and how sure it is.

    Attributes:
        mask: (height, width) bool of the full image, true on the own body.
        frames: Frames that were looked at.
        moved: Of these, frames between which the picture moved; the more, the surer.
        coverage: Share of the image that is proposed, 0 to 1.
        strength: Mean strength of the outline that was found, 0 (chance) to 1; 0 without one.
        warning: Why the proposal is doubtful; empty when it is not.
    """

    mask: NDArray[np.bool_]
    frames: int
    moved: int
    coverage: float
    strength: float
    warning: str = ""


def propose_ego_mask(
    frames: Iterable[NDArray[np.uint8]], name: str = "camera", min_frames: int = MIN_FRAMES
) -> EgoMaskProposal:
    """Propose the own-body mask of one camera from a drive.

    Lane markings and kerbs nearly keep their place on a long straight road, and so do clouds: give
    it a drive with turns, and look at the mask before use. A faint outline is rather missed than
    guessed.

    Args:
        frames: (height, width, 3) uint8 BGR images of one size, in the order of time; the longer
            the drive, the better. At most a few hundred small copies are held.
        name: The camera's name, for errors.
        min_frames: Fewest frames that must have moved.

    Raises:
        BagError: Too few frames, frames of several sizes, or the vehicle stands.
    """
    kept, seen, size = _moving_frames(frames, name)
    if seen < min_frames:
        raise BagError(
            f"{name}: {seen} frames",
            expected=f"{min_frames} or more to tell the own body from the world",
            fix="use a longer drive, or draw polygons by hand (see config/ego_masks)",
        )
    if len(kept) < min_frames:
        raise BagError(
            f"{name}: the picture moved in only {len(kept)} of {seen} frames",
            expected=f"{min_frames} or more; while the vehicle stands everything looks like its"
            " own body",
            fix="use a part of the drive in which the vehicle moves, turns included",
        )
    steady, moving = steadiness(np.stack(kept))
    threshold = max(
        _STEADY + _STEADY_CHANCE / np.sqrt(len(kept)),
        min(_MOST_STEADY, _STANDS_OUT * float(np.percentile(steady, 95))),
    )
    outline = np.maximum(steady - threshold, 0.0) / (1.0 - threshold)
    # Along the border gradients have one direction by the filter's making.
    outline = cv2.copyMakeBorder(outline[3:-3, 3:-3], 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=0)
    height, width = steady.shape
    mask = np.zeros((height, width), dtype=bool)
    strengths: list[NDArray[np.float32]] = []
    for edge, turns in (("bottom", 0), ("top", 2), ("left", 1), ("right", 3)):
        found = _below_seam(np.rot90(outline, turns), np.rot90(moving, turns), _REACH[edge])
        region, on_seam = np.rot90(found[0], -turns), found[1]
        if region.mean() >= _MIN_SHARE:
            mask |= region
            strengths.append(on_seam)
            # An outline has two sides. Once it bounds a region, it must not bound the world on its
            # other side as a region of the next edge.
            explained = cv2.dilate(region.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            outline = np.where(explained, np.float32(0), outline)
    mask = _smoothed(mask)
    full = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
    strength = float(np.concatenate(strengths).mean()) if strengths else 0.0
    coverage = float(full.mean())
    warning = ""
    if len(kept) < SURE_FRAMES:
        # On composed drives with shiny bodies 6 to 12 frames gave masks of IoU 0 to 0.98.
        warning = f"only {len(kept)} frames that moved; {SURE_FRAMES} or more make it sure"
    elif strength and strength < 0.25:
        warning = f"the outline is faint ({strength:.2f}); check it in the overlay"
    return EgoMaskProposal(np.asarray(full), seen, len(kept), coverage, strength, warning)


def _moving_frames(
    frames: Iterable[NDArray[np.uint8]], name: str
) -> tuple[list[NDArray[np.float32]], int, tuple[int, int]]:
    """Shrink frames and keep those that moved, spread over the whole drive."""
    kept: list[NDArray[np.float32]] = []
    last: NDArray[np.float32] | None = None
    size = (0, 0)
    seen = moved = 0
    stride = 1
    for frame in frames:
        if seen and (frame.shape[1], frame.shape[0]) != size:
            raise BagError(
                f"{name}: an image of {frame.shape[1]}x{frame.shape[0]} after {size[0]}x{size[1]}",
                expected="images of one size",
                fix="use a part of the drive with one image size",
            )
        size = (frame.shape[1], frame.shape[0])
        seen += 1
        small = _shrunk(frame)
        if last is not None and not _moved(last, small):
            continue
        last = small
        if moved % stride == 0:
            kept.append(small)
        moved += 1
        if len(kept) > MAX_FRAMES:
            # Halve and go on at half the rate: a drive of any length, evenly sampled.
            kept, stride = kept[::2], stride * 2
    return (kept if moved > 1 else []), seen, size


def _shrunk(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    scale = min(1.0, WORKING_WIDTH / grey.shape[1])
    size = (max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0), dtype=np.float32)


def _moved(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Tell whether the world moved; only where there is texture, as a plain sky never does."""
    before_u, before_v = _gradient(before)
    after_u, after_v = _gradient(after)
    strength = np.hypot(before_u, before_v)
    textured = strength > _TEXTURE
    if textured.mean() < 0.01:
        return False
    change = np.hypot(after_u - before_u, after_v - before_v)[textured] / strength[textured]
    return bool(np.median(change) > _MIN_CHANGE)


def _gradient(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Grey levels per pixel along u and v."""
    gu = cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    gv = cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return np.asarray(gu, np.float32), np.asarray(gv, np.float32)


def steadiness(stack: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure how steadily each pixel shows an edge of one direction, and how much passes by.

    The sign of an edge does not count: a body is now darker, now lighter than what is behind it.
    So directions are averaged at twice their angle, each with a weight that is 0 without an edge.

    Args:
        stack: (n, h, w) float32 grey images.

    Returns:
        Both (h, w) float32: steadiness, 1 where every frame has the same edge and 0 where edges
        are absent or of any direction; and the share of frames with an edge that is not steady.
    """
    total = np.zeros(stack.shape[1:], dtype=np.complex64)
    present = np.zeros(stack.shape[1:], dtype=np.float32)
    for image in stack:
        gu, gv = _gradient(image)
        gradient = gu + 1j * gv
        squared = gu * gu + gv * gv
        strength = np.sqrt(squared)
        weight = strength / (strength + _GRADIENT_FLOOR)
        total += gradient * gradient * (weight / np.maximum(squared, 1e-6))
        present += weight
    steady = np.abs(total) / len(stack)
    return steady.astype(np.float32), (present / len(stack) - steady).astype(np.float32)


def _below_seam(
    outline: NDArray[np.float32], moving: NDArray[np.float32], reach: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Find the region between the bottom edge and the outermost steady outline.

    For each column the seam's row is chosen so that, over all columns, the most outline lies in
    the region, at the least cost of rows claimed and of jumps (dynamic programming; exact).

    Returns:
        (h, w) bool region, and ``outline`` along the seam where there is a region.
    """
    height, width = outline.shape
    gain = _GAIN_INSIDE * outline - _COST_ROW - _COST_MOVING * moving
    # cost[y] of a seam whose region is the rows from y on; y = height claims nothing.
    cost = np.zeros((height + 1, width), dtype=np.float64)
    cost[:height] = -np.cumsum(gain[::-1], axis=0)[::-1] - outline
    cost[: height - int(reach * height)] = np.inf
    jump = _COST_JUMP * np.arange(height + 1)
    total = cost[:, 0].copy()
    totals = [total]
    for x in range(1, width):
        from_above = np.minimum.accumulate(total - jump) + jump
        from_below = np.minimum.accumulate((total + jump)[::-1])[::-1] - jump
        total = np.minimum(from_above, from_below) + cost[:, x]
        totals.append(total)
    rows = np.empty(width, dtype=np.intp)
    rows[-1] = int(np.argmin(totals[-1]))
    for x in range(width - 2, -1, -1):
        rows[x] = int(np.argmin(totals[x] + np.abs(jump - jump[rows[x + 1]])))
    # The outline is a few pixels thick and the seam runs along its outer side.
    nearby = np.minimum(rows[:, None] + np.arange(4), height - 1)
    on_seam = outline[nearby, np.arange(width)[:, None]].max(axis=1)
    on_seam[rows == height] = 0.0
    rows = _supported(rows, on_seam, height)
    region = np.arange(height)[:, None] >= rows[None]
    return region, np.asarray(on_seam[rows < height])


def _supported(
    rows: NDArray[np.intp], on_seam: NDArray[np.float32], height: int
) -> NDArray[np.intp]:
    """Drop the parts of a seam that an outline bounds for less than `_SUPPORT` of their length.

    Steep steps count as length without an outline: a real outline slopes, and what two spurious
    edges span has walls.
    """
    rows = rows.copy()
    claimed = np.concatenate([[False], rows < height, [False]])
    starts = np.flatnonzero(~claimed[:-1] & claimed[1:])
    ends = np.flatnonzero(claimed[:-1] & ~claimed[1:])
    for start, end in zip(starts, ends, strict=True):
        steps = np.abs(np.diff(rows[start:end]))
        walls = np.maximum(steps - _STEEP, 0).sum()
        walls += max(height - rows[start] - _STEEP, 0) if start > 0 else 0
        walls += max(height - rows[end - 1] - _STEEP, 0) if end < len(rows) else 0
        if (on_seam[start:end] > 0).sum() < _SUPPORT * (end - start + walls):
            rows[start:end] = height
    return rows


def _smoothed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps, drop crumbs and thin spikes, keep what touches the border."""
    size = max(3, mask.shape[1] // 60) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    margin = 2 * size
    padded = cv2.copyMakeBorder(
        mask.astype(np.uint8), margin, margin, margin, margin, cv2.BORDER_REPLICATE
    )
    padded = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
    padded = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)
    smooth = np.asarray(padded[margin:-margin, margin:-margin])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(smooth)
    keep = np.zeros(count, dtype=bool)
    for part in range(1, count):
        inside = labels == part
        border = inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any()
        keep[part] = border and stats[part, cv2.CC_STAT_AREA] >= _MIN_SHARE * mask.size
    return np.asarray(keep[labels])
