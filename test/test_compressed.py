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

"""JPEG and PNG: whole ones decode, cut ones and those that promise too much are refused first."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from depth_perception.messages.compressed import declared_size, decompress

PICTURE = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def encode(ending: str, *flags: int) -> bytes:
    return bytes(cv2.imencode(ending, PICTURE, flags)[1])


def png(width: int, height: int) -> bytes:
    """A PNG with a right header and next to no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def jpeg(width: int, height: int) -> bytes:
    """A whole JPEG with another size in its header."""
    data = encode(".jpg")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize(
    "data",
    [
        encode(".png"),
        encode(".jpg"),
        encode(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encode(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        encode(".jpg") + bytes(100),
    ],
    ids=["png", "jpeg", "progressive", "restarts", "padded"],
)
def test_whole_images_decode(data: bytes) -> None:
    assert declared_size(data) == (40, 30)
    pixels, reason = decompress(data, cv2.IMREAD_COLOR)
    assert pixels is not None and pixels.shape == (30, 40, 3) and not reason


def test_a_thumbnail_in_the_header_is_not_the_end() -> None:
    data = encode(".jpg")
    thumbnail = encode(".jpg", cv2.IMWRITE_JPEG_QUALITY, 10)
    header = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = data[:2] + header + data[2:]
    assert declared_size(whole) == (40, 30)
    assert decompress(whole, cv2.IMREAD_COLOR)[0] is not None
    assert decompress(whole[:-400], cv2.IMREAD_COLOR) == (None, "the end is missing")


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_cut_images_are_refused_wherever_they_are_cut(ending: str) -> None:
    data = encode(ending)
    for length in range(0, len(data), 7):
        pixels, reason = decompress(data[:length], cv2.IMREAD_COLOR)
        assert pixels is None and reason, length


def test_a_jpeg_without_its_end_is_refused_before_opencv_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grey = np.full((30, 40, 3), 128, np.uint8)
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: grey)  # as old releases do
    assert decompress(encode(".jpg")[:-300], cv2.IMREAD_COLOR) == (None, "the end is missing")


@pytest.mark.parametrize("make", [png, jpeg])
@pytest.mark.parametrize("size", [(30000, 30000), (65535, 65535), (0, 100), (8193, 8192)])
def test_what_promises_too_many_pixels_is_refused_before_anything_is_allocated(
    make: object, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: pytest.fail("decoded"))
    assert callable(make)
    assert decompress(make(*size), cv2.IMREAD_COLOR) == (
        None,
        f"{size[0]}x{size[1]} pixels promised",
    )


def test_one_wrong_byte_of_a_png_is_noticed_before_opencv_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode(".png")
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: pytest.fail("decoded"))
    for at in range(8, len(data), 11):
        broken = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        pixels, reason = decompress(broken, cv2.IMREAD_COLOR)
        assert pixels is None and reason, at


def test_what_is_no_jpeg_or_png_is_refused() -> None:
    for data in (b"", b"\xff", b"\xff\xd8", b"\xff\xd8" + bytes(50), b"BM" + bytes(50)):
        assert decompress(data, cv2.IMREAD_COLOR) == (None, "no header of a JPEG or PNG")
    assert declared_size(b"\xff\xd8" + b"\xff" * 50) is None
