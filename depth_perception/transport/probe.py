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

"""The two processes of a transport measurement: one publishes images, the other takes them.

Run by `transport.measurement`, which starts and ends them. Each takes what to do as JSON in its
argument, says where it stands in lines of JSON on its output, and ends when told to on its
input, or when that is closed: so it never outlives the process that started it.
"""

from __future__ import annotations

import array
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image

from depth_perception.frames.assembler import FrameSetAssembler, Now
from depth_perception.messages.sensors import stamp_of
from depth_perception.parameters import QosParameters, SyncParameters
from depth_perception.ros.qos import SENSOR_INPUT, image_input

GREETING = "greeting"
"""``frame_id`` of the small images that are sent, and not counted, until both ends are matched."""
WARM_UP = "warm_up"
"""``frame_id`` of the images before those that count, while memory is touched for the first time.

That of an image that counts is the time just before it was published, in nanoseconds.
"""
_END_S = 5.0
_NAP_S = 0.01


class Orders:
    """Words from the parent, line by line.

    Attributes:
        go: Set when the measurement begins, or when all is over.
        stop: Set when the process shall end.
    """

    def __init__(self) -> None:
        """Start listening in a thread."""
        self.go = threading.Event()
        self.stop = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        # Not sys.stdin: a thread that waits inside it would break the end of the interpreter.
        while word := os.read(0, 100):
            if b"go" in word:
                self.go.set()
            if b"stop" in word:
                break
        self.stop.set()
        self.go.set()
        time.sleep(_END_S)
        os._exit(1)  # whatever hangs in the middleware


def say(event: str, **values: Any) -> None:
    """Tell the parent where we stand."""
    # One write: lines that the middleware prints must not come in between.
    os.write(1, ("\n" + json.dumps({"event": event, **values}) + "\n").encode())


class Clock:
    """CPU time of this process since `start`, seconds, and for how long it stood still.

    Attributes:
        stall: The longest time for which a thread that only sleeps did not run, seconds: other load
            on the machine. The middleware has no part in it.
    """

    def __init__(self) -> None:
        """Start now."""
        self.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self) -> None:
        """Start anew."""
        self.stall = 0.0
        self._cpu = time.process_time()

    def _watch(self) -> None:
        before = time.monotonic()
        while True:
            time.sleep(_NAP_S)
            now = time.monotonic()
            self.stall = max(self.stall, now - before - _NAP_S)
            before = now

    def used(self) -> float:
        """Return CPU seconds."""
        return time.process_time() - self._cpu


def publish(
    topics: list[str], size: list[int], rate: float, seconds: float, warm_up: float
) -> None:
    """Publish an image on every topic ``rate`` times a second, all cameras at the same instant.

    Stamps are those of the instant, in the steady time that all processes of a machine share. An
    instant that is more than a period late is left out, as a driver would.
    """
    node = Node("transport_doctor_publisher", start_parameter_services=False)
    publishers = [node.create_publisher(Image, topic, SENSOR_INPUT) for topic in topics]
    orders = Orders()
    greeting = Image(width=1, height=1, encoding="mono8", step=1, data=array.array("B", [0]))
    greeting.header.frame_id = GREETING
    say("started", rmw=get_rmw_implementation_identifier())
    while not orders.go.wait(0.05):
        for publisher in publishers:
            publisher.publish(greeting)
    width, height = size
    images = []
    for index in range(len(topics)):
        image = Image(width=width, height=height, encoding="bgr8", step=3 * width)
        image.data = array.array("B", bytes([40 * index % 256])) * (3 * width * height)
        images.append(image)
    clock, sent, warm_up_sent = Clock(), 0, 0
    begin = time.monotonic() + warm_up
    for instant in range(-round(rate * warm_up), round(rate * seconds)):
        due = begin + instant / rate
        late = time.monotonic() - due
        if late > 1 / rate or orders.stop.wait(max(0.0, -late)):
            continue
        counts = instant >= 0
        if counts and not sent:
            clock.start()
        stamp = divmod(round(due * 1e9), 1_000_000_000)
        for publisher, image in zip(publishers, images, strict=True):
            image.header.stamp.sec, image.header.stamp.nanosec = stamp
            image.header.frame_id = str(time.monotonic_ns()) if counts else WARM_UP
            publisher.publish(image)
        sent += counts
        warm_up_sent += not counts
    say(
        "sent",
        sent=sent,
        warm_up=warm_up_sent,
        seconds=time.monotonic() - begin,
        cpu=clock.used(),
        stall=clock.stall,
    )
    orders.stop.wait()
    node.destroy_node()


class Receiver:
    """Takes images as ``surround_depth`` subscribes to them, and groups them as it does."""

    def __init__(self, node: Node, topics: list[str], depth: int) -> None:
        """Subscribe."""
        sync = SyncParameters()
        self.names = [f"camera_{index}" for index in range(len(topics))]
        self.assembler: FrameSetAssembler[None] = FrameSetAssembler(
            self.names, round(sync.tolerance * 1e9), timeout=round(sync.timeout * 1e9)
        )
        self.latencies: dict[str, list[float]] = {name: [] for name in self.names}
        self.greeted: set[str] = set()
        self.sets = self.complete = self.warm_up = 0
        self.cpu = self.stall = 0.0
        self._clock = Clock()
        self._started = False
        profile = image_input(QosParameters(input_depth=depth))
        for name, topic in zip(self.names, topics, strict=True):
            node.create_subscription(Image, topic, self._callback(name), profile)

    def _callback(self, name: str) -> Callable[[Image], None]:
        return lambda message: self._take(name, message)

    def _take(self, name: str, message: Image) -> None:
        now = time.monotonic_ns()
        about = message.header.frame_id
        if about == GREETING:
            self.greeted.add(name)
            return
        if about == WARM_UP:
            self.warm_up += 1
            return
        if not self._started:
            self._started = True
            self._clock.start()
        self.latencies[name].append(round((now - int(about)) * 1e-6, 3))
        stamp = stamp_of(message.header.stamp)
        self._count(self.assembler.add(name, stamp, None, Now(now, now)))
        self.cpu, self.stall = self._clock.used(), self._clock.stall

    def _count(self, closed: list[Any]) -> None:
        self.sets += len(closed)
        self.complete += sum(item.complete for item in closed)

    def expire(self) -> None:
        """Close the sets whose time is over, as the node's timer does."""
        now = time.monotonic_ns()
        self._count(self.assembler.expire(Now(now, now)))

    def finish(self) -> None:
        """Close the sets that are still open."""
        self._count(self.assembler.flush())


def subscribe(topics: list[str], depth: int) -> None:
    """Take images until told to stop; say ``ready`` when every topic has delivered a greeting."""
    node = Node("transport_doctor_subscriber", start_parameter_services=False)
    receiver = Receiver(node, topics, depth)
    node.create_timer(0.02, receiver.expire)
    orders = Orders()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    say("started", rmw=get_rmw_implementation_identifier())
    ready = False
    while not orders.stop.is_set():
        executor.spin_once(timeout_sec=0.1)
        if not ready and len(receiver.greeted) == len(topics):
            ready = True
            say("ready")
    receiver.finish()
    say(
        "received",
        cpu=receiver.cpu,
        stall=receiver.stall,
        sets=receiver.sets,
        complete=receiver.complete,
        warm_up=receiver.warm_up,
        latencies_ms=receiver.latencies,
    )
    executor.remove_node(node)
    node.destroy_node()


def main() -> None:
    """Run one of the two, as the JSON in the first argument says."""
    task = json.loads(sys.argv[1])
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        (publish if task.pop("role") == "publish" else subscribe)(**task)
    finally:
        rclpy.try_shutdown()
