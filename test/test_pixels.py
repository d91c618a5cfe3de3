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

"""What pixels mean: bits in use, formats of compressed images, and pictures that look wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_drive import picture, write_drive

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.datasets.sources.bag import open_source
from depth_perception.datasets.sources.recorded import decoded
from depth_perception.errors import MessageError
from depth_perception.messages.bit_depth import BitDepth
from depth_perception.messages.compressed import read_format
from depth_perception.messages.image_decoder import ImageDecoder
from depth_perception.messages.pixel_watch import PixelWatch, faults
from depth_perception.parameters import Parameters

TYPES = BagTypes(package_typestore())


def street() -> np.ndarray:
    """A picture with all brightnesses and colours, (120, 160, 3) BGR."""
    rng = np.random.default_rng(0)
    image = np.full((120, 160, 3), (235, 206, 160), np.uint8)
    image[40:] = cv2.GaussianBlur(rng.integers(0, 220, (80, 160, 3), np.uint8), (0, 0), 1.5)
    image[60:90, 20:60], image[60:90, 80:120] = (0, 0, 255), (0, 255, 0)
    return image


def message(pixels: np.ndarray, encoding: str) -> Any:
    return messages.image_message(TYPES, 1, "cam", np.ascontiguousarray(pixels), encoding)


def compressed(pixels: np.ndarray, form: str, ending: str = ".png") -> Any:
    data = cv2.imencode(ending, pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].ravel()
    return SimpleNamespace(format=form, data=data)


PATTERNS = {  # places of red and blue in each 2x2 pixels
    "rggb": ((0, 0), (1, 1)),
    "bggr": ((1, 1), (0, 0)),
    "grbg": ((0, 1), (1, 0)),
    "gbrg": ((1, 0), (0, 1)),
}


def mosaic(image: np.ndarray, pattern: str) -> np.ndarray:
    """What a sensor with that filter has of a BGR picture."""
    out = image[..., 1].copy()
    for (row, column), channel in zip(PATTERNS[pattern], (2, 0), strict=True):
        out[row::2, column::2] = image[row::2, column::2, channel]
    return out


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("encoding", ["mono16", "bayer_rggb16", "bgr16", "rgb16", "16UC1"])
def test_fewer_than_16_bits_are_as_bright_as_8(bits: int, encoding: str) -> None:
    pixels = street()
    if "rgb16" in encoding:
        pixels = pixels[..., ::-1]
    elif encoding != "bgr16":
        pixels = mosaic(pixels, "rggb")
    deep = pixels.astype(np.uint16) << (bits - 8)
    expected = messages.decode_image(message(pixels, encoding.replace("16", "8")))
    assert np.array_equal(messages.decode_image(message(deep, encoding)), expected)
    shown = messages.decode_image(message(deep << (16 - bits), encoding))
    assert np.array_equal(shown, expected), "all 16 bits, as the driver shifted them"


def test_16_bits_in_use_stay_as_they_are() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (60, 80)).astype(np.uint16)
    expected = np.dstack([deep >> 8] * 3).astype(np.uint8)
    decoder = ImageDecoder("/a")
    for image in (deep, deep // 100, deep):
        assert np.array_equal(
            decoder.decode(message(image, "mono16")),
            expected if image is deep else np.dstack([image >> 8] * 3),
        )
    assert not any("16-bit images use" in text for text in decoder.news())


def test_dark_images_do_not_change_how_bright_ones_are_read() -> None:
    bright = street()[..., 1].astype(np.uint16)
    night = bright // 6 + np.arange(160, dtype=np.uint16) % 3
    for first in (night, night * 4):  # of 16 bits in use
        bits = BitDepth()
        bits.observe(first)
        assert bits.bits == 16, "a dark image shows nothing"
    bits = BitDepth()
    bits.observe((bright << 4) + 3)
    assert bits.bits == 12
    for darker in (night, bright // 50, np.zeros_like(bright)):
        bits.observe(darker)
        assert bits.bits == 12
    bits.observe(bright << 6)
    assert bits.bits == 14
    bits.observe(bright << 8)
    bits.observe(bright << 4)
    assert bits.bits == 16
    assert bits.upper_8(bright << 8).max() == 255


def test_12_bits_at_the_upper_end_need_no_change_in_the_dark_either() -> None:
    bits = BitDepth()
    dark = np.clip(street()[..., 1].astype(np.uint16) << 4, 0, 3300)
    dark[:, ::3] //= 2
    bits.observe(dark & ~np.uint16(15))
    assert bits.bits == 16


def test_bits_are_said_once_and_again_when_they_grow() -> None:
    decoder = ImageDecoder("/front/image_raw")
    bright = street()[..., 1].astype(np.uint16)
    said = []
    for shift in (4, 4, 4, 6, 8, 8):
        decoder.decode(message(bright << shift, "mono16"))
        said += decoder.news()
    assert [text[: text.index(",")] for text in said] == [
        "/front/image_raw: its 16-bit images use 12 bits",
        "/front/image_raw: its 16-bit images use 14 bits",
        "/front/image_raw: its 16-bit images use all 16 bits",
    ]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("payload", ["", "same"])
def test_a_compressed_mosaic_is_the_image_of_the_same_encoding(
    pattern: str, deep: bool, payload: str
) -> None:
    name = f"bayer_{pattern}{16 if deep else 8}"
    pixels = mosaic(street(), pattern)
    if deep:
        pixels = pixels.astype(np.uint16) << 4
    form = f"{name}; png compressed {name if payload else ''}"
    expected = messages.decode_image(message(pixels, name))
    assert np.array_equal(messages.decode_image(compressed(pixels, form)), expected)
    red = expected[70:80, 30:50].reshape(-1, 3).mean(axis=0)
    assert red[2] > 240 and red[:2].max() < 20
    if not deep:  # ROS 1 sends mosaics as JPEG, too
        shown = messages.decode_image(compressed(pixels, f"{name}; jpeg compressed ", ".jpg"))
        assert np.abs(shown.astype(int) - expected).mean() < 3


def test_what_is_no_mosaic_any_more_is_not_taken_for_one() -> None:
    image = street()
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    # compressed_image_transport of ROS 2 makes a grey picture of a Bayer image for JPEG.
    shown = messages.decode_image(compressed(grey, "bayer_rggb8; jpeg compressed mono8", ".jpg"))
    assert np.array_equal(shown, np.dstack([shown[..., 0]] * 3))
    assert np.abs(shown[..., 0].astype(int) - grey).max() <= 3
    shown = messages.decode_image(compressed(image, "bayer_rggb8; png compressed "))
    assert np.array_equal(shown, image), "three channels are no mosaic"


@pytest.mark.parametrize(
    "form",
    ["", "png", "bgr8; png compressed bgr8", "rgb8; png compressed bgr8", "png compressed rgb8"]
    + ["mono8; png compressed ", "yuv422; png compressed bgr8", "nonsense; of; all sorts"],
)
def test_the_codecs_own_order_is_blue_green_red(form: str) -> None:
    for image in (street(), street()[..., 1]):
        expected = image if image.ndim == 3 else np.dstack([image] * 3)
        assert np.array_equal(messages.decode_image(compressed(image, form)), expected)
        assert messages.is_plain(compressed(image, form))


@pytest.mark.parametrize("form", ["rgb8; png compressed rgb8", "bgr8; png compressed rgb8"])
def test_colours_that_the_codec_was_given_in_another_order_are_put_right(form: str) -> None:
    image = street()
    shown = messages.decode_image(compressed(image[..., ::-1], form))
    assert np.array_equal(shown, image)
    assert not messages.is_plain(compressed(image, form))


def test_png_of_16_bits_is_read_as_images_of_16_bits_are() -> None:
    image = street()
    for pixels, form in (
        (image, "rgb16; png compressed bgr16"),
        (image[..., 1], "mono16; png compressed "),
        (image[..., 1], "16UC1; png compressed "),
        (image[..., 1], "png"),
    ):
        expected = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        for shift in (8, 4, 2):
            found = messages.decode_image(compressed(pixels.astype(np.uint16) << shift, form))
            assert np.array_equal(found, expected)
    full = compressed(np.random.default_rng(0).integers(0, 2**16, (9, 9, 3)).astype("u2"), "png")
    assert np.array_equal(messages.decode_image(full), cv2.imdecode(full.data, cv2.IMREAD_COLOR))


def test_formats_are_taken_apart() -> None:
    parts = read_format("bayer_rggb8; png compressed ")
    assert (parts.source, parts.codec, parts.payload) == ("bayer_rggb8", "png", "")
    parts = read_format("RGB8; JPEG compressed bgr8")
    assert (parts.source, parts.codec, parts.payload) == ("rgb8", "jpeg", "bgr8")
    parts = read_format("16UC1; compressedDepth rvl")
    assert (parts.source, parts.codec) == ("16uc1", "compresseddepth")


@pytest.mark.parametrize(
    ("form", "data", "words"),
    [
        ("16UC1; compressedDepth png", bytes(12), "depth image"),
        ("16UC1; compressedDepth rvl", bytes(12), "depth image"),
        ("h264", b"\0\0\0\1\x67" + bytes(40), "this is h264: decode it"),
        ("hevc", bytes(40), "this is hevc: decode it"),
        ("jpeg", b"\0\0\0\1\x67" + bytes(40), "this is h264: decode it"),
        ("mono8; tiff compressed ", b"II*\0" + bytes(40), "this is tiff: let the camera driver"),
        ("webp", b"RIFF\0\0\0\0WEBP", "this is webp: let the camera driver"),
        ("jxl", bytes(40), "this is jxl: let the camera driver"),
        ("jpeg", b"", "without data"),
        ("jpeg", b"\xff\xd8\xff", "lost packets"),
        ("bayer_xyzw8; png compressed ", None, "source 'bayer_xyzw8' is unknown"),
    ],
)
def test_what_cannot_be_decoded_is_called_what_it_is(
    form: str, data: bytes | None, words: str
) -> None:
    item = compressed(street()[..., 1], form)
    if data is not None:
        item.data = np.frombuffer(data, np.uint8)
    with pytest.raises(MessageError, match=r"/left/image: .*Fix:") as caught:
        messages.decode_image(item, "/left/image")
    assert words in str(caught.value) and form in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("BGR8", "write it 'bgr8'"),
        ("bgr", "no encoding of sensor_msgs"),
        ("nv24", "a YUV layout"),
        ("yuv444", "a YUV layout"),
        ("i420", "a YUV layout"),
        ("jpeg", "CompressedImage"),
        ("h264", "video"),
        ("bayer_rggb12p", "10 to 14 bits"),
        ("mono10", "10 to 14 bits"),
        ("32FC1", "name the camera's colour or grey image topic"),
        ("8UC2", "yuv422"),
        ("32FC3", "without a meaning as colour"),
        ("bayer_rgbg8", "perhaps 'bayer_"),
        ("purple12", "a standard encoding"),
    ],
)
def test_advice_for_an_encoding_is_about_that_encoding(encoding: str, words: str) -> None:
    item = message(street(), "bgr8")
    item.encoding = encoding
    with pytest.raises(MessageError, match=r"/left/image: encoding '.*Fix:") as caught:
        messages.decode_image(item, "/left/image")
    assert words in str(caught.value)


def scene() -> np.ndarray:
    """A larger everyday picture: blue sky, green plants, grey road with grain, (450, 800, 3)."""
    rng = np.random.default_rng(1)
    image = np.empty((450, 800, 3), np.float64)
    image[:180], image[180:260], image[260:] = (220, 190, 150), (50, 110, 70), (105, 105, 110)
    image += cv2.GaussianBlur(rng.normal(0, 60, image.shape[:2]), (0, 0), 2)[..., None]
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def test_everyday_pictures_raise_no_doubt() -> None:
    rng = np.random.default_rng(2)
    everyday = {
        "scene": scene(),
        "grey": cv2.cvtColor(cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
        "noise": rng.integers(0, 255, (450, 800, 3), np.uint8),
        "noisy": np.clip(scene() + rng.normal(0, 15, (450, 800, 3)), 0, 255).astype(np.uint8),
        "dusk": (scene() * 0.25).astype(np.uint8),
        "sunset": np.where(np.arange(450)[:, None, None] < 180, scene()[..., ::-1], scene()),
        "turned": np.ascontiguousarray(scene()[::-1]),
        "one value": np.full((40, 60, 3), 90, np.uint8),
        "dot": np.full((1, 1, 3), 200, np.uint8),
        "tiny": picture(0),
    }
    for name, image in everyday.items():
        assert faults(image) == {}, name


def test_pictures_that_were_read_wrongly_are_noticed() -> None:
    image = scene()
    lamp = np.zeros_like(image)
    lamp[:20, :20] = 255
    for pattern in PATTERNS:
        shown = cv2.cvtColor(mosaic(image, pattern), cv2.COLOR_GRAY2BGR)
        assert list(faults(shown)) == ["mosaic"], pattern
        lossy = cv2.imdecode(cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], 1)
        assert list(faults(lossy)) == ["mosaic"], pattern
    assert list(faults(image[..., ::-1])) == ["swapped"]
    assert list(faults(image >> 4)) == ["black"], "12 bits of which the upper 8 were kept"
    assert list(faults(lamp)) == ["black"]
    channel = image.copy()
    channel[..., 2] = 0
    assert list(faults(channel)) == ["channel"] and "red is" in faults(channel)["channel"]


def test_each_doubt_is_said_once_while_it_lasts_and_few_images_are_looked_at() -> None:
    watch = PixelWatch("/front/image_raw")
    black, said = np.zeros((40, 60, 3), np.uint8), []
    for _ in range(200):
        said += watch.look(black)
    assert len(said) == 1 and said[0].startswith("/front/image_raw: the image is nearly black")
    assert "Fix:" in said[0] and list(watch.doubts) == ["black"]
    for _ in range(64):
        said += watch.look(scene())
    assert len(said) == 1 and not watch.doubts, "it is over"


def test_a_bag_of_12_bits_and_a_compressed_mosaic(tmp_path: Any) -> None:
    """Reader and training see the same pictures as of 8-bit images, and say what was found."""

    def deep(topic: str, index: int, item: Any) -> Any:
        if topic == "/front/image_raw":
            pixels = np.frombuffer(item.data, np.uint8).reshape(200, 320, 3).astype(np.uint16)
            darker = pixels // (1 if index == 0 else 8)  # the first picture tells for the others
            darker[100:, :20] = 255 if index == 0 else 30
            return messages.image_message(TYPES, stamp(item), "front", darker << 4, "bgr16")
        return item

    def stamp(item: Any) -> int:
        return messages.stamp_of(item.header.stamp)

    path = write_drive(tmp_path / "deep", change=deep)
    with BagReader(path, Parameters()) as reader:
        sets = list(reader.frame_sets())
        assert [text for text in reader.problems if "use 12 bits" in text] == [
            "/front/image_raw: its 16-bit images use 12 bits, and are read so. Fix: nothing needs"
            " to be done; to be rid of this line, let the camera driver fill the upper bits"
        ]
    for index, frame_set in enumerate(sets):
        expected = picture(2 * index) // (1 if index == 0 else 8)
        expected[100:, :20] = 255 if index == 0 else 30
        assert np.array_equal(frame_set.frames["front"].image, expected)
    source = open_source(str(path))
    for index in range(3):
        read = {image.name: decoded(image) for image in source.recorded(index).images}
        assert np.array_equal(read["front"], sets[index].frames["front"].image)

    def bayer(topic: str, index: int, item: Any) -> Any:
        if topic == "/front/image_raw/compressed":
            item.format = "bayer_bggr8; png compressed "
            pixels = mosaic(picture(2 * index), "bggr")
            item.data = cv2.imencode(".png", pixels)[1].ravel()
        return item

    path = write_drive(tmp_path / "bayer", compressed=True, change=bayer)
    source = open_source(str(path))
    with BagReader(path, Parameters()) as reader:
        for index, frame_set in enumerate(reader.frame_sets()):
            raw = message(mosaic(picture(2 * index), "bggr"), "bayer_bggr8")
            expected = messages.decode_image(raw)
            assert np.array_equal(frame_set.frames["front"].image, expected)
            read = {image.name: decoded(image) for image in source.recorded(index).images}
            assert np.array_equal(read["front"], expected)
        assert reader.problems == []
