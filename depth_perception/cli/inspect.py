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

"""Show what a bag holds: cameras, calibration, transforms, LiDAR, rates and gaps.

Ends with what would stop depth_perception from working on it, each with its fix; exit code 1 when
anything would. With --calibration also by how much each camera looks otherwise than calibrated,
where the drive shows it; that takes as long as to look at every image.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from depth_perception.cli.arguments import (
    add_frames_argument,
    add_parameter_arguments,
    bag_from,
    frames_from,
    parameters_from,
)
from depth_perception.cli.destinations import check_file, write_text
from depth_perception.cli.progress import Progress

if TYPE_CHECKING:
    from depth_perception.datasets.bag import BagReader
    from depth_perception.parameters import Parameters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3")
    parser.add_argument("--json", metavar="FILE", help="also write it as JSON ('-' for stdout)")
    parser.add_argument(
        "--calibration",
        action="store_true",
        help="also estimate from the drive how the cameras are mounted (reads all images)",
    )
    add_frames_argument(parser, " for --calibration")
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    import json

    bag, parameters, limit = bag_from(options), parameters_from(options), frames_from(options)
    to_file = options.json is not None and options.json != "-"
    path = check_file("--json", options.json) if to_file else None

    from depth_perception.datasets.bag import BagReader
    from depth_perception.datasets.inspection import inspect_bag, print_inspection
    from depth_perception.pipeline import look_at_named_files

    lines: list[str] = []
    with BagReader(bag, parameters) as reader:
        inspection = inspect_bag(reader)
        if options.calibration and inspection["cameras"]:
            lines, inspection["calibration"] = _calibration(reader, parameters, limit)
    problems, notes = look_at_named_files(parameters)
    inspection["problems"] += problems
    inspection["notes"] += notes
    if options.json == "-":
        print(json.dumps(inspection, indent=2))
    else:
        print_inspection(inspection)
        print("\n".join(lines), end="\n" if lines else "")
        if path is not None:
            write_text("--json", path, json.dumps(inspection, indent=2) + "\n")
    return 1 if inspection["problems"] else 0


def _calibration(
    reader: BagReader, parameters: Parameters, limit: int
) -> tuple[list[str], dict[str, Any] | None]:
    """Estimate how the cameras are mounted: in lines to print, and as JSON."""
    from depth_perception.evaluation.mounting_report import as_json, table, unknown
    from depth_perception.evaluation.mounting_run import observe_drive, solve_drive
    from depth_perception.rig.builder import nominal_ground

    with Progress("calibration", min(reader.image_count, limit or reader.image_count)) as progress:
        drive = observe_drive(
            reader, nominal_ground(parameters.ground), limit=limit, progress=progress.update
        )
    found = solve_drive(drive)
    if found is None:
        return [f"calibration: nothing is known: the vehicle came {drive.way:.1f} m"], None
    head = f"calibration, from {drive.way:.0f} m of way, turned by {drive.turned_degrees:.0f} deg:"
    notes = [f"note: {text}" for text in unknown(drive, found)]
    return [head, *table(drive, found), *notes], as_json(drive, found)
