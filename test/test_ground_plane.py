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

"""The ground plane: hand-worked depths, the affine form, the error table of methods.md 3.1."""

import numpy as np
import pytest

from depth_perception.errors import ConfigurationError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import (
    GroundPlane,
    camera_height,
    fit_ground_plane,
    horizon_row,
    inverse_depth_coefficients,
    plane_depth,
    plane_depth_relative_sigma,
)
from depth_perception.geometry.transforms import OPTICAL_AXES, matrix_from, transform_points

"""Optical axes (x right, y down, z forward) of a camera that looks ahead, in base_link."""

CAMERA = CameraModel(640, 400, [[500, 0, 319.5], [0, 500, 199.5], [0, 0, 1]])


def mounted(height=1.65, x=0.0, y=0.0, pitch_down=0.0, roll=0.0, yaw=0.0):
    c, s = np.cos(yaw), np.sin(yaw)
    Rz = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(pitch_down), np.sin(pitch_down)
    Ry = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(roll), np.sin(roll)
    Rx = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    T = np.eye(4)
    T[:3, :3] = Rz @ Ry @ Rx @ OPTICAL_AXES
    T[:3, 3] = [x, y, height]
    return T


def test_a_level_camera_measures_height_times_focal_length_over_rows_below_the_horizon():
    # h = 1.65 m, f = 500 px, 100 rows below the principal point: Z = 1.65 * 500 / 100.
    ray = CAMERA.lift(np.array([319.5, 299.5]))
    assert plane_depth(ray, mounted(), GroundPlane()) == pytest.approx(8.25)


def test_depth_is_along_the_optical_axis_not_along_the_ray():
    rays = CAMERA.lift(np.array([[19.5, 299.5], [319.5, 299.5], [619.5, 299.5]]))
    assert plane_depth(rays, mounted(), GroundPlane()) == pytest.approx([8.25, 8.25, 8.25])


def test_above_the_horizon_the_plane_is_infinitely_far():
    rays = CAMERA.lift(np.array([[320.0, 199.5], [320.0, 0.0]]))
    assert np.isposinf(plane_depth(rays, mounted(), GroundPlane())).all()


def test_nan_rays_give_nan_depth():
    assert np.isnan(plane_depth(np.full(3, np.nan), mounted(), GroundPlane()))


@pytest.mark.parametrize("yaw", [0, 0.9, np.pi, -2.0])
def test_inverse_depth_is_affine_in_the_pixel(yaw):
    T = mounted(pitch_down=0.06, roll=0.03, yaw=yaw, x=1.2, y=-0.4)
    ground = GroundPlane.from_angles(roll=0.02, pitch=-0.01, height=0.1)
    a, b, c = inverse_depth_coefficients(CAMERA, T, ground)
    u, v = np.meshgrid(np.arange(640), np.arange(400))
    inverse = a * u + b * v + c
    depth = plane_depth(CAMERA.rays(), T, ground)
    below = np.isfinite(depth)
    assert below.any()
    assert np.allclose(inverse[below] * depth[below], 1, atol=1e-9)
    assert (inverse[~below] <= 1e-12).all()


def test_the_lifted_point_lies_on_the_plane():
    T = mounted(pitch_down=0.1, roll=-0.05, yaw=0.7)
    ground = GroundPlane.from_angles(roll=0.03, pitch=0.02, height=-0.2)
    rays = CAMERA.rays()[-1, ::50]
    points = transform_points(T, rays * plane_depth(rays, T, ground)[:, None])
    assert np.abs(ground.signed_distance(points)).max() < 1e-9


def test_the_horizon_is_where_inverse_depth_vanishes():
    # Pitched down by d, the horizon rises to cy - f tan(d).
    row = horizon_row(CAMERA, mounted(pitch_down=np.deg2rad(5)), GroundPlane(), 319.5)
    assert row == pytest.approx(199.5 - 500 * np.tan(np.deg2rad(5)))


def test_angles_of_a_plane_are_those_it_was_made_of():
    plane = GroundPlane.from_angles(roll=0.04, pitch=-0.03, height=0.5)
    assert (plane.roll, plane.pitch, plane.height) == pytest.approx((0.04, -0.03, 0.5))
    assert GroundPlane.from_angles(pitch=0.1).signed_distance([10, 0, 0]) > 0  # falls away ahead


# Z (m), degrees: relative error of depth when the camera's pitch is that far off, in percent.
# Source: methods.md 3.1, h = 1.65 m.
ERROR_TABLE = [
    (10, 0.25, 2.7, -2.6),
    (10, 0.5, 5.6, -5.0),
    (10, 1.0, 11.8, -9.6),
    (20, 0.25, 5.6, -5.0),
    (20, 0.5, 11.8, -9.6),
    (20, 1.0, 26.8, -17.5),
    (30, 0.25, 8.6, -7.4),
    (30, 0.5, 18.9, -13.7),
    (30, 1.0, 46, -24),
    (50, 0.25, 15, -12),
    (50, 0.5, 36, -21),
    (50, 1.0, 112, -35),
    (80, 0.25, 27, -18),
    (80, 0.5, 73, -30),
    (80, 1.0, 550, -46),
]


@pytest.mark.parametrize(("z", "degrees", "up", "down"), ERROR_TABLE)
def test_pitch_errors_reproduce_the_table(z, degrees, up, down):
    v = 199.5 + 500 * 1.65 / z
    ray = CAMERA.lift(np.array([319.5, v]))
    assert plane_depth(ray, mounted(), GroundPlane()) == pytest.approx(z)
    errors = []
    for sign in (-1, 1):
        T = mounted(pitch_down=sign * np.deg2rad(degrees))
        errors.append(100 * (plane_depth(ray, T, GroundPlane()) / z - 1))
    for error, expected in zip(errors, (up, down), strict=True):
        # The table gives whole percents for the large errors, and "x6.5" for the largest.
        tolerance = 0.06 if isinstance(expected, float) else 0.6 if expected < 500 else 5
        assert error == pytest.approx(expected, abs=tolerance)


def covariance(roll=0.0, pitch=0.0, height=0.0):
    return np.diag(np.square([roll, pitch, height]))


def test_uncertainty_is_first_order_in_pitch_roll_and_height():
    # Z d / h for pitch, X r / h for roll, dh / h for height: h = 1.65, Z = 20, X = 4.
    u, v = 319.5 + 500 * 4 / 20, 199.5 + 500 * 1.65 / 20
    ray = CAMERA.lift(np.array([u, v]))
    depth = plane_depth(ray, mounted(), GroundPlane())

    def sigma(**kwargs):
        ground = GroundPlane(covariance=covariance(**kwargs))
        return float(plane_depth_relative_sigma(ray, depth, mounted(), ground))

    assert sigma(pitch=0.001) == pytest.approx(20 * 0.001 / 1.65)
    assert sigma(roll=0.001) == pytest.approx(4 * 0.001 / 1.65)
    assert sigma(height=0.03) == pytest.approx(0.03 / 1.65)
    assert sigma(pitch=0.001, height=0.03) == pytest.approx(np.hypot(0.02 / 1.65, 0.03 / 1.65))


@pytest.mark.parametrize("yaw", [0.0, 0.8, 2.5])
def test_uncertainty_predicts_what_a_small_tilt_does(yaw):
    T = mounted(yaw=yaw, pitch_down=0.05)
    T[:2, 3] = 1.7, -0.4
    ray = CAMERA.lift(np.array([420.0, 330.0]))
    depth = plane_depth(ray, T, GroundPlane())
    for name in ("roll", "pitch", "height"):
        tilt = 1e-5
        plane = GroundPlane.from_angles(**{name: tilt})
        changed = plane_depth(ray, T, plane)
        ground = GroundPlane(covariance=covariance(**{name: tilt}))
        predicted = plane_depth_relative_sigma(ray, depth, T, ground)
        assert abs(changed / depth - 1) == pytest.approx(float(predicted), rel=1e-3)


def test_beyond_the_horizon_uncertainty_is_infinite():
    ray = CAMERA.lift(np.array([320.0, 10.0]))
    sigma = plane_depth_relative_sigma(ray, np.array(np.inf), mounted(), GroundPlane())
    assert np.isposinf(sigma)


def test_a_fitted_plane_is_the_plane_that_points_lie_on_despite_cars():
    rng = np.random.default_rng(3)
    truth = GroundPlane.from_angles(roll=0.01, pitch=-0.02, height=-0.1)
    xy = rng.uniform([-30, -4], [30, 4], (3000, 2))
    z = (truth.height - xy @ truth.normal[:2]) / truth.normal[2] + rng.normal(0, 0.02, 3000)
    z[:800] += rng.uniform(0.3, 2.0, 800)  # cars and kerbs
    fitted = fit_ground_plane(np.column_stack([xy, z]))
    assert (fitted.roll, fitted.pitch, fitted.height) == pytest.approx(
        (0.01, -0.02, -0.1), abs=2e-3
    )
    assert fitted.source == "estimated"


def test_impossible_planes_and_mountings_are_refused():
    with pytest.raises(ConfigurationError, match=r"above the ground.*ground\.height"):
        plane_depth(CAMERA.rays(), mounted(height=-0.5), GroundPlane())
    with pytest.raises(ConfigurationError, match="normal"):
        GroundPlane(np.zeros(3))
    with pytest.raises(ConfigurationError, match="at least 10"):
        fit_ground_plane(np.zeros((3, 3)))
    distorted = CameraModel(640, 400, CAMERA.K, [-0.3, 0, 0, 0, 0])
    with pytest.raises(ConfigurationError, match="not affine"):
        inverse_depth_coefficients(distorted, mounted(), GroundPlane())


def test_camera_height_is_the_distance_from_the_plane():
    assert camera_height(GroundPlane(height=0.4), mounted()) == pytest.approx(1.25)
    assert matrix_from([0, 0, 1.65], [0, 0, 0, 1])[2, 3] == 1.65
