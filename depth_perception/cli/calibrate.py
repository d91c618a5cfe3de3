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
"""Estimate from a drive how the cameras are really mounted, and write the mountings to use.

The vehicle must move: 50 m or more, with turns to both sides, on roads that are more or less flat.
What is found is by how much each camera's rotation (roll about where it looks, pitch, yaw) and
height are wrong, with standard deviations. The file that is written is a parameter:

    depth_perception calibrate BAG --output mountings.yaml
    depth_perception evaluate BAG --set extrinsics=mountings.yaml
"""

from __future__ import annotations

import argparse
import sys

from depth_perception.cli.arguments import (
    add_frames_argument,
    add_parameter_arguments,
    bag_from,
    frames_from,
    parameters_from,
)
from depth_perception.cli.destinations import check_file, write_text
from depth_perception.cli.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3 of a drive")
    parser.add_argument(
        "--output", "-o", required=True, metavar="FILE", help="file of mountings to write, YAML"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace that file")
    parser.add_argument("--json", metavar="FILE", help="also write what was found as JSON")
    add_frames_argument(parser)
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; the exit code is 1 when the drive says nothing of any camera."""
    import json

    from depth_perception.errors import BagError, ConfigurationError

    limit, parameters, bag = frames_from(options), parameters_from(options), bag_from(options)
    output = check_file("--output", options.output)
    report = check_file("--json", options.json) if options.json is not None else None
    if output.exists() and not options.overwrite:
        raise ConfigurationError(
            f"--output '{output}' exists",
            expected="a new file: it may hold mountings that are in use",
            fix="name another file, or give --overwrite",
        )

    from depth_perception.datasets.bag import BagReader
    from depth_perception.evaluation.mounting_report import anything_known, as_json, table, unknown
    from depth_perception.evaluation.mounting_run import (
        corrected_mountings,
        observe_drive,
        solve_drive,
    )
    from depth_perception.rig.builder import nominal_ground
    from depth_perception.rig.extrinsics_file import extrinsics_text
    from depth_perception.rig.mounting import mounting_errors, no_road

    ground = nominal_ground(parameters.ground)
    with BagReader(bag, parameters, log=_to_stderr) as reader:
        errors = mounting_errors(reader.rig, ground)
        if errors and len(errors) == len(reader.rig):
            raise no_road(errors)
        count = min(reader.image_count, limit or reader.image_count)
        with Progress("calibrate", count) as progress:
            drive = observe_drive(reader, ground, limit=limit, progress=progress.update)
    calibration = solve_drive(drive)
    if calibration is None:
        raise BagError(
            f"bag '{bag}': its {drive.sets} frame sets say nothing of the mountings: the vehicle"
            f" came {drive.way:.1f} m while points could be followed",
            expected="a drive of some 50 m with turns, five or more frame sets a second",
            fix="record one, or name another bag",
        )
    print(
        f"{drive.sets} frame sets, {len(drive.stretches)} stretches of the way,"
        f" {drive.way:.0f} m, turned by {drive.turned_degrees:.0f} degrees in all"
    )
    for line in table(drive, calibration):
        print(line)
    for text in unknown(drive, calibration):
        print(f"note: {text}")
    if not anything_known(calibration):
        raise BagError(
            f"bag '{bag}' says too little of any camera; '{output}' is not written",
            expected="a drive of some 50 m with turns, five or more frame sets a second",
            fix="record one, or name another bag",
        )
    mountings, corrections = corrected_mountings(drive, calibration)
    write_text("--output", output, extrinsics_text(drive.rig, mountings, corrections, str(bag)))
    if report is not None:
        text = json.dumps(as_json(drive, calibration), indent=2)
        write_text("--json", report, text + "\n")
    print(f"Wrote {output}. Use it with: --set extrinsics={output}")
    return 0


def _to_stderr(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
