"""Show what a bag holds: cameras, calibration, transforms, LiDAR, rates and gaps.

Ends with what would stop depth_perception from working on it, each with its fix; exit code 1 when
anything would.
"""

from __future__ import annotations

import argparse

from depth_perception.cli.arguments import add_parameter_arguments, parameters_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3")
    parser.add_argument("--json", metavar="FILE", help="also write it as JSON ('-' for stdout)")
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    import json
    from pathlib import Path

    from depth_perception.datasets.bag import BagReader
    from depth_perception.datasets.inspection import inspect_bag, print_inspection

    with BagReader(options.bag, parameters_from(options)) as reader:
        inspection = inspect_bag(reader)
    if options.json == "-":
        print(json.dumps(inspection, indent=2))
    else:
        print_inspection(inspection)
        if options.json:
            Path(options.json).write_text(json.dumps(inspection, indent=2) + "\n")
    return 1 if inspection["problems"] else 0
