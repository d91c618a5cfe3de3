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

"""Make the CMake files of the ROS wheels name this environment.

A wheel of an interface package exports a CMake target whose include folders are those of the
machine that built the wheel:

    /opt/python/cp311-cp311/include/python3.11
    /opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include

CMake stops at a folder that does not exist, so every package that depends on such a wheel fails to
build. They are replaced by the folders of the interpreter that runs this script. Running it again
changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

# The interpreters of the manylinux images are all below this folder.
PYTHON_INCLUDE = re.compile(r"/opt/python/cp[\w-]+/include/python[\d.]+\w*")
NUMPY_INCLUDE = re.compile(
    r"/opt/python/cp[\w-]+/lib/python[\d.]+/site-packages/numpy/_?core/include"
)


def relocate(text: str) -> str:
    """Return the text of a CMake file with the include folders of this environment."""
    text = NUMPY_INCLUDE.sub(lambda _: Path(numpy.get_include()).as_posix(), text)
    return PYTHON_INCLUDE.sub(lambda _: Path(sysconfig.get_path("include")).as_posix(), text)


def main() -> None:
    """Rewrite the CMake files of the environment in place."""
    for path in Path(sys.prefix, "share").rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        relocated = relocate(text)
        if relocated != text:
            path.write_text(relocated, encoding="utf-8")
        if "/opt/python/" in relocated:
            raise SystemExit(f"{path}: names a folder of the build machine that is not known here")


if __name__ == "__main__":
    main()
