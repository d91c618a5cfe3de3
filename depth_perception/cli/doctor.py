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

"""Measure what share of large images arrives between two processes here, and say what to change.

A process publishes images of several cameras, best effort as drivers do; another takes them with
the QoS of surround_depth and groups them into frame sets. Both run in a domain of their own, on
this machine only, and disturb no robot. Then: middleware, Fast DDS profile, /dev/shm, kernel
buffers, and QoS mismatches between the nodes that run in your own domain now.

Exit code 0 when at least 99.9 % of the images arrived, 1 otherwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from depth_perception.cli.destinations import check_file, write_text
from depth_perception.errors import ConfigurationError
from depth_perception.parameters import QosParameters

if TYPE_CHECKING:
    from depth_perception.ros.graph_qos import GraphReport
    from depth_perception.transport.advice import Finding
    from depth_perception.transport.figures import Delivery, Measurement

ENOUGH = 0.999
"""Share of images that must arrive."""
SLOW = 0.95
"""A publisher that manages less than this share of its rate is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--cameras", type=int, default=6, help="how many (6)")
    parser.add_argument("--size", default="1600x900", help="of each bgr8 image, pixels (1600x900)")
    parser.add_argument("--rate", type=float, default=12.0, help="of each camera, Hz (12)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to send (10)")
    parser.add_argument(
        "--input-depth",
        type=int,
        default=QosParameters.input_depth,
        metavar="N",
        help=f"of the subscriber, as qos.input_depth ({QosParameters.input_depth})",
    )
    parser.add_argument(
        "--compare", action="store_true", help="also measure with the defaults of Fast DDS"
    )
    parser.add_argument(
        "--fastdds-profile",
        metavar="FILE",
        default="auto",
        help="as launch's fastdds_profile: auto, none or a file (auto)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write it as JSON ('-' for stdout)")


def run(options: argparse.Namespace) -> int:
    """Run the verb.

    Raises:
        ConfigurationError: An argument is impossible, or ROS is not there.
        TransportError: A process of the measurement did not start, or ended early.
    """
    import json
    import os

    from depth_perception.ros.dds_profile import transport_environment
    from depth_perception.transport.advice import environment_profile, of_settings
    from depth_perception.transport.figures import Load
    from depth_perception.transport.measurement import measure

    size = _size(options.size)
    load = Load(options.cameras, *size, options.rate, options.seconds, options.input_depth)
    if importlib.util.find_spec("rclpy") is None:
        raise ConfigurationError(
            "doctor needs ROS 2, and this environment has no rclpy",
            expected="the environment in which your nodes run",
            fix="source env.bash, or the setup.bash of your distribution or workspace",
        )
    to_file = options.json is not None and options.json != "-"
    path = check_file("--json", options.json) if to_file else None
    profile = transport_environment(options.fastdds_profile)
    if options.fastdds_profile == "auto":
        profile = profile or environment_profile(os.environ)
    print(f"sending {load}, {load.image_bytes / 1e6:.1f} MB an image", file=sys.stderr)
    measured = measure(load, profile)
    defaults = measure(load, {}) if options.compare and measured.profile else None
    # rcl ends the process that imports it when the middleware is absent; measuring has said so.
    from depth_perception.ros.graph_qos import inspect_graph

    graph = inspect_graph()
    findings = [
        *_of_measurement(measured),
        *of_settings(measured.rmw, measured.profile, load.cameras * load.image_bytes),
    ]
    result = {
        "measured": measured.as_dict(),
        "defaults": defaults.as_dict() if defaults else None,
        "findings": [vars(finding) for finding in findings],
        "graph": {"topics": graph.topics, "mismatches": [vars(item) for item in graph.mismatches]},
    }
    if options.json == "-":
        print(json.dumps(result, indent=2))
    else:
        _print(measured, defaults, findings, graph, options.compare)
        if path is not None:
            write_text("--json", path, json.dumps(result, indent=2) + "\n")
    return 0 if measured.total.share >= ENOUGH else 1


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip().lower())
    if match is None:
        raise ConfigurationError(f"--size {text}", expected="WIDTHxHEIGHT", fix="e.g. 1600x900")
    return int(match[1]), int(match[2])


def _of_measurement(measured: Measurement) -> list[Finding]:
    """Say what the figures themselves show to be wrong."""
    from depth_perception.transport.advice import Finding

    out = []
    if not measured.matched:
        out.append(
            Finding(
                "discovery",
                "not every topic of the two processes was connected",
                "let multicast pass on the loopback interface, and look at ROS_* and the profile",
            )
        )
    if measured.rate < SLOW * measured.load.rate:
        out.append(
            Finding(
                "publisher",
                f"managed {measured.rate:g} Hz of {measured.load.rate:g}: this machine"
                " is too slow, or busy",
                "end what else runs, or measure with fewer, smaller images",
            )
        )
    depth = measured.load.input_depth
    kept = depth / measured.load.rate
    if measured.total.share < ENOUGH and measured.subscriber_stall > kept:
        out.append(
            Finding(
                "subscriber",
                f"stood still for {measured.subscriber_stall:.2f} s, longer than"
                f" its queue of {depth} images lasts ({kept:.2f} s)",
                "end what else runs on this machine, or raise qos.input_depth of surround_depth",
            )
        )
    return out


def _print(
    measured: Measurement,
    defaults: Measurement | None,
    findings: Sequence[Finding],
    graph: GraphReport,
    compare: bool,
) -> None:
    _print_measurement(measured)
    if defaults:
        _print_measurement(defaults)
        _print_comparison(measured, defaults)
    elif compare:
        print(
            "\nnothing to compare with: no Fast DDS profile applies, these are its defaults"
            if "fastrtps" in measured.rmw
            else f"\nnothing to compare with: {measured.rmw} has no Fast DDS profile"
        )
    print("\nsettings")
    for finding in findings:
        print(f"  {'!' if finding.fix else ' '} {finding}")
    print(f"\nQoS of {len(graph.topics)} image, camera_info and surround_depth topics that run now")
    for item in graph.mismatches:
        print(f"  ! {item}")
    if not graph.topics:
        print("    none; start the cameras and the node, in this ROS_DOMAIN_ID, to compare them")
    elif not graph.mismatches:
        print("    all match")


def _print_measurement(measured: Measurement) -> None:
    load = measured.load
    print(f"\n{load}; {measured.rmw}, {measured.profile or 'its defaults'}")
    print("camera       sent  arrived    share   p50 ms   p95 ms   max ms")
    for name, delivery in measured.cameras.items():
        _print_delivery(name, delivery)
    _print_delivery("all", measured.total)
    print(f"before, to warm up: {measured.warm_up[1]} of {measured.warm_up[0]}")
    print(
        f"complete frame sets {measured.complete} of {measured.instants}"
        f" ({100 * measured.complete_share:.2f} %)"
    )
    print(
        f"CPU, of one core: publisher {measured.publisher_cpu:.2f},"
        f" subscriber {measured.subscriber_cpu:.2f}; stood still for at most"
        f" {measured.publisher_stall:.2f} s, {measured.subscriber_stall:.2f} s"
    )


def _print_comparison(measured: Measurement, defaults: Measurement) -> None:
    print(f"\n{'':<22} {'profile':>10} {'defaults':>10}")
    for name, values in (
        ("images arrived, %", [100 * m.total.share for m in (measured, defaults)]),
        ("complete sets, %", [100 * m.complete_share for m in (measured, defaults)]),
        ("latency p50, ms", [m.total.p50_ms for m in (measured, defaults)]),
        ("latency p95, ms", [m.total.p95_ms for m in (measured, defaults)]),
        ("publisher, of a core", [m.publisher_cpu for m in (measured, defaults)]),
        ("subscriber, of a core", [m.subscriber_cpu for m in (measured, defaults)]),
    ):
        texts = ["-" if value is None else f"{value:.2f}" for value in values]
        print(f"{name:<22} {texts[0]:>10} {texts[1]:>10}")


def _print_delivery(name: str, delivery: Delivery) -> None:
    times: list[Any] = [delivery.p50_ms, delivery.p95_ms, delivery.max_ms]
    texts = ["-" if value is None else f"{value:.1f}" for value in times]
    print(
        f"{name:<10} {delivery.sent:>6} {delivery.arrived:>8} {100 * delivery.share:>7.2f}%"
        + "".join(f" {text:>8}" for text in texts)
    )
