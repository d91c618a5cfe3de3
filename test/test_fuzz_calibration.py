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

"""CameraInfo drawn at random: nothing crashes, and road depth is the one of OpenCV's projection.

Points of the road are projected by OpenCV into the whole calibrated image; region of interest,
binning and resizing are applied by hand. At those pixels the package's road depth must be right to
1 %, for every calibration that it accepts. FUZZ=N runs N times as many cases, others on every run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tiny_drive import mounting

from depth_perception.errors import CalibrationError
from depth_perception.geometry.camera_view import camera_view
from depth_perception.geometry.ground_plane import GroundPlane, plane_depth
from depth_perception.parameters import from_flat
from depth_perception.rig.builder import build_rig_camera

FACTOR = float(os.environ.get("FUZZ", "1"))
MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
ROAD = GroundPlane.from_angles(0.0, 0.0, 0.0, np.diag([1e-4, 1e-4, 1e-3]))


@dataclass(frozen=True)
class Case:
    """One camera: its message, the image that arrives, and how it is mounted."""

    info: SimpleNamespace
    image_size: tuple[int, int]
    rectified: bool
    rectify: bool
    T_base_camera: np.ndarray


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """A small turn about the three axes, radians."""
    return cv2.Rodrigues(np.array([x, y, z], np.float64))[0]


@st.composite
def cases(draw: Any) -> Case:
    """A camera most of whose numbers are of real ones, and some of which are spoilt."""

    def number(low: float, high: float) -> float:
        return draw(st.floats(low, high, allow_nan=False))

    width, height = draw(st.integers(48, 1400)), draw(st.integers(48, 1000))
    model = draw(st.sampled_from(MODELS))
    fisheye = model == "equidistant"
    share = number(0.3, 0.9) if fisheye else number(0.3, 2.5)
    fx = share * width
    fy = fx * draw(st.just(1.0) | st.floats(0.8, 1.25))
    cx = (width - 1) * number(0.3, 0.7)
    cy = (height - 1) * number(0.3, 0.7)
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    sizes = {
        "plumb_bob": (0.4, 0.2, 0.003, 0.003, 0.1),
        "rational_polynomial": (0.5, 0.2, 0.002, 0.002, 0.05, 0.5, 0.1, 0.02),
        "equidistant": (0.08, 0.03, 0.01, 0.003),
    }[model]
    D = np.array([number(-size, size) for size in sizes])
    if draw(st.booleans()):
        D[:] = 0
    R = rotation(number(-0.1, 0.1), number(-0.1, 0.1), number(-0.05, 0.05))
    zoom = number(0.6, 1.4)
    P = np.zeros((3, 4))
    P[:, :3] = K
    P[:2, :3] *= zoom
    P[0, 2], P[1, 2] = (width - 1) * number(0.3, 0.7), (height - 1) * number(0.3, 0.7)
    if fisheye:
        P[0, 0] = P[1, 1] = width * number(0.3, 1.0)
    P[0, 3] = draw(st.sampled_from([0.0, -0.5 * P[0, 0]]))
    if draw(st.integers(0, 4)) == 0:
        P[:], R = 0, np.eye(3)
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=draw(st.booleans()))
    if draw(st.booleans()):
        roi.x_offset = draw(st.integers(0, width // 2))
        roi.y_offset = draw(st.integers(0, height // 2))
        roi.width = draw(st.integers(width // 3, width - roi.x_offset))
        roi.height = draw(st.integers(height // 3, height - roi.y_offset))
    binning = draw(st.sampled_from([(0, 0), (1, 1), (2, 2), (4, 4), (2, 1), (1, 2), (3, 2)]))
    info = SimpleNamespace(
        width=width,
        height=height,
        distortion_model=model,
        d=D,
        k=K.ravel(),
        r=R.ravel(),
        p=P.ravel(),
        binning_x=binning[0],
        binning_y=binning[1],
        roi=roi,
    )
    if draw(st.integers(0, 5)) == 0:
        name, values = draw(
            st.sampled_from(
                [
                    ("k", K.ravel() / 4),
                    ("k", K.ravel() * 3),
                    ("k", np.eye(3).ravel()),
                    ("p", np.eye(3, 4).ravel()),
                    ("k", np.array([1, 0, width / 2, 0, 1, height / 2, 0, 0, 1.0])),
                    ("k", np.array([fx, 0, 0.5, 0, fy, 0.5, 0, 0, 1.0])),
                    ("d", np.zeros(0)),
                    ("r", np.zeros(9)),
                    ("distortion_model", ""),
                    ("width", 0),
                    ("k", np.full(9, np.nan)),
                ]
            )
        )
        setattr(info, name, values)
    width, height = (roi.width or width), (roi.height or height)
    size = (width // max(1, binning[0]), height // max(1, binning[1]))
    scale = draw(st.sampled_from([1.0, 1.0, 1.0, 0.5, 2.0]))
    T = mounting("front")
    T[:3, :3] = T[:3, :3] @ rotation(number(-0.7, 0.2), number(-0.5, 0.5), number(-0.2, 0.2))
    T[2, 3] = number(0.3, 3.0)
    return Case(
        info,
        (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))),
        draw(st.booleans()),
        draw(st.booleans()),
        T,
    )


def road_points(count: int = 400) -> np.ndarray:
    """Points of the road around the vehicle, (count, 3) m, base frame."""
    rng = np.random.default_rng(0)
    distance, angle = np.exp(rng.uniform(0, np.log(40), count)), rng.uniform(-np.pi, np.pi, count)
    return np.stack([distance * np.cos(angle), distance * np.sin(angle), 0 * angle], axis=1)


def opencv_pixels(case: Case, points: np.ndarray) -> np.ndarray:
    """Where OpenCV puts points of the optical frame in the image that arrives; NaN for nowhere.

    Nowhere is also where the lens' polynomial has turned back on itself: no lens does that.
    """
    info = case.info
    only_P = np.array_equal(info.k, np.eye(3).ravel()) and not np.any(info.d) and np.any(info.p)
    if case.rectified or only_P:
        R = np.reshape(info.r, (3, 3)) if np.any(info.r) else np.eye(3)
        P = np.reshape(info.p, (3, 4))
        K = P[:, :3] if P[0, 0] > 0 else np.reshape(info.k, (3, 3))
        points, D, fisheye = points @ R.T, np.zeros(5), False
    else:
        K, D = np.reshape(info.k, (3, 3)), np.asarray(info.d, np.float64)
        fisheye = info.distortion_model == "equidistant"

    def project(p: np.ndarray, K: np.ndarray) -> np.ndarray:
        p = np.ascontiguousarray(p.reshape(-1, 1, 3))
        if fisheye:
            coefficients = np.zeros(4)
            coefficients[: D.size] = D
            found, _ = cv2.fisheye.projectPoints(p, np.zeros(3), np.zeros(3), K, coefficients)
        else:
            found, _ = cv2.projectPoints(p, np.zeros(3), np.zeros(3), K, D if D.size else None)
        return found.reshape(-1, 2)

    ahead = points[:, 2] > 0.05
    points = np.where(ahead[:, None], points, [0.0, 0.0, 1.0])
    pixels = project(points, np.ascontiguousarray(K))
    steps = np.append(np.linspace(0, 1, 40), 1.0001)
    axis = points * [0, 0, 1]
    if fisheye:  # by equal angles from the axis, as the polynomial is in the angle
        angle = np.arctan2(np.hypot(points[:, 0], points[:, 1]), points[:, 2])[:, None] * steps
        side = points[:, :2] / np.maximum(np.hypot(points[:, 0], points[:, 1]), 1e-9)[:, None]
        way = np.concatenate(
            [side[:, None] * np.sin(angle)[..., None], np.cos(angle)[..., None]], axis=2
        )
    else:
        way = axis[:, None] + (points - axis)[:, None] * steps[:, None]
    radius = np.linalg.norm(project(way, np.eye(3)).reshape(len(points), -1, 2), axis=2)
    valid = ahead & (np.diff(radius, axis=1) > 0).all(axis=1)
    pixels -= [info.roi.x_offset, info.roi.y_offset] if info.roi.width else [0, 0]
    binning = np.maximum(1, [info.binning_x, info.binning_y])
    pixels = (pixels + 0.5) / binning - 0.5
    whole = np.array([info.roi.width or info.width, info.roi.height or info.height]) // binning
    if info.width:
        pixels = (pixels + 0.5) * (np.array(case.image_size) / whole) - 0.5
    return np.where(valid[:, None], pixels, np.nan)


@settings(
    max_examples=round(400 * FACTOR),
    deadline=None,
    derandomize=FACTOR <= 1,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(cases())
def test_road_depth_is_that_of_opencvs_projection(case: Case) -> None:
    try:
        camera = build_rig_camera(
            "front",
            case.info,
            case.image_size,
            case.rectified,
            case.T_base_camera,
            "front",
            from_flat({"rectify": case.rectify}),
            {},
            "/front/camera_info",
        )
    except CalibrationError as error:
        assert error.problem.startswith("/front/camera_info") and error.expected and error.fix
        event("refused")
        return
    event("doubted" if camera.doubts else "accepted")
    T, width, height = camera.T_base_camera, *case.image_size
    points = road_points()
    optical = (points - T[:3, 3]) @ T[:3, :3]
    pixels = opencv_pixels(case, optical)
    inside = (pixels >= -0.5).all(axis=1) & (pixels <= np.array([width, height]) - 0.5).all(axis=1)
    # Nothing is asked where a hundredth of a pixel, or less than 5 cm ahead, is all the difference.
    slope = np.linalg.norm(points[:, :2], axis=1) ** 2 / (camera.model.K[1, 1] * T[2, 3])
    wanted = inside & (optical[:, 2] > 0.05) & (0.01 * slope < 0.003 * optical[:, 2])
    if not wanted.any():
        event("no road in the image")
        return
    optical, pixels = optical[wanted], pixels[wanted]
    depth = plane_depth(camera.model.lift(pixels), T, ROAD)
    known = np.isfinite(depth)
    assert known.mean() > 0.9, "pixels of the road that are said to show nothing"
    assert np.abs(depth / optical[:, 2] - 1)[known].max() < 0.01
    # And on the grid that depth is published on, whose image is drawn from there.
    view = camera_view(camera, ROAD, 0)
    if not view.camera.is_pinhole:
        return
    seen = optical[known] @ camera.view.R.T
    at = view.camera.project(seen).astype(np.float32)
    on_grid = (at >= 0).all(axis=1) & (at <= np.array(view.size) - 1).all(axis=1)
    if not on_grid.any():
        return
    x, y = at[on_grid, 0], at[on_grid, 1]
    inverse = cv2.remap(view.inverse_plane, x, y, cv2.INTER_LINEAR)[:, 0]
    column, row = x.astype(int), y.astype(int)
    below = np.minimum(row + 1, view.size[1] - 1)
    beside = np.minimum(column + 1, view.size[0] - 1)
    corners = [view.inverse_plane[a, b] for a in (row, below) for b in (column, beside)]
    whole = np.min(corners, axis=0) > 0  # no corner above the horizon
    error = np.abs(1 / inverse[whole] / seen[on_grid][whole, 2] - 1)
    assert error.size == 0 or error.max() < 0.01
    if view.maps is not None:
        drawn = [cv2.remap(part, x, y, cv2.INTER_LINEAR)[:, 0] for part in view.maps]
        apart = np.hypot(*(np.array(drawn) - pixels[known][on_grid].T))
        assert np.percentile(apart, 90) < 0.5
