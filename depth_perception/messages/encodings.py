"""Image encodings of ``sensor_msgs/image_encodings.hpp``: what a pixel is, and how it becomes BGR.

cv_bridge and ``rosbags-image`` know the same. Neither is everywhere where this runs (the one comes
with a ROS distribution alone, the other has no rosdep key), and depth from a bag and depth from the
node must be the same to the last bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Encoding:
    """What an encoding says of a pixel.

    Attributes:
        dtype: Type of a number.
        channels: Numbers a pixel.
        to_bgr: OpenCV's conversion of its 8-bit form, -1 for none, None when it is no colour.
        rows: Rows of data for each row of the image, as (numerator, denominator).
    """

    dtype: np.dtype
    channels: int
    to_bgr: int | None = None
    rows: tuple[int, int] = (1, 1)


_CONVERSIONS = {
    "bgr": (3, -1),
    "rgb": (3, cv2.COLOR_RGB2BGR),
    "bgra": (4, cv2.COLOR_BGRA2BGR),
    "rgba": (4, cv2.COLOR_RGBA2BGR),
    "mono": (1, cv2.COLOR_GRAY2BGR),
    # OpenCV names a Bayer pattern after its second row.
    "bayer_rggb": (1, cv2.COLOR_BayerBG2BGR),
    "bayer_bggr": (1, cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg": (1, cv2.COLOR_BayerGR2BGR),
    "bayer_grbg": (1, cv2.COLOR_BayerGB2BGR),
}

_BYTE = np.dtype(np.uint8)

_NAMED = {
    **{f"{n}8": Encoding(_BYTE, *entry) for n, entry in _CONVERSIONS.items()},
    **{f"{n}16": Encoding(np.dtype(np.uint16), *entry) for n, entry in _CONVERSIONS.items()},
    "yuv422": Encoding(_BYTE, 2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": Encoding(_BYTE, 2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": Encoding(_BYTE, 2, cv2.COLOR_YUV2BGR_YUY2),
    "yuyv": Encoding(_BYTE, 2, cv2.COLOR_YUV2BGR_YUY2),
    "nv12": Encoding(_BYTE, 1, cv2.COLOR_YUV2BGR_NV12, (3, 2)),
    "nv21": Encoding(_BYTE, 1, cv2.COLOR_YUV2BGR_NV21, (3, 2)),
    # Unnamed channels are taken as OpenCV orders them, which is what drivers mean by them.
    "8UC1": Encoding(_BYTE, 1, cv2.COLOR_GRAY2BGR),
    "8UC3": Encoding(_BYTE, 3, -1),
    "8UC4": Encoding(_BYTE, 4, cv2.COLOR_BGRA2BGR),
    "16UC1": Encoding(np.dtype(np.uint16), 1, cv2.COLOR_GRAY2BGR),
}

_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)(?:C([1-9]\d{0,2}))?")
_TYPES = {"8U": "u1", "8S": "i1", "16U": "u2", "16S": "i2", "32S": "i4", "32F": "f4", "64F": "f8"}

COLOURS = "bgr8, rgb8, bgra8, rgba8, mono8, mono16, bayer_*, yuv422 or nv12"


class _Encodings(dict[str, "Encoding | None"]):
    """The named encodings, and generic ones such as ``32FC2`` when they are asked for."""

    def __missing__(self, name: str) -> Encoding | None:
        generic = _GENERIC.fullmatch(name)
        if generic is None:
            return None
        return Encoding(np.dtype(_TYPES[generic[1]]), int(generic[2] or 1))


ENCODINGS = _Encodings(_NAMED)
"""What each encoding says, by name; None when there is no such encoding."""


def to_bgr(pixels: NDArray[np.integer], encoding: Encoding) -> NDArray[np.uint8]:
    """Convert the pixels of a colour encoding to (height, width, 3) uint8 BGR.

    Of 16 bits the upper 8 are kept.
    """
    assert encoding.to_bgr is not None
    if encoding.dtype.itemsize == 2:
        pixels = pixels >> 8
    image = pixels.astype(np.uint8, copy=False)
    if encoding.to_bgr >= 0:
        image = np.asarray(cv2.cvtColor(image, encoding.to_bgr), dtype=np.uint8)
    return np.ascontiguousarray(image)
