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

"""Parameters: one declaration, checked values, ROS files."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_perception.cli.arguments import assignments
from depth_perception.errors import ConfigurationError
from depth_perception.parameters import Parameters, from_flat, load, reference, specifications
from depth_perception.resources import config_file, parameter_file
from depth_perception.yaml_mapping import near_name, near_path, nearest, parse_yaml


def test_every_default_is_allowed_and_described():
    flat = {spec.name: spec.default for spec in specifications()}
    assert from_flat(flat) == Parameters()
    for spec in specifications():
        assert len(spec.description) > 10, spec.name
        assert type(spec.default) in (bool, int, float, str, list), spec.name


def test_dotted_names_reach_their_group_and_leave_the_rest():
    parameters = from_flat({"sync.tolerance": 0.02, "cameras": ["a", "b"], "ground.height": 1})
    assert parameters.sync.tolerance == 0.02
    assert parameters.sync.timeout == Parameters().sync.timeout
    assert parameters.cameras == ["a", "b"]
    assert parameters.ground.height == 1.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sync.tolerence": 0.1}, "'sync.tolerance'"),
        ({"sync.tolerance": -1.0}, "0.0 to 10.0"),
        ({"sync.tolerance": "fast"}, "a float"),
        ({"sync.queue_size": True}, "a int"),
        ({"estimator": "magic"}, "embodied"),
        ({"cameras": ["a", "a"]}, "names one twice"),
        ({"cameras": ["a"], "image_topics": ["/a", "/b"]}, "one topic for each camera"),
        ({"image_kinds": ["yes"]}, "'rectified', 'raw' or 'auto'"),
        ({"image_kinds": ["raw", "rectified"]}, "0 cameras that are named"),
        ({"cloud.obstacle_max_height": 0.1}, "obstacle_min_height"),
        ({"sync.tolerance": float("nan")}, "nan"),
    ],
)
def test_impossible_values_are_refused_by_name(values, words):
    with pytest.raises(ConfigurationError) as caught:
        from_flat(values)
    assert words in str(caught.value)
    assert next(iter(values)).split(".")[0] in str(caught.value)


def test_a_ros_file_is_read_and_its_paths_are_its_own_folders(tmp_path):
    (tmp_path / "masks.yaml").write_text("{}")
    file = tmp_path / "rig.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    use_sim_time: true\n    ego_masks: masks.yaml\n"
        "    sync: {tolerance: 0.03}\n    ground.height: -0.3\n"
    )
    parameters = load(file, {"base_frame": "rear_axle"})
    assert parameters.sync.tolerance == 0.03
    assert parameters.ground.height == -0.3
    assert parameters.base_frame == "rear_axle"
    assert parameters.ego_masks == str(tmp_path / "masks.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "no YAML"), ("a: 1", "no ros__parameters"), ("[]", "holds nothing")],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, text, words):
    file = tmp_path / "rig.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as caught:
        load(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "absent.yaml")


def test_the_reference_page_is_up_to_date():
    page = Path(__file__).parents[1] / "docs" / "parameters.md"
    assert page.read_text() == reference(), "run: python -m depth_perception.parameters"


def test_only_blocks_for_this_node_count(tmp_path):
    file = tmp_path / "shared.yaml"
    file.write_text(
        "/**: {ros__parameters: {ground: {height: 0.1, pitch: 0.02}}}\n"
        "/bag_player: {ros__parameters: {rate: 2.0}}\n"
        "/car1/surround_depth: {ros__parameters: {ground: {height: 0.2}}}\n"
        "other_node: {ros__parameters: {ground: {height: 9.0}}}\n"
    )
    ground = load(file).ground
    assert (ground.height, ground.pitch) == (0.2, 0.02)
    file.write_text("other_node: {ros__parameters: {ground: {height: 9.0}}}\n")
    with pytest.raises(ConfigurationError, match=r"is for other_node.*/\*\*"):
        load(file)
    file.write_text("/**: {ros__parameters: [1]}\n")
    with pytest.raises(ConfigurationError, match="is a list"):
        load(file)
    file.write_bytes(b"\xff\xfe\x00 no text")
    with pytest.raises(ConfigurationError, match="no YAML"):
        load(file)


def test_a_parameter_file_is_found_by_its_path_or_by_a_bare_name(tmp_path, monkeypatch):
    shipped = config_file("nuscenes.yaml")
    monkeypatch.chdir(tmp_path)
    assert parameter_file("nuscenes") == parameter_file("nuscenes.yaml") == shipped
    own = tmp_path / "nuscenes.yaml"
    own.write_text("{}")
    assert (
        parameter_file("nuscenes.yaml").resolve() == own and parameter_file("nuscenes") == shipped
    )
    assert parameter_file("./none.yaml") == Path("none.yaml")  # whoever reads it says so
    with pytest.raises(ConfigurationError, match=r"'none\.yaml' does not exist.*nuscenes\.yaml"):
        parameter_file("none")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E+5", 1e5),
        ("-.5e2", -50.0),
        ("+1.e-2", 0.01),
        ("1_0e1", 100.0),
        ("[1e3, 2]", [1000.0, 2]),
        ("1e", "1e"),
        ("e5", "e5"),
        ("1e5x", "1e5x"),
        ("1e-3.5", "1e-3.5"),
        ("'1e-3'", "1e-3"),
        ("0x1e5", 485),
        ("1.5", 1.5),
        ("15", 15),
    ],
)
def test_a_number_with_an_exponent_is_a_number_as_in_ros(text, value):
    read = parse_yaml(text)
    assert read == value and type(read) is type(value)


def test_a_parameter_file_may_have_exponents(tmp_path):
    file = tmp_path / "rig.yaml"
    file.write_text("/**: {ros__parameters: {sync: {tolerance: 1e-3}, ground.height: -1E0}}")
    assert load(file).sync.tolerance == 0.001
    assert load(file).ground.height == -1.0


def test_a_name_that_is_near_is_suggested_and_short_lists_are_whole(tmp_path):
    assert nearest("cudaa", {"tensorrt", "cuda", "cpu"}) == (
        "one of cpu, cuda, tensorrt (did you mean 'cuda'?)"
    )
    assert nearest("xyz", ["b", "a"]) == "one of b, a"
    assert nearest("xyz", {"b", "a"}) == "one of a, b"
    many = [f"group.name_{number}" for number in range(100)]
    assert nearest("group.nam_7", many) == "'group.name_7'"
    assert near_name("tolerence", ["sync.tolerance", "sync.policy"]) == "sync.tolerance"
    assert near_name("cam_front", ["CAM_FRONT", "CAM_BACK"]) == "CAM_FRONT"
    (tmp_path / "nuscenes.yaml").write_text("")
    assert near_path(tmp_path / "nuscene.yaml") == f" (did you mean '{tmp_path}/nuscenes.yaml'?)"
    assert near_path(tmp_path / "nuscenes.yaml") == near_path(tmp_path / "no/x") == ""


ODD = ["2026-13-01", "!!timestamp x", "!!int x", "[" * 50, "&a [*a]", "9" * 500, ".nan", "<<: a"]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([spec.name for spec in specifications()]),
    st.one_of(st.text(max_size=8), st.sampled_from(ODD), st.floats().map(repr)),
)
def test_whatever_a_parameter_is_set_to_it_is_taken_or_refused_by_name(name, text):
    try:
        load(None, assignments([f"{name}={text}"], "a=b"))
    except ConfigurationError as error:
        # Some are refused together with another: the topics of cameras, the heights of obstacles.
        assert name.rpartition(".")[2] in str(error) or "obstacle" in str(error)
