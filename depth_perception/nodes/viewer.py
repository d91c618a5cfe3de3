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

"""Node ``viewer``: listens to what ``surround_depth`` publishes, and to its cameras, and shows it.

For ``depth_perception view --live``. What it listens to is computed, as for any listener.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription

from depth_perception import messages
from depth_perception.errors import ConfigurationError
from depth_perception.frames.publication import CLOUD, ROOT
from depth_perception.geometry.transforms import Matrix
from depth_perception.parameters import Parameters
from depth_perception.rig.camera_topics import CAMERA_INFO_TYPE, CameraTopics
from depth_perception.ros import process
from depth_perception.ros.discovery import discover, resolved
from depth_perception.ros.messages import message_class
from depth_perception.ros.qos import calibration_input, image_input, result_output
from depth_perception.ros.topic_names import TopicNames
from depth_perception.ros.transforms import TransformSubscriptions
from depth_perception.viewing.blueprint import blueprint
from depth_perception.viewing.published import Published, Shown, shown_cameras, shown_outputs
from depth_perception.viewing.recording import Recording

LOOK_PERIOD_S = 1.0
PATIENCE_S = 10.0
"""Without an output for so long, what is wrong is said."""
_ALWAYS = ("camera_info", "_info", "status")
"""What outputs end in of which every message is taken."""


@dataclass(frozen=True)
class LiveOptions:
    """What is shown of a running node.

    Attributes:
        namespace: The node's.
        rate: Of each topic, Hz, at most.
        seconds: Ends after so long; 0: not by itself.
        lidar: Topic of the LiDAR; empty: none, as scans are large.
        frames: Ends after so many frame sets; 0: not by itself.
    """

    namespace: str = ""
    rate: float = 5.0
    seconds: float = 0.0
    lidar: str = ""
    frames: int = 0


class Viewer:
    """The application.

    Attributes:
        node: The ROS node.
        finished: Set when there is no more to be shown.
        exit_code: 0.
        published: What shows the messages.
    """

    def __init__(
        self,
        recording: Recording,
        send_blueprint: Callable[[Any], None],
        parameters: Parameters,
        options: LiveOptions,
        arguments: Sequence[str] = (),
        **node_options: Any,
    ) -> None:
        """Listen from now on.

        Args:
            recording: Where to.
            send_blueprint: Called when the cameras are others than before.
            parameters: What cameras there are, their base frame and transforms.
            options: What is shown.
            arguments: Command line that rclpy was initialised with.
            node_options: Of `rclpy.node.Node`.
        """
        self.node = Node("depth_perception_viewer", **node_options)
        self.finished = threading.Event()
        self.exit_code = 0
        names = TopicNames(self.node, [*arguments, *(node_options.get("cli_args") or ())])
        self._names, self._parameters = names, resolved(names, parameters)
        self._options, self._recording = options, recording
        self._send_blueprint = send_blueprint
        self._said: set[str] = set()
        self._transforms = TransformSubscriptions(self.node, parameters, self._tf_problem)
        self.published = Published(recording, self._mounting, self._problem)
        self._shown: dict[str, Shown] = {}
        self._sources: dict[str, CameraTopics] = {}
        self._subscriptions: list[Subscription] = []
        self._last: dict[str, int] = {}
        self._arranged: dict[str, Matrix] = {}
        self._since = time.monotonic()
        self.node.create_timer(
            LOOK_PERIOD_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._look()

    @property
    def shown(self) -> set[str]:
        """Entities that hold something now."""
        return self._recording.shown

    def close(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self.node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._transforms.close()

    def _look(self) -> None:
        """Subscribe to what is new on the graph, arrange the cameras, and see whether to end."""
        graph = {topic: types[0] for topic, types in self.node.get_topic_names_and_types()}
        root = self.node.resolve_topic_name(ROOT) + "/"
        outputs = shown_outputs(topic for topic in graph if topic.startswith(root))
        found, _ = discover(self._names, self._parameters)
        wanted = {camera.name for camera in self._sources.values()} ^ set(found)
        self._sources.update({name: found[name] for name in wanted if name in found})
        self._transforms.follow(camera.image for camera in self._sources.values())
        for topic, shown in {**outputs, **shown_cameras(self._sources.values())}.items():
            if topic not in self._shown and topic in graph:
                self._subscribe(topic, shown, graph[topic])
        if self._options.lidar and self._options.lidar not in self._shown:
            self._subscribe(self._options.lidar, Shown("lidar"), CLOUD)
        self._arrange()
        if not self.published.sets and time.monotonic() - self._since > PATIENCE_S:
            self._problem(self._why_nothing(graph, bool(outputs)))
        if self._options.seconds and time.monotonic() - self._since > self._options.seconds:
            self.finished.set()

    def _subscribe(self, topic: str, shown: Shown, kind: str) -> None:
        qos = self._parameters.qos
        profile = result_output(qos) if shown.source is None else image_input(qos)
        if shown.what == "lidar":
            profile = image_input(qos)
        if kind == CAMERA_INFO_TYPE and shown.source is not None:
            profile = calibration_input(self.node, self._names.to_ask_for(topic))
        self._shown[topic] = shown
        self._subscriptions.append(
            self.node.create_subscription(
                message_class(kind),
                self._names.to_ask_for(topic),
                partial(self._take, topic, shown),
                profile,
            )
        )

    def _take(self, topic: str, shown: Shown, message: Any) -> None:
        if not shown.what.endswith(_ALWAYS):
            stamp = messages.stamp_of(message.header.stamp)
            since = stamp - self._last.get(topic, -(1 << 62))
            # Stamps that go back are those of a bag that begins anew.
            if self._options.rate > 0 and 0 <= since < 0.9e9 / self._options.rate:
                return
            self._last[topic] = stamp
        self.published.take(topic, shown, message)
        if self._options.frames and self.published.sets >= self._options.frames:
            self.finished.set()

    def _mounting(self, frame: str, topic: str) -> Matrix:
        """Place what a topic shows as the node does: by its camera's own transforms first."""
        source = self._sources.get(self._shown[topic].camera)
        return self._transforms.rig.mounting(frame, topic if source is None else source.image)

    def _arrange(self) -> None:
        """Lay views out when cameras came or look elsewhere."""
        now = self.published.mountings
        same = now.keys() == self._arranged.keys()
        if not (same and all(np.array_equal(T, self._arranged[n]) for n, T in now.items())):
            self._arranged = dict(now)
            self._send_blueprint(blueprint(self._recording.entities, now))

    def _why_nothing(self, graph: dict[str, str], outputs: bool) -> str:
        if outputs:
            return (
                "surround_depth is there, but computes no frame set. Fix: look at its log, or"
                " /diagnostics, for what it waits for"
            )
        elsewhere = sorted({topic.split(f"/{ROOT}/")[0] for topic in graph if f"/{ROOT}/" in topic})
        named = [space.strip("/") for space in elsewhere]
        fix = f"--namespace {named[0]}" if named else "start it: 'depth_perception launch'"
        there = f"; it is in {', '.join(named)}" if named else ""
        return f"nobody publishes {self.node.resolve_topic_name(ROOT)}/...{there}. Fix: {fix}"

    def _tf_problem(self, camera: str, reason: str) -> None:
        self._problem(reason)

    def _problem(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.node.get_logger().warning(text)
            self._recording.say(text)


def watch(
    recording: Recording,
    send_blueprint: Callable[[Any], None],
    parameters: Parameters,
    options: LiveOptions,
) -> int:
    """Show what the node publishes until Ctrl-C, or as long as the options say.

    Returns:
        How many frame sets were shown.

    Raises:
        ConfigurationError: The node of the viewer cannot be made; its log has said why.
    """
    space = options.namespace.strip("/")
    arguments = ["--ros-args", "-r", f"__ns:=/{space}"] if space else []
    made: list[Viewer] = []

    def make() -> Viewer:
        made.append(Viewer(recording, send_blueprint, parameters, options, arguments))
        return made[0]

    if process.run("depth_perception_viewer", make, arguments):
        raise ConfigurationError(
            "the viewer's node ended with an error", fix="see what it said above, and correct that"
        )
    return made[0].published.sets if made else 0
