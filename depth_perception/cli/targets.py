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

r"""Compute what a foundation model says of all images of a data set, once, for training.

    depth_perception targets data/train --kind depth --output data/train_depth \
        --model depth-anything/Depth-Anything-V2-Small-hf
    depth_perception train CONFIG --output runs/one --set data.folders=[targets:data/train_depth]

It may be stopped at any time; the same command goes on. docs/foundation.md lists models.
With --cluster 64 frame sets are a task.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from depth_perception.cli.cluster import add_cluster_arguments
from depth_perception.cli.cluster_parts import TargetJob, targets_on_cluster
from depth_perception.cli.interruption import leaving


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("source", help="folder of shards, or KIND:FOLDER of recorded data")
    parser.add_argument("--model", required=True, help="name of the hub, or a local folder")
    parser.add_argument(
        "--kind",
        required=True,
        choices=("depth", "features", "captions"),
        help="what is asked of it",
    )
    parser.add_argument("--output", "-o", required=True, metavar="DIR", help="where targets go")
    parser.add_argument(
        "--side",
        type=int,
        default=0,
        metavar="PX",
        help="shorter side of the images that it sees, about (default: as it was trained)",
    )
    parser.add_argument(
        "--blocks",
        type=whole_numbers,
        default=(-1,),
        metavar="N,N",
        help="blocks whose features are kept, from 0 on (default: the last)",
    )
    parser.add_argument("--batch", type=int, default=8, help="images at a time (default: 8)")
    parser.add_argument("--device", default="", help="cpu or cuda (default: a GPU if there is one)")
    add_cluster_arguments(parser)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Read ``N,N``; the name is what argparse calls it where it is none."""
    return tuple(int(part) for part in text.split(","))


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    from depth_perception.cli.destinations import check_folder
    from depth_perception.cli.extras import load_extras
    from depth_perception.datasets.source import check_source
    from depth_perception.errors import ConfigurationError

    if options.batch < 1 or options.side < 0:
        raise ConfigurationError(
            f"--batch {options.batch} --side {options.side}",
            expected="1 or more, 0 or more",
            fix="correct them",
        )
    check_folder("--output", options.output)
    check_source(options.source)
    load_extras("a foundation model", "torch", "depth_perception.training")
    from depth_perception.training import targets

    if options.cluster is not None:
        targets_on_cluster(options, compute_some)
    with leaving(lambda: "what is computed is kept; the same command goes on"):
        folder = compute(options)
    facts = targets.Targets(folder).manifest
    print(f"targets of {facts['images']} images in {folder}; train with targets:{folder}")
    return 0


def compute(options: argparse.Namespace, only: range | None = None) -> Path:
    """Compute what is missing of the targets that the arguments describe; return their folder.

    Args:
        options: The verb's arguments.
        only: These frame sets alone; None for all.
    """
    from depth_perception.training import targets
    from depth_perception.training.device import choose_device
    from depth_perception.training.foundation.factory import maker

    device = choose_device(options.device)
    make, settings = maker(
        options.kind, options.model, side=options.side, blocks=options.blocks, device=device
    )
    return targets.compute(
        options.output,
        options.source,
        options.kind,
        make,
        model=options.model,
        settings=settings,
        batch=options.batch,
        say=_say,
        only=only,
    )


def compute_some(job: TargetJob) -> None:
    """Compute the targets of some frame sets: the task of ``--cluster``."""
    compute(job.options, range(job.first, job.end))


def _say(text: str) -> None:
    print(text, flush=True)
