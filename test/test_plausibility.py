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

"""Calibrations that are valid by their form: impossible ones refused, unlikely ones doubted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_drive import mounting, write_drive

from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.errors import BagError, CalibrationError
from depth_perception.geometry.camera_info import calibration_doubts, from_camera_info
from depth_perception.messages import camera_info_message
from depth_perception.parameters import Parameters
from depth_perception.rig.builder import build_rig_camera

TOPIC = "/left/camera_info"
LENS = [-0.32, 0.11, 0.001, -0.001, 0.0]


def matrix(f: float, cx: float, cy: float, fy: float | None = None) -> list[float]:
    return [f, 0, cx, 0, f if fy is None else fy, cy, 0, 0, 1]


def info(
    k: list[float], size: tuple[int, int] = (640, 480), p: list[float] | None = None, **changes: Any
) -> SimpleNamespace:
    """A CameraInfo whose P is K, unless another 3x3 is given for it."""
    p = k if p is None else p
    roi = changes.pop("roi", (0, 0, 0, 0, False))
    fields = {
        "width": size[0],
        "height": size[1],
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "k": np.array(k),
        "r": np.eye(3).ravel(),
        "p": np.hstack([np.reshape(p, (3, 3)), np.zeros((3, 1))]).ravel(),
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(
            x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3], do_rectify=roi[4]
        ),
    }
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize(
    ("message", "image_size", "words"),
    [
        (info(matrix(1, 320, 240)), (640, 480), ("1 and 1 px", "no calibration is loaded")),
        (info(matrix(0.7, 0.5, 0.5)), (640, 480), ("0.7 and 0.7 px", "shares of the image")),
        (info(matrix(4.2, 320, 240)), (640, 480), ("4.2 and 4.2 px", "millimetres")),
        (info(matrix(450, 0.5, 0.5)), (640, 480), ("(0.5, 0.5)", "shares of the image")),
        (info(matrix(450, 900, 240)), (640, 480), ("(900, 240), outside of the 640x480", "roi")),
        (info(matrix(450, 320, -40)), (640, 480), ("(320, -40), outside", "roi")),
        (
            info(matrix(2250, 1908, 1046), (640, 360)),
            (640, 360),
            ("(1908, 1046)", "times as large"),
        ),
        (info(matrix(900, 639.5, 479.5)), (640, 480), ("in a corner", "2 times as large")),
        (info(matrix(225, 159.5, 119.5)), (640, 480), ("far from the middle", "0.5 times as l")),
        (info(matrix(112, 79.5, 59.5)), (640, 480), ("in a corner", "0.25 times as large")),
        (info(matrix(1e6, 320, 240)), (640, 480), ("field of view of 0.0",)),
        (info(matrix(0.5, 320, 240), distortion_model="equidistant"), (640, 480), ("0.5 px",)),
        (
            info(matrix(225, 159.5, 119.5), (1280, 960), binning_x=4, binning_y=4),
            (320, 240),
            ("middle of an image of 320x240", "binning is 4x4", "already", "calibrate again"),
        ),
        (
            info(matrix(450, 319.5, 239.5), (1280, 960), binning_x=2, binning_y=2),
            (640, 480),
            ("middle of an image of 640x480", "binning is 2x2", "already"),
        ),
        (
            info(matrix(450, 319.5, 239.5), (1280, 960)),
            (640, 480),
            ("middle of an image of 640x480", "1280x960", "already"),
        ),
    ],
)
def test_what_no_camera_has_is_refused(
    message: Any, image_size: tuple[int, int], words: tuple[str, ...]
) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_camera_info(message, rectified=False, image_size=image_size, topic=TOPIC)
    for word in (TOPIC, "expected", "Fix:", *words):
        assert word in str(caught.value)
    # The same numbers in P alone stop a rectified image, and are called P's.
    message.p = np.hstack([message.k.reshape(3, 3), np.zeros((3, 1))]).ravel()
    message.k = np.array(matrix(450, message.width / 2, message.height / 2))
    with pytest.raises(CalibrationError, match=r"/left/camera_info: .*P (has|is)"):
        from_camera_info(message, rectified=True, image_size=image_size, topic=TOPIC)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (info(matrix(290, 204.3, 153.1)), "0.64 times as large"),
        (info(matrix(720, 383.5, 287.5)), "1.2 times as large"),
        (info(matrix(450, 130, 240)), "far off centre"),
        (info(matrix(60, 320, 240)), "field of view of 159 x 152 degrees"),
        (info(matrix(95, 320, 240), distortion_model="equidistant"), "386 x 289 degrees"),
        (info(matrix(450, 320, 240, fy=600)), "fx 450.0 and fy 600.0"),
    ],
)
def test_what_few_cameras_have_is_used_and_said(message: Any, words: str) -> None:
    assert from_camera_info(message, rectified=False, topic=TOPIC).K[0, 0] == message.k[0]
    doubts = calibration_doubts(message, rectified=False, topic=TOPIC)
    assert len(doubts) == 1
    for word in (TOPIC, "it is used", words, "Fix:"):
        assert word in doubts[0]


ORDINARY = [
    info(matrix(721.5, 609.6, 172.9), (1242, 375)),  # a wide strip of a sensor
    info(matrix(2181.5, 928, 616), (1936, 1216)),
    info(matrix(809, 829, 482), (1600, 900)),
    info(matrix(6000, 640, 400), (1280, 720)),  # 12 degrees
    info(matrix(400, 630, 380), (1280, 800), d=np.array(LENS)),
    info(matrix(290, 640, 400), (1280, 800), distortion_model="equidistant", d=np.zeros(4)),
    info(matrix(310, 960, 540), (1920, 1080), distortion_model="equidistant"),  # a whole circle
    info(matrix(1000, 960, 540), (1920, 1080), roi=(0, 700, 1920, 380, True)),  # below the middle
    info(matrix(1000, 960, 540), (1920, 1080), roi=(1200, 0, 720, 480, False)),
    info(matrix(900, 640, 480), (1280, 960), binning_x=4, binning_y=4),
    info(matrix(450, 160, 120), (320, 240), binning_x=4, binning_y=4),  # no size but the binned
]


@pytest.mark.parametrize("message", ORDINARY)
@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_ordinary_cameras_pass_without_a_word(message: Any, scale: float) -> None:
    delivered = from_camera_info(message, rectified=False)
    size = (round(delivered.width * scale), round(delivered.height * scale))
    from_camera_info(message, rectified=False, image_size=size)
    assert calibration_doubts(message, rectified=False, image_size=size) == ()


@pytest.mark.parametrize("name", ["nuscenes", "ddad", "kitti", "waymo", "fisheye", "robot"])
def test_all_synthetic_rigs_pass_without_a_word(name: str) -> None:
    pytest.importorskip("warp", reason="NVIDIA Warp renders the world")
    from depth_perception.world.output.rigs import make_rig

    types = BagTypes(package_typestore())
    for seed in (None, *range(20)):
        for camera in make_rig(name, width=160, seed=seed).cameras:
            message = camera_info_message(types, 1, "camera", camera.model)
            assert from_camera_info(message, rectified=False).same_as(camera.model)
            assert calibration_doubts(message, rectified=False) == ()


def test_K_that_is_the_identity_leaves_P_as_the_camera() -> None:
    message = info(matrix(1, 0, 0), p=matrix(450, 290, 250))
    camera = build(message, rectified=False)
    assert camera.model.K[0].tolist() == [450, 0, 290]
    assert camera.view is camera.model
    assert "K is the identity" in camera.doubts[0] and "Fix:" in camera.doubts[0]
    assert build(message, rectified=True).doubts == ()
    message.d = np.array(LENS)
    with pytest.raises(CalibrationError, match="K has the focal lengths 1 and 1 px"):
        build(message, rectified=False)


def test_an_impossible_P_does_not_spoil_raw_images() -> None:
    message = info(matrix(450, 319.5, 239.5), p=matrix(1, 0, 0), d=np.array(LENS))
    camera = build(message, rectified=False)
    assert camera.model.K[0, 0] == 450
    assert camera.view.is_pinhole and 300 < camera.view.K[0, 0] < 600
    assert "P has the focal lengths 1 and 1 px" in camera.doubts[0] and "left aside" in str(
        camera.doubts
    )


def test_rectified_images_without_P_are_doubted() -> None:
    message = info(matrix(450, 319.5, 239.5), d=np.array(LENS), p=[0.0] * 9)
    assert "P is empty" in build(message, rectified=True).doubts[0]


def build(message: Any, rectified: bool, size: tuple[int, int] = (640, 480)) -> Any:
    return build_rig_camera(
        "left", message, size, rectified, mounting("front"), "left", Parameters(), {}, TOPIC
    )


def test_do_rectify_gives_a_rectified_image_a_window_of_its_own() -> None:
    K, P = matrix(450, 319.5, 239.5), matrix(420, 330, 235)
    raw = (60, 40, 500, 400)
    message = info(K, p=P, d=np.array(LENS), roi=(*raw, True))
    corners = np.array([[[60, 40]], [[560, 40]], [[560, 440]], [[60, 440]]], np.float64)
    points = cv2.undistortPoints(
        corners, np.reshape(K, (3, 3)), np.array(LENS), P=np.reshape(P, (3, 3))
    ).reshape(-1, 2)
    left, top = np.maximum(np.ceil(points.min(axis=0)), 0).astype(int)
    right, lower = np.minimum(np.floor(points.max(axis=0)), (640, 480)).astype(int)
    size = (int(right - left), int(lower - top))
    assert size != raw[2:]
    model = from_camera_info(message, rectified=True, image_size=size)
    assert model.K[:2, 2] == pytest.approx([330 - left, 235 - top], abs=1)
    # image_proc cuts the rectified image where the raw one is cut: then its size says so.
    model = from_camera_info(message, rectified=True, image_size=raw[2:])
    assert model.K[:2, 2].tolist() == [330 - 60, 235 - 40]
    # Raw images are cut at roi whatever do_rectify says.
    model = from_camera_info(message, rectified=False, image_size=raw[2:])
    assert model.K[:2, 2].tolist() == [319.5 - 60, 239.5 - 40]


def test_a_bag_says_both(tmp_path: Any) -> None:
    def change(topic: str, index: int, message: Any) -> Any:
        if topic == "/front/camera_info":
            message.k = np.array(matrix(130, 103.5, 64.5))
        if topic == "/rear/camera_info":
            message.k = np.array(matrix(200, 0.5, 0.5))
        return message

    with BagReader(write_drive(tmp_path / "bag", change=change), Parameters()) as reader:
        assert reader.rig.names == ["front"]
        list(reader.frame_sets())
    said = "\n".join(reader.problems)
    assert said.count("0.65 times as large") == 1 and said.count("shares of the image") == 1
    with (
        BagReader(tmp_path / "bag", Parameters(cameras=["rear"])) as alone,
        pytest.raises(BagError, match=r"/rear/camera_info: the principal point of K is \(0.5"),
    ):
        alone.rig  # noqa: B018
