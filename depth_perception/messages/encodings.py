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

"""Image encodings of ``sensor_msgs/image_encodings.hpp``: what a pixel is, and how it becomes BGR.

cv_bridge and ``rosbags-image`` know the same. Neither is everywhere where this runs (the one comes
with a ROS distribution alone, the other has no rosdep key), and depth from a bag and depth from the
node must be the same to the last bit.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.messages.bit_depth import BitDepth


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
    "16UC3": Encoding(np.dtype(np.uint16), 3, -1),
    "16UC4": Encoding(np.dtype(np.uint16), 4, cv2.COLOR_BGRA2BGR),
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


def to_bgr(
    pixels: NDArray[np.integer], encoding: Encoding, bits: BitDepth | None = None
) -> NDArray[np.uint8]:
    """Convert the pixels of a colour encoding to (height, width, 3) uint8 BGR.

    Args:
        pixels: As `Encoding` describes them.
        encoding: Of a colour or grey image.
        bits: How many of 16 bits this camera uses, as far as its images have shown; None where
            this image alone shows it. Of those bits the upper 8 are kept.
    """
    assert encoding.to_bgr is not None
    if encoding.dtype.itemsize == 2:
        bits = bits or BitDepth()
        bits.observe(pixels)
        image = bits.upper_8(pixels)
    else:
        image = pixels.astype(np.uint8, copy=False)
    if encoding.to_bgr >= 0:
        image = np.asarray(cv2.cvtColor(image, encoding.to_bgr), dtype=np.uint8)
    return np.ascontiguousarray(image)


_FAMILIES = (
    (
        r"(h\.?26[45]|hevc|av1|vp[89]|mp4|ffmpeg|theora)",
        "video: decode it with the image_transport plugin that made it (image_transport republish)"
        " and name the topic of the decoded images",
    ),
    (
        r"(m?jpe?g|png|tiff?|webp|jxl|jpegxl|qoi)",
        "compressed bytes: publish them as sensor_msgs/CompressedImage, of format jpeg or png",
    ),
    (
        r"(nv24|nv42|i4\d\d|yv12|yuv4\d\d\w*|yuv\d*|y4\d\d\w*|p010)",
        "a YUV layout that is not converted here: set the camera driver's pixel format to bgr8,"
        " rgb8, nv12 or yuv422_yuy2",
    ),
    (
        r"(bayer_)?(rggb|bggr|gbrg|grbg|mono|y)_?(10|12|14)_?(p|packed)?",
        "10 to 14 bits to the pixel: let the camera driver unpack them to 16 (mono16,"
        " bayer_rggb16 and the like) or reduce them to 8",
    ),
    (
        r"(rgb|bgr)a?_?(565|555|444|10|12|32f?|f)|rgba?|bgra?|mono|gr[ae]y|y8|y16|l8",
        "no encoding of sensor_msgs/image_encodings.hpp: name the one it is, with its bits, e.g."
        " bgr8, rgb8, mono8 or mono16",
    ),
    (
        r"(z16|disparity\w*|depth\w*|rvl|32FC1|64FC1|16SC1)",
        "depth or disparity: name the camera's colour or grey image topic",
    ),
    (
        r"8UC2",
        "two numbers to the pixel, as YUV 4:2:2 has: if it is that, name it yuv422 (uyvy) or"
        " yuv422_yuy2 (yuyv)",
    ),
    (
        r"(8S|16U|16S|32S|32F|64F)(C\d+)?|8UC\d+",
        "numbers without a meaning as colour: convert the image to bgr8 or mono8 in the driver; if"
        " the topic holds depth or labels, name the camera's image topic",
    ),
)
"""What encodings that are known but not supported are, and what can be done; the first that fits.
"""


def advice(name: str) -> str:
    """Say what to do about an image of an encoding that is no supported colour or grey image."""
    close = difflib.get_close_matches(name.strip().lower(), [n.lower() for n in _NAMED], n=1)
    named = {n.lower(): n for n in _NAMED}
    if name.strip().lower() in named:
        return f"write it '{named[name.strip().lower()]}' in the camera driver"
    for pattern, text in _FAMILIES:
        if re.fullmatch(pattern, name.strip(), re.IGNORECASE):
            return f"this is {text}"
    guess = f", perhaps '{named[close[0]]}'" if close else ""
    return f"set the camera driver to a standard encoding{guess}"
