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

"""Write the files of config/rviz/ anew, after a change of their template or of a rig."""

from pathlib import Path

from depth_perception.nodes.rviz_setup import shipped_files

FOLDER = Path(__file__).resolve().parents[1] / "config" / "rviz"

if __name__ == "__main__":
    for name, text in shipped_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
