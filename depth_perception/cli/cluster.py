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

"""Arguments of verbs that work on many bags at once with ``--cluster``, and what they share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from depth_perception.errors import ConfigurationError

if TYPE_CHECKING:
    from depth_perception.cluster.engine import Resources

_MOST_CORES = 4096


def add_cluster_arguments(parser: argparse.ArgumentParser, output: str = "") -> None:
    """Add ``--cluster`` and what says how it works.

    Args:
        parser: The verb's.
        output: Adds ``--output DIR`` with this help, where the verb has none of its own.
    """
    group = parser.add_argument_group("many bags, on Ray (docs/cluster.md)")
    group.add_argument(
        "--cluster",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="one task a bag, of a Ray cluster at HOST:PORT; without ADDRESS on this machine",
    )
    if output:
        group.add_argument("--output", "-o", metavar="DIR", help=output)
    group.add_argument(
        "--cluster-workers",
        type=int,
        default=0,
        metavar="N",
        help="without ADDRESS: cores that tasks use (0: all)",
    )
    group.add_argument(
        "--cluster-cpus", type=int, default=1, metavar="N", help="cores of a task (default 1)"
    )
    group.add_argument(
        "--cluster-gpus", type=float, default=0.0, metavar="N", help="GPUs of a task, e.g. 0.25"
    )
    group.add_argument(
        "--retries",
        type=int,
        default=2,
        metavar="N",
        help="how often a task that failed is started again (default 2)",
    )
    group.add_argument(
        "--cache", default="", metavar="DIR", help="where bags from an object store are copied to"
    )


def resources_from(options: argparse.Namespace) -> Resources:
    """Read what a task takes.

    Raises:
        ConfigurationError: A number is impossible.
    """
    from depth_perception.cluster.engine import Resources

    for name, low, high in (
        ("cluster_workers", 0, _MOST_CORES),
        ("cluster_cpus", 1, _MOST_CORES),
        ("cluster_gpus", 0, _MOST_CORES),
        ("retries", 0, 100),
    ):
        value = getattr(options, name)
        if not low <= value <= high:
            raise ConfigurationError(
                f"--{name.replace('_', '-')} {value}",
                expected=f"{low} to {high}",
                fix="correct the value",
            )
    return Resources(options.cluster_cpus, options.cluster_gpus, options.retries)


def alone(options: argparse.Namespace, needs: Sequence[str] = ()) -> argparse.Namespace:
    """Return the arguments of a verb that works on one bag, without ``--cluster``.

    Args:
        options: With a list of bags.
        needs: Arguments that only ``--cluster`` has.

    Raises:
        ConfigurationError: There are several bags, or such an argument.
    """
    if len(options.bag) > 1:
        raise ConfigurationError(
            f"{len(options.bag)} bags",
            expected="one bag",
            fix="add --cluster behind them, which works on many, also on this machine alone",
        )
    for name in needs:
        if getattr(options, name) is not None:
            raise ConfigurationError(
                f"--{name} is of a run over many bags", fix="add --cluster behind the bags"
            )
    return argparse.Namespace(**{**vars(options), "bag": options.bag[0]})


def summarised(
    what: str, done: int, failed: dict[str, str], said: int = 20, unit: str = "bag"
) -> int:
    """Say how many bags are done and why others are not; return the exit code.

    Args:
        what: What is done with a bag, e.g. ``scored``.
        done: How many are.
        failed: Why not, by bag.
        said: So many of these are printed.
        unit: What each of them is.
    """
    print(
        f"{done} {unit}{'' if done == 1 else 's'} {what}"
        + (f", {len(failed)} with an error" if failed else "")
    )
    for name, why in list(failed.items())[:said]:
        print(f"error: {name}: {why}", file=sys.stderr)
    if len(failed) > said:
        print(f"error: and {len(failed) - said} more", file=sys.stderr)
    return 1 if failed else 0
