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

"""Make a synthetic drive as a rosbag2 bag, or a data set for training.

    depth_perception world --output out/drive --seed 3 --rig ddad --seconds 2
    depth_perception world --dataset out/train --frames 1000 --workers 2
    depth_perception world --dataset out/moving --measured --drives 300 --sets-per-drive 6

The bag has the topics of a real rig, and exact truth under /truth. The same seed gives the same
drive. Needs NVIDIA Warp (pip install warp-lang), which also uses a GPU where there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from depth_perception.cli.cluster import add_cluster_arguments
from depth_perception.cli.cluster_parts import drives_on_cluster
from depth_perception.cli.destinations import check_bag, check_folder
from depth_perception.cli.interruption import leaving
from depth_perception.cli.progress import Progress

DEVICES = ("cpu", "cuda")
"""What the world is computed on; cuda with the number of a GPU."""

TRUTH = ("depth", "instance", "normal", "albedo", "shading", "mirror")
"""Truth images that can be asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", "-o", metavar="BAG", help="write a drive as a bag directory")
    what.add_argument("--dataset", metavar="DIR", help="write training shards, or go on with them")
    parser.add_argument("--seed", type=int, default=0, help="which world (default 0)")
    parser.add_argument("--rig", default="", help="nuscenes, ddad, kitti, waymo, fisheye or robot")
    parser.add_argument("--width", type=int, default=640, help="image width, px (default 640)")
    parser.add_argument(
        "--height", type=int, default=0, help="image height, px (default: the rig's)"
    )
    parser.add_argument(
        "--device", default="", help="cpu or cuda:0 (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--miscalibration",
        type=float,
        metavar="DEG",
        help="typical error of the extrinsics (default 0, of a data set 0.2)",
    )
    parser.add_argument("--samples", type=int, help="rays a pixel (default 2, of a data set 1)")
    drive = parser.add_argument_group("a drive")
    drive.add_argument("--seconds", type=float, default=5.0, help="length (default 5)")
    drive.add_argument("--rate", type=float, default=0.0, help="frame sets a second")
    drive.add_argument("--setting", default="", help="city, suburb, country, motorway, ...")
    drive.add_argument("--weather", default="", help="clear, low_sun, cloudy, overcast, rain, ...")
    drive.add_argument("--speed", type=float, help="m/s")
    drive.add_argument(
        "--lifelike",
        action="store_true",
        help="vehicles that brake and stop, hard sun, glare, exposure steps, shade, pale and damp"
        " roads (a data set has them with --measured)",
    )
    drive.add_argument("--vary-rig", action="store_true", help="draw a rig around the family's")
    drive.add_argument(
        "--truth",
        default="depth",
        help="truth images, of depth,instance,normal,albedo,shading,mirror (a data set always has"
        " depth and labels, and knows no shading)",
    )
    drive.add_argument("--overwrite", action="store_true", help="replace the output bag")
    shards = parser.add_argument_group("a data set")
    amount = shards.add_mutually_exclusive_group()
    amount.add_argument("--frames", type=int, default=1000, help="frame sets (default 1000)")
    amount.add_argument("--drives", type=int, metavar="N", help="instead of --frames: whole drives")
    shards.add_argument("--sets-per-drive", type=int, default=6, metavar="N", help="default 6")
    spacing = shards.add_mutually_exclusive_group()
    spacing.add_argument(
        "--spacing",
        type=float,
        default=2.5,
        metavar="S",
        help="time between the sets of a drive (default 2.5; 0.1 for video)",
    )
    spacing.add_argument(
        "--measured",
        action="store_true",
        help="sets that follow each other as a vehicle's do, 2 to 12 a second, with the depth that"
        " its motion measured from noisy odometry and a calibration that may be wrong",
    )
    shards.add_argument(
        "--workers", type=int, default=0, help="processes; 0: one a core, or one GPU"
    )
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    from depth_perception.cli.extras import load_extras
    from depth_perception.errors import ConfigurationError

    load_extras("the synthetic world", "depth_perception.world")
    _check_names(options)
    _check_numbers(options)
    if options.dataset is not None:
        check_folder("--dataset", options.dataset)
    else:
        check_bag("--output", options.output, options.overwrite)
    load_extras("the synthetic world", "warp")
    try:
        return _bag(options) if options.dataset is None else _dataset(options)
    except ValueError as error:
        raise ConfigurationError(
            f"world: {error}", fix="see 'depth_perception world --help'"
        ) from None


def _check_names(options: argparse.Namespace) -> None:
    """Refuse a rig, setting, weather, device or truth that there is not.

    Raises:
        ConfigurationError: Lists those there are, and names the nearest.
    """
    from depth_perception.errors import ConfigurationError
    from depth_perception.world.output.rigs import RIGS
    from depth_perception.world.scene.plan import SETTINGS
    from depth_perception.world.scene.weather import WEATHERS
    from depth_perception.yaml_mapping import nearest

    for name, known in (("rig", RIGS), ("setting", SETTINGS), ("weather", WEATHERS)):
        value = getattr(options, name)
        if value and value not in known:
            raise ConfigurationError(
                f"--{name} {value}", expected=nearest(value, known), fix="correct the name"
            )
    device = options.device.partition(":")[0]
    if device not in ("", *DEVICES):
        raise ConfigurationError(
            f"--device {options.device}",
            expected=f"{nearest(device, DEVICES)}, or cuda:0, cuda:1, ...",
            fix="correct the name",
        )
    for layer in filter(None, options.truth.split(",")):
        if layer not in TRUTH:
            raise ConfigurationError(
                f"--truth {layer}", expected=nearest(layer, TRUTH), fix="correct the name"
            )


def _check_numbers(options: argparse.Namespace) -> None:
    """Refuse impossible numbers; what is None or 0 is left to the defaults where 0 is allowed.

    Raises:
        ConfigurationError: Names the argument and its range.
    """
    from depth_perception.errors import ConfigurationError

    for name, low, high in (
        ("seed", 0, 10**30),
        ("width", 32, 16384),
        ("height", 0, 16384),
        ("miscalibration", 0.0, 45.0),
        ("samples", 1, 1024),
        ("seconds", 1e-3, 600.0),
        ("rate", 0.0, 60.0),
        ("speed", 0.0, 40.0),
        ("frames", 1, 10**9),
        ("drives", 1, 10**8),
        ("sets_per_drive", 1, 10**6),
        ("spacing", 1e-3, 600.0),
        ("workers", 0, 4096),
    ):
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            raise ConfigurationError(
                f"--{name.replace('_', '-')} {value}",
                expected=f"{low:g} to {high:g}",
                fix="correct the value",
            )


def _bag(options: argparse.Namespace) -> int:
    from depth_perception.world.output.drive_bag import write_drive_bag
    from depth_perception.world.output.rigs import make_rig

    path = Path(options.output)
    rig = make_rig(
        options.rig or "nuscenes",
        width=options.width,
        height=options.height,
        seed=options.seed if options.vary_rig else None,
        miscalibration=options.miscalibration or 0.0,
    )
    part = path.with_name(path.name + ".part")
    with leaving(lambda: f"'{part}' is a part of the drive"), Progress(str(path)) as progress:
        drive = write_drive_bag(
            path,
            seed=options.seed,
            rig=rig,
            seconds=options.seconds,
            rate=options.rate,
            setting=options.setting,
            weather=options.weather,
            speed=options.speed,
            lifelike=options.lifelike,
            truth=tuple(t for t in options.truth.split(",") if t),
            device=options.device,
            samples=2 if options.samples is None else options.samples,
            overwrite=options.overwrite,
            progress=progress.to,
        )
    print(
        f"{path}: {drive.plan.setting}, {len(rig.cameras)} cameras of rig {rig.name},"
        f" {drive.speed:.1f} m/s\nlook at it: depth_perception inspect {path}"
    )
    return 0


def _dataset(options: argparse.Namespace) -> int:
    from depth_perception.world.output.dataset import write_dataset

    make = None if options.cluster is None else drives_on_cluster(options)
    frames = options.frames if options.drives is None else options.drives * options.sets_per_drive
    asked = {
        name: value
        for name in ("miscalibration", "samples")
        if (value := getattr(options, name)) is not None
    }
    with (
        leaving(lambda: "what is made is kept; the same command goes on"),
        Progress(options.dataset, frames) as progress,
    ):
        write_dataset(
            options.dataset,
            frames=frames,
            workers=options.workers,
            seed=options.seed,
            width=options.width,
            height=options.height or 352,
            rigs=(options.rig,) if options.rig else None,
            sets_per_drive=options.sets_per_drive,
            truth=[name for name in options.truth.split(",") if name != "depth"],
            spacing=options.spacing,
            measured=options.measured,
            **asked,
            progress=progress.to,
            make=make,
        )
    return 0
