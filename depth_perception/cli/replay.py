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

"""Compute depth for every frame set of a bag and write the node's topics to a new bag.

Deterministic: every frame set once, in the order of time. With --images also pictures: the input,
depth in colour, a network's confidence and the embodied depth beside it, what motion measured and
how, and the cloud from above.

With --cluster many bags, each to OUTPUT/NAME; those that are there are not made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from depth_perception.cli.arguments import (
    add_frames_argument,
    add_parameter_arguments,
    bag_from,
    frames_from,
    parameters_from,
)
from depth_perception.cli.cluster import add_cluster_arguments, alone
from depth_perception.cli.destinations import check_bag, check_folder
from depth_perception.cli.interruption import leaving
from depth_perception.cli.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "bag", nargs="+", help="rosbag2 directory, .mcap or .db3; several with --cluster"
    )
    parser.add_argument(
        "--output",
        "-o",
        metavar="BAG",
        help="the bag to write (a new directory); with --cluster the folder of all bags",
    )
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    parser.add_argument("--overwrite", action="store_true", help="replace the output bag")
    parser.add_argument("--images", metavar="DIR", help="also write pictures there")
    add_frames_argument(parser)
    add_parameter_arguments(parser)
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    import contextlib
    import sys

    from tqdm import tqdm

    from depth_perception.errors import BagError, ConfigurationError

    if options.output is None and options.images is None:
        raise ConfigurationError(
            "replay has nothing to write", fix="give --output BAG, --images DIR or both"
        )
    limit = frames_from(options)
    parameters = parameters_from(options)
    if options.cluster is not None:
        return _on_cluster(options)
    options = alone(options)
    options.bag = bag_from(options)
    if options.output is not None:
        if options.output.strip():  # else it is the folder that we are in
            _keep_apart(options.bag, Path(options.output))
        options.output = check_bag("--output", options.output, options.overwrite)
    if options.images is not None:
        options.images = check_folder("--images", options.images)

    from depth_perception.datasets.bag import BagReader
    from depth_perception.datasets.bag_writer import BagWriter
    from depth_perception.evaluation.output_folder import OutputFolder
    from depth_perception.evaluation.picture_files import write_pictures
    from depth_perception.evaluation.replay import replay, results
    from depth_perception.frames.frame_set import CameraFrame, FrameSet
    from depth_perception.frames.surround_result import SurroundResult
    from depth_perception.pipeline import SurroundPipeline, check_named_files

    def say(text: str) -> None:
        tqdm.write(f"warning: {text}", file=sys.stderr)

    with contextlib.ExitStack() as stack:
        check_named_files(parameters)
        reader = stack.enter_context(BagReader(options.bag, parameters, log=say))
        progress = stack.enter_context(Progress("replay"))
        pipeline = SurroundPipeline(parameters, log=say)
        stack.callback(pipeline.close)
        # The rig is read first: a bag that cannot work leaves no output behind.
        cameras = len(reader.rig)
        pipeline.check_rig(reader.rig)
        progress.to(0, min(reader.image_count, limit or reader.image_count))
        pictures = OutputFolder(options.images) if options.images else None
        if pictures is not None:
            pictures.begin()

        def each(frame_set: FrameSet[CameraFrame], result: SurroundResult) -> None:
            if pictures is not None and result.cameras:
                write_pictures(pictures, result)
            progress.update()

        if options.output:
            writer = BagWriter(options.output, storage=options.storage, overwrite=options.overwrite)

            def left() -> str:
                part = f"'{writer.part}' holds the first {progress.done} frame sets"
                return f"{part}; '{writer.path}' is not written"

            with leaving(left), writer:
                count = replay(reader, pipeline, writer, limit=limit, each=each)
        else:
            count = 0
            for frame_set, result in results(reader, pipeline, limit):
                each(frame_set, result)
                count += bool(result.cameras)
    if not count:
        why = "".join(f": {text}" for text in pipeline.warnings[-1:])
        raise BagError(f"no frame set of bag '{options.bag}' gave any depth{why}")
    where = " and ".join(str(path) for path in (options.output, options.images) if path)
    print(f"{count} frame sets of {cameras} cameras: {where}")
    return 0


def _on_cluster(options: argparse.Namespace) -> int:
    """Replay all bags that are named, one task each."""
    from depth_perception.cli.cluster_verbs import VerbJob, pipeline_arguments, run_jobs
    from depth_perception.cluster.bags import find_bags, is_remote

    bags = find_bags(options.bag)
    folders = {
        name: check_folder(f"--{name}", value).resolve()
        for name in ("output", "images")
        if (value := getattr(options, name)) is not None
    }
    same = (*pipeline_arguments(options), f"--storage={options.storage}")
    same += ("--overwrite",) if options.overwrite else ()
    jobs = []
    for bag in bags:
        places = {name: folder / bag.name for name, folder in folders.items()}
        if "output" in places:
            if not is_remote(bag.address):
                _keep_apart(Path(bag.address), places["output"])
            if places["output"].exists() and not options.overwrite:
                continue
        given = tuple(f"--{name}={path}" for name, path in places.items())
        jobs.append(VerbJob(bag.name, "replay", (*given, *same), bag.address, options.cache))
    return run_jobs(options, jobs, len(bags) - len(jobs), "replayed")


def _keep_apart(bag: Path, output: Path) -> None:
    """Refuse an output that would replace or litter the bag that is read.

    Raises:
        ConfigurationError: One of the two folders holds the other.
    """
    from depth_perception.errors import ConfigurationError

    source, target = bag.resolve(), output.resolve()
    if source.is_file() and (source.parent / "metadata.yaml").exists():
        source = source.parent
    if source == target or source in target.parents or target in source.parents:
        raise ConfigurationError(
            f"--output '{output}' and the bag '{bag}' lie in one another",
            expected="a folder of its own: the recording is not to be lost",
            fix="name another --output",
        )
