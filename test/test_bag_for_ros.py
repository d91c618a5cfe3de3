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

"""Bags that we write open in `ros2 bag` of Humble, of Jazzy and later: by the rules of its readers.

The rules are those of rosbag2's own reader (rosbag2_storage: metadata_io.cpp of branch humble,
yaml.hpp and qos.cpp of branch jazzy; rosbag2_transport: qos.cpp of branch humble), with yaml-cpp's
idea of a type: every scalar is text until somebody asks for a number.
"""

import sqlite3
import struct

import pytest
import yaml
from rosbags.rosbag2 import Reader
from tiny_drive import START, mounting, transform, write_drive

from depth_perception.cli.main import main
from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_writer import BagWriter

TYPES = {"/tf_static": "tf2_msgs/msg/TFMessage", "/note": "std_msgs/msg/String"}


def text(node):
    if not isinstance(node, str):
        raise TypeError(f"bad conversion to a string: {node!r}")
    return node


def number(node):
    return int(text(node))


def sequence(node):
    if not isinstance(node, list):
        raise TypeError(f"no sequence: {node!r}")
    return node


def humble_qos(node):
    """One profile, all policies as numbers."""
    assert text(node["avoid_ros_namespace_conventions"]) in ("true", "false")
    number(node["depth"])
    for name in ("deadline", "lifespan", "liveliness_lease_duration"):
        number(node[name]["sec"]), number(node[name]["nsec"])
    return {k: number(node[k]) for k in ("history", "reliability", "durability", "liveliness")}


def humble_profiles(serialized):
    if not serialized:
        return []  # the player's default
    return [humble_qos(item) for item in sequence(yaml.load(serialized, yaml.BaseLoader))]


def humble(information):
    """Read a bag's metadata as Humble does; return the QoS profiles by topic."""
    version = number(information["version"])
    text(information["storage_identifier"])
    number(information["duration"]["nanoseconds"])
    number(information["starting_time"]["nanoseconds_since_epoch"])
    number(information["message_count"])
    found = {}
    for item in sequence(information["topics_with_message_count"]):
        topic = item["topic_metadata"]
        text(topic["type"]), number(item["message_count"])
        assert text(topic["serialization_format"]) == "cdr"
        serialized = text(topic["offered_qos_profiles"]) if version >= 4 else ""
        found[text(topic["name"])] = humble_profiles(serialized)
    for name in sequence(information["relative_file_paths"]):
        text(name)
    if version >= 3:
        text(information["compression_format"]), text(information["compression_mode"])
    if version >= 5:
        for file in sequence(information["files"]):
            text(file["path"]), number(file["message_count"])
            number(file["duration"]["nanoseconds"])
            number(file["starting_time"]["nanoseconds_since_epoch"])
    return found


def jazzy(information):
    """Read it as Jazzy does, that is what it wants beside Humble; return the names of topics."""
    version, names = number(information["version"]), []
    for item in information["topics_with_message_count"]:
        topic = item["topic_metadata"]
        if version >= 9:
            sequence(topic["offered_qos_profiles"])
        else:
            humble_profiles(text(topic["offered_qos_profiles"]))
        if version >= 7:
            assert text(topic["type_description_hash"]).startswith("RIHS01_")
        names.append(topic["name"])
    if version >= 6:
        assert isinstance(information["custom_data"], (dict, str))  # an empty one is empty text
    if version >= 8:
        text(information["ros_distro"])
    return names


def information_of(bag):
    loaded = yaml.load((bag / "metadata.yaml").read_text(encoding="utf-8"), yaml.BaseLoader)
    return loaded["rosbag2_bagfile_information"]


@pytest.fixture(params=["mcap", "sqlite3", "compressed mcap"])
def bag(request, tmp_path):
    path = tmp_path / "bag"
    storage = request.param.split()[-1]
    with BagWriter(path, storage=storage, compressed=" " in request.param) as writer:
        placed = transform(writer.types, "base_link", "front", mounting("front"))
        message = writer.types.new("tf2_msgs/msg/TFMessage", transforms=[placed])
        writer.write("/tf_static", message, START, latched=True)
        writer.write("/note", writer.types.new("std_msgs/msg/String", data="one"), START + 1)
        writer.write("/note", writer.types.new("std_msgs/msg/String", data="two"), START + 2)
    return path


def test_humble_and_jazzy_read_metadata_and_qos(bag):
    information = information_of(bag)
    latched = {"history": 1, "reliability": 1, "durability": 1, "liveliness": 1}
    assert humble(information) == {"/tf_static": [latched], "/note": []}
    assert jazzy(information) == ["/tf_static", "/note"]
    assert information["message_count"] == "3"
    (name,) = information["relative_file_paths"]
    assert (bag / name).is_file()


def test_humble_refuses_the_form_of_newer_bags(bag):
    information = information_of(bag)
    information["version"] = "9"
    for item in information["topics_with_message_count"]:
        item["topic_metadata"]["offered_qos_profiles"] = []
    jazzy(information)
    with pytest.raises(TypeError, match="bad conversion"):
        humble(information)


def test_files_say_the_same_without_metadata(bag):
    (file,) = (path for path in bag.iterdir() if path.name != "metadata.yaml")
    if file.suffix == ".db3":
        with sqlite3.connect(file) as connection:
            rows = connection.execute(
                "SELECT name, type, serialization_format, offered_qos_profiles FROM topics"
            ).fetchall()
            count = connection.execute(
                "SELECT COUNT(messages.id) FROM messages JOIN topics ON topic_id = topics.id"
            ).fetchone()
        assert {name: kind for name, kind, *_ in rows} == TYPES
        assert {row[2] for row in rows} == {"cdr"} and count == (3,)
        profiles = [humble_profiles(row[3]) for row in rows if row[0] == "/tf_static"]
    else:
        data = file.read_bytes()
        (length,) = struct.unpack_from("<I", data, 8 + 1 + 8)
        assert data[:5] == b"\x89MCAP" and data[21 : 21 + length] == b"ros2"
        # Channels are repeated in the summary, which is not compressed.
        key = b"offered_qos_profiles"
        place = data.rindex(key, 0, data.rindex(b"/note")) + len(key)
        (length,) = struct.unpack_from("<I", data, place)
        profiles = [humble_profiles(data[place + 4 : place + 4 + length].decode())]
    ((profile,),) = profiles
    assert profile["durability"] == profile["reliability"] == 1


def test_our_reader_and_rosbags_read_them_too(bag):
    with open_bag(bag) as reader:
        assert [(c.topic, t - START) for c, t, _ in reader.messages()] == [
            ("/tf_static", 0),
            ("/note", 1),
            ("/note", 2),
        ]
        latched = {topic.topic: topic.latched for topic in reader.connections}
        assert latched == {"/tf_static": True, "/note": False}
    with Reader(bag) as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == TYPES
        assert {c.msgdef.format.name for c in reader.connections} == {"MSG"}


def test_a_bag_without_messages_opens(tmp_path):
    with BagWriter(tmp_path / "bag"):
        pass
    assert humble(information_of(tmp_path / "bag")) == {}


def test_replay_writes_such_a_bag(tmp_path):
    drive = write_drive(tmp_path / "drive")
    command = ["replay", str(drive), "-o", str(tmp_path / "out"), "--estimator", "embodied"]
    assert main([*command, "--set", "segmentation.source=geometric"]) == 0
    assert "/surround_depth/front/depth/image_rect" in humble(information_of(tmp_path / "out"))
