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

"""Turn drives of a data set in its own folders into rosbag2 bags.

    depth_perception convert kitti_raw:/data/kitti --drives 2011_09_26_drive_0001_sync -o out/drive
    depth_perception convert nuscenes:/data/nuscenes --output out/nuscenes

SOURCE is as in training's data.folders: kitti_raw:, ddad:, nuscenes:, bag:, or a folder of the
synthetic world's shards; docs/datasets.md says what each needs. One drive becomes the bag OUTPUT,
several become OUTPUT/DRIVE. Images keep their bytes. What a source does not know is left out.
With --cluster one task a drive; drives whose bag is there are not made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from depth_perception.cli.arguments import add_frames_argument, frames_from
from depth_perception.cli.cluster import add_cluster_arguments
from depth_perception.cli.destinations import check_bag, check_folder
from depth_perception.cli.interruption import leaving
from depth_perception.cli.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("source", help="KIND:FOLDER, or a folder of shards")
    parser.add_argument("--output", "-o", required=True, metavar="BAG", help="directory to write")
    parser.add_argument(
        "--drives", nargs="+", default=[], metavar="NAME", help="only these (default: all)"
    )
    add_frames_argument(parser, " of each drive")
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="of the bags (default mcap)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace bags that are there")
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    limit = frames_from(options)
    output = check_folder("--output", options.output)

    from functools import partial

    from depth_perception.datasets.bag_export import drives_of, recorded_at, write_bag
    from depth_perception.datasets.source import check_source, open_source
    from depth_perception.errors import ConfigurationError
    from depth_perception.yaml_mapping import nearest

    check_source(options.source)
    source = open_source(options.source)
    drives = drives_of(source)
    for name in options.drives:
        if name not in drives:
            raise ConfigurationError(
                f"--drives {name}", expected=nearest(name, drives), fix="name drives of the source"
            )
    chosen = options.drives or list(drives)
    paths = {name: output / name if len(chosen) > 1 else output for name in chosen}
    if options.cluster is not None:
        return _on_cluster(options, paths)
    for path in paths.values():
        check_bag("--output", str(path), options.overwrite)
    for name, path in paths.items():
        places = drives[name][: limit or None]
        done = [str(item) for item in paths.values() if item.exists()]
        left = f"'{path}' is not written" + (f"; whole: {', '.join(done)}" if done else "")
        with leaving(partial(str, left)), Progress(str(path), len(places)) as progress:
            sets = (recorded_at(source, place) for place in progress.over(places))
            count = write_bag(path, sets, storage=options.storage, overwrite=options.overwrite)
        print(f"{path}: {count} frame sets")
    print(f"look at it: depth_perception inspect {paths[chosen[0]]}")
    return 0


def _on_cluster(options: argparse.Namespace, paths: Mapping[str, Path]) -> int:
    """Convert drives, one task each; bags that are there are whole, and stay."""
    from depth_perception.cli.cluster_verbs import VerbJob, absolute_source, run_jobs

    source = absolute_source(options.source)
    again = ("--overwrite",) if options.overwrite else ()
    same = (f"--frames={options.frames}", f"--storage={options.storage}", *again)
    jobs = [
        VerbJob(name, "convert", (source, "--drives", name, f"--output={path.resolve()}", *same))
        for name, path in paths.items()
        if options.overwrite or not path.exists()
    ]
    return run_jobs(options, jobs, len(paths) - len(jobs), "converted", "drive")
