#!/usr/bin/env python3
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

"""Make synthetic drives of five rigs with moving traffic, and score what motion measures on them.

    python scripts/motion_figures.py out/motion              # all five; made once, scored each time
    python scripts/motion_figures.py out/motion robot kitti  # these alone
    python scripts/motion_figures.py out/motion -- --set motion.overlap=true

Needs the synthetic world (`requirements/training.txt`); on two cores making takes a quarter of an
hour, scoring about as long. Writes OUT/<rig> (the drive), OUT/<rig>.json (all numbers) and a table
for docs/motion.md. Seeds were chosen by how much traffic is near, never by figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DRIVES: dict[str, list[str]] = {
    "kitti": ["--seed", "21", "--setting", "city", "--speed", "8", "--width", "1000"],
    "fisheye": ["--seed", "24", "--setting", "city", "--speed", "5", "--width", "640"],
    "nuscenes": ["--seed", "22", "--setting", "suburb", "--speed", "8", "--width", "640"],
    "robot": ["--seed", "21", "--setting", "suburb", "--speed", "2", "--width", "640"],
    "waymo": ["--seed", "21", "--setting", "motorway", "--speed", "14", "--width", "640"],
}
"""Rig, and the other arguments of `depth_perception world`."""

COMMON = ["--seconds", "2", "--rate", "10", "--truth", "depth,instance"]

HEAD = (
    "| rig | static up to 60 m: cover | AbsRel | off 25 % | in 1 σ | moving things: cover"
    " | of it off 25 % | sky: cover |"
)


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing, score all, print the table; 1 when a command failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of the drives and the numbers")
    parser.add_argument("rigs", nargs="*", help=f"of {', '.join(DRIVES)} (default all)")
    given = sys.argv[1:] if arguments is None else arguments
    place = given.index("--") if "--" in given else len(given)
    options, more = parser.parse_args(given[:place]), given[place + 1 :]
    unknown = sorted(set(options.rigs) - set(DRIVES))
    if unknown:
        parser.error(f"rig {', '.join(unknown)}: expected of {', '.join(DRIVES)}")
    options.output.mkdir(parents=True, exist_ok=True)
    lines = []
    for rig in options.rigs or DRIVES:
        bag, numbers = options.output / rig, options.output / f"{rig}.json"
        made = (bag / "metadata.yaml").exists()
        if not made and _run("world", "--output", str(bag), "--rig", rig, *DRIVES[rig], *COMMON):
            return 1
        embodied = ["--estimator", "embodied", "--set", "motion.enabled=true"]
        if _run("evaluate", str(bag), *embodied, "--json", str(numbers), *more):
            return 1
        lines.append(row(rig, json.loads(numbers.read_text())))
    print(f"\n{HEAD}\n|{'---|' * HEAD.count(' | ')}---|", *lines, sep="\n")
    return 0


def row(rig: str, numbers: dict[str, Any]) -> str:
    """Return a line of the table: medians over images; of moving things and sky all pixels."""
    measured = numbers["exact"]["measured"]
    static = measured.get("static", measured["all"])["near"]["median"]
    cells = [_percent(static["cover"]), _number(static["abs_rel"]), _percent(static["wrong"])]
    cells.append(_percent(static["within_one"]))
    moving = measured["moving"]["all"]["pooled"] if "moving" in measured else {}
    cells += [_percent(moving.get("cover")), _percent(moving.get("wrong"))]
    sky = measured["sky"]["all"]["pooled"] if "sky" in measured else {}
    cells.append(_percent(sky.get("cover")))
    return f"| {rig} | {' | '.join(cells)} |"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _run(verb: str, *arguments: str) -> int:
    command = [sys.executable, "-m", "depth_perception.cli.main", verb, *arguments]
    print("+ depth_perception", verb, *arguments, flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
