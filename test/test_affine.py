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

"""Losses that know no scale and no shift, against hand-worked numbers."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="PyTorch trains")

import torch

from depth_perception.training import losses
from depth_perception.training.systems.bridging_gates import affine_losses as affine


def _map(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def affine_error(prediction: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return losses.masked_mean((affine.aligned(prediction, truth, mask) - truth).abs(), mask)


def affine_gradient_error(
    prediction: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    return losses.gradient_error(affine.aligned(prediction, truth, mask), truth, mask, 1)


def test_the_fit_and_both_losses_by_hand():
    """Means 1.5 and 0.5, covariance 2/4, variance 5/4: s = 0.4, t = -0.1."""
    prediction, truth, mask = _map(0.0, 1.0, 2.0, 3.0), _map(0.0, 0.0, 1.0, 1.0), torch.ones(4)
    mask = mask.view(1, 1, 1, 4)
    scale, shift = affine.affine_fit(prediction, truth, mask)
    assert scale.item() == pytest.approx(0.4) and shift.item() == pytest.approx(-0.1)
    # Errors -0.1, 0.3, -0.3, 0.1, and their steps 0.4, -0.6, 0.4.
    assert affine_error(prediction, truth, mask).item() == pytest.approx(0.2)
    steps = affine_gradient_error(prediction, truth, mask)
    assert steps.item() == pytest.approx(1.4 / 3)


@pytest.mark.parametrize(
    ("scale", "shift"), [(3.0, 0.0), (1.0, -5.0), (-0.7, 2.0), (-40.0, -7.0), (1e-3, 1e-2)]
)
def test_scale_and_shift_of_a_prediction_cost_nothing(scale, shift):
    generator = torch.Generator().manual_seed(0)
    prediction = torch.rand(2, 1, 6, 7, generator=generator)
    truth = torch.rand(2, 1, 6, 7, generator=generator)
    mask = (torch.rand(2, 1, 6, 7, generator=generator) < 0.7).float()
    other = prediction.clone()
    other[1] = other[1] * scale + shift  # each image has its own
    for loss in (affine_error, affine_gradient_error):
        wanted = loss(prediction, truth, mask)
        assert wanted > 0.05
        torch.testing.assert_close(loss(other, truth, mask), wanted, rtol=1e-4, atol=0)


def test_the_loss_wishes_for_no_scale_and_no_shift():
    """Its gradient has no part along the prediction, nor along a constant."""
    generator = torch.Generator().manual_seed(1)
    prediction = torch.rand(1, 1, 5, 5, generator=generator, requires_grad=True)
    truth = torch.rand(1, 1, 5, 5, generator=generator)
    affine_error(prediction, truth, torch.ones_like(truth)).backward()
    found = prediction.grad
    assert found is not None and found.abs().max() > 1e-3
    assert found.sum().item() == pytest.approx(0.0, abs=1e-6)
    assert (found * prediction).sum().item() == pytest.approx(0.0, abs=1e-6)


def test_a_constant_prediction_gets_the_mean_and_finite_gradients():
    prediction = torch.full((1, 1, 1, 4), 0.3, requires_grad=True)
    loss = affine_error(prediction, _map(0.0, 0.0, 1.0, 1.0), torch.ones(1, 1, 1, 4))
    loss.backward()
    assert loss.item() == pytest.approx(0.5)
    assert prediction.grad is not None and torch.isfinite(prediction.grad).all()


def test_inverse_truth_goes_from_the_sky_to_what_is_nearest():
    depth = torch.tensor([[2.0, 4.0, math.inf, math.nan, 300.0, 0.1], [5.0] * 6])[:, None, None]
    inverse, mask = affine.inverse_truth(depth, 0.3, 200.0)
    assert inverse[0, 0, 0].tolist() == [1.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert mask[0, 0, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert not mask[1].any()  # one depth alone has no scale


def test_logarithms_go_on_as_a_line_and_the_sky_is_far_or_farther():
    found = affine.log_inverse(torch.tensor([1.0, 0.01, 0.005, 0.0, -0.005]), 0.005)
    wanted = [0.0, math.log(0.01), math.log(0.005), math.log(0.005) - 1, math.log(0.005) - 2]
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)
    depth = torch.tensor([2.0, 4.0, 8.0, math.inf, math.inf, math.nan]).view(1, 1, 1, 6)
    prediction = _map(-0.5, -0.25, -0.125, 0.3, -0.25, 7.0)  # negative: the fit turns it
    found, truth, mask = affine.aligned_logs(prediction, depth, 0.3, 200.0)
    torch.testing.assert_close(found[..., :3], -torch.log(depth[..., :3]))
    assert mask.flatten().tolist() == [1, 1, 1, 1, 1, 0]
    # One sky below the ground, which is far enough, and one at 4 m.
    errors = (found - truth).flatten()[:5].tolist()
    assert errors == pytest.approx([0, 0, 0, 0, math.log(200 / 4)], abs=1e-5)
