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

"""What is released: versions and addresses that agree, archives that install, images that build."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import xml.etree.ElementTree as ElementTree
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from tiny_drive import write_drive

from depth_perception import __version__

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = ("Dockerfile", "Dockerfile.cpu")


def manifest():
    return ElementTree.parse(ROOT / "package.xml").getroot()


def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser["metadata"]


def test_the_version_is_the_same_everywhere():
    assert citation()["version"] == __version__ == manifest().findtext("version")
    assert setup_cfg()["version"] == "attr: depth_perception.__version__"


def test_the_changelog_knows_the_version_and_its_day():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", text, re.M)[0]
    assert newest == (__version__, citation()["date-released"])
    minor = __version__.rpartition(".")[0]
    assert f"to {minor}\n" in (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")


def test_the_manifest_is_complete():
    root = manifest()
    maintainer = root.find("maintainer")
    assert re.fullmatch(r"[\w.-]+@([\w-]+\.)+[a-z]{2,}", maintainer.get("email"))
    assert not maintainer.get("email").endswith((".invalid", ".example", ".test", ".localhost"))
    for tag in ("description", "license", "author"):
        assert root.findtext(tag).strip()
    assert (ROOT / root.find("license").get("file")).is_file()
    assert setup_cfg()["maintainer_email"] == maintainer.get("email")
    assert setup_cfg()["license"] == root.findtext("license") == citation()["license"]


def test_addresses_that_are_written_agree():
    found = {element.text for element in manifest().findall("url[@type='repository']")}
    found |= {citation()["repository-code"]} if "repository-code" in citation() else set()
    found |= set(re.findall(r"Source = (\S+)", setup_cfg().get("project_urls", "")))
    found |= set(re.findall(r"^repo_url: *(\S+)", (ROOT / "mkdocs.yml").read_text(), re.M))
    assert len(found) <= 1


def test_the_manifest_is_one_for_catkin_tools():
    package = pytest.importorskip("catkin_pkg.package")
    parsed = package.parse_package(str(ROOT / "package.xml"))
    warnings: list[str] = []
    parsed.validate(warnings=warnings)
    assert not warnings and parsed.version == __version__


def instructions(name: str) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile with their arguments, on one line each."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def copied(name: str) -> list[str]:
    """Paths of the repository that a Dockerfile copies or mounts."""
    paths = []
    for instruction, rest in instructions(name):
        if instruction == "COPY" and "--from=" not in rest:
            paths += rest.split()[:-1]
        for mount in re.findall(r"--mount=(\S+)", rest):
            if "from=" not in mount:
                paths += re.findall(r"source=([^,]+)", mount)
    return [path.replace("${ROS_DISTRO}", "jazzy") for path in paths]


def ignored(path: str) -> bool:
    """Whether .dockerignore leaves a path out: the last pattern that fits it counts."""
    result = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip().lstrip("!")
        if not pattern or pattern.startswith("#"):
            continue
        above = [path, *(parent.as_posix() for parent in Path(path).parents)]
        if any(fnmatch(item, pattern) for item in above if item != "."):
            result = not line.startswith("!")
    return result


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_a_dockerfile_copies_exists_and_is_sent(name):
    paths = copied(name)
    assert len(paths) >= 4
    for path in paths:
        assert (ROOT / path).exists(), path
        assert path == "." or not ignored(path), path


def test_what_the_build_needs_is_sent_and_what_is_recorded_is_not():
    for needed in ("CMakeLists.txt", "scripts/write_executables.py", "msg/CameraStatus.msg"):
        assert (ROOT / needed).exists() and not ignored(needed)
    for path in ("depth_perception/weights/lite_int8.onnx", "resource/depth_perception"):
        assert not ignored(path)
    for heavy in (".venv/bin/python", "out/demo", "install", ".git/HEAD", "scripts/test.bash"):
        assert ignored(heavy), heavy


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfiles_are_as_hadolint_wants_them(name):
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: it has no wheel for this processor")
    done = subprocess.run([hadolint, ROOT / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arguments", ["ros2 topic list", "a:=b c:=d"])
def test_the_entry_of_the_image_launches_what_is_assigned(arguments, tmp_path):
    entry = (ROOT / "scripts" / "container_entry.bash").read_text(encoding="utf-8")
    script = entry.replace("/opt/ros", str(tmp_path)).replace("/ros2_ws", str(tmp_path))
    for folder in ("none", "install", "venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("none", "install"):
        (tmp_path / folder / "setup.bash").write_text("")
    ros2 = tmp_path / "venv" / "bin" / "ros2"
    ros2.write_text('#!/bin/sh\necho "ros2 $@"\n')
    ros2.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script, "entry", *arguments.split()],
        capture_output=True,
        text=True,
        env=os.environ | {"ROS_DISTRO": "none"},
    )
    launch = f"ros2 launch --noninteractive depth_perception surround.launch.py {arguments}"
    assert done.stdout.strip() == (launch if ":=" in arguments else arguments), done.stderr


def run(*command: object, cwd: Path) -> str:
    """Run a command as in a shell that knows nothing of this environment; returns its output."""
    left_out = ("PYTHONPATH", "AMENT_PREFIX_PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        # Nobody has compiled the loops there: on so small images they run as Python.
        env={key: value for key, value in os.environ.items() if key not in left_out}
        | {"NUMBA_DISABLE_JIT": "1"},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.long
def test_archives_install_into_a_clean_environment_and_run_there(tmp_path):
    """Of the steps of Dockerfile.cpu, from the files that it copies, and of an sdist's wheel."""
    source = tmp_path / "source"
    source.mkdir()
    for path in copied("Dockerfile.cpu"):
        if path.startswith("requirements/"):
            continue
        without = shutil.ignore_patterns("__pycache__")
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, source / path, ignore=without)
        else:
            shutil.copy(ROOT / path, source / path)
    shutil.copy(ROOT / "MANIFEST.in", source)

    made = tmp_path / "dist"
    made.mkdir()
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(made)!r})"
    run(sys.executable, "-c", code, cwd=source)
    (sdist,) = made.glob("*.tar.gz")
    unpacked = tmp_path / "unpacked"
    with tarfile.open(sdist) as archive:
        # Python 3.10.12 and 3.11.4 have the filter, those before do not.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(unpacked, **safely)
    wheel_command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir"]
    run(*wheel_command, made, next(unpacked.iterdir()), cwd=tmp_path)
    (wheel,) = made.glob("*.whl")
    assert zipfile.ZipFile(wheel).testzip() is None
    sizes = {path.suffix: round(path.stat().st_size / 1e6, 1) for path in (sdist, wheel)}
    print(f"sizes, MB: {sizes}")
    assert 10 < sizes[".whl"] < 40 and sizes[".gz"] < 40

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = ROOT / "requirements" / "runtime.txt"
    run(
        python, "-m", "pip", "install", "-q", "--no-compile", "-c", constraints, wheel, cwd=tmp_path
    )
    command = python.parent / "depth_perception"
    assert run(command, "--version", cwd=tmp_path).strip() == __version__
    drive = write_drive(tmp_path / "drive", frames=2)
    assert "nothing stops it" in run(command, "inspect", drive, cwd=tmp_path)
    run(command, "replay", drive, "-o", "depth", "--set", "motion.enabled=false", cwd=tmp_path)
    assert (tmp_path / "depth" / "metadata.yaml").is_file()
    place = run(python, "-c", "import depth_perception as d; print(d.__file__)", cwd=tmp_path)
    assert str(tmp_path / "venv") in place
    share = tmp_path / "venv" / "share" / "depth_perception"
    assert (share / "config" / "nuscenes.yaml").is_file() and (share / "package.xml").is_file()
