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
"""The verb calibrate, the file that it writes, and what reads that file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from simulated_drive import turned
from textured_street import pose, render
from tiny_drive import CAMERA, mounting, write_drive

from depth_perception import messages
from depth_perception.cli.main import main
from depth_perception.datasets.bag import BagReader
from depth_perception.errors import ConfigurationError, TransformError
from depth_perception.geometry.rig import Rig
from depth_perception.parameters import load
from depth_perception.rig.extrinsics_file import extrinsics_text, load_extrinsics

STEP = 0.5
"""Metres between frame sets."""


def moving(wrong):
    """Change a tiny drive: its cameras drive through a street, and one of them is mounted wrong."""

    def change(topic, index, message):
        name = topic.strip("/").split("/")[0]
        if topic == "/tf_static":
            T = turned(mounting("front"), wrong)
            for item in message.transforms:
                if item.child_frame_id == "front":
                    stamp = messages.stamp_of(item.header.stamp)
                    edge = messages.transform_message(TYPES, stamp, "base_link", "front", T)
                    item.transform = edge.transform
        if topic.endswith("image_raw"):
            late = 0.2 * STEP if name == "rear" else 0.0
            grey, _ = render(CAMERA, pose(index * STEP + late) @ mounting(name))
            message.data = np.repeat(grey[..., None], 3, axis=2).ravel()
        return message

    from depth_perception.datasets.bag_writer import BagTypes, package_typestore

    TYPES = BagTypes(package_typestore())
    return change


def apart(A, B):
    cosine = (np.trace(A[:3, :3] @ B[:3, :3].T) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_a_camera_that_was_moved_is_found_and_the_file_puts_it_right(tmp_path, capsys):
    wrong = [0.0, 1.0, -1.0]
    bag = write_drive(tmp_path / "bag", frames=18, change=moving(wrong))
    output, report = tmp_path / "mountings.yaml", tmp_path / "found.json"
    assert main(["calibrate", str(bag), "-o", str(output), "--json", str(report)]) == 0
    said = capsys.readouterr().out
    assert "front" in said and "roll" in said and f"extrinsics={output}" in said
    found = json.loads(report.read_text())["cameras"]["front"]
    assert found["relative_deg"][1] == pytest.approx(-1.0, abs=0.35)
    assert found["relative_deg"][2] == pytest.approx(1.0, abs=0.35)
    with BagReader(bag, load(None, {"extrinsics": str(output)})) as reader:
        corrected = reader.rig["front"].T_base_camera
        assert (
            apart(corrected, mounting("front"))
            < 0.5
            < apart(corrected, turned(mounting("front"), wrong))
        )
    assert main(["inspect", str(bag), "--set", f"extrinsics={output}"]) == 0
    assert "calibration" not in capsys.readouterr().out
    command = ["inspect", str(bag), "--calibration", "--json", str(tmp_path / "i.json")]
    assert main(command) == 0
    assert "pitch, deg" in capsys.readouterr().out
    shown = json.loads((tmp_path / "i.json").read_text())["calibration"]
    assert shown["cameras"]["front"]["relative_deg"] == found["relative_deg"]
    # Without --overwrite nothing that may be in use is lost.
    assert main(["calibrate", str(bag), "-o", str(output)]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_a_bag_in_which_nothing_moves_is_refused(tmp_path, capsys):
    def still(topic, index, message):
        if topic.endswith("image_raw"):
            name = topic.strip("/").split("/")[0]
            grey, _ = render(CAMERA, pose(0.0) @ mounting(name))
            message.data = np.repeat(grey[..., None], 3, axis=2).ravel()
        return message

    bag = write_drive(tmp_path / "bag", frames=4, change=still)
    assert main(["calibrate", str(bag), "-o", str(tmp_path / "m.yaml")]) == 1
    assert "the vehicle came 0.0 m" in capsys.readouterr().err
    assert not (tmp_path / "m.yaml").exists()


def tiny_rig(tmp_path):
    with BagReader(write_drive(tmp_path / "bag", frames=1), load(None, {})) as reader:
        return reader.rig


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    rig = tiny_rig(tmp_path)
    mountings = {"front": turned(mounting("front"), [1, 2, 3])}
    text = extrinsics_text(rig, mountings, {"front": 'roll "1"'}, "a bag")
    (tmp_path / "m.yaml").write_text(text)
    given = load_extrinsics(tmp_path / "m.yaml", "base_link")
    assert given["front"].frame == "front"
    np.testing.assert_allclose(given["front"].T_base_camera, mountings["front"], atol=1e-8)
    line = next(line for line in text.splitlines() if "static_transform_publisher" in line)
    assert "--frame-id base_link --child-frame-id front" in line


def test_cameras_that_the_file_does_not_name_are_placed_by_tf(tmp_path):
    rig = tiny_rig(tmp_path)
    mountings = {"front": turned(mounting("front"), [0, 5, 0])}
    (tmp_path / "m.yaml").write_text(extrinsics_text(rig, mountings, {"front": ""}, "a bag"))
    with BagReader(
        tmp_path / "bag", load(None, {"extrinsics": str(tmp_path / "m.yaml")})
    ) as reader:
        np.testing.assert_allclose(reader.rig["rear"].T_base_camera, mounting("rear"), atol=1e-9)
        np.testing.assert_allclose(reader.rig["front"].T_base_camera, mountings["front"], atol=1e-8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(base_frame="map"), "is of base_frame 'map'"),
        (lambda c: c.pop("cameras"), "no base_frame or no cameras"),
        (lambda c: c["cameras"]["front"].update(rotation=[0, 0, 0, 0]), "camera front"),
        (lambda c: c["cameras"]["front"].update(translation=["x", 0, 0]), "camera front"),
        (lambda c: c["cameras"]["front"].update(framee="front"), "'framee' does not exist"),
        (lambda c: c["cameras"]["front"].pop("frame"), "frame is None"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_a_fix(change, said, tmp_path):
    rig = Rig(tiny_rig(tmp_path).cameras, "base_link")
    content = yaml.safe_load(extrinsics_text(rig, {"front": mounting("front")}, {"front": ""}, "b"))
    change(content)
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as caught:
        load_extrinsics(path, "base_link")
    assert (
        said in str(caught.value) and "m.yaml" in str(caught.value) and "Fix" in str(caught.value)
    )


def test_a_file_of_another_optical_frame_is_refused(tmp_path):
    rig = tiny_rig(tmp_path)
    text = extrinsics_text(rig, {"front": mounting("front")}, {"front": ""}, "a bag")
    (tmp_path / "m.yaml").write_text(text.replace('frame: "front"', 'frame: "other"'))
    parameters = load(None, {"extrinsics": str(tmp_path / "m.yaml"), "cameras": ["front"]})
    with BagReader(tmp_path / "bag", parameters) as reader, pytest.raises(Exception) as caught:
        _ = reader.rig
    assert "'other'" in str(caught.value) and "calibrate" in str(caught.value)
    assert isinstance(caught.value, TransformError) or "front" in str(caught.value)
