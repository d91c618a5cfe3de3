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

"""JPEG and PNG bytes, and the `CompressedImage` around them, to pixels.

The header is looked at before anything is allocated.

What a damaged or hostile header promises would otherwise be believed: a PNG of 3 MB may hold 3 GB,
and one chunk of a wrong length costs OpenCV a minute. OpenCV before 4.11 turns the missing half of
a cut JPEG into grey without a word.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import MessageError
from depth_perception.messages.bit_depth import BitDepth
from depth_perception.messages.encodings import ENCODINGS, advice, to_bgr

MAX_PIXELS = 2**26
"""The most that is decoded, 8192 x 8192: far beyond any vehicle's camera."""

_PNG = b"\x89PNG\r\n\x1a\n"
_FRAME_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HEADER_BYTES = 2**20
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


@dataclass(frozen=True)
class CompressedFormat:
    """What ``CompressedImage.format`` says: ``SOURCE; CODEC compressed [PAYLOAD]``, or a codec.

    Attributes:
        source: Encoding of the image before compression, e.g. ``bayer_rggb8``; empty when not said.
        codec: E.g. ``jpeg``, in lower case; empty when not said.
        payload: The pixels that the codec was given, e.g. ``bgr8``; empty when not said.
    """

    source: str
    codec: str
    payload: str

    @property
    def is_mosaic(self) -> bool:
        """True for a Bayer image that was compressed as it came from the sensor.

        compressed_image_transport does so for PNG and, in ROS 1, for JPEG; in ROS 2 it makes a grey
        image for JPEG and says ``mono8``.
        """
        return self.source.startswith("bayer_") and self.payload in ("", self.source)

    @property
    def is_swapped(self) -> bool:
        """True when red stands where the codec expects blue, and the other way round.

        compressed_image_transport's own subscriber takes ``compressed rgb8`` so.
        """
        coloured = self.source.startswith(("rgb", "bgr", "yuv", "uyvy", "yuyv", "nv"))
        return coloured and self.payload.startswith("rgb")


def read_format(text: str) -> CompressedFormat:
    """Take ``CompressedImage.format`` apart (sensor_msgs/CompressedImage says how it is made)."""
    source, semicolon, rest = text.strip().partition(";")
    if not semicolon:
        return CompressedFormat("", source.strip().lower(), "")
    words = rest.lower().split()
    payload = words[2] if len(words) > 2 and words[1] == "compressed" else ""
    return CompressedFormat(source.strip().lower(), words[0] if words else "", payload)


def decode_compressed_image(
    message: Any, topic: str, bits: BitDepth | None = None
) -> NDArray[np.uint8]:
    """Decode a ``CompressedImage`` to (height, width, 3) uint8 BGR.

    Args:
        message: A JPEG or PNG; its ``format`` tells Bayer mosaics and swapped colours.
        topic: For errors.
        bits: How many of 16 bits this camera uses; None where this image alone shows it.

    Raises:
        MessageError: The bytes are no whole JPEG or PNG, or the format is none of a picture.
    """
    data, form = bytes(memoryview(message.data)), read_format(message.format)
    if form.codec.startswith("compresseddepth"):
        raise _refusal(message, topic, "a depth image", "name the camera's image topic, not depth")
    kind, mosaic = _png_kind(data), form.is_mosaic
    flags = cv2.IMREAD_COLOR
    if mosaic or kind == (16, _PNG_GREY):
        flags = cv2.IMREAD_UNCHANGED
    elif kind is not None and kind[0] == 16:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    pixels, reason = decompress(data, flags)
    if pixels is None:
        fix = _other_codec(data, form)
        raise _refusal(message, topic, reason, fix)
    depth = "16" if pixels.dtype == np.uint16 else "8"
    if pixels.ndim == 2:
        name = form.source.rstrip("0123456789") if mosaic else "mono"
    else:
        name = "bgra" if pixels.shape[2] == 4 else "bgr"
    encoding = ENCODINGS[name + depth]
    if encoding is None:
        raise _refusal(message, topic, f"source '{form.source}' is unknown", advice(form.source))
    try:
        image = to_bgr(pixels, encoding, bits)  # type: ignore[arg-type]
    except cv2.error as error:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        fix = "correct the camera driver; a Bayer image has at least 2x2 pixels"
        raise _refusal(message, topic, f"{size} pixels, {error.err}", fix) from None
    return np.ascontiguousarray(image[..., ::-1]) if form.is_swapped else image


def is_plain(message: Any) -> bool:
    """Tell whether a ``CompressedImage`` is what any JPEG or PNG reader takes it for."""
    form, kind = read_format(message.format), _png_kind(bytes(memoryview(message.data)[:32]))
    return not (form.is_mosaic or form.is_swapped or (kind is not None and kind[0] == 16))


def _refusal(message: Any, topic: str, reason: str, fix: str) -> MessageError:
    return MessageError(
        f"{topic}: {len(message.data)} bytes of format '{message.format}' do not decode ({reason})",
        expected="a whole JPEG or PNG",
        fix=fix,
    )


_PNG_GREY = 0


def _png_kind(data: bytes) -> tuple[int, int] | None:
    """Return bits to the number, and PNG's colour type; None when it is no PNG."""
    return (data[24], data[25]) if data[:8] == _PNG and len(data) > 25 else None


_SIGNATURES = (
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
    (b"GIF8", "gif"),
    (b"qoif", "qoi"),
    (b"\0\0\0\x0cJXL ", "jxl"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cjP", "jpeg2000"),
    (b"\0\0\0\x01", "h264"),
    (b"\0\0\x01", "h264"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_VIDEO = ("h264", "h265", "hevc", "av1", "vp8", "vp9", "ffmpeg", "theora", "mp4", "zstd")
_DAMAGED = "check the camera driver and lost packets; a bag may be cut"


def _other_codec(data: bytes, form: CompressedFormat) -> str:
    """Say what to do about bytes that are no whole JPEG or PNG, by what they are instead."""
    if not data:
        return "check the camera driver: it sends messages without data"
    if declared_size(data) is not None:
        return _DAMAGED
    found = next((name for start, name in _SIGNATURES if data.startswith(start)), "")
    codec = next((c for c in (found, form.codec) if c), "")
    if any(codec.startswith(name) for name in _VIDEO):
        return (
            f"this is {codec}: decode it with the image_transport plugin that made it"
            " (image_transport republish), or let the camera driver send jpeg or png"
        )
    if form.codec.startswith("rvl"):
        return "this is a depth image: name the camera's image topic"
    if found or codec not in ("", "jpeg", "jpg", "png"):
        return (
            f"this is {codec}: let the camera driver send jpeg or png (with"
            " compressed_image_transport: parameter <image topic>.compressed.format)"
        )
    return _DAMAGED


def decompress(data: bytes, flags: int) -> tuple[NDArray[np.generic] | None, str]:
    """Decode a JPEG or PNG.

    Args:
        data: The whole file.
        flags: Of `cv2.imdecode`.

    Returns:
        The pixels and an empty text, or None and why there are none.
    """
    size = declared_size(data)
    if size is None:
        return None, "no header of a JPEG or PNG"
    if size[0] * size[1] > MAX_PIXELS or 0 in size:
        return None, f"{size[0]}x{size[1]} pixels promised"
    fault = _jpeg_fault(data) if data[0] == 0xFF else _png_fault(data)
    if fault:
        return None, fault
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        return None, f"OpenCV: {error.err}"
    return pixels, "damaged" if pixels is None else ""


def _jpeg_fault(data: bytes) -> str:
    # Inside of a scan 0xff is always escaped: after the last scan starts, this is the end.
    cut = data.find(_START_OF_SCAN, data.rfind(_END_OF_IMAGE) + 1) >= 0
    return "the end is missing" if cut else ""


def _png_fault(data: bytes) -> str:
    """Check every chunk: for one of a wrong length OpenCV 4.14 takes 40 s and gigabytes."""
    view, at = memoryview(data), len(_PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(view[at : at + 4], "big")
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return "damaged"
        if data[at + 4 : at + 8] == b"IEND":
            return ""
        at = end
    return "the end is missing"


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) as the header of a JPEG or PNG gives it; None without one."""
    if data[:8] == _PNG and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= min(len(data), _HEADER_BYTES) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAME_STARTS:
            height, width = data[at + 5 : at + 7], data[at + 7 : at + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        # Fill bytes and markers without a length come alone; the others bring their length.
        alone = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        step = 1 if marker == 0xFF else 2
        at += step if alone else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
