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

"""The files that describe the package agree with one another and with its modules."""

import ast
import configparser
import importlib
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
from tiny_drive import write_drive

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "depth_perception").rglob("*.py"))
OLDEST_PYTHON = (3, 10)
ROS_ENDINGS = ("_msgs", "_srvs", "_interfaces")


@pytest.fixture(scope="module")
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text):
    return [line.strip() for line in text.strip().splitlines()]


def assigned_version():
    tree = ast.parse((ROOT / "depth_perception" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return ast.literal_eval(node.value)
    raise AssertionError("depth_perception/__init__.py assigns no __version__")


def entry_points():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return lines(parser["options.entry_points"]["console_scripts"])


@pytest.mark.parametrize("entry_point", entry_points())
def test_entry_point_names_a_function(entry_point):
    _, _, target = entry_point.partition("=")
    module, _, function = target.strip().partition(":")
    if module.startswith("depth_perception.nodes"):
        pytest.importorskip("rclpy")
    assert callable(getattr(importlib.import_module(module), function))


def test_versions_agree():
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    assert manifest.findtext("version") == assigned_version()


def test_names_agree(setup_cfg):
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    project = re.search(r"^project\((\w+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert manifest.findtext("name") == setup_cfg["metadata"]["name"] == project[1]
    assert (ROOT / "resource" / manifest.findtext("name")).is_file()


def test_modules_are_in_the_syntax_of_the_oldest_python():
    for path in MODULES:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=OLDEST_PYTHON)


def test_every_folder_of_modules_is_a_package():
    # find_packages() passes over a folder without __init__.py, and pip would leave its modules out.
    for path in MODULES:
        assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"


def test_cmake_builds_the_messages_that_exist():
    listed = re.findall(r"\bmsg/\w+\.msg\b", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    existing = [path.relative_to(ROOT).as_posix() for path in (ROOT / "msg").glob("*.msg")]
    assert sorted(listed) == sorted(existing)


def test_cmake_leaves_training_and_world_out_unless_asked():
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r'option\(DEPTH_PERCEPTION_TRAINING\s+"[^"]+" OFF\)', cmake)
    left_out = re.search(
        r"if\(NOT DEPTH_PERCEPTION_TRAINING\)\s+list\(APPEND without (.+)\)", cmake
    )
    assert left_out[1].split() == ["training", "world"]
    for folder in left_out[1].split():
        assert (ROOT / "depth_perception" / folder / "__init__.py").is_file()
    assert "list(REMOVE_ITEM parts ${without})" in cmake
    # The demo and the tests need them.
    build = (ROOT / "scripts" / "build.bash").read_text(encoding="utf-8")
    assert "-DDEPTH_PERCEPTION_TRAINING=ON" in build


def test_colcon_tests_exist_and_need_only_what_a_robot_has():
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    names = re.search(r"foreach\(name\s+([^)]+)\)", cmake)[1].split()
    assert len(names) > 10
    for name in names:
        folder, _, file = f"test/{name}".rpartition("/")
        text = (ROOT / folder / f"test_{file}.py").read_text(encoding="utf-8")
        assert not re.search(r"depth_perception\.(world|training)|tiny_street|import torch", text)
        assert "pytest.mark.long" not in text


def test_manifest_names_what_cmake_finds():
    found = re.findall(
        r"^find_package\((\w+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    needed = {element.text for element in manifest if element.tag.endswith("depend")}
    assert set(found) - {"Python3"} <= needed


def test_manifest_names_what_is_imported_of_ros():
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    needed = {element.text for element in manifest if element.tag.endswith("depend")}
    imported, types = set(), set()
    # The synthetic world writes bags by PyPI rosbags, not by ROS.
    for path in [*MODULES, *(ROOT / "launch").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
        if "world" not in path.parts and "convert" not in path.stem:
            types |= set(re.findall(r'"(\w+)/(?:msg|srv)/\w+"', text))
    of_ros = re.compile(r"rclpy|launch(_ros)?|tf2_ros|message_filters|ament_index_python|cv_bridge")
    used = {name for name in imported if of_ros.fullmatch(name) or name.endswith(ROS_ENDINGS)}
    used |= types
    assert "std_srvs" in used and "sensor_msgs" in used
    assert used - {"depth_perception"} <= needed
    # Images are decoded without it, see ros/messages.py.
    assert "cv_bridge" not in used | needed


def test_rosdep_is_asked_for_nothing_that_only_pip_has():
    # It would put it into the system's Python: see the comment in package.xml.
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    assert not [e.text for e in manifest if "pip" in (e.text or "").split("-")]


@pytest.mark.parametrize("name", ["humble.txt", "jazzy.txt", "kilted.txt"])
def test_what_pip_adds_on_a_robot_is_what_rosdep_has_no_key_for(setup_cfg, name):
    keys = {"opencv-python-headless": "python3-opencv", "pillow": "python3-pil"}
    keys["pyyaml"] = "python3-yaml"
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    by_apt = {element.text for element in manifest if element.tag == "exec_depend"}
    required = [
        re.match(r"[\w.-]+", line)[0] for line in lines(setup_cfg["options"]["install_requires"])
    ]
    left = {item for item in required if keys.get(item, f"python3-{item}") not in by_apt}
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE)) == left | {"numpy"}
    assert "requirements/$ROS_DISTRO.txt" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_requirement_is_pinned():
    for path in (ROOT / "requirements").glob("*.txt"):
        for line in lines(path.read_text(encoding="utf-8")):
            assert line.startswith("#") or re.match(r"[\w.-]+==[\w.]+( ;|$)", line), line


@pytest.mark.parametrize("name", ["runtime.txt", "runtime-numpy1.txt"])
def test_pins_cover_what_the_package_requires(setup_cfg, name):
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / name).read_text(), re.MULTILINE)
    required = [
        re.match(r"[\w.-]+", line)[0] for line in lines(setup_cfg["options"]["install_requires"])
    ]
    assert set(required) <= set(pinned)


def test_wheel_has_the_modules_and_the_shared_files_and_no_tests(tmp_path):
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 71:
        pytest.importorskip("wheel")  # it makes wheels by itself since 70.1
    # The build leaves an egg-info folder and a build folder beside its setup.py: give it a copy.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("depth_perception", "config", "launch", "msg", "setup.py", "setup.cfg", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    (source / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (source / "README.md").write_text("")
    shutil.copy(ROOT / "package.xml", source)
    wheels = tmp_path / "wheels"
    result = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-qq"]
        + ["--wheel-dir", str(wheels)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr

    (wheel,) = wheels.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    modules = {path.relative_to(ROOT).as_posix() for path in MODULES}
    assert modules <= set(names)
    assert "depth_perception/weights/lite_int8.onnx" in names
    assert "depth_perception/weights/lite_measured_int8.onnx" in names
    shared = f"depth_perception-{assigned_version()}.data/data/share/depth_perception/"
    for folder in ("config", "launch", "msg"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert shared + path.relative_to(ROOT).as_posix() in names
    assert not [name for name in names if name.startswith("test/") or "/test_" in name]

    # Laid out as pip does it, and far from the sources, the package finds its own files.
    prefix = tmp_path / "prefix"
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            place = prefix / name.removeprefix(shared.split("share/")[0])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(archive.read(name))
    drive = write_drive(tmp_path / "drive", frames=1)
    code = (
        f"import sys; sys.path.insert(0, {str(prefix)!r});"
        "from depth_perception.cli.main import main;"
        "from depth_perception.resources import share_folder; print(share_folder());"
        f"sys.exit(main(['replay', {str(drive)!r}, '-o', {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # Nobody has compiled the loops of this copy: on so small images they run as Python.
        env={k: v for k, v in os.environ.items() if k != "AMENT_PREFIX_PATH"}
        | {"NUMBA_DISABLE_JIT": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert str(prefix / "share" / "depth_perception") in done.stdout
