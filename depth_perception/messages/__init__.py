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

"""Between ROS messages and arrays, without importing ROS.

Reading works on anything with a message's fields: rclpy's classes and those of PyPI ``rosbags``.
Building goes through a `MessageTypes`: the node builds rclpy messages with it, replay builds the
same messages for a bag. Encodings and validity follow REP 118 and REP 117: depth is 32FC1 metres,
NaN unknown, +Inf beyond range; 16UC1 is millimetres, 0 unknown.
"""

from depth_perception.messages.bit_depth import BitDepth
from depth_perception.messages.compressed import is_plain
from depth_perception.messages.ground import ground_message, occupancy_message
from depth_perception.messages.image_decoder import ImageDecoder
from depth_perception.messages.sensors import (
    MessageTypes,
    camera_info_message,
    cloud_message,
    decode_depth,
    decode_image,
    decode_labels,
    decode_points,
    decode_ranges,
    depth_message,
    header,
    image_message,
    is_compressed,
    stamp_of,
    zero_stamp,
)
from depth_perception.messages.transforms import (
    decode_edge,
    decode_pose,
    decode_transform,
    of_another_frame,
    transform_message,
    twist_message,
)

__all__ = [
    "BitDepth",
    "ImageDecoder",
    "MessageTypes",
    "camera_info_message",
    "cloud_message",
    "decode_depth",
    "decode_edge",
    "decode_image",
    "decode_labels",
    "decode_points",
    "decode_pose",
    "decode_ranges",
    "decode_transform",
    "depth_message",
    "ground_message",
    "header",
    "image_message",
    "is_compressed",
    "is_plain",
    "occupancy_message",
    "of_another_frame",
    "stamp_of",
    "transform_message",
    "twist_message",
    "zero_stamp",
]
