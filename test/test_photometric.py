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

"""View synthesis: motion, projection and errors against hand-worked numbers."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="PyTorch trains")

import torch

from depth_perception.training import photometric as ph
from depth_perception.training import view_geometry as geometry


def _vector(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


def test_a_quarter_turn_about_the_optical_axis_brings_x_to_y():
    T = geometry.rigid_transform(_vector(0, 0, math.pi / 2), _vector(1, 2, 3))[0]
    wanted = torch.tensor([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    torch.testing.assert_close(T, wanted, atol=1e-6, rtol=0)


def test_turns_about_the_other_axes():
    about_x = geometry.rigid_transform(_vector(math.pi / 6, 0, 0), _vector(0, 0, 0))[0, :3, :3]
    s, c = 0.5, math.sqrt(3) / 2
    wanted = torch.tensor([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    torch.testing.assert_close(about_x, wanted, atol=1e-6, rtol=0)
    # A third of a turn about the diagonal takes x to y, y to z and z to x.
    third = 2 * math.pi / 3 / math.sqrt(3)
    cycle = geometry.rigid_transform(_vector(third, third, third), _vector(0, 0, 0))[0, :3, :3]
    wanted = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    torch.testing.assert_close(cycle, wanted, atol=1e-6, rtol=0)


def test_no_turn_is_the_identity_and_has_a_gradient():
    turn = torch.zeros(1, 3, requires_grad=True)
    T = geometry.rigid_transform(turn, torch.zeros(1, 3))
    assert torch.equal(T[0], torch.eye(4))
    T[0, 1, 0].backward()  # of a small turn about z it is the angle
    torch.testing.assert_close(turn.grad, _vector(0, 0, 1.0))


def test_the_inverse_undoes_a_motion():
    generator = torch.Generator().manual_seed(3)
    T = geometry.rigid_transform(
        torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)
    )
    together = geometry.inverse_transform(T) @ T
    torch.testing.assert_close(together, torch.eye(4).expand(5, 4, 4), atol=1e-5, rtol=0)
    T = T.view(1, 5, 4, 4)
    torch.testing.assert_close(geometry.inverse_transform(T)[0, 2], torch.linalg.inv(T[0, 2]))


K = torch.tensor([[[40.0, 0, 31.5], [0, 40.0, 23.5], [0, 0, 1]]])
WIDTH, HEIGHT = 64, 48


def test_points_and_their_pixels_by_hand():
    depth = torch.full((1, 1, HEIGHT, WIDTH), 10.0)
    points = geometry.back_project(depth, K).view(1, 3, HEIGHT, WIDTH)
    # (41.5 - 31.5) / 40 * 10 m: pixel 41 is 2.375 m to the right.
    assert points[0, :, 23, 41].tolist() == pytest.approx([2.375, -0.125, 10.0], abs=1e-5)
    forward = torch.eye(4)[None].clone()
    forward[0, 2, 3] = -5.0  # the other camera stands 5 m farther on: it sees all at half the depth
    grid, seen, inside = geometry.project(points.flatten(2), K, forward, HEIGHT, WIDTH)
    u = (grid[0, 23, 41, 0] + 1) / 2 * (WIDTH - 1)
    assert u.item() == pytest.approx(31.5 + 2.375 / 5 * 40)
    assert seen[0, 0, 23, 41].item() == pytest.approx(5.0)
    # What was within half of the image's width is still seen.
    assert inside[0, 0, 23, 16:48].all() and not inside[0, 0, 23, [0, 15, 48, 63]].any()
    forward[0, 2, 3] = -20.0
    assert not geometry.project(points.flatten(2), K, forward, HEIGHT, WIDTH)[2].any()  # behind it


def _texture(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A smooth pattern (..., 3) on a plane, m."""
    waves = [torch.sin(1.3 * x + k) * torch.cos(0.9 * y - 2 * k) for k in range(3)]
    return 0.5 + 0.4 * torch.stack(waves, -1)


def _seen_plane(T_world_camera: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Image (1, 3, H, W) and depth (1, 1, H, W) of a slanted, textured plane z = 12 + 0.4 x."""
    rays = (torch.linalg.inv(K[0]) @ geometry.pixel_grid(HEIGHT, WIDTH, K)).double()
    R, t = T_world_camera[:3, :3].double(), T_world_camera[:3, 3].double()
    normal = torch.tensor([-0.4, 0.0, 1.0]).double()
    depth = (12 - normal @ t) / (normal @ (R @ rays))
    hit = (R @ rays) * depth + t[:, None]
    image = _texture(hit[0], hit[1]).T.view(1, 3, HEIGHT, WIDTH)
    return image.float(), depth.view(1, 1, HEIGHT, WIDTH).float()


def test_a_warp_by_true_depth_and_motion_reproduces_the_image():
    T_world_source = geometry.rigid_transform(_vector(0.02, -0.03, 0.05), _vector(0.5, -0.2, 0.8))[
        0
    ]
    target, depth = _seen_plane(torch.eye(4))
    source, _ = _seen_plane(T_world_source)
    T_source_target = geometry.inverse_transform(T_world_source)[None]
    view, mask = geometry.warp(source, depth, K, T_source_target)
    off = ((view - target).abs().mean(1, keepdim=True))[mask > 0]
    assert mask.mean() > 0.7
    assert off.mean() < 0.005 and off.max() < 0.03  # what bilinear interpolation costs
    assert (source - target).abs().mean() > 0.1
    wrong, seen = geometry.warp(source, depth * 1.3, K, T_source_target)
    worse = ((wrong - target).abs().mean(1, keepdim=True))[seen > 0]
    assert worse.mean() > 5 * off.mean()


def test_depth_gets_a_gradient_towards_the_truth():
    T_world_source = geometry.rigid_transform(_vector(0, 0, 0), _vector(0.3, 0.0, 0.0))[0]
    target, depth = _seen_plane(torch.eye(4))
    source, _ = _seen_plane(T_world_source)
    factor = torch.tensor(1.1, requires_grad=True)
    view, mask = geometry.warp(
        source, depth * factor, K, geometry.inverse_transform(T_world_source)[None]
    )
    ph.masked_reprojection(ph.photometric_error(target, view), mask).backward()
    assert factor.grad is not None and factor.grad > 0


def test_structure_is_equal_where_images_are():
    image = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    assert ph.structural_difference(image, image).abs().max() < 1e-6
    assert ph.photometric_error(image, image).abs().max() < 1e-6


def test_errors_of_grey_images_by_hand():
    """Without any structure SSIM is (2ab + 0.0001) / (a^2 + b^2 + 0.0001)."""
    a, b = torch.full((1, 3, 5, 5), 0.2), torch.full((1, 3, 5, 5), 0.6)
    ssim = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert ph.structural_difference(a, b).mean().item() == pytest.approx((1 - ssim) / 2, abs=5e-5)
    wanted = 0.85 * (1 - ssim) / 2 + 0.15 * 0.4
    assert ph.photometric_error(a, b).mean().item() == pytest.approx(wanted, abs=5e-5)


def test_the_least_error_is_taken_and_what_does_not_move_is_left_out():
    target = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    other = 1 - target
    # The left half is right in one view, the right half in the other one.
    left = torch.cat([target[..., :4], other[..., 4:]], 3)
    right = torch.cat([other[..., :4], target[..., 4:]], 3)
    error, mask = ph.least_reprojection(target, [left, right], [other, other])
    assert error[..., [0, 1, 2, 5, 6, 7]].max() < 1e-6  # 3 x 3 windows see both halves between
    assert mask.all()
    # The camera stands: the sources as they are are as good as any geometry.
    _, mask = ph.least_reprojection(target, [other, other], [target, target])
    assert not mask.any()


def test_smoothness_by_hand():
    grey = torch.full((1, 3, 2, 4), 0.5)
    assert ph.smoothness(torch.full((1, 1, 2, 4), 3.0), grey).item() == 0.0
    step = torch.tensor([1.0, 1.0, 3.0, 3.0]).expand(1, 1, 2, 4)
    # Over its mean 2 the step is 1, at one of three places across.
    assert ph.smoothness(step, grey).item() == pytest.approx(1 / 3, abs=1e-5)
    assert ph.smoothness(10 * step, grey).item() == pytest.approx(1 / 3, abs=1e-5)
    edge = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 3, 2, 4)
    assert ph.smoothness(step, edge).item() == pytest.approx(math.exp(-1) / 3, abs=1e-5)


def test_the_mean_is_over_pixels_that_all_masks_have():
    error = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
    a, b = (torch.tensor(x).view(1, 1, 1, 4) for x in ([1.0, 1, 1, 0], [0.0, 1, 1, 1]))
    assert ph.masked_reprojection(error, a, b).item() == pytest.approx(2.5)


def test_geometry_stays_exact_where_networks_run_in_half_precision():
    depth = torch.full((1, 1, 2, 700), 9.7)
    right = geometry.back_project(depth, K)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = geometry.back_project(depth, K)
        T = geometry.rigid_transform(_vector(0.1, 0.2, 0.3).half(), translation=_vector(0, 0, 0))
    assert found.dtype == torch.float32 and torch.equal(found, right)
    assert T.dtype == torch.float32
    torch.testing.assert_close(T[0, :3, :3] @ T[0, :3, :3].T, torch.eye(3), atol=1e-6, rtol=0)
