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

"""Hostile messages and bags: whatever comes in, only a `DepthPerceptionError` comes out.

10,000 cases in all. Every field of a message may be anything that its type allows; bags are a small
valid one that was cut, overwritten or grown. FUZZ=N runs N times as
many, others on every run; with a fraction, as `make test` does, fewer, the same ones on every run.
"""

from __future__ import annotations

import os
import random
import resource
from array import array
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from tiny_drive import CAMERA, mounting, write_drive

from depth_perception import messages
from depth_perception.datasets.bag import BagReader
from depth_perception.datasets.bag_file import open_bag
from depth_perception.datasets.bag_writer import package_typestore
from depth_perception.errors import DepthPerceptionError
from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.rig import Rig
from depth_perception.geometry.transform_tree import TransformTree
from depth_perception.messages.encodings import ENCODINGS
from depth_perception.parameters import Parameters, from_flat
from depth_perception.pipeline import SurroundPipeline
from depth_perception.rig.builder import build_rig_camera
from depth_perception.rig.tracker import calibration_key

FACTOR = float(os.environ.get("FUZZ", "1"))


def cases(count: int) -> Any:
    """Run so many cases, the same ones on every run, without a database or a deadline."""
    return settings(
        max_examples=round(count * FACTOR),
        deadline=None,
        derandomize=FACTOR <= 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


UINT8 = st.sampled_from([0, 1, 2, 255]) | st.integers(0, 255)
UINT32 = st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
SMALL = st.integers(0, 12)
SIZE = SMALL | SMALL | SMALL | UINT32
DOUBLE = st.floats() | st.sampled_from([0.0, -0.0, 1.0, 1e-300, 1e300, -1e300, np.nan, np.inf])
TEXT = st.text(max_size=8) | st.sampled_from(["", "/", "//", "a/b", "base_link", "\0", "bgr8"])
ENCODING = (
    st.sampled_from(sorted(ENCODINGS))
    | st.sampled_from(["32FC1", "16UC1", "32SC1", "8UC999", "64FC9", "8UC0", "", "BGR8", "32FC"])
    | TEXT
)
DATA = st.binary(max_size=1024)


@lru_cache
def encoded(ending: str, grey: bool, width: int, deep: bool = False) -> bytes:
    """A whole JPEG or PNG."""
    image = np.random.default_rng(0).integers(0, 255, (8, width, 3), dtype=np.uint8)
    image = image.astype(np.uint16) << 4 if deep else image
    return bytes(cv2.imencode(ending, image[..., 0] if grey else image)[1])


def mutated(data: bytes) -> Any:
    """Cut, overwrite, insert, drop, repeat, anywhere in the bytes alike; mostly a little."""
    return st.integers(0, 2**32 - 1).map(lambda seed: _mutate(data, random.Random(seed)))


def _mutate(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        kind = rng.choice(("cut", "write", "write", "write", "insert", "drop", "repeat"))
        few = rng.choice((rng.randbytes(rng.randint(1, 8)), b"\xff" * rng.randint(1, 8)))
        if kind == "cut":
            data = data[:at]
        elif kind == "write":
            data = data[:at] + few + data[at + len(few) :]
        elif kind == "insert":
            data = data[:at] + few + data[at:]
        elif kind == "drop":
            data = data[:at] + data[at + rng.randint(1, 64) :]
        else:
            data = data[:at] + data[at : at + 64] + data[at:]
    return data


def header(draw: Any) -> SimpleNamespace:
    stamp = SimpleNamespace(sec=draw(st.integers(-(2**31), 2**31 - 1)), nanosec=draw(UINT32))
    return SimpleNamespace(stamp=stamp, frame_id=draw(TEXT))


@st.composite
def images(draw: Any) -> SimpleNamespace:
    """An Image whose size, step and data agree, nearly agree, or not at all."""
    width, height, encoding = draw(SIZE), draw(SIZE), draw(ENCODING)
    step = draw(st.sampled_from([width, 2 * width, 3 * width, 4 * width, 8 * width]) | SIZE)
    size = min(step * height, 4096)
    data = draw(st.sampled_from([size, size + 1, max(0, size - 1)]).map(bytes) | DATA)
    return SimpleNamespace(
        header=header(draw),
        width=width,
        height=height,
        encoding=encoding,
        step=step,
        is_bigendian=draw(UINT8),
        data=array("B", data),
    )


@st.composite
def compressed_images(draw: Any) -> SimpleNamespace:
    ending = draw(st.sampled_from([".jpg", ".png"]))
    deep = ending == ".png" and draw(st.booleans())
    whole = encoded(ending, draw(st.booleans()), draw(st.sampled_from([8, 9])), deep)
    return SimpleNamespace(
        header=header(draw),
        data=array("B", draw(mutated(whole) | DATA)),
        format=draw(
            st.sampled_from(["jpeg", "png", "bgr8; jpeg compressed bgr8", "bayer_rggb8; png "])
            | st.sampled_from(["rgb8; png compressed rgb8", "16UC1; compressedDepth png", "h264"])
            | st.tuples(ENCODING, TEXT, ENCODING).map(lambda t: f"{t[0]}; {t[1]} compressed {t[2]}")
            | TEXT
        ),
    )


def numbers(good: list[float]) -> Any:
    """The right list, one with one bad number, or any list."""

    def replaced(item: tuple[int, float]) -> list[float]:
        return [*good[: item[0]], item[1], *good[item[0] + 1 :]]

    one = st.tuples(st.integers(0, max(0, len(good) - 1)), DOUBLE).map(replaced)
    return st.just(good) | one | st.lists(DOUBLE, max_size=14)


@st.composite
def calibrations(draw: Any) -> SimpleNamespace:
    """A CameraInfo of an 8 x 8 image with some fields spoilt."""
    K = [6.0, 0, 3.5, 0, 6.0, 3.5, 0, 0, 1]
    P = [6.0, 0, 3.5, 0, 0, 6.0, 3.5, 0, 0, 0, 1, 0]
    fixed = st.lists(DOUBLE, min_size=9, max_size=9)
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=draw(st.booleans()))
    info = SimpleNamespace(
        header=header(draw),
        width=8,
        height=8,
        binning_x=0,
        binning_y=0,
        roi=roi,
        distortion_model=draw(
            st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", ""]) | TEXT
        ),
        d=draw(numbers([0.1, -0.05, 0.001, 0.001, 0.01]) | numbers([]) | numbers([0.1] * 4)),
        k=draw(numbers(K) | fixed),
        r=draw(numbers(np.eye(3).ravel().tolist()) | fixed),
        p=draw(numbers(P) | numbers([0.0] * 12)),
    )
    for target, names in (
        (info, ("width", "height", "binning_x", "binning_y")),
        (roi, ("x_offset", "y_offset", "width", "height")),
    ):
        for name in draw(st.lists(st.sampled_from(names), max_size=2)):
            setattr(target, name, draw(SIZE))
    return info


@st.composite
def transforms(draw: Any) -> SimpleNamespace:
    x, y, z = draw(numbers([1.5, 0.0, 1.5]).filter(lambda v: len(v) == 3))
    qx, qy, qz, qw = draw(numbers([-0.5, 0.5, -0.5, 0.5]).filter(lambda v: len(v) == 4))
    return SimpleNamespace(
        header=header(draw),
        child_frame_id=draw(TEXT),
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=x, y=y, z=z),
            rotation=SimpleNamespace(x=qx, y=qy, z=qz, w=qw),
        ),
    )


@st.composite
def clouds(draw: Any) -> SimpleNamespace:
    good = [("x", 0, 7), ("y", 4, 7), ("z", 8, 7)]
    fields = draw(
        st.just(good)
        | st.lists(st.tuples(TEXT | st.sampled_from("xyz"), SIZE, UINT8), max_size=5)
        | st.permutations([("x", 0, 8), ("y", 4, 7), ("z", 2**32 - 1, 7)])
    )
    width, height = draw(SIZE), draw(SIZE)
    point_step = draw(st.just(12) | st.just(16) | SIZE)
    row_step = draw(st.just(min(width * point_step, 2**32 - 1)) | SIZE)
    size = min(row_step * height, 4096)
    return SimpleNamespace(
        header=header(draw),
        width=width,
        height=height,
        point_step=point_step,
        row_step=row_step,
        fields=[SimpleNamespace(name=n, offset=o, datatype=d, count=1) for n, o, d in fields],
        is_bigendian=draw(st.booleans()),
        is_dense=draw(st.booleans()),
        data=array("B", draw(st.just(bytes(size)) | DATA)),
    )


def attempt(function: Any, *arguments: Any) -> Any:
    """Call it; None when it refuses with an error of ours that says something."""
    try:
        return function(*arguments)
    except DepthPerceptionError as error:
        assert error.problem
        return None


@cases(3000)
@given(images())
def test_images(message: Any) -> None:
    image = attempt(messages.decode_image, message)
    if image is not None:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[:2] == (message.height, message.width)
    labels = attempt(messages.decode_labels, message)
    assert labels is None or labels.shape == (message.height, message.width)
    attempt(messages.decode_depth, message)


@cases(3000)
@given(compressed_images())
def test_compressed_images(message: Any) -> None:
    image = attempt(messages.decode_image, message)
    assert image is None or (image.dtype == np.uint8 and image.shape[2:] == (3,))
    labels = attempt(messages.decode_labels, message)
    assert labels is None or labels.ndim == 2


@cases(1000)
@given(clouds())
def test_clouds(message: Any) -> None:
    points = attempt(messages.decode_points, message)
    assert points is None or (points.ndim == 2 and np.isfinite(points).all())


@cases(500)
@given(st.lists(transforms(), max_size=4), TEXT, TEXT)
def test_transforms(items: list[Any], target: str, source: str) -> None:
    tree = TransformTree()
    for item in items:
        edge = attempt(messages.decode_transform, item)
        if edge is not None:
            tree.set(*edge)
    T = attempt(tree.lookup, target, source)
    assert T is None or T.shape == (4, 4)


PIPELINES: dict[str, SurroundPipeline] = {}


@pytest.fixture(scope="module", autouse=True)
def pipelines() -> Any:
    """One pipeline of an estimator for all cases, with a small map."""
    for name in ("embodied", "fused"):
        flat = {"estimator": name, "occupancy.size": 4.0}
        PIPELINES[name] = SurroundPipeline(from_flat(flat))
    yield
    while PIPELINES:
        PIPELINES.popitem()[1].close()


@cases(700)
@given(
    calibrations(),
    transforms(),
    st.booleans(),
    st.booleans(),
    st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.just((8, 8)),
)
def test_rig_and_pipeline(
    info: Any, transform: Any, rectified: bool, rectify: bool, size: tuple[int, int]
) -> None:
    check_rig("embodied", info, transform, rectified, rectify, size)


@cases(200)
@given(calibrations(), transforms(), st.booleans(), st.booleans())
def test_rig_and_network(info: Any, transform: Any, rectified: bool, rectify: bool) -> None:
    # Of one size: a network is loaded anew for each.
    check_rig("fused", info, transform, rectified, rectify, (8, 8))


def check_rig(
    estimator: str, info: Any, transform: Any, rectified: bool, rectify: bool, size: tuple[int, int]
) -> None:
    """One camera of any calibration and mounting beside a good one."""
    edge = attempt(messages.decode_transform, transform)
    T = mounting("front") if edge is None else edge[2]
    calibration_key(info)
    parameters = from_flat({"rectify": rectify})
    camera = attempt(
        build_rig_camera, "front", info, size, rectified, T, "front", parameters, {}, "info"
    )
    if camera is None:
        return
    other = build_rig_camera(
        "rear", _info_of(CAMERA), (80, 50), True, mounting("rear"), "rear", parameters, {}
    )
    frames = {
        "front": CameraFrame(1, np.zeros((size[1], size[0], 3), np.uint8)),
        "rear": CameraFrame(1, np.zeros((50, 80, 3), np.uint8)),
    }
    rig = Rig({"front": camera, "rear": other})
    result = PIPELINES[estimator].process(FrameSet(1, frames), rig)
    assert "rear" in result.cameras, "one bad camera takes another with it"
    assert ("front" in result.cameras) != ("front" in result.missing)


def _info_of(camera: Any) -> SimpleNamespace:
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)
    return SimpleNamespace(
        width=camera.width,
        height=camera.height,
        k=camera.K.ravel(),
        d=camera.D,
        r=camera.R.ravel(),
        p=np.zeros(12),
        distortion_model="plumb_bob",
        binning_x=0,
        binning_y=0,
        roi=roi,
        header=SimpleNamespace(frame_id="rear"),
    )


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small whole bags, by kind."""
    folder = tmp_path_factory.mktemp("bags")
    for storage in ("mcap", "sqlite3"):
        write_drive(folder / storage, frames=2, compressed=True, storage=storage, change=tiny)
    writer = Writer(folder / "zstd", version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    types = package_typestore()
    with open_bag(folder / "mcap") as reader, writer:
        connections: dict[str, Any] = {}
        for item, stamp, data in reader.messages():
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(
                    item.topic, item.msgtype, typestore=types
                )
            writer.write(connections[item.topic], stamp, bytes(data))
    return {
        kind: next((folder / kind).glob(f"*.{ending}")).read_bytes()
        for kind, ending in BAGS.items()
    }


def tiny(topic: str, index: int, message: Any) -> Any:
    """Shrink images and clouds, so that a mutation hits structure more often than pixels."""
    if topic.endswith("compressed"):
        message.data = np.frombuffer(encoded(".png", False, 8), np.uint8)
    if topic.endswith("camera_info"):
        message.width = message.height = 8
        message.k = np.array([6.0, 0, 3.5, 0, 6.0, 3.5, 0, 0, 1])
        message.p = np.array([6.0, 0, 3.5, 0, 0, 6.0, 3.5, 0, 0, 0, 1, 0])
    if topic == "/lidar/points":
        message.width, message.row_step = 4, message.point_step * 4
        message.data = message.data[: message.row_step]
    return message


def read_bag(path: Path) -> int:
    """Read everything of a bag; returns the number of frames."""
    with BagReader(path, Parameters()) as reader:
        assert len(reader.rig) > 0
        count = sum(len(item.frames) for item in reader.frame_sets())
        for topic in reader.lidar_topics:
            list(reader.clouds(topic))
        assert reader.odometry is not None and reader.image_count >= 0
        assert reader.start_time <= reader.end_time or count == 0
        return count


BAGS = {"mcap": "mcap", "zstd": "mcap", "sqlite3": "db3"}


@pytest.mark.parametrize(("kind", "count"), [("mcap", 400), ("zstd", 300), ("sqlite3", 300)])
def test_bags(bags: dict[str, bytes], tmp_path: Path, kind: str, count: int) -> None:
    path = tmp_path / f"bag.{BAGS[kind]}"
    outcomes: list[int | None] = []

    @cases(count)
    @given(mutated(bags[kind]))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        outcomes.append(attempt(read_bag, path))

    check()
    # Whole ones and refused ones have to occur, or the mutations are too strong or too weak.
    assert min(outcomes.count(4), outcomes.count(None)) > len(outcomes) / 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 3 * 2**20, "3 GB at most"
