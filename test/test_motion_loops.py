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

"""The compiled sums of ego motion, against plain NumPy with numerical derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from test_motion_bundle import TRUE, mounting, seen
from textured_street import pose

from depth_perception.geometry.transforms import interpolate, inverse
from depth_perception.motion import bundle, rig_motion_loops
from depth_perception.motion.rig_motion import part_of_motion, turn

FINE = 0.3
SHARES = (1.0, 0.8, 1.3, 1.0, -0.2)
FOCALS = (350.0, 400.0, 200.0, 500.0, 350.0)


def moved(T, twist):
    """A motion after a twist on the left: translation (m), then rotation (rad)."""
    out = np.eye(4)
    out[:3, :3] = turn(twist[3:]) @ T[:3, :3]
    out[:3, 3] = turn(twist[3:]) @ T[:3, 3] + twist[:3]
    return out


def slopes_of(function, size, step=1e-6):
    """Derivatives of function(vector of this size) at nothing, by central differences."""
    columns = [(function(step * d) - function(-step * d)) / (2 * step) for d in np.eye(size)]
    return np.stack(columns, axis=-1)


@pytest.fixture(scope="module")
def rig():
    """Points that five cameras saw at two instants, roughly as a motion says, some far off it."""
    rng = np.random.default_rng(0)
    T = inverse(pose(1.0, 0.05, 0.08))
    T[:3, :3] = turn([0.01, -0.02, 0.0]) @ T[:3, :3]
    counts = [40, 1, 30, 0, 25]
    first, second, mountings = [], [], []
    for k, count in enumerate(counts):
        C = mounting(1.3 * k, 1.0 - 0.4 * k)
        M = inverse(C) @ interpolate(np.eye(4), T, SHARES[k]) @ C
        rays = np.c_[rng.uniform(-0.6, 0.6, (count, 2)), np.ones(count)]
        after = rays * rng.uniform(4, 40, (count, 1)) @ M[:3, :3].T + M[:3, 3]
        after += rng.normal(0, 0.05, after.shape)
        first.append(rays / np.linalg.norm(rays, axis=1, keepdims=True))
        second.append(after / np.linalg.norm(after, axis=1, keepdims=True))
        mountings.append(C)
    starts = np.concatenate([[0], np.cumsum(counts)])
    rays = np.concatenate(first), np.concatenate(second)
    return T, (*rays, starts, np.stack(mountings), np.array(FOCALS), np.array(SHARES))


def sines(T, first, second, starts, mountings, focals, shares):
    """Triple products of all points (n,), and the scale that makes them px off the planes."""
    tops, scales = [], []
    for k, C in enumerate(mountings):
        at = slice(starts[k], starts[k + 1])
        M = inverse(C) @ interpolate(np.eye(4), T, shares[k]) @ C
        way = M[:3, 3] / np.linalg.norm(M[:3, 3])
        E = np.cross(way, np.eye(3)).T @ M[:3, :3]
        a, b = first[at] @ E.T, second[at] @ E
        top = (a * second[at]).sum(axis=1)
        spread = (a * a).sum(axis=1) + (b * b).sum(axis=1) - 2 * top**2
        tops.append(top)
        scales.append(focals[k] / np.sqrt(spread))
    return np.concatenate(tops), np.concatenate(scales)


@pytest.mark.parametrize("width", [12.0, 0.3])
def test_epipolar_sums_are_those_of_numerical_derivatives(rig, width):
    T, points = rig
    T = moved(T, np.array([0.05, -0.03, 0.02, 0.004, -0.003, 0.006]))
    top, scale = sines(T, *points)
    J = slopes_of(lambda d: sines(moved(T, d), *points)[0], 6) * scale[:, None]
    residual = top * scale
    weight = 1 / (1 + (residual / width) ** 2) ** 2 / FINE**2
    information, gradient = 3 * np.eye(6), np.arange(6.0)
    rig_motion_loops.epipolar_terms(T, *points, width, FINE, information, gradient)
    expected = (J * weight[:, None]).T @ J
    np.testing.assert_allclose(information - 3 * np.eye(6), expected, atol=1e-7 * expected.max())
    pull = (J * weight[:, None]).T @ residual
    np.testing.assert_allclose(gradient - np.arange(6.0), pull, atol=1e-7 * np.abs(pull).max())
    out = np.empty(len(top))
    rig_motion_loops.epipolar_distances(T, *points, out)
    np.testing.assert_allclose(out, residual, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("share", [1.0, 0.3, 1.4, 0.0, -0.5])
@pytest.mark.parametrize("angle", [0.0, 1e-7, 2e-4, 0.5, 2.5])
def test_a_share_of_a_motion_is_interpolated_and_so_is_its_rotation(share, angle):
    axis, t = np.array([0.6, -0.48, 0.64]), np.array([1.0, -2.0, 0.5])
    R = turn(angle * axis)
    R_share, t_share, turned = rig_motion_loops.share_of_motion(R, t, share)
    np.testing.assert_allclose(R_share, turn(share * angle * axis), atol=1e-12)
    np.testing.assert_allclose(t_share, share * t, atol=1e-12)

    def rotation(d):
        there = rig_motion_loops.share_of_motion(turn(d) @ R, t, share)[0]
        return rig_motion_loops.rotation_vector(there @ R_share.T)

    np.testing.assert_allclose(turned, slopes_of(rotation, 3, 1e-5), atol=1e-6)


@pytest.mark.parametrize("share", [-0.4, 0.0, 0.7, 1.0, 1.3])
def test_part_of_a_motion_is_the_interpolated_one(share):
    T = pose(1.2, 0.3, 0.4)
    expected = interpolate(np.eye(4), T, share)
    np.testing.assert_allclose(part_of_motion(T, share), expected, atol=1e-12)
    assert part_of_motion(T, 1.0) is not T


def test_prior_pulls_towards_its_motion_with_its_deviations(rig):
    T, _ = rig
    start = moved(T, np.array([0.1, 0.05, -0.04, 0.02, 0.01, -0.03]))
    length = float(np.linalg.norm(start[:3, 3]))
    sigmas = 0.01, 0.2, 0.05
    information, gradient = np.ones((6, 6)), np.ones(6)
    rig_motion_loops.prior_terms(T, start, length, *sigmas, information, gradient)
    along = T[:3, 3] / np.linalg.norm(T[:3, 3])
    whole = np.eye(3) / (np.tan(sigmas[2]) * length) ** 2
    whole += np.outer(along, along) * (1 / (sigmas[1] * length) ** 2 - whole[0, 0])
    J = slopes_of(lambda d: moved(T, d)[:3, 3] - start[:3, 3], 6)
    expected, pull = J.T @ whole @ J, J.T @ whole @ (T[:3, 3] - start[:3, 3])
    expected[3:, 3:] += np.eye(3) / sigmas[0] ** 2
    turned = rig_motion_loops.rotation_vector(T[:3, :3] @ start[:3, :3].T)
    np.testing.assert_allclose(turn(turned) @ start[:3, :3], T[:3, :3], atol=1e-12)
    pull[3:] += turned / sigmas[0] ** 2
    np.testing.assert_allclose(information, expected, atol=1e-8 * expected.max())
    np.testing.assert_allclose(gradient, pull, atol=1e-8 * np.abs(pull).max())


def test_rotation_sums_weigh_what_is_left_between_rays(rig):
    T, (first, second, *_) = rig
    focal, R = np.linspace(200, 500, len(first)), T[:3, :3]
    turned = first @ R.T
    error = np.linalg.norm(second - turned, axis=1) * focal
    weight = 1 / (1 + (error / 8.0) ** 2) ** 2
    moment = (weight[:, None] * np.cross(turned, second)).sum(axis=0)
    inertia = weight.sum() * np.eye(3) - np.einsum("n,ni,nj->ij", weight, turned, turned)
    found = np.ones((3, 3)), np.ones(3)
    rig_motion_loops.rotation_terms(R, first, second, focal, 8.0, *found)
    np.testing.assert_allclose(found[0], inertia, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[1], moment, rtol=1e-9, atol=1e-9)
    out = np.empty(len(focal))
    rig_motion_loops.ray_distances(R, first, second, focal, out)
    np.testing.assert_allclose(out, error, rtol=1e-9)


def bundled(seed):
    """Points of three cameras, each at its own time, with inverse distances that are a bit off."""
    rng = np.random.default_rng(seed)
    late = np.stack([moved(np.eye(4), rng.normal(0, 0.02, 6)) for _ in range(6)])
    cameras = []
    for k, count in enumerate([30, 8, 0]):
        item = seen(mounting(1.5 * k, 1.0 - k), rng, n=count, noise=3.0)
        item.before[:], item.after[:] = late[:3], late[3:]
        cameras.append(item)
    points = bundle._Points(cameras)
    points.triangulate(TRUE)
    return cameras, points


def places(camera, T, now, inverse_depth):
    """Where points are at the past instants (n, K, 3), in the camera, times inverse distance."""
    C = camera.T_base_camera
    out = []
    for k, motion in enumerate(T):
        M = inverse(C) @ camera.after[k] @ motion @ camera.before[k] @ C
        out.append(now @ M[:3, :3].T + inverse_depth[:, None] * M[:3, 3])
    return np.stack(out, axis=1)


@pytest.mark.parametrize("width", [4.0, 0.7])
def test_eliminated_points_leave_what_a_whole_system_would(width):
    cameras, points = bundled(0)
    points.inverse += np.random.default_rng(1).uniform(0, 0.01, len(points.inverse))
    count, size = 6 * len(TRUE), len(points.inverse)
    motions = np.stack([moved(T, np.full(6, 0.003)) for T in TRUE])
    # The whole: motions first, then each point's inverse distance with its prior.
    whole, pull = np.zeros((count + size,) * 2), np.zeros(count + size)
    whole[count:, count:] = np.eye(size) / bundle._FAR_SIGMA**2
    pull[count:] = points.inverse / bundle._FAR_SIGMA**2
    for k, camera in enumerate(cameras):
        mine = np.flatnonzero(points.camera == k)
        if not len(mine):
            continue

        across = np.nan_to_num(points.across[mine]) * camera.focal
        lengths = np.linalg.norm(
            places(camera, motions, points.now[mine], points.inverse[mine]), axis=-1
        )

        def residuals(d, camera=camera, mine=mine, across=across / lengths[..., None, None]):
            T = np.stack([moved(T, d[6 * j : 6 * j + 6]) for j, T in enumerate(motions)])
            at = places(camera, T, points.now[mine], points.inverse[mine] + d[count:][mine])
            return np.einsum("nkij,nkj->nki", across, at)

        e = residuals(np.zeros(count + size))
        J = slopes_of(residuals, count + size)
        weight = points.seen[mine] / (1 + (e**2).sum(axis=-1) / width**2) ** 2 / bundle.FINE**2
        whole += np.einsum("nk,nkia,nkib->ab", weight, J, J)
        pull += np.einsum("nk,nki,nkia->a", weight, e, J)
    ratio = whole[:count, count:] @ np.linalg.inv(whole[count:, count:])
    expected = whole[:count, :count] - ratio @ whole[count:, :count]
    slope = pull[:count] - ratio @ pull[count:]
    H, g = np.zeros((count, count)), np.zeros(count)
    points.add_normal_equations(motions, width, H, g)
    np.testing.assert_allclose(H, expected, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_allclose(g, slope, atol=1e-7 * np.abs(slope).max())
    # The step of all unknowns together moves the points as the loop does.
    step = np.linalg.solve(whole, -pull)
    before = points.inverse.copy()
    points.move(step[:count])
    expected = np.clip(before + step[count:], 0.0, 2.0)
    np.testing.assert_allclose(points.inverse, expected, atol=1e-7)
    assert np.abs(expected - before).max() > 0.01


def test_triangulated_points_are_nearest_to_what_was_seen():
    """No other inverse distance brings the sines of the errors nearer, the prior counted."""
    cameras, points = bundled(2)

    def cost(change):
        total = np.empty(len(points.inverse))
        for k, camera in enumerate(cameras):
            mine = points.camera == k
            w = points.inverse[mine] + change
            across = np.nan_to_num(points.across[mine])
            e = np.einsum("nkij,nkj->nki", across, places(camera, TRUE, points.now[mine], w))
            prior = w * bundle.FINE / camera.focal / bundle._FAR_SIGMA
            total[mine] = np.square(e).sum(axis=(1, 2)) + prior**2
        return total

    free = (points.inverse > 1e-6) & (points.inverse < 1.99)
    assert free.mean() > 0.5
    for change in (-1e-4, 1e-4):
        assert (cost(change) > cost(0.0))[free].all()


def test_axes_across_a_ray_are_at_right_angles():
    rng = np.random.default_rng(3)
    rays = rng.normal(size=(50, 2, 3))
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    rays[0, 0], rays[1, 0] = [1, 0, 0], [0, 0, 1]
    across = np.empty((50, 2, 2, 3))
    bundle.axes_across(rays, across)
    frames = np.concatenate([across, rays[..., None, :]], axis=-2)
    same = np.einsum("...ij,...kj->...ik", frames, frames)
    np.testing.assert_allclose(same, np.broadcast_to(np.eye(3), same.shape), atol=1e-12)
