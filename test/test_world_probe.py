"""The probe of the synthetic world: what its network is told, and the files it is kept in."""

from __future__ import annotations

import numpy as np
import pytest

from depth_perception.errors import ModelError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.ground_plane import (
    GroundPlane,
    camera_height,
    inverse_depth_coefficients,
    plane_depth,
)
from depth_perception.world.rigs import mounting

pytest.importorskip("torch", reason="PyTorch trains the probe")

from depth_perception.world.probe import TRAINING_SIZE, working_size
from depth_perception.world.probe_network import load_network, plane_inputs


def test_the_probe_is_told_where_the_plane_is():
    ground = GroundPlane(np.array([0.02, -0.03, 1.0]), -0.05)
    model = CameraModel(64, 48, np.array([[50.0, 0.3, 33.0], [0, 52.0, 21.5], [0, 0, 1]]))
    T = mounting(0.3, 0.1, 0.45, 10.0, 5.0, 1.0)
    slope, log_depth, focal = plane_inputs(model, T, ground)
    a, b, c = inverse_depth_coefficients(model, T, ground)
    u, v = np.meshgrid(np.arange(64), np.arange(48))
    height = camera_height(ground, T)
    assert np.allclose(slope, height * (a * u + b * v + c), atol=1e-6)
    depth = plane_depth(model.rays(), T, ground)
    near = depth < 80
    assert np.allclose(np.exp(log_depth[near]), depth[near], rtol=1e-5)
    assert np.allclose(np.exp(log_depth[~near]), 80)
    assert np.allclose(focal, np.log(50 / 300))


def test_the_probe_sees_about_as_many_pixels_of_every_camera():
    pixels = TRAINING_SIZE[0] * TRAINING_SIZE[1]
    for width, height in ((1600, 900), (1936, 1216), (1242, 375), (640, 480)):
        w, h = working_size(width, height)
        assert w % 32 == h % 32 == 0
        assert abs(w * h / pixels - 1) < 0.25
        assert abs(w / h / (width / height) - 1) < 0.2


def test_what_is_no_probe_is_named(tmp_path):
    (tmp_path / "probe.pt").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"probe\.pt"):
        load_network(tmp_path / "probe.pt")
