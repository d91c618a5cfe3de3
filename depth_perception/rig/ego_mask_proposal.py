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

"""Finding the vehicle's own body in a drive: what keeps its place while everything else moves.

In: frames of one camera over a drive. Out: a mask to look at before use.

How: `body_outline`. Here: which frames count, and whether what was found is to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import BagError
from depth_perception.geometry.rig import RigCamera
from depth_perception.rig.body_outline import Body, find_body, image_gradient

WORKING_WIDTH = 480
MIN_FRAMES = 5
SURE_FRAMES = 20
MAX_FRAMES = 120

# A frame counts as moved when at most of the textured pixels (gradient above _TEXTURE, grey levels
# per pixel) the gradient changed by this share of itself since the last frame that counted: a tenth
# of a second of driving shows the same picture again and proves nothing.
_MIN_CHANGE = 0.8
_TEXTURE = 3.0
# A mask is doubted below this strength of its outline, above this share of the image, below this
# agreement of two halves of the drive (intersection over union), and when more of its outline than
# this share runs along the direction of travel, to within this angle. Border: of the image, px.
_FAINT, _LARGE, _SAME_HALVES, _ALONG = 0.25, 0.45, 0.8, 0.5
_ALONG_ANGLE = np.radians(8.0)
_BORDER, _BESIDE = 3, 3


@dataclass(frozen=True, eq=False)
class EgoMaskProposal:
    """A proposed mask and how sure it is.

    Attributes:
        mask: (height, width) bool of the full image, true on the own body.
        frames: Frames that were looked at.
        moved: Of these, frames between which the picture moved; the more, the surer.
        coverage: Share of the image that is proposed, 0 to 1.
        strength: Mean strength of the outline that was found, 0 (chance) to 1; 0 without one.
        warning: Why the proposal is not to be trusted as it is; empty when it is.
    """

    mask: NDArray[np.bool_]
    frames: int
    moved: int
    coverage: float
    strength: float
    warning: str = ""


def propose_ego_mask(
    frames: Iterable[NDArray[np.uint8]],
    name: str = "camera",
    min_frames: int = MIN_FRAMES,
    camera: RigCamera | None = None,
) -> EgoMaskProposal:
    """Propose the own-body mask of one camera from a drive.

    Lane markings and kerbs nearly keep their place on a long straight road, and so do clouds: give
    it a drive with turns, and look at the mask before use. What may be the world's is said in
    ``warning``.

    Args:
        frames: (height, width, 3) uint8 BGR images of one size, in the order of time; the longer
            the drive, the better. At most a few hundred small copies are held.
        name: The camera's name, for errors.
        min_frames: Fewest frames that must have moved.
        camera: Its calibration and mounting, from which it is known where lines along the road run;
            without it they are not told from a body.

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
    stack = np.stack(kept)
    found = find_body(stack)
    mask = cv2.resize(found.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
    coverage = float(mask.mean())
    doubts = _doubts(stack, found, camera) if coverage > 0 else []
    if len(kept) < SURE_FRAMES:
        # On composed drives with shiny bodies 6 to 12 frames gave masks of IoU 0 to 0.98.
        doubts.insert(0, f"only {len(kept)} frames that moved, {SURE_FRAMES} or more make it sure")
    return EgoMaskProposal(
        np.asarray(mask), seen, len(kept), coverage, found.strength, "; ".join(doubts)
    )


def _doubts(stack: NDArray[np.float32], found: Body, camera: RigCamera | None) -> list[str]:
    """Say what speaks against a mask that was found.

    The limits are from drives of the synthetic world, see docs/experiments/ego_mask.md.
    """
    doubts = []
    if found.strength < _FAINT:
        doubts.append(f"the outline is faint ({found.strength:.2f})")
    if found.mask.mean() > _LARGE:
        doubts.append(f"it is {found.mask.mean():.0%} of the image, more than a body takes")
    if len(stack) >= SURE_FRAMES:
        # Whatever is in the world differs from one half of a drive to the other.
        first, second = (find_body(half).mask for half in np.array_split(stack, 2))
        same = int((first & second).sum()) / max(int((first | second).sum()), 1)
        if same < _SAME_HALVES:
            doubts.append(f"the halves of the drive agree on {same:.0%} of it")
    if camera is not None:
        share = _share_along_travel(found, camera)
        if share > _ALONG:
            doubts.append(
                f"{share:.0%} of its outline runs as a kerb or a lane marking does on a straight"
                " road"
            )
    return doubts


def _share_along_travel(found: Body, camera: RigCamera) -> float:
    """Share of a mask's outline that looks as lines of the world do which lead straight ahead."""
    height, width = found.mask.shape
    inner = cv2.erode(
        cv2.copyMakeBorder(found.mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE),
        np.ones((3, 3), np.uint8),
    )[1:-1, 1:-1]
    outline = found.mask & (inner == 0)
    outline[:_BORDER] = outline[-_BORDER:] = False
    outline[:, :_BORDER] = outline[:, -_BORDER:] = False
    if not outline.any():
        return 0.0
    # The image direction of a point that moves ahead in the base frame, at each pixel.
    model = camera.model.resized(width, height)
    rays = model.rays().reshape(-1, 3)
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    ahead = camera.T_base_camera[0, :3]  # the base frame's x axis in the camera's frame
    moved = model.project(rays + 1e-3 * ahead) - model.project(rays)
    travel = np.arctan2(moved[:, 1], moved[:, 0]).reshape(height, width)
    edge = found.direction + np.pi / 2  # an edge runs across its gradient
    along = np.abs(np.sin(edge - travel)) < np.sin(_ALONG_ANGLE)
    # The mask ends beside the steadiest pixel of its outline.
    best, verdict = found.steady.copy(), along.copy()
    for down in range(-_BESIDE, _BESIDE + 1):
        for right in range(-_BESIDE, _BESIDE + 1):
            beside = np.roll(found.steady, (down, right), axis=(0, 1))
            steadier = beside > best
            best[steadier] = beside[steadier]
            verdict[steadier] = np.roll(along, (down, right), axis=(0, 1))[steadier]
    return float(verdict[outline].mean())


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
    before_u, before_v = image_gradient(before)
    after_u, after_v = image_gradient(after)
    strength = np.hypot(before_u, before_v)
    textured = strength > _TEXTURE
    if textured.mean() < 0.01:
        return False
    change = np.hypot(after_u - before_u, after_v - before_v)[textured] / strength[textured]
    return bool(np.median(change) > _MIN_CHANGE)
