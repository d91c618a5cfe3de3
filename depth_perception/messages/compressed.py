"""JPEG and PNG bytes to pixels, with a look at the header before anything is allocated.

What a damaged or hostile header promises would otherwise be believed: a PNG of 3 MB may hold 3 GB,
and one chunk of a wrong length costs OpenCV a minute. OpenCV before 4.11 turns the missing half of
a cut JPEG into grey without a word.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 2**26
"""The most that is decoded, 8192 x 8192: far beyond any vehicle's camera."""

_PNG = b"\x89PNG\r\n\x1a\n"
_FRAME_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HEADER_BYTES = 2**20
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


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
