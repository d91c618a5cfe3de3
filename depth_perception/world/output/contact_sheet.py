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

"""Sixty views of the synthetic world on one sheet, to be looked at critically.

    python -m depth_perception.world.output.contact_sheet --output docs/images/world.jpg

Each place is shown in each light by one rig; the views are those that a data set would hold, with
the cameras' faults, not chosen ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.world.output.rigs import RIGS, make_rig
from depth_perception.world.output.sensors import SensorSuite
from depth_perception.world.scene.drive import make_drive
from depth_perception.world.scene.plan import SETTINGS
from depth_perception.world.scene.weather import WEATHERS

VIEW = (256, 160)
"""Width and height of one view on the sheet, px."""

SHEET = (10, 6)
"""Columns and rows of views."""


def contact_sheet(seed: int) -> NDArray[np.uint8]:
    """Render the sheet: (rows * height, columns * width, 3) uint8 BGR."""
    width, height = VIEW
    columns, rows = SHEET
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    # Two views of each drive: what is ahead of a vehicle looks unlike what is beside it.
    for k in range(rows * columns // 2):
        drive = make_drive(
            seed + k,
            duration=2.0,
            setting=SETTINGS[k % len(SETTINGS)],
            weather=WEATHERS[k % len(WEATHERS)],
        )
        rig = make_rig(RIGS[k % len(RIGS)], width=2 * width, height=2 * height, seed=seed + k)
        suite = SensorSuite(drive, rig)
        for i in range(2):
            camera = rig.cameras[(i * 2) % len(rig.cameras)]
            time = 0.3 + 1.2 * i
            picture = suite.picture(camera, suite.view(camera, time), time)
            row, column = divmod(2 * k + i, columns)
            tile = cv2.resize(picture, VIEW, interpolation=cv2.INTER_AREA)
            sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return sheet


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a .jpg or .png")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.output), contact_sheet(options.seed), [1, 88])


if __name__ == "__main__":
    main()
