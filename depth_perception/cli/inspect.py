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
anything would.
"""

from __future__ import annotations

import argparse

from depth_perception.cli.arguments import add_parameter_arguments, bag_from, parameters_from
from depth_perception.cli.destinations import check_file, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3")
    parser.add_argument("--json", metavar="FILE", help="also write it as JSON ('-' for stdout)")
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    import json

    bag, parameters = bag_from(options), parameters_from(options)
    to_file = options.json is not None and options.json != "-"
    path = check_file("--json", options.json) if to_file else None

    from depth_perception.datasets.bag import BagReader
    from depth_perception.datasets.inspection import inspect_bag, print_inspection
    from depth_perception.pipeline import look_at_named_files

    with BagReader(bag, parameters) as reader:
        inspection = inspect_bag(reader)
    problems, notes = look_at_named_files(parameters)
    inspection["problems"] += problems
    inspection["notes"] += notes
    if options.json == "-":
        print(json.dumps(inspection, indent=2))
    else:
        print_inspection(inspection)
        if path is not None:
            write_text("--json", path, json.dumps(inspection, indent=2) + "\n")
    return 1 if inspection["problems"] else 0
