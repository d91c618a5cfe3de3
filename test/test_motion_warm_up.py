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

"""After warming up no loop of motion has to be compiled any more."""

import subprocess
import sys

DRIVEN = """
import sys

sys.path.insert(0, sys.argv[1])
from test_surround_motion import drive, straight

from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.motion.surround_motion import SurroundMotion
from depth_perception.motion.warm_up import compile_loops


def compiled():
    # Loops and the types for which there is machine code, made or read from where it is kept.
    found = set()
    for name, module in list(sys.modules.items()):
        if name.startswith("depth_perception.motion."):
            for item in vars(module).values():
                if hasattr(item, "py_func"):
                    found |= {(item.py_func.__name__, str(types)) for types in item.signatures}
    return found


assert not compiled()
compile_loops()
first = compiled()
print(*sorted({name for name, _ in first}))
for odometry, step in ((1.0, 0.5), (0.0, 0.2)):
    motion = SurroundMotion(GroundPlane(), 256, overlap_share=0.1, matching_rate=12.0)
    drive(motion, straight(8, step), ("front", "right"), odometry=odometry)
print(*sorted(name for name, _ in compiled() - first))
"""


def test_all_loops_of_motion_are_compiled_before_the_first_image(request):
    done = subprocess.run(
        [sys.executable, "-c", DRIVEN, str(request.path.parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, then = (line.split() for line in done.stdout.splitlines())
    assert {"aggregate", "compare", "splat", "read_back", "epipolar_terms", "triangulate"} <= set(
        first
    )
    assert not then
