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

"""The ``depth_perception`` command. Verbs are imported when they are called, so help is instant."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import sys
from collections.abc import Sequence

from depth_perception import __version__
from depth_perception.cli.interruption import Interruption, interruptible, loading, said
from depth_perception.errors import DepthPerceptionError

VERBS = {
    "demo": "play a drive through the nodes, score it and show where to look",
    "inspect": "what a bag holds, and what would stop it from working",
    "replay": "compute depth for every frame set of a bag, without ROS",
    "evaluate": "score depth against the LiDAR or the exact depth in a bag",
    "view": "look at a drive, or at the running node, in rerun",
    "calibrate": "estimate from a drive how the cameras are mounted",
    "ego-mask": "propose masks of the vehicle's own body from a drive",
    "convert": "turn drives of a data set in its own folders into bags",
    "targets": "compute what a foundation model says of a data set, once, for training",
    "train": "train a network on data sets of the synthetic world",
    "adapt": "adapt the network to your own vehicle, from drives without labels",
    "export": "write a trained network to an ONNX file, and check it",
    "world": "make a synthetic drive with exact truth, or a data set for training",
    "launch": "start the nodes where 'ros2 launch' does not exist",
    "doctor": "measure what share of large images arrives here, and what to change",
}


def parser_for(verb: str) -> argparse.ArgumentParser:
    """Build the parser of one verb."""
    module = importlib.import_module(f"depth_perception.cli.{verb.replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=f"depth_perception {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        The exit code: 0, 1 for an error with a message, 2 for wrong usage, 130 or 143 when SIGINT
        or SIGTERM ended it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    width = max(map(len, VERBS))
    parser = argparse.ArgumentParser(
        prog="depth_perception",
        description="Metric depth and a bird's-eye-view cloud from the cameras around a vehicle.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="verbs:\n"
        + "\n".join(f"  {verb:<{width}}  {text}" for verb, text in VERBS.items())
        + "\n\n'depth_perception VERB --help' tells more.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="what to do")
    verb = arguments[0] if arguments else ""
    if verb and not verb.startswith("-") and verb not in VERBS:
        near = difflib.get_close_matches(verb.lower(), VERBS, n=1)
        meant = f" (did you mean '{near[0]}'?)" if near else ""
        parser.error(f"there is no verb '{verb}'{meant}; verbs are {', '.join(VERBS)}")
    options = parser.parse_args(arguments[:1])
    came: list[int] = []
    try:
        with interruptible() as came:
            return _run(options.verb, arguments[1:])
    except KeyboardInterrupt as stop:  # also one that comes while an error is said
        return said(stop)
    except Exception:
        if not came:
            raise
        return said(Interruption(came[0]))  # made another error by a module in C that was loading


def _run(verb: str, arguments: Sequence[str]) -> int:
    try:
        with loading():
            module = importlib.import_module(f"depth_perception.cli.{verb.replace('-', '_')}")
        return int(module.run(parser_for(verb).parse_args(arguments)))
    except DepthPerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output went away, as in `depth_perception inspect BAG | head`.
        sys.stderr.close()
        return 0
    except OSError as error:
        # Verbs look at their outputs before they begin; a disk may fill up all the same.
        named = f"'{error.filename}': " if error.filename else ""
        print(f"error: {named}{error.strerror or error}. Fix: {_remedy(error)}", file=sys.stderr)
        return 1


def _remedy(error: OSError) -> str:
    """Say what helps against an error of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room there, or name a place that has some"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "name a place that may be read and written to, or change its rights"
    return "look at that path, and at the disk that it is on"


if __name__ == "__main__":
    sys.exit(main())
