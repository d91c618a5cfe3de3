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

"""Bags: what is found in them, and what is said of bad ones."""

import re

import numpy as np
import pytest
from tiny_drive import CAMERA, PERIOD, START, mounting, picture, transform, write_drive

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_playback import Playback
from depth_perception.datasets.bag_writer import BagTypes, BagWriter, package_typestore
from depth_perception.datasets.inspection import inspect_bag
from depth_perception.errors import BagError
from depth_perception.geometry.cloud import POINT_DTYPE
from depth_perception.parameters import Parameters, from_flat
from depth_perception.rig.camera_topics import (
    CAMERA_INFO_TYPE,
    IMAGE_TYPES,
    find_cameras,
    is_rectified_topic,
    unclear_cameras,
    why_no_camera,
)

STORE = BagTypes(package_typestore())


def read(path, **values):
    with BagReader(path, from_flat(values)) as reader:
        return reader.rig, list(reader.frame_sets()), reader.problems


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_frame_set_comes_once_with_its_pixels(tmp_path, storage, compressed):
    path = write_drive(tmp_path / "bag", storage=storage, compressed=compressed)
    rig, sets, problems = read(path)
    assert problems == []
    assert rig.names == ["front", "rear"]
    assert rig["front"].model.same_as(CAMERA)
    assert np.allclose(rig["rear"].T_base_camera, mounting("rear"))
    assert [s.stamp for s in sets] == [START + i * PERIOD for i in range(3)]
    for index, frame_set in enumerate(sets):
        assert (frame_set.frames["front"].image == picture(2 * index)).all()
        assert (frame_set.frames["rear"].image == picture(2 * index + 1)).all()
        assert frame_set.frames["rear"].stamp == START + index * PERIOD + 20_000_000


@pytest.mark.parametrize(("storage", "ending"), [("mcap", "mcap"), ("sqlite3", "db3")])
def test_a_single_file_and_a_folder_without_metadata_open_too(tmp_path, storage, ending):
    path = write_drive(tmp_path / "bag", storage=storage)
    (file,) = path.glob(f"*.{ending}")
    assert len(read(file)[1]) == 3
    (path / "metadata.yaml").unlink()
    assert len(read(path)[1]) == 3


def test_lidar_and_transforms_are_found(tmp_path):
    with BagReader(write_drive(tmp_path / "bag"), Parameters()) as reader:
        scans = list(reader.clouds())
        assert [scan.stamp for scan in scans] == [START + i * PERIOD for i in range(3)]
        assert scans[0].frame_id == "lidar"
        assert (scans[0].points[:, 2] == np.float32(-1.8)).all()
        assert reader.tree.lookup("base_link", "lidar")[2, 3] == 1.8
        assert reader.tree.lookup("lidar", "front")[:3, 3] == pytest.approx([1.5, 0, -0.3])


def test_cameras_can_be_chosen_and_topics_named(tmp_path):
    path = write_drive(tmp_path / "bag")
    rig, sets, _ = read(path, cameras=["rear"])
    assert rig.names == ["rear"]
    assert [list(s.frames) for s in sets] == [["rear"]] * 3
    rig, _, _ = read(
        path,
        cameras=["boot"],
        image_topics=["/rear/image_raw"],
        camera_info_topics=["/rear/camera_info"],
    )
    assert rig.names == ["boot"]


def cut(path, share=0.6):
    (file,) = [*path.glob("*.mcap"), *path.glob("*.db3")]
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("storage", "share"),
    [(storage, share) for storage in ("mcap", "sqlite3") for share in (0.0, 0.001)],
)
def test_a_bag_cut_before_its_first_message_is_refused_with_the_fix(tmp_path, storage, share):
    path = cut(write_drive(tmp_path / "bag", storage=storage), share)
    with pytest.raises(BagError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "Fix:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_bag_is_refused(tmp_path):
    with pytest.raises(BagError, match="does not exist"), open_bag(tmp_path / "absent"):
        pass
    with pytest.raises(BagError, match=r"no metadata\.yaml and 0 bag files"), open_bag(tmp_path):
        pass
    (tmp_path / "a.txt").write_bytes(b"x")
    with pytest.raises(BagError, match="is no bag"), open_bag(tmp_path / "a.txt"):
        pass


@pytest.mark.parametrize(
    ("leave_out", "words"),
    [
        (("/front/camera_info", "/rear/camera_info"), "no usable camera"),
        (("/tf_static",), "frame 'front' is not in TF"),
        (("/front/image_raw", "/rear/image_raw"), "no usable camera"),
        (("/rear/camera_info", "/rear/image_raw", "/front/image_raw"), "no usable camera"),
    ],
)
def test_what_is_missing_is_named(tmp_path, leave_out, words):
    path = write_drive(tmp_path / "bag", leave_out=leave_out)
    with pytest.raises(BagError) as caught:
        read(path)
    assert words in str(caught.value)
    with BagReader(path, Parameters()) as reader:
        assert any(words in problem for problem in inspect_bag(reader)["problems"])


def test_one_camera_without_calibration_leaves_the_other(tmp_path):
    path = write_drive(tmp_path / "bag", leave_out=("/front/camera_info",))
    rig, sets, problems = read(path, cameras=["front", "rear"])
    assert rig.names == ["rear"]
    assert "front" in problems[0]
    assert "CameraInfo" in problems[0]
    assert "CameraInfo" in sets[0].missing["front"]


def test_a_base_frame_that_is_not_in_tf_is_named(tmp_path):
    with pytest.raises(BagError, match=r"'rear_axle' is not in TF.*known frames: base_link"):
        read(write_drive(tmp_path / "bag"), base_frame="rear_axle")


def changed(**fields_by_topic):
    """Alter one field of one topic's messages: {topic: (index or None, {field: value})}."""

    def change(topic, index, message):
        for wanted, (only, fields) in fields_by_topic.items():
            if topic.strip("/").replace("/", "__") == wanted and only in (None, index):
                for name, value in fields.items():
                    setattr(message, name, value)
        return message

    return change


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"front__image_raw": (1, {"encoding": "purple"})}, ["/front/image_raw", "purple"]),
        ({"front__image_raw": (1, {"step": 3})}, ["/front/image_raw", "step 3"]),
        (
            {"front__image_raw": (1, {"data": np.zeros(9, np.uint8)})},
            ["/front/image_raw", "9 bytes"],
        ),
        ({"front__camera_info": (1, {"k": np.zeros(9)})}, ["/front/camera_info", "uncalibrated"]),
        ({"front__camera_info": (1, {"width": 99})}, ["/front/camera_info", "99x200"]),
    ],
)
def test_one_bad_message_costs_one_camera_of_one_set(tmp_path, fault, words):
    path = write_drive(tmp_path / "bag", change=changed(**fault))
    _, sets, problems = read(path)
    assert [sorted(s.frames) for s in sets] == [["front", "rear"], ["rear"], ["front", "rear"]]
    (problem,) = problems
    for word in [*words, "Fix:"]:
        assert word in problem
    assert sets[1].missing["front"] == problem


def test_zero_stamps_are_refused_with_the_fix(tmp_path):
    def change(topic, index, message):
        if topic == "/front/image_raw" and index == 1:
            message.header.stamp.sec = message.header.stamp.nanosec = 0
        return message

    _, sets, problems = read(write_drive(tmp_path / "bag", change=change))
    assert [sorted(s.frames) for s in sets] == [["front", "rear"], ["rear"], ["front", "rear"]]
    assert problems == [
        "/front/image_raw: header.stamp is zero; expected the time of capture."
        " Fix: let the camera driver fill header.stamp"
    ]


def test_calibration_that_changes_midway_is_followed(tmp_path):
    def change(topic, index, message):
        if topic == "/front/camera_info" and index == 2:
            message.k = message.k * np.array([1.1, 1, 1, 1, 1.1, 1, 1, 1, 1])
        return message

    with BagReader(write_drive(tmp_path / "bag", change=change), Parameters()) as reader:
        focal = [reader.rig["front"].model.K[0, 0] for _ in reader.frame_sets()]
    assert focal == pytest.approx([200, 200, 220])


def test_a_nan_cloud_and_a_cut_one_are_left_out_with_the_reason(tmp_path):
    def change(topic, index, message):
        if topic == "/lidar/points" and index == 0:
            message.data = np.full(len(message.data) // 4, np.nan, np.float32).view(np.uint8)
        if topic == "/lidar/points" and index == 1:
            message.data = message.data[:100]
        return message

    with BagReader(write_drive(tmp_path / "bag", change=change), Parameters()) as reader:
        scans = list(reader.clouds())
        assert [len(scan.points) > 0 for scan in scans] == [True]
        assert re.search(r"/lidar/points: of the \d+ points .*none has finite", reader.problems[0])
        assert re.search(r"/lidar/points: .*100 bytes; expected", reader.problems[1])


@pytest.mark.parametrize("name", [b"point_step", b"data", b"header", b"width"])
def test_a_bag_that_defines_ros_types_wrongly_is_read_by_the_right_definitions(tmp_path, name):
    path = write_drive(tmp_path / "bag")
    (file,) = path.glob("*.mcap")
    data = file.read_bytes()  # of a directory, metadata.yaml would tell that types do not agree
    assert data.count(b" " + name) > 1
    file.write_bytes(data.replace(b" " + name, b" q" + name[1:]))
    with BagReader(file, Parameters()) as reader:
        assert sum(len(item.frames) for item in reader.frame_sets()) == 6
        assert len(list(reader.clouds())) == 3
    with Playback(file) as playback:
        assert playback.static_transforms()


def test_inspection_finds_gaps_and_rates(tmp_path):
    def change(topic, index, message):
        return None if topic == "/front/image_raw" and index in (4, 5) else message

    with BagReader(write_drive(tmp_path / "bag", frames=9, change=change), Parameters()) as reader:
        inspection = inspect_bag(reader)
    front, rear = inspection["cameras"]
    assert (front["rate_hz"], front["gaps"], front["longest_s"]) == (10.0, 1, 0.3)
    assert (rear["rate_hz"], rear["gaps"], rear["messages"]) == (10.0, 0, 9)
    assert rear["yaw_deg"] in (180.0, -180.0)
    assert front["height_m"] == 1.5
    assert inspection["problems"] == []
    assert any("gaps" in note for note in inspection["notes"])


def test_inspection_takes_the_ground_from_the_parameters_and_scans_from_the_lidar(tmp_path):
    def cut(topic, index, message):
        if topic == "/lidar/points":
            message.data = message.data[:10]
        return message

    path = write_drive(tmp_path / "bag", change=cut)

    def problems(**ground):
        parameters = from_flat({f"ground.{name}": value for name, value in ground.items()})
        with BagReader(path, parameters) as reader:
            return inspect_bag(reader)["problems"]

    assert [text[:13] for text in problems()] == ["/lidar/points"]
    high = problems(height=2.0)
    assert "camera front is -0.50 m above the ground (ground.height is 2 m in" in high[0]


def test_a_camera_frame_that_is_no_optical_frame_is_a_problem(tmp_path):
    def body(topic, index, message):
        if topic == "/tf_static":
            q = message.transforms[0].transform.rotation
            q.x, q.y, q.z, q.w = 0.0, 0.0, 0.0, 1.0
        return message

    with BagReader(write_drive(tmp_path / "bag", change=body), Parameters()) as reader:
        (problem,) = inspect_bag(reader)["problems"]
    assert "camera front sees no ground" in problem and "optical frame" in problem


def test_a_refused_transform_explains_why_a_frame_is_missing(tmp_path):
    def spoil(topic, index, message):
        if topic == "/tf_static":
            for item in message.transforms:
                item.transform.translation.x = float("nan")
        return message

    with pytest.raises(
        BagError, match=r"front.*not in TF \(transform base_link -> front: translation \[nan"
    ):
        read(write_drive(tmp_path / "bag", change=spoil))


def test_odometry_of_a_frame_that_base_is_fixed_to_moves_base(tmp_path):
    def rename(topic, index, message):
        if topic == "/tf_static":
            up = np.eye(4)
            up[2, 3] = 0.3
            message.transforms.append(transform(STORE, "base_footprint", "base_link", up))
        return message

    path = write_drive(tmp_path / "bag", change=rename)
    moving = tmp_path / "moving"
    with open_bag(path) as reader, BagWriter(moving) as writer:
        for connection, time, raw in reader.messages():
            writer.write_serialized(connection.topic, connection.msgtype, bytes(raw), time)
        for index in range(3):
            T = np.eye(4)
            T[0, 3] = float(index)
            pose = transform(STORE, "odom", "base_footprint", T, START + index * PERIOD)
            message = STORE.new("tf2_msgs/msg/TFMessage", transforms=[pose])
            writer.write("/tf", message, START + index * PERIOD)
    with BagReader(moving, Parameters()) as reader:
        assert [T[:3, 3].tolist() for _, T in reader.odometry] == [
            [0.0, 0.0, 0.3],
            [1.0, 0.0, 0.3],
            [2.0, 0.0, 0.3],
        ]


def test_the_cloud_with_most_points_is_the_lidar(tmp_path):
    path = write_drive(tmp_path / "bag")
    with open_bag(path) as reader, BagWriter(tmp_path / "two") as writer:
        for connection, time, raw in reader.messages():
            writer.write_serialized(connection.topic, connection.msgtype, bytes(raw), time)
            if connection.topic == "/lidar/points":
                one = messages.cloud_message(STORE, time, "lidar", np.zeros(1, POINT_DTYPE))
                writer.write("/a_radar", one, time)
    with BagReader(tmp_path / "two", Parameters()) as reader:
        assert reader.lidar_topics == ["/lidar/points", "/a_radar"]


@pytest.mark.parametrize(
    ("image", "info", "names"),
    [
        ("/camera/color/image_raw", "/camera/color/camera_info", ["color"]),
        ("/camera/depth/image_rect_raw", "/camera/depth/camera_info", []),
        ("/c/aligned_depth_to_color/image_raw", "/c/aligned_depth_to_color/camera_info", []),
        ("/rear_rect_bracket/image_raw", "/rear_rect_bracket/camera_info", ["rear_rect_bracket"]),
    ],
)
def test_cameras_that_deliver_no_pictures_are_not_cameras(image, info, names):
    topics = {image: IMAGE_TYPES[0], info: CAMERA_INFO_TYPE}
    found = find_cameras(topics, Parameters())
    assert list(found) == names
    assert not any(camera.rectified for camera in found.values())


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/a/image_rect", True),
        ("/a/image_rect_color/compressed", True),
        ("/a/image_rectified", True),
        ("/a/image_rect_compressed", True),
        ("/a/image_raw", False),
        ("/rect/image_raw", False),
        ("/rectified/left/image", True),
        ("/left_rect/image", True),
        ("/left_rect/image/compressed", True),
        ("/left/imageRect", True),
        ("/stereo/undistorted/image_color", True),
        ("/rectified/left/image_raw", False),
        ("/rectified/left_raw/image", False),
        ("/left/image_unrectified", False),
        ("/left/image_not_rectified", False),
        ("/direct/left/image", False),
        ("/rectangle/image", False),
    ],
)
def test_rectified_images_are_told_by_the_nearest_word_of_the_topic(topic, rectified):
    assert is_rectified_topic(topic) == rectified


def test_a_parameter_says_which_images_are_rectified():
    topics = {
        "/a/image_rect": IMAGE_TYPES[0],
        "/a/camera_info": CAMERA_INFO_TYPE,
        "/b/image_raw": IMAGE_TYPES[0],
        "/b/camera_info": CAMERA_INFO_TYPE,
    }

    def kinds(**changes):
        found = find_cameras(topics, Parameters(**changes))
        return [found[name].rectified for name in ("a", "b")]

    assert kinds() == [True, False]
    assert kinds(image_kinds=["rectified"]) == [True, True]
    assert kinds(image_kinds=["raw"]) == [False, False]
    both = {"cameras": ["b", "a"]}
    assert kinds(**both, image_kinds=["rectified", "raw"]) == [False, True]
    assert kinds(**both, image_kinds=["rectified", "auto"]) == [True, True]


def test_a_topic_of_another_type_is_named_with_its_type(tmp_path):
    with pytest.raises(BagError, match=r"/lidar/points is a sensor_msgs/msg/PointCloud2"):
        read(write_drive(tmp_path / "bag"), cameras=["front"], image_topics=["/lidar/points"])


def graph(infos, images):
    return dict.fromkeys(infos, CAMERA_INFO_TYPE) | dict.fromkeys(images, IMAGE_TYPES[0])


@pytest.mark.parametrize(
    ("infos", "images", "chosen"),
    [
        # What image_pipeline, zed and isaac drivers publish.
        (["/l/camera_info", "/l/camera_info_rect"], ["/l/image_raw"], ("/l/camera_info", "raw")),
        (
            ["/l/camera_info", "/l/camera_info_rect"],
            ["/l/image_raw", "/l/image_rect"],
            ("/l/camera_info", "rect"),
        ),
        (["/l/camera_info", "/l/camera_info_raw"], ["/l/image_raw"], ("/l/camera_info", "raw")),
        # Alone it describes rectified images, and no others.
        (["/l/camera_info_rect"], ["/l/image_rect"], ("/l/camera_info_rect", "rect")),
        (
            ["/l/camera_info_rect"],
            ["/l/image_raw", "/l/image_rect"],
            ("/l/camera_info_rect", "rect"),
        ),
        (["/l/camera_info_rect"], ["/l/image_raw"], None),
        # Of two namespaces, the one with images.
        (["/a/l/camera_info", "/b/l/camera_info"], ["/b/l/image_raw"], ("/b/l/camera_info", "raw")),
        (["/a/l/camera_info", "/b/l/camera_info"], ["/a/l/image_raw", "/b/l/image_raw"], None),
        (["/l/camera_info_one", "/l/camera_info_two"], ["/l/image_raw"], None),
    ],
)
def test_of_several_calibrations_the_one_called_camera_info_counts(infos, images, chosen):
    topics = graph([*infos, "/r/camera_info"], [*images, "/r/image_raw"])
    found = find_cameras(topics, Parameters())
    assert "r" in found, "one camera that is unclear does not cost another"
    if chosen is None:
        assert "l" not in found
        reason = why_no_camera("l", topics, Parameters())
        assert all(info in reason for info in infos)
        unclear = unclear_cameras(topics, Parameters())
        assert unclear == (["l"] if len(infos) > 1 else [])
        assert ("Fix:" in reason) == bool(unclear)
        return
    info, kind = chosen
    assert (found["l"].info, found["l"].image) == (info, f"{info.rsplit('/', 1)[0]}/image_{kind}")
    beside = [other for other in infos if other != info and other.startswith("/l/")]
    assert all(other in found["l"].note for other in beside)
    assert bool(found["l"].note) == bool(beside)
    named = from_flat(
        {"cameras": ["l"], "camera_info_topics": [infos[-1]], "image_topics": images[-1:]}
    )
    camera = find_cameras(topics, named)["l"]
    assert camera.info == infos[-1] and not camera.note


def add_topics(path, rename):
    """Repeat messages of a bag under further names: {topic: [new topic, ...]}."""
    out = path.with_name(path.name + "_more")
    with open_bag(path) as reader, BagWriter(out) as writer:
        for connection, time, raw in reader.messages():
            for topic in (connection.topic, *rename.get(connection.topic, ())):
                writer.write_serialized(topic, connection.msgtype, raw, time)
    return out


def test_a_second_calibration_is_a_note_in_a_bag(tmp_path):
    path = add_topics(
        write_drive(tmp_path / "bag"), {"/front/camera_info": ["/front/camera_info_rect"]}
    )
    rig, sets, problems = read(path)
    assert rig.names == ["front", "rear"] and len(sets) == 3
    (note,) = problems
    assert "camera front: /front/camera_info is used and /front/camera_info_rect is not" in note
    with BagReader(path, Parameters()) as reader:
        inspection = inspect_bag(reader)
        assert note in inspection["notes"] and inspection["problems"] == []


def test_two_vehicles_in_a_bag_cost_the_cameras_that_share_a_name(tmp_path):
    names = ("camera_info", "image_raw")
    path = add_topics(
        write_drive(tmp_path / "bag"),
        {f"/front/{name}": [f"/other/front/{name}"] for name in names},
    )
    rig, sets, problems = read(path)
    assert rig.names == ["rear"] and all("front" in s.missing for s in sets)
    (text,) = problems
    assert "/front/camera_info, /other/front/camera_info" in text and "Fix: set cameras" in text


def with_stamps(stamps):
    """Replace stamps (ns) of the front camera's images, by index."""

    def change(topic, index, message):
        if topic == "/front/image_raw" and index in stamps:
            stamp = message.header.stamp
            stamp.sec, stamp.nanosec = divmod(stamps[index], 1_000_000_000)
        return message

    return change


def test_zero_stamps_are_counted_and_are_no_gap(tmp_path):
    path = write_drive(tmp_path / "bag", frames=6, change=with_stamps({1: 0, 4: 0}))
    with BagReader(path, Parameters()) as reader:
        inspection = inspect_bag(reader)
    front = inspection["cameras"][0]
    assert (front["messages"], front["gaps"], front["rate_hz"]) == (6, 0, 10.0)
    assert front["zero_stamps"] == 2 and "not_rising" not in front
    (note,) = [note for note in inspection["notes"] if note.startswith("/front/image_raw")]
    assert "2 images have a stamp of zero" in note and "Fix:" in note
    one = write_drive(tmp_path / "one", change=with_stamps({1: -(10**9)}))
    with BagReader(one, Parameters()) as reader:
        assert any("1 image has a stamp of zero" in note for note in inspect_bag(reader)["notes"])


@pytest.mark.parametrize(
    ("stamp", "word"),
    [(12_300_000_000, "12.3 s (time since boot"), (2**31 * 10**9 - 1, "2038-01-19")],
)
def test_stamps_of_another_clock_are_named_and_the_others_are_used(tmp_path, stamp, word):
    path = write_drive(tmp_path / "bag", frames=9, change=with_stamps({2: stamp, 5: stamp}))
    with BagReader(path, Parameters()) as reader:
        inspection = inspect_bag(reader)
        sets = list(reader.frame_sets())
    front = inspection["cameras"][0]
    assert (front["gaps"], front["rate_hz"], front["other_clock"]) == (0, 10.0, 2)
    (note,) = [note for note in inspection["notes"] if note.startswith("/front/image_raw")]
    assert "2 images have a stamp of another clock" in note and "Fix:" in note
    assert word in note and "2023-11-14" in note
    both = [s.stamp for s in sets if len(s.frames) == 2]
    assert both == [START + i * PERIOD for i in (0, 1, 3, 4, 6, 7, 8)]


def test_a_camera_of_another_clock_is_a_problem(tmp_path):
    change = with_stamps({index: 5 * 10**9 + index * PERIOD for index in range(3)})
    with BagReader(write_drive(tmp_path / "bag", change=change), Parameters()) as reader:
        problems = inspect_bag(reader)["problems"]
    assert len(problems) == 1 and "another clock" in problems[0] and "Fix:" in problems[0]
