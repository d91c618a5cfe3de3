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

"""Write a `tf2_msgs` interface package for an environment that has none.

No wheel carries `tf2_msgs`, but `rosbags` knows its definitions. Built from those, the messages
have the type hashes of the originals and are understood by every other node.
"""

import argparse
from pathlib import Path

from rosbags.typesys import Stores, get_typestore

PACKAGE_XML = """\
<?xml version="1.0"?>
<package format="3">
  <name>tf2_msgs</name>
  <version>0.36.0</version>
  <description>The messages of tf2_msgs, for where no distribution has them.</description>
  <maintainer email="depth-perception-maintainers@users.noreply.github.com">
    depth_perception maintainers
  </maintainer>
  <license>BSD-3-Clause</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>geometry_msgs</depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export>
    <build_type>ament_cmake</build_type>
  </export>
</package>
"""

CMAKE_LISTS = """\
cmake_minimum_required(VERSION 3.16)
project(tf2_msgs LANGUAGES C CXX)
find_package(ament_cmake REQUIRED)
find_package(geometry_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
rosidl_generate_interfaces(${{PROJECT_NAME}}
  {messages}
  DEPENDENCIES geometry_msgs
)
ament_export_dependencies(rosidl_default_runtime)
ament_package()
"""


def definitions() -> dict[str, str]:
    """Map the name of each message of `tf2_msgs` to its definition."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    found = {}
    for name in sorted(typestore.fielddefs):
        package, _, message = name.split("/")
        if package == "tf2_msgs":
            # The definitions of the nested types follow, below lines of equals signs.
            found[message] = typestore.generate_msgdef(name, ros_version=2)[0].split("=" * 80)[0]
    return found


def write(path: Path, text: str) -> None:
    """Write `text` unless the file says that already: a newer file would be compiled again."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> None:
    """Write the package into the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder

    messages = definitions()
    for name, text in messages.items():
        write(folder / "msg" / f"{name}.msg", text)
    files = "\n  ".join(f"msg/{name}.msg" for name in messages)
    write(folder / "CMakeLists.txt", CMAKE_LISTS.format(messages=files))
    write(folder / "package.xml", PACKAGE_XML)


if __name__ == "__main__":
    main()
