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


"""Machine code of loops is kept beside the file itself, whichever link it was imported by."""

import subprocess
import sys
from pathlib import Path

MODULE = """
from depth_perception.geometry.compiled import compiled


@compiled
def doubled(number):
    return 2 * number


print(doubled(21), dict(doubled.stats.cache_hits) != {})
"""


def test_a_link_finds_the_code_that_the_file_has_and_the_other_way_round(tmp_path: Path) -> None:
    home, linked = tmp_path / "home", tmp_path / "linked"
    for folder in (home, linked):
        folder.mkdir()
    (home / "loops.py").write_text(MODULE)
    (linked / "loops.py").symlink_to(home / "loops.py")

    def imported_from(folder: Path) -> list[str]:
        words = [
            sys.executable,
            "-c",
            f"import sys; sys.path.append({str(folder)!r}); import loops",
        ]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

    assert imported_from(linked) == ["42", "False"]
    assert list(home.glob("__pycache__/*.nbi")) and not list(linked.glob("__pycache__/*.nbi"))
    assert imported_from(home) == ["42", "True"]
