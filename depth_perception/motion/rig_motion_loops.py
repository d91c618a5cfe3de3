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

"""The loops of `rig_motion` over the points of all cameras. All write into arrays of the caller.

Points lie camera after camera; those of camera k are ``starts[k]`` to ``starts[k + 1]``.
"""

from __future__ import annotations

import numpy as np

from depth_perception.geometry.compiled import compiled, inlined

_SMALL_ANGLE = 1e-4
"""Below this angle, rad, series take the place of quotients of small numbers."""


@inlined
def _cross(a0, a1, a2, b0, b1, b2):  # type: ignore[no-untyped-def]
    return a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0


@inlined
def _turned(R, a, b, c):  # type: ignore[no-untyped-def]
    x = R[0, 0] * a + R[0, 1] * b + R[0, 2] * c
    y = R[1, 0] * a + R[1, 1] * b + R[1, 2] * c
    return x, y, R[2, 0] * a + R[2, 1] * b + R[2, 2] * c


@inlined
def _spread(w0, w1, w2, q0, q1, q2, s0, s1, s2, top):  # type: ignore[no-untyped-def]
    """Square of how far a pair of rays leaves its epipolar plane for each radian of error.

    Of the normals of both sides; only what lies across a ray is an error of it.
    """
    a0, a1, a2 = _cross(w0, w1, w2, q0, q1, q2)
    b0, b1, b2 = _cross(s0, s1, s2, w0, w1, w2)
    spread = a0 * a0 + a1 * a1 + a2 * a2 + b0 * b0 + b1 * b1 + b2 * b2 - 2 * top * top
    return max(spread, 1e-6)


@compiled
def _cross_matrix(v):  # type: ignore[no-untyped-def]
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


@compiled
def _times(A, B):  # type: ignore[no-untyped-def]
    """A @ B of two 3x3 matrices; NumPy's own would ask for contiguous ones, and for SciPy."""
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = A[i, 0] * B[0, j] + A[i, 1] * B[1, j] + A[i, 2] * B[2, j]
    return out


@compiled
def _applied(A, v):  # type: ignore[no-untyped-def]
    out = np.empty(3)
    for i in range(3):
        out[i] = A[i, 0] * v[0] + A[i, 1] * v[1] + A[i, 2] * v[2]
    return out


@compiled
def rotation_vector(R):  # type: ignore[no-untyped-def]
    """Return the rotation vector (3,), rad, of a matrix (3, 3) that turns less than half a turn."""
    v = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2
    sine = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    if sine < 1e-9:
        return v
    return v * (np.arctan2(sine, (R[0, 0] + R[1, 1] + R[2, 2] - 1) / 2) / sine)


@compiled
def rotation_matrix(v):  # type: ignore[no-untyped-def]
    """Return the rotation matrix (3, 3) of a rotation vector (3,), rad (Rodrigues)."""
    angle = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    if angle < _SMALL_ANGLE:
        once, twice = 1 - angle * angle / 6, 0.5 - angle * angle / 24
    else:
        once, twice = np.sin(angle) / angle, (1 - np.cos(angle)) / (angle * angle)
    K = _cross_matrix(v)
    return np.eye(3) + once * K + twice * _times(K, K)


@compiled
def share_of_motion(R, t, share):  # type: ignore[no-untyped-def]
    """Return a share of a motion, and what a small rotation of all of it does to the share.

    As `transforms.interpolate` from standing: straight line, constant rate of rotation.

    Args:
        R: (3, 3) rotation of the whole motion.
        t: (3,) its translation.
        share: Of its time.

    Returns:
        The share's rotation (3, 3) and translation (3,), and (3, 3): by which rotation on the left
        the share's changes for one on the left of the whole.
    """
    if share == 1.0:
        return R.copy(), t.copy(), np.eye(3)
    phi = rotation_vector(R)
    K = _cross_matrix(phi)
    KK = _times(K, K)
    angle = np.sqrt(phi[0] * phi[0] + phi[1] * phi[1] + phi[2] * phi[2])
    # The inverse left Jacobian of the whole, then the left Jacobian of the share.
    back = 1.0 / 12
    part = share * angle
    once, twice = 0.5 - part * part / 24, 1.0 / 6 - part * part / 120
    if angle > _SMALL_ANGLE:
        back = (1 - 0.5 * angle / np.tan(0.5 * angle)) / (angle * angle)
    if abs(part) > _SMALL_ANGLE:
        once = (1 - np.cos(part)) / (part * part)
        twice = (part - np.sin(part)) / (part * part * part)
    undone = np.eye(3) - 0.5 * K + back * KK
    done = np.eye(3) + once * share * K + twice * share * share * KK
    return rotation_matrix(share * phi), share * t, share * _times(done, undone)


@compiled
def prior_terms(  # type: ignore[no-untyped-def]
    T, start, length, rotation_sigma, length_sigma, direction_sigma, information, gradient
):
    """Write the normal equations of a prior at a motion.

    Args:
        T: (4, 4), the motion so far.
        start: (4, 4), the prior's.
        length: Of the prior's way, m, above zero.
        rotation_sigma: Standard deviation of each rotation, rad.
        length_sigma: Relative standard deviation of the length of the way.
        direction_sigma: Standard deviation of its direction, rad; below a quarter of a turn.
        information: (6, 6), written: by a twist on the left, translation (m) and rotation (rad).
        gradient: (6,), written.
    """
    information[:] = 0
    gradient[:] = 0
    weight = 1 / rotation_sigma**2
    turned = rotation_vector(_times(T[:3, :3], start[:3, :3].T))
    t = T[:3, 3]
    off = t - start[:3, 3]
    size = max(np.sqrt(t[0] * t[0] + t[1] * t[1] + t[2] * t[2]), 1e-9)
    lengthwise = 1 / (length_sigma * length) ** 2
    sideways = 1 / (np.tan(direction_sigma) * length) ** 2
    weights = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            along = t[i] * t[j] / (size * size)
            weights[i, j] = along * (lengthwise - sideways) + (sideways if i == j else 0.0)
    # A twist's rotation turns the translation, too; the prior holds the translation itself.
    lever = -_cross_matrix(t)
    weighed = _times(weights, lever)
    information[:3, :3] = weights
    information[:3, 3:] = weighed
    information[3:, :3] = weighed.T
    information[3:, 3:] = _times(lever.T, weighed)
    pull = _applied(weights, off)
    gradient[:3] = pull
    gradient[3:] = weight * turned + _applied(lever.T, pull)
    for i in range(3, 6):
        information[i, i] += weight


@compiled
def _epipolar(T, C, share):  # type: ignore[no-untyped-def]
    """Motion of one camera, and how it changes with a twist on the left of the base frame's.

    Returns:
        Rotation R (3, 3) of the camera; its way (3,), of length 1; (6, 6): the change of the way
        and the rotation on the left of R, by the twist's translation (m) and rotation (rad).
    """
    R_s, t_s, turned = share_of_motion(T[:3, :3], T[:3, 3], share)
    back = C[:3, :3].T
    p = C[:3, 3]
    R_p = _applied(R_s, p)
    R = _times(back, _times(R_s, C[:3, :3]))
    t = _applied(back, R_p + t_s - p)
    length = max(np.sqrt(t[0] * t[0] + t[1] * t[1] + t[2] * t[2]), 1e-9)
    way = t / length
    # Of the way only what lies across it changes its direction.
    across = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            across[i, j] = ((1.0 if i == j else 0.0) - way[i] * way[j]) / length
    direction = _times(across, back)
    # A twist's rotation turns the translation of the whole, and the lever of the camera's mounting.
    by_rotation = _times(_cross_matrix(R_p), turned) + share * _cross_matrix(T[:3, 3])
    change = np.zeros((6, 6))
    change[:3, :3] = share * direction
    change[:3, 3:] = -_times(direction, by_rotation)
    change[3:, 3:] = _times(back, turned)
    return R, way, change


@compiled
def epipolar_terms(  # type: ignore[no-untyped-def]
    T, first, second, starts, mountings, focals, shares, width, fine, information, gradient
):
    """Add up the normal equations of the distances from the epipolar planes.

    Args:
        T: (4, 4) motion of the base frame.
        first: (n, 3) unit rays of the optical frames at the first instant.
        second: (n, 3) the same points' at the second.
        starts: (m + 1,) int64: where each camera's points begin.
        mountings: (m, 4, 4) T_base_camera.
        focals: (m,) px per radian.
        shares: (m,) of the time of the motion.
        width: Of the robust weight, px.
        fine: Standard deviation of a point, px.
        information: (6, 6), added to: by a twist on the left, translation (m) and rotation (rad).
        gradient: (6,), added to.
    """
    sums = np.empty((6, 6))
    pull = np.empty(6)
    for k in range(len(focals)):
        R, way, change = _epipolar(T, mountings[k], shares[k])
        w0, w1, w2 = way[0], way[1], way[2]
        sums[:] = 0
        pull[:] = 0
        for i in range(starts[k], starts[k + 1]):
            s0, s1, s2 = second[i, 0], second[i, 1], second[i, 2]
            q0, q1, q2 = _turned(R, first[i, 0], first[i, 1], first[i, 2])
            # top = second . (way x q), and its slopes by way and by rotation.
            b0, b1, b2 = _cross(s0, s1, s2, w0, w1, w2)
            c0, c1, c2 = _cross(q0, q1, q2, s0, s1, s2)
            d0, d1, d2 = _cross(q0, q1, q2, b0, b1, b2)
            top = w0 * c0 + w1 * c1 + w2 * c2
            spread = _spread(w0, w1, w2, q0, q1, q2, s0, s1, s2, top)
            scale = focals[k] / np.sqrt(spread)
            residual = top * scale
            tamed = 1 + (residual / width) ** 2
            weight = scale * scale / (tamed * tamed * fine * fine)
            slopes = (c0, c1, c2, d0, d1, d2)
            for row in range(6):
                pull[row] += weight * slopes[row] * top
                for column in range(row + 1):
                    sums[row, column] += weight * slopes[row] * slopes[column]
        for row in range(6):
            for column in range(row):
                sums[column, row] = sums[row, column]
        for i in range(6):
            for j in range(6):
                gradient[i] += change[j, i] * pull[j]
                for row in range(6):
                    for column in range(6):
                        information[i, j] += change[row, i] * sums[row, column] * change[column, j]


@compiled
def epipolar_distances(T, first, second, starts, mountings, focals, shares, out):  # type: ignore[no-untyped-def]
    """Compute the distances from the epipolar planes (n,), px; arguments as `epipolar_terms`."""
    for k in range(len(focals)):
        R, way, _ = _epipolar(T, mountings[k], shares[k])
        w0, w1, w2 = way[0], way[1], way[2]
        for i in range(starts[k], starts[k + 1]):
            s0, s1, s2 = second[i, 0], second[i, 1], second[i, 2]
            q0, q1, q2 = _turned(R, first[i, 0], first[i, 1], first[i, 2])
            c0, c1, c2 = _cross(q0, q1, q2, s0, s1, s2)
            top = w0 * c0 + w1 * c1 + w2 * c2
            spread = _spread(w0, w1, w2, q0, q1, q2, s0, s1, s2, top)
            out[i] = top * focals[k] / np.sqrt(spread)


@compiled
def rotation_terms(R, first, second, focals, width, inertia, moment):  # type: ignore[no-untyped-def]
    """Add up the normal equations of a small rotation that lays rays onto others.

    Args:
        R: (3, 3), the rotation so far.
        first: (n, 3) unit rays of the base frame.
        second: (n, 3) where they should come to lie.
        focals: (n,) px per radian.
        width: Of the robust weight, px.
        inertia: (3, 3), written.
        moment: (3,), written.
    """
    inertia[:] = 0
    moment[:] = 0
    for i in range(len(focals)):
        f0, f1, f2 = first[i, 0], first[i, 1], first[i, 2]
        s0, s1, s2 = second[i, 0], second[i, 1], second[i, 2]
        q0 = R[0, 0] * f0 + R[0, 1] * f1 + R[0, 2] * f2
        q1 = R[1, 0] * f0 + R[1, 1] * f1 + R[1, 2] * f2
        q2 = R[2, 0] * f0 + R[2, 1] * f1 + R[2, 2] * f2
        e0, e1, e2 = s0 - q0, s1 - q1, s2 - q2
        tamed = 1 + (e0 * e0 + e1 * e1 + e2 * e2) * (focals[i] / width) ** 2
        weight = 1 / (tamed * tamed)
        # Small-angle least squares: second - turned = w x turned.
        c0, c1, c2 = _cross(q0, q1, q2, s0, s1, s2)
        moment[0] += weight * c0
        moment[1] += weight * c1
        moment[2] += weight * c2
        inertia[0, 0] += weight * (q1 * q1 + q2 * q2)
        inertia[1, 1] += weight * (q0 * q0 + q2 * q2)
        inertia[2, 2] += weight * (q0 * q0 + q1 * q1)
        inertia[0, 1] -= weight * q0 * q1
        inertia[0, 2] -= weight * q0 * q2
        inertia[1, 2] -= weight * q1 * q2
    inertia[1, 0], inertia[2, 0], inertia[2, 1] = inertia[0, 1], inertia[0, 2], inertia[1, 2]


@compiled
def ray_distances(R, first, second, focals, out):  # type: ignore[no-untyped-def]
    """Compute how far rays have moved (n,), px, rotation undone; arguments as `rotation_terms`."""
    for i in range(len(focals)):
        f0, f1, f2 = first[i, 0], first[i, 1], first[i, 2]
        e0 = second[i, 0] - (R[0, 0] * f0 + R[0, 1] * f1 + R[0, 2] * f2)
        e1 = second[i, 1] - (R[1, 0] * f0 + R[1, 1] * f1 + R[1, 2] * f2)
        e2 = second[i, 2] - (R[2, 0] * f0 + R[2, 1] * f1 + R[2, 2] * f2)
        out[i] = np.sqrt(e0 * e0 + e1 * e1 + e2 * e2) * focals[i]
