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

"""Look at depth, clouds, map and road of a drive, or of the node that runs now, in rerun.

Of a bag with cameras every frame set is computed, as by replay; what a bag that replay wrote holds
is shown as it is. With --live what the running node publishes. The viewer opens on the screen; with
--save a file is written instead, with --web a browser shows it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_perception.cli.arguments import (
    add_frames_argument,
    add_parameter_arguments,
    bag_from,
    frames_from,
    parameters_from,
)
from depth_perception.cli.destinations import check_file, write_text
from depth_perception.cli.extras import load_extras
from depth_perception.cli.interruption import leaving
from depth_perception.cli.progress import Progress
from depth_perception.errors import BagError, ConfigurationError
from depth_perception.yaml_mapping import nearest

if TYPE_CHECKING:
    from depth_perception.datasets.bag import BagReader
    from depth_perception.parameters import Parameters
    from depth_perception.viewing.recording import Limits, Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", nargs="?", help="rosbag2 directory, .mcap or .db3")
    parser.add_argument("--live", action="store_true", help="the node that runs, instead of a bag")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--save", metavar="FILE", help="write a file, FILE.rrd, that rerun opens")
    where.add_argument(
        "--foxglove", metavar="FILE", help="write a layout of Foxglove for the bag's cameras"
    )
    where.add_argument("--web", action="store_true", help="show it in a browser, until Ctrl-C")
    parser.add_argument("--port", type=int, default=9090, help="of the page of --web (9090)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --save")
    parser.add_argument("--lidar", metavar="TOPIC", help="shown beside (default: the first cloud)")
    parser.add_argument(
        "--points", type=int, default=20_000, metavar="N", help="of a cloud, at most (20000)"
    )
    parser.add_argument(
        "--width", type=int, default=640, metavar="PX", help="of an image, at most (640)"
    )
    parser.add_argument(
        "--depth-width", type=int, default=320, metavar="PX", help="of a depth image (320)"
    )
    parser.add_argument(
        "--recorded", action="store_true", help="the results in the bag; compute nothing"
    )
    live = parser.add_argument_group("with --live")
    live.add_argument("--namespace", default="", help="of the node")
    live.add_argument(
        "--rate", type=float, default=5.0, metavar="HZ", help="of each topic, at most (5)"
    )
    live.add_argument("--seconds", type=float, default=0.0, metavar="S", help="how long (0: on)")
    add_frames_argument(parser)
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    from depth_perception.viewing.outlet import check_new_file, check_screen

    limits = _limits(options)
    if options.live == (options.bag is not None):
        raise ConfigurationError(
            "view needs a bag, or --live" + (", and not both" if options.live else ""),
            fix="name a bag, or give --live to see the node that runs",
        )
    frames_from(options)
    parameters = parameters_from(options)
    if options.live:
        bag = None
    else:
        bag = options.bag = bag_from(options)
    if options.foxglove is not None:
        return _write_layout(options, bag, parameters)
    load_extras("view", "rerun")
    if options.save is not None:
        path = check_file("--save", options.save)
        check_new_file(path, options.overwrite)
    elif not options.web:
        check_screen()
    if bag is None:
        return _view_live(options, parameters, limits)
    return _view_bag(options, bag, parameters, limits)


def _limits(options: argparse.Namespace) -> Limits:
    """Read how much is kept.

    Raises:
        ConfigurationError: Less than nothing is.
    """
    from depth_perception.viewing.recording import Limits

    limits = Limits(options.points, options.width, options.depth_width)
    for name in ("points", "width", "depth_width"):
        value = getattr(limits, name)
        if value < 1:
            option = name.replace("_", "-")
            raise ConfigurationError(f"--{option} {value}", expected="1 or more", fix="correct it")
    return limits


def _write_layout(options: argparse.Namespace, bag: Path | None, parameters: Parameters) -> int:
    """Write a layout of Foxglove for the bag that replay makes of this one, or made."""
    import json

    from depth_perception.datasets.bag import BagReader
    from depth_perception.viewing.blueprint import camera_rows
    from depth_perception.viewing.foxglove import foxglove_layout
    from depth_perception.viewing.published import recorded_mountings

    if bag is None:
        raise ConfigurationError(
            "--foxglove with --live",
            expected="a bag, of which the cameras are known",
            fix="name a bag that the same vehicle recorded",
        )
    path = check_file("--foxglove", options.foxglove)
    if path.exists() and not options.overwrite:
        raise ConfigurationError(
            f"--foxglove '{path}' exists", expected="a new file", fix="name another, or --overwrite"
        )
    with BagReader(bag, parameters) as reader:
        if reader.cameras:
            mountings = {camera.name: camera.T_base_camera for camera in reader.rig}
        else:
            mountings = recorded_mountings(reader)
        if not mountings:
            raise BagError(
                f"bag '{bag}' has neither cameras nor results",
                fix="name a drive, or a bag that replay wrote",
            )
    rows = camera_rows(mountings)
    layout = foxglove_layout(rows, parameters.base_frame, motion=parameters.motion.enabled)
    write_text("--foxglove", path, json.dumps(layout, indent=1) + "\n")
    print(f"layout of {', '.join(mountings)}: {path}")
    return 0


def _view_bag(
    options: argparse.Namespace, bag: Path, parameters: Parameters, limits: Limits
) -> int:
    """Show a bag."""
    from tqdm import tqdm

    from depth_perception.datasets.bag import BagReader
    from depth_perception.viewing.outlet import new_stream
    from depth_perception.viewing.published import shown_outputs
    from depth_perception.viewing.recording import Recording

    said: list[str] = []

    def say(text: str) -> None:
        tqdm.write(f"warning: {text}", file=sys.stderr)
        said.append(text)

    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag, parameters, log=say))
        _check_lidar(options.lidar, reader)
        recorded = options.recorded or (not reader.cameras and bool(shown_outputs(reader.topics)))
        if options.recorded and not shown_outputs(reader.topics):
            raise BagError(
                f"bag '{bag}' holds no results",
                expected="topics below surround_depth, as replay and the node write them",
                fix="leave --recorded out, and they are computed",
            )
        stream = new_stream(reader.name)
        recording = Recording(stream, parameters.base_frame, limits)
        show = _show_recorded if recorded else _show_computed
        count = show(options, stack, stream, recording, reader, say)
        for text in said:
            recording.say(text)
        stream.flush()
    if not count:
        why = f": {said[-1]}" if said else ""
        raise BagError(f"no frame set of bag '{bag}' gave any depth{why}")
    print(f"{count} frame sets{_where(options)}")
    if options.web:
        from depth_perception.viewing.outlet import until_interrupted

        until_interrupted()
    return 0


def _show_computed(
    options: argparse.Namespace,
    stack: ExitStack,
    stream: Any,
    recording: Recording,
    reader: BagReader,
    say: Any,
) -> int:
    """Compute every frame set and show it; returns how many have depth."""
    from depth_perception.pipeline import SurroundPipeline, check_named_files
    from depth_perception.viewing.blueprint import blueprint
    from depth_perception.viewing.results import log_drive

    check_named_files(reader.parameters)
    progress = stack.enter_context(Progress("view"))
    pipeline = SurroundPipeline(reader.parameters, log=say)
    stack.callback(pipeline.close)
    pipeline.check_rig(reader.rig)
    progress.to(0, min(reader.image_count, options.frames or reader.image_count))
    with _opened(options, stream, progress):
        mountings = {camera.name: camera.T_base_camera for camera in reader.rig}
        stream.send_blueprint(blueprint(recording.entities, mountings))
        return log_drive(
            recording,
            reader,
            pipeline,
            limit=options.frames,
            lidar=options.lidar,
            each=lambda result: progress.update(),
        )


def _show_recorded(
    options: argparse.Namespace,
    stack: ExitStack,
    stream: Any,
    recording: Recording,
    reader: BagReader,
    say: Any,
) -> int:
    """Show what a bag holds of results; returns how many frame sets."""
    from depth_perception.viewing.blueprint import blueprint
    from depth_perception.viewing.published import log_recorded

    progress = stack.enter_context(Progress("view"))
    with _opened(options, stream, progress):
        count, mountings = log_recorded(
            recording, reader, limit=options.frames, lidar=options.lidar, each=progress.update
        )
        stream.send_blueprint(blueprint(recording.entities, mountings))
        return count


def _view_live(options: argparse.Namespace, parameters: Parameters, limits: Limits) -> int:
    """Show what the running node publishes, until Ctrl-C or as long as was said."""
    import importlib.util

    from depth_perception.viewing.outlet import new_stream
    from depth_perception.viewing.recording import Recording

    if importlib.util.find_spec("rclpy") is None:
        raise ConfigurationError(
            "view --live needs ROS 2, and this environment has no rclpy",
            expected="the environment in which your nodes run",
            fix="source env.bash, or the setup.bash of your distribution or workspace",
        )
    from depth_perception.nodes.viewer import LiveOptions, watch

    stream = new_stream("live")
    recording = Recording(stream, parameters.base_frame, limits)
    live = LiveOptions(
        namespace=options.namespace,
        rate=options.rate,
        seconds=options.seconds,
        lidar=options.lidar or "",
        frames=options.frames,
    )
    with _opened(options, stream, None):
        count = watch(recording, stream.send_blueprint, parameters, live)
    if not count:
        raise ConfigurationError(
            "no frame set came",
            expected="surround_depth that runs, and cameras that send images",
            fix="start it with 'depth_perception launch', and look at --namespace, ROS_DOMAIN_ID"
            " and what the node says",
        )
    print(f"{count} frame sets{_where(options)}")
    return 0


@contextmanager
def _opened(options: argparse.Namespace, stream: Any, progress: Progress | None) -> Iterator[None]:
    """Lead what is logged inside to where it was asked for."""
    from depth_perception.viewing import outlet

    if options.save is not None:
        path = Path(os.path.expanduser(options.save))

        def left() -> str:
            held = f" holds the first {progress.done} frame sets" if progress else " holds the rest"
            return f"'{outlet.part_of(path)}'{held}; '{path}' is not written"

        with leaving(left), outlet.to_file(stream, path):
            yield
        return
    if options.web:
        address = outlet.to_browser(stream, options.port)
        print(f"open {address} (Ctrl-C ends)", flush=True)
    else:
        outlet.to_screen(stream)
    yield


def _where(options: argparse.Namespace) -> str:
    if options.save is None:
        return ""
    path = Path(os.path.expanduser(options.save))
    return f": {path}, {path.stat().st_size / 1e6:.1f} MB"


def _check_lidar(topic: str | None, reader: BagReader) -> None:
    """Refuse a LiDAR that the bag does not have.

    Raises:
        ConfigurationError: Lists those that it has.
    """
    if topic is not None and topic not in reader.lidar_topics:
        raise ConfigurationError(
            f"--lidar '{topic}' is no sensor_msgs/PointCloud2 topic of the bag",
            expected=nearest(topic, reader.lidar_topics),
            fix="name one of them, or leave --lidar out",
        )
