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

"""Camera models: round trips, agreement with OpenCV, CameraInfo's crop, binning and resize."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from depth_perception.errors import CalibrationError
from depth_perception.geometry.camera import CameraModel, rectification_maps
from depth_perception.geometry.camera_info import from_camera_info, rectified_view

K = np.array([[520.0, 0, 318.5], [0, 515.0, 242.25], [0, 0, 1]])
PLUMB_BOB = np.array([-0.32, 0.11, 0.0012, -0.0007, -0.015])
RATIONAL = np.array([0.42, -0.21, 0.0004, -0.0003, 0.02, 0.75, -0.12, 0.03])
FISHEYE = np.array([-0.021, 0.006, -0.004, 0.0009])


def camera(name: str) -> CameraModel:
    distortion = {
        "pinhole": ("plumb_bob", np.zeros(5)),
        "plumb_bob": ("plumb_bob", PLUMB_BOB),
        "rational_polynomial": ("rational_polynomial", RATIONAL),
        "equidistant": ("equidistant", FISHEYE),
    }[name]
    intrinsics = (
        K if name != "equidistant" else np.array([[210.0, 0, 320], [0, 210, 240], [0, 0, 1]])
    )
    return CameraModel(640, 480, intrinsics, distortion[1], distortion[0])


def info(**changes):
    fields = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "k": K.ravel(),
        "r": np.eye(3).ravel(),
        "p": np.hstack([K, np.zeros((3, 1))]).ravel(),
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False),
    }
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize("name", ["pinhole", "plumb_bob", "rational_polynomial", "equidistant"])
def test_every_pixel_survives_the_round_trip(name):
    model = camera(name)
    rays = model.rays()
    seen = np.isfinite(rays).all(axis=-1)
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    back = model.project(rays * 7.3)
    error = np.abs(back - np.stack([u, v], axis=-1))[seen]
    # The fisheye's corners look beyond 90 degrees, where there is no depth.
    assert seen.mean() > (0.85 if name == "equidistant" else 0.99)
    assert error.max() < 1e-3


@pytest.mark.parametrize("name", ["pinhole", "plumb_bob", "rational_polynomial"])
def test_projection_agrees_with_opencv(name):
    model = camera(name)
    points = np.random.default_rng(0).uniform([-2, -1.5, 4], [2, 1.5, 20], (500, 3))
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), model.K, model.D)
    assert np.abs(model.project(points) - expected[:, 0]).max() < 1e-6


def test_fisheye_projection_agrees_with_opencv():
    model = camera("equidistant")
    points = np.random.default_rng(0).uniform([-20, -15, 4], [20, 15, 20], (500, 3))
    expected, _ = cv2.fisheye.projectPoints(
        points[:, None], np.zeros(3), np.zeros(3), model.K, FISHEYE
    )
    assert np.abs(model.project(points) - expected[:, 0]).max() < 1e-6


def test_fisheye_sees_beyond_ninety_degrees_but_gives_no_depth_there():
    model = camera("equidistant")
    behind = np.array([[1.0, 0.0, -0.1]])
    u, v = model.project(behind)[0]
    theta = np.arctan2(1.0, -0.1)
    series = 1 + theta**2 * (
        FISHEYE[0] + theta**2 * (FISHEYE[1] + theta**2 * (FISHEYE[2] + theta**2 * FISHEYE[3]))
    )
    assert u == pytest.approx(320 + 210 * theta * series)
    assert v == pytest.approx(240)
    assert np.isnan(model.lift(np.array([u, v]))).all()


def test_rectification_draws_what_opencv_draws():
    model = camera("plumb_bob")
    target = CameraModel(640, 480, K)
    x, y = rectification_maps(model, target)
    expected_x, expected_y = cv2.initUndistortRectifyMap(
        model.K, model.D, np.eye(3), target.K, (640, 480), cv2.CV_32FC1
    )
    inside = (x > 0) & (x < 639) & (y > 0) & (y < 479)
    assert inside.mean() > 0.9
    assert np.abs(x - expected_x)[inside].max() < 1e-3
    assert np.abs(y - expected_y)[inside].max() < 1e-3


def test_points_beyond_the_turning_radius_are_not_seen():
    # r_d = r (1 - 0.5 r^2) grows up to r = sqrt(2 / 3) and then comes back into the image.
    model = CameraModel(640, 480, K, [-0.5, 0, 0, 0, 0])
    radius = np.sqrt(2 / 3)
    inside, outside = model.project(np.array([[0.99 * radius, 0, 1], [1.01 * radius, 0, 1]]))
    assert np.isfinite(inside).all()
    assert np.isnan(outside).all()


def test_points_behind_the_camera_are_not_seen():
    assert np.isnan(camera("pinhole").project(np.array([[0.0, 0.0, -5.0]]))).all()


def test_resizing_moves_pixel_centres_as_opencv_does():
    # Halving the size puts the middle of pixels 0 and 1 (0.5) at the centre of pixel 0.
    model = camera("pinhole").resized(320, 240)
    ray = camera("pinhole").lift(np.array([0.5, 0.5]))
    assert model.project(ray) == pytest.approx([0.0, 0.0], abs=1e-9)


def test_region_of_interest_and_binning_follow_camera_info():
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=300, do_rectify=False)
    model = from_camera_info(info(roi=roi, binning_x=2, binning_y=2), rectified=False)
    assert (model.width, model.height) == (200, 150)
    point = np.array([0.3, -0.2, 5.0])
    u, v = camera("pinhole").project(point)
    assert model.project(point) == pytest.approx(
        [(u - 100 + 0.5) / 2 - 0.5, (v - 40 + 0.5) / 2 - 0.5]
    )


def test_an_image_resized_after_calibration_is_honoured_and_a_cut_one_refused():
    assert from_camera_info(info(), rectified=False, image_size=(1280, 960)).K[0, 0] == 1040
    with pytest.raises(CalibrationError, match=r"/cam/camera_info.*640x480.*640x400.*roi"):
        from_camera_info(info(), rectified=False, image_size=(640, 400), topic="/cam/camera_info")


def test_rectified_images_use_P_and_raw_ones_K_and_D():
    P = np.array([[400.0, 0, 300, 0], [0, 400, 200, 0], [0, 0, 1, 0]])
    message = info(d=PLUMB_BOB, p=P.ravel())
    assert from_camera_info(message, rectified=True).K[0, 0] == 400
    assert from_camera_info(message, rectified=True).is_pinhole
    raw = from_camera_info(message, rectified=False)
    assert raw.K[0, 0] == 520
    assert not raw.is_pinhole


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": np.zeros(9)}, "uncalibrated"),
        ({"k": np.full(9, np.nan)}, "NaN"),
        ({"distortion_model": "magic", "d": PLUMB_BOB}, "magic"),
        ({"distortion_model": "", "d": PLUMB_BOB}, "distortion_model is empty"),
        ({"distortion_model": "equidistant", "d": RATIONAL}, "8 coefficients"),
        ({"width": 0, "height": 0}, "0x0"),
    ],
)
def test_impossible_calibration_is_refused_by_name(changes, words):
    with pytest.raises(CalibrationError) as caught:
        from_camera_info(info(**changes), rectified=False, topic="/left/camera_info")
    assert words in str(caught.value)
    assert "/left/camera_info" in str(caught.value)
    assert "Fix:" in str(caught.value)


def test_padded_coefficients_are_no_other_model():
    model = from_camera_info(info(d=np.r_[PLUMB_BOB, np.zeros(9)]), rectified=False)
    assert model.D.tolist() == PLUMB_BOB.tolist()


def test_a_rectified_view_of_a_fisheye_keeps_to_its_field():
    view = rectified_view(camera("equidistant"))
    corner = view.lift(np.array([639.0, 240.0]))
    assert view.is_pinhole
    assert np.rad2deg(np.arctan(corner[0])) <= 60.001
    assert (view.width, view.height) == (640, 480)


def test_a_region_outside_of_the_calibrated_image_is_refused():
    roi = SimpleNamespace(x_offset=300, y_offset=0, width=400, height=300, do_rectify=False)
    with pytest.raises(CalibrationError, match=r"roi ends at 700x300.*640x480"):
        from_camera_info(info(roi=roi), rectified=False)


def test_binning_drops_what_fills_no_block():
    odd = from_camera_info(info(width=641, height=481, binning_x=2, binning_y=2), rectified=False)
    assert (odd.width, odd.height) == (320, 240)
    assert odd.K[0, 0] == K[0, 0] / 2 and odd.K[1, 1] == K[1, 1] / 2


@pytest.mark.parametrize(
    ("K", "D"),
    [
        ([6, 0, 3.5, 0, 6, 3.5, 0, 0, 0], []),
        ([6, 0, 3.5, 0, 6, 3.5, 6, 0, 1], []),
        ([6, 0, 1e300, 0, 6, 3.5, 0, 0, 1], []),
        ([6, 0, 3.5, 0, 6, 3.5, 0, 0, 1], [0.1, 1e200]),
    ],
)
def test_numbers_that_no_lens_has_are_refused_before_anything_is_solved(K, D):
    with pytest.raises(CalibrationError, match=r"K is .*numbers of a lens"):
        CameraModel(8, 8, K, D)
