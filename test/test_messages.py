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

"""Messages and arrays: exact round trips, errors that name topic, problem and fix."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_perception import messages
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.errors import DepthPerceptionError, MessageError, TransformError
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_info import from_camera_info
from depth_perception.geometry.cloud import POINT_DTYPE

TYPES = BagTypes(package_typestore())
STAMP = 1_600_000_000_123_456_789


def image(array, encoding, step=None):
    message = messages.image_message(TYPES, STAMP, "cam", array, encoding)
    if step is not None:
        rows = np.zeros((array.shape[0], step), np.uint8)
        flat = np.ascontiguousarray(array).view(np.uint8).reshape(array.shape[0], -1)
        rows[:, : flat.shape[1]] = flat
        message.data, message.step = rows.reshape(-1), step
    return message


COLOURS = np.random.default_rng(0).integers(0, 255, (6, 10, 3), dtype=np.uint8)


def test_stamps_keep_every_nanosecond():
    head = messages.header(TYPES, STAMP, "cam")
    assert (head.stamp.sec, head.stamp.nanosec) == (1_600_000_000, 123_456_789)
    assert messages.stamp_of(head.stamp) == STAMP


@pytest.mark.parametrize("step", [None, 32, 64])
def test_bgr_survives_whatever_the_row_padding(step):
    assert (messages.decode_image(image(COLOURS, "bgr8", step)) == COLOURS).all()


def test_colour_orders_become_bgr():
    rgba = np.dstack([COLOURS[..., ::-1], np.full((6, 10), 255, np.uint8)])
    assert (messages.decode_image(image(COLOURS[..., ::-1], "rgb8")) == COLOURS).all()
    assert (messages.decode_image(image(rgba, "rgba8")) == COLOURS).all()
    assert (messages.decode_image(image(COLOURS, "8UC3")) == COLOURS).all()


def test_grey_becomes_three_equal_channels_and_16_bits_keep_their_upper_8():
    grey = COLOURS[..., 0]
    assert (messages.decode_image(image(grey, "mono8")) == grey[..., None]).all()
    deep = grey.astype(np.uint16) * 256 + 77
    assert (messages.decode_image(image(deep, "mono16")) == grey[..., None]).all()


def test_big_endian_numbers_are_swapped():
    depth = np.array([[1.5, np.nan], [np.inf, 2.0]], np.float32)
    message = image(depth.astype(">f4"), "32FC1")
    message.is_bigendian = 1
    assert np.array_equal(messages.decode_depth(message), depth, equal_nan=True)


def test_yuv422_and_bayer_decode_as_opencv_does():
    yuv = np.full((4, 6, 2), 128, np.uint8)
    yuv[..., 1] = 90  # uyvy: luma in the second channel
    assert np.ptp(messages.decode_image(image(yuv, "yuv422")).astype(int)) <= 1
    bayer = np.full((4, 6), 80, np.uint8)
    assert (messages.decode_image(image(bayer, "bayer_rggb8")) == 80).all()


def test_compressed_images_decode_and_grey_ones_too():
    for source in (COLOURS, COLOURS[..., 0]):
        data = cv2.imencode(".png", source)[1].ravel()
        message = SimpleNamespace(format="png", data=data)
        expected = source if source.ndim == 3 else np.dstack([source] * 3)
        assert (messages.decode_image(message) == expected).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "purple12"}, "purple12"),
        ({"encoding": "32FC1", "step": 40, "height": 4}, "not a colour"),
        ({"step": 29}, "step 29"),
        ({"height": 600}, "10x600"),
        ({"width": 0}, "0x6"),
        ({"data": np.zeros(7, np.uint8)}, "7 bytes"),
    ],
)
def test_malformed_images_are_refused_by_topic_and_problem(change, words):
    message = image(COLOURS, "bgr8")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(MessageError) as caught:
        messages.decode_image(message, "/left/image_raw")
    assert "/left/image_raw" in str(caught.value)
    assert words in str(caught.value)
    assert "Fix:" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff not a jpeg", bytes(300)])
def test_bytes_that_are_no_image_are_refused(data):
    message = SimpleNamespace(format="jpeg", data=np.frombuffer(data, np.uint8))
    with pytest.raises(MessageError, match=r"/left/compressed.*do not decode"):
        messages.decode_image(message, "/left/compressed")


@pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2", "uyvy", "yuyv"])
def test_yuv422_of_odd_width_is_refused_before_opencv_sees_it(encoding, monkeypatch):
    # OpenCV of Ubuntu 22.04 and 24.04 writes behind the end of such an image.
    monkeypatch.setattr(cv2, "cvtColor", lambda *_: pytest.fail("OpenCV was called"))
    with pytest.raises(MessageError, match=r"/left/image_raw: 3x2 .* even width"):
        messages.decode_image(image(np.zeros((2, 3, 2), np.uint8), encoding), "/left/image_raw")


def test_labels_must_be_ids_not_colours_nor_jpeg():
    labels = COLOURS[..., 0]
    assert (messages.decode_labels(image(labels, "mono8")) == labels).all()
    with pytest.raises(MessageError, match="class ids"):
        messages.decode_labels(image(COLOURS, "bgr8"))
    with pytest.raises(MessageError, match="JPEG alters ids"):
        messages.decode_labels(
            SimpleNamespace(format="jpeg", data=cv2.imencode(".jpg", labels)[1].ravel())
        )


def test_depth_round_trips_in_metres_and_in_millimetres():
    depth = np.array([[1.2345, np.nan, np.inf, 70.0]], np.float32)
    metres = messages.depth_message(TYPES, STAMP, "cam", depth)
    assert (metres.encoding, metres.step) == ("32FC1", 16)
    assert np.array_equal(messages.decode_depth(metres), depth, equal_nan=True)
    millimetres = messages.depth_message(TYPES, STAMP, "cam", depth, "16UC1")
    assert millimetres.data.view(np.uint16).tolist() == [1234, 0, 0, 0]


def test_camera_info_round_trips():
    camera = CameraModel(
        640, 480, [[500, 0, 320], [0, 501, 240], [0, 0, 1]], [0.1, 0.02, 0, 0, 0.001]
    )
    message = messages.camera_info_message(TYPES, STAMP, "cam", camera)
    assert from_camera_info(message, rectified=False).same_as(camera)
    assert message.p.reshape(3, 4)[:, :3].tolist() == camera.K.tolist()


def make_cloud(n=5):
    points = np.zeros(n, POINT_DTYPE)
    for i, name in enumerate(POINT_DTYPE.names):
        points[name] = np.arange(n) + 10 * i
    return points


def test_clouds_round_trip_and_are_packed():
    points = make_cloud()
    message = messages.cloud_message(TYPES, STAMP, "base_link", points)
    assert [f.name for f in message.fields] == ["x", "y", "z", "rgb", "confidence"]
    assert [f.offset for f in message.fields] == [0, 4, 8, 12, 16]
    assert (message.height, message.width, message.point_step, message.row_step) == (1, 5, 20, 100)
    assert message.is_dense
    read = messages.decode_points(message)
    assert read.tolist() == np.stack([points[n] for n in "xyz"], axis=1).tolist()


def test_nan_points_are_left_out():
    points = make_cloud()
    points["y"][2] = np.nan
    message = messages.cloud_message(TYPES, STAMP, "lidar", points)
    assert len(messages.decode_points(message)) == 4
    points["x"] = np.nan
    assert messages.decode_points(messages.cloud_message(TYPES, STAMP, "l", points)).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"fields": []}, "fields are"), ({"width": 50}, "50x1"), ({"point_step": 8}, "point_step 8")],
)
def test_malformed_clouds_are_refused(change, words):
    message = messages.cloud_message(TYPES, STAMP, "lidar", make_cloud())
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(MessageError, match=words):
        messages.decode_points(message, "/lidar")


def test_a_cloud_without_points_is_empty_whatever_its_other_sizes_say():
    message = messages.cloud_message(TYPES, STAMP, "lidar", make_cloud()[:0])
    message.point_step = 2**31  # more than NumPy's types can hold
    assert messages.decode_points(message, "/lidar").shape == (0, 3)


def test_transforms_must_be_rigid():
    def transform(x, y, z, w, tx=0.0):
        return SimpleNamespace(
            header=SimpleNamespace(frame_id="base_link"),
            child_frame_id="/cam",
            transform=SimpleNamespace(
                translation=SimpleNamespace(x=tx, y=0.0, z=0.0),
                rotation=SimpleNamespace(x=x, y=y, z=z, w=w),
            ),
        )

    assert messages.decode_transform(transform(0, 0, 0, 1))[:2] == ("base_link", "cam")
    for bad in (transform(0, 0, 0, 0), transform(0, 0, 0, 1, np.nan)):
        with pytest.raises(TransformError, match="base_link -> cam"):
            messages.decode_transform(bad)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        ["bgr8", "mono8", "mono16", "yuv422", "nv12", "bayer_grbg8", "32FC1", "8UC7", ""]
    ),
    st.integers(-2, 40),
    st.integers(-2, 40),
    st.integers(0, 200),
    st.binary(max_size=3000),
    st.integers(0, 2),
)
def test_random_images_give_an_array_or_our_own_error(encoding, height, width, step, data, endian):
    message = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=endian, data=data
    )
    for decode in (messages.decode_image, messages.decode_labels, messages.decode_depth):
        try:
            array = decode(message, "/t")
        except DepthPerceptionError as error:
            assert "/t" in str(error)
        else:
            assert array.size > 0


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"junk"])
def test_compressed_bytes_that_are_no_image_are_refused_for_images_and_labels(data):
    message = TYPES.new(
        "sensor_msgs/msg/CompressedImage",
        header=messages.header(TYPES, STAMP, "cam"),
        format="png",
        data=np.frombuffer(data, np.uint8),
    )
    with pytest.raises(MessageError, match="/cam"):
        messages.decode_image(message, "/cam")
    with pytest.raises(MessageError, match="/cam/labels"):
        messages.decode_labels(message, "/cam/labels")


def test_a_stamp_before_time_began_is_told_from_zero():
    assert "is negative" in messages.zero_stamp("/cam", -5) and "zero" in messages.zero_stamp(
        "/cam"
    )
