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

"""Play a drive through the real nodes over DDS, score it against its LiDAR, show where to look.

Without --bag it makes a drive through the synthetic world, which has exact truth too. Four steps,
each of which ends with something to look at: replay without ROS (pictures), the nodes over DDS
(recorded into a bag), the two compared bit for bit, and the evaluation (a report page). Depth is
that of the network which comes with the package, with embodied depth beside it; with
--estimator embodied it is embodied depth alone. Either takes what the vehicle's motion measures
(motion.enabled).
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from depth_perception.cli.arguments import (
    add_parameter_arguments,
    bag_from,
    parameter_text,
    parameters_from,
)
from depth_perception.cli.destinations import check_folder
from depth_perception.cli.extras import load_extras
from depth_perception.cli.progress import Progress
from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.parameters import load

DRIVE = (
    "--seed",
    "4",
    "--rig",
    "nuscenes",
    "--width",
    "800",
    "--setting",
    "suburb",
    "--weather",
    "clear",
    "--speed",
    "8",
    "--seconds",
    "2",
    "--rate",
    "5",
    "--truth",
    "depth,instance",
)
"""The synthetic drive, as arguments of `depth_perception world`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--bag", default="", help="a drive of your own instead of a synthetic one")
    parser.add_argument("--output", default="out/demo", help="folder for everything it makes")
    parser.add_argument("--rate", type=float, default=1.0, help="playing speed")
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    from depth_perception.cli.main import main
    from depth_perception.datasets.bag import BagReader

    output = _checked(options)
    output.mkdir(parents=True, exist_ok=True)
    bag = Path(options.bag) if options.bag else _drive(output / "drive")
    params = _write_parameters(options, bag, output / "params.yaml")
    common = [str(bag), "--params", str(params)]
    _step(f"1/4  replay {bag} without ROS")
    pictures, replayed = output / "pictures", output / "replay"
    code = main(
        ["replay", *common, "--output", str(replayed), "--overwrite", "--images", str(pictures)]
    )
    if code:
        return code
    _step("2/4  the same bag through bag_player and surround_depth over DDS")
    recorded = output / "nodes"
    parameters = load(params)
    _through_nodes(bag, params, replayed, recorded, options.rate, parameters.motion.enabled)
    _step("3/4  compare the two")
    same, expected = _compare(replayed, recorded)
    print(f"{same} of {expected} depth images came over DDS, bit for bit those of replay")
    with BagReader(bag, parameters) as reader:
        truth = [topic for topic in reader.topics if topic.startswith("/truth/")]
        has_truth = bool(reader.lidar_topics or truth)
    report = output / "report"
    if has_truth:
        _step("4/4  score depth against the truth in the bag: LiDAR, and exact depth if it has any")
        code = main(
            ["evaluate", *common, "--report", str(report), "--json", str(output / "scores.json")]
        )
    else:
        _step("4/4  neither LiDAR nor exact depth in the bag: nothing to score against")
    if code in (130, 143):  # Ctrl-C
        return code
    print("\nlook at:")
    if has_truth and not code:
        print(f"  {report / 'index.html'}   the report, open it in a browser")
    beside = "" if parameters.estimator == "embodied" else "embodied depth beside it, confidence, "
    if parameters.motion.enabled:
        beside += "what motion measured and how, "
    print(f"  {pictures}/   input, depth in colour, {beside}cloud from above, by frame set")
    print(f"  {recorded}/   what the nodes published, as a bag: for RViz, Foxglove")
    print("and try:")
    print(f"  depth_perception inspect {bag}   what the drive holds")
    print(f"  depth_perception replay {bag} --params {params} --images DIR   pictures alone")
    if shutil.which("rviz2"):
        print(f"  depth_perception launch bag:={bag} params_file:={params} rviz:=true   live")
    return code or (0 if same == expected else 1)


def _checked(options: argparse.Namespace) -> Path:
    """Refuse what the last of the four steps would stumble over, before the first; give the output.

    Raises:
        DepthPerceptionError: Names the argument, or what is not installed.
    """
    from depth_perception.pipeline import check_named_files

    if not 1e-3 <= options.rate < math.inf:
        raise ConfigurationError(
            f"--rate {options.rate}", expected="0.001 or more", fix="e.g. --rate 1"
        )
    check_named_files(parameters_from(options))
    if options.bag:
        bag_from(options)
    output = check_folder("--output", options.output)
    if not options.bag and not (output / "drive" / "metadata.yaml").exists():
        load_extras("the synthetic world", "depth_perception.world")
    if importlib.util.find_spec("rclpy") is None:
        raise _without_ros("no module rclpy")
    return output


def _without_ros(why: object) -> ConfigurationError:
    return ConfigurationError(
        f"ROS 2 is not in this environment ({why})",
        expected="rclpy",
        fix="run 'make setup', then 'source env.bash'",
    )


def _step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _drive(path: Path) -> Path:
    """Make the drive once; a second run finds it."""
    from depth_perception.cli.main import main

    if not (path / "metadata.yaml").exists():
        _step("0/4  make a drive: ray-traced images of six cameras, LiDAR, exact depth and labels")
        code = main(["world", "--output", str(path), "--overwrite", *DRIVE])
        if code:
            raise SystemExit(code)
    return path


def _write_parameters(options: argparse.Namespace, bag: Path, path: Path) -> Path:
    """Write the parameters that fit the bag, as a ROS parameter file."""
    # Every image is taken and computed, however slow the machine is, as replay does.
    overrides: dict[str, Any] = {"sync.queue_size": 1000, "qos.input": "reliable"}
    overrides["qos.input_depth"] = 100
    if not options.params:
        overrides |= _guess(bag)
    path.write_text(parameter_text(parameters_from(options), overrides))
    return path


def _guess(bag: Path) -> dict[str, Any]:
    """Find where the road is: label topics in the bag, or label images in a folder beside it."""
    from depth_perception.datasets.bag_file import open_bag
    from depth_perception.resources import config_file

    folder = (bag if bag.is_dir() else bag.parent) / "road_masks"
    if folder.is_dir():
        classes = config_file("segmentation/labels_road_curb_marking.yaml")
        return {
            "segmentation.labels_folder": str(folder.resolve()),
            "segmentation.classes": str(classes),
        }
    with open_bag(bag) as reader:
        if any(connection.topic.endswith("/labels") for connection in reader.connections):
            return {
                "segmentation.labels_topic": "labels",
                "segmentation.classes": str(config_file("segmentation/labels_cityscapes_ego.yaml")),
            }
    return {}


def _through_nodes(
    bag: Path, params: Path, replayed: Path, recorded: Path, rate: float, motion: bool
) -> None:
    """Start player and node as a user would, and record what comes out."""
    from depth_perception.datasets.bag_file import open_bag
    from depth_perception.ros.dds_profile import transport_environment

    os.environ.update(transport_environment())
    # Apart from every robot on the network, and from another demo on this machine.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if os.environ.get("ROS_DISTRO") == "humble":  # which does not know the range yet
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    try:
        from depth_perception.ros.recorded_run import SILENCE_S, SILENCE_WITH_MOTION_S, record_run
    except ImportError as error:
        raise _without_ros(error) from None
    with open_bag(replayed) as reader:
        published = [c for c in reader.connections if c.topic != "/tf_static"]
    command = [sys.executable, "-m", "depth_perception.cli.main", "launch", f"bag:={bag}"]
    command += [f"rate:={rate}", f"params_file:={params}"]
    types = {c.topic: c.msgtype for c in published}
    wanted = {c.topic: c.msgcount for c in published if _has_depth(c.topic)}
    with Progress("depth images over DDS", sum(wanted.values()), "image") as progress:
        silence = SILENCE_WITH_MOTION_S if motion else SILENCE_S
        record_run(command, recorded, types, wanted, progress.to, silence)


def _compare(replayed: Path, recorded: Path) -> tuple[int, int]:
    """Count depth images of replay that came over DDS with the same bits."""
    try:
        mine, theirs = _depth_images(replayed), _depth_images(recorded)
    except DepthPerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 0, 1
    return sum(theirs.get(key) == value for key, value in mine.items()), len(mine)


def _has_depth(topic: str) -> bool:
    """Tell whether a topic has depth images: the estimator's, or what motion measured."""
    return "/depth/image" in topic or "/measured/image" in topic


def _depth_images(bag: Path) -> dict[tuple[str, int], bytes]:
    """Digest of each depth image by topic and stamp."""
    import hashlib

    from depth_perception.datasets.bag_file import open_bag
    from depth_perception.messages.sensors import stamp_of

    images = {}
    with open_bag(bag) as reader:
        chosen = [c for c in reader.connections if _has_depth(c.topic)]
        for connection, _, raw in reader.messages(chosen) if chosen else ():
            message: Any = reader.deserialize(raw, connection.msgtype)
            key = (connection.topic, stamp_of(message.header.stamp))
            images[key] = hashlib.sha256(message.data.tobytes()).digest()
    return images
