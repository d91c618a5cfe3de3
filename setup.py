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

"""Build the ROS-free part of the package with pip.

The metadata is in setup.cfg. Only what has to be computed is here: the files that an ament package
shares, laid out below `share/depth_perception` as `colcon build` lays them out, so that one lookup
finds them under either.
"""

from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
SHARED_FOLDERS = ("config", "launch", "msg")


def shared_files() -> list[tuple[str, list[str]]]:
    """List the shared files folder by folder, in the form that `data_files` wants."""
    folders: dict[str, list[str]] = {"": ["package.xml"]}
    for top in SHARED_FOLDERS:
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(ROOT)
                folders.setdefault(relative.parent.as_posix(), []).append(relative.as_posix())
    return [(f"share/depth_perception/{folder}".rstrip("/"), f) for folder, f in folders.items()]


setup(data_files=shared_files())
