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

"""Where the cameras are mounted, from ``/tf_static`` and ``/tf`` and from those of namespaces.

Subscriptions bring every transform to the `RigTracker`, which notices what contradicts what. Where
tf2_ros works, as on a robot, it does the look-ups on ``/tf``, where nothing is contradicted (see
`ros.tf2`): it keeps only what came last. Both give the same matrix to the last digit or two: tf2
normalizes quaternions and chains them in C++. Look-ups never wait: a transform that is not there
yet is a `TransformError`.

What is wrong may be mended while the node runs. A static topic is subscribed to anew when it
contradicts itself, or when it does and its publishers have changed: those that still live tell
again what they have latched, and what nobody tells again is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from depth_perception.errors import ContradictionError, TransformError
from depth_perception.frames.debug_text import Debug, silent
from depth_perception.parameters import Parameters
from depth_perception.rig.fixed_frame import FixedFrame
from depth_perception.rig.tracker import RigTracker, is_static, namespace_of
from depth_perception.ros.events import SubscriptionEventCallbacks
from depth_perception.ros.messages import message_class
from depth_perception.ros.qos import LATCHED, TRANSFORMS
from depth_perception.ros.tf2 import tf2_extrinsics

TRANSFORM_TYPE = "tf2_msgs/msg/TFMessage"
LOOK_PERIOD_S = 1.0
ANSWER_S = 2.0
"""Latched publishers have answered a new subscription after this time."""
SETTLED_S = 3.0
"""Who publishes has been found after this time."""
SILENT_S = 10.0
"""What was on /tf and is no longer there after this time has ended; tf2 remembers as long."""


@dataclass
class _Topic:
    """A topic that is listened to.

    Attributes:
        name: As it is on the graph.
        namespace: Whose cameras it places.
        static: Whether it is ``tf_static``.
        subscription: To what is latched, or on ``/tf``.
        lesser: To what is not latched, or best effort, once somebody publishes such.
        publishers: Full names of the nodes that publish it.
        endpoints: Identities of their publishers.
        unlatched: Those of the nodes that do not latch it, though it is static.
        answered: What was contradicted when it was subscribed to anew the last time.
    """

    name: str
    namespace: str
    static: bool
    subscription: Subscription
    lesser: Subscription | None = None
    publishers: tuple[str, ...] = ()
    endpoints: frozenset[bytes] = frozenset()
    unlatched: tuple[str, ...] = ()
    answered: frozenset[Any] = field(default_factory=frozenset)


class TransformSubscriptions:
    """Listens to the transforms that place the cameras.

    Attributes:
        rig: Follows the transforms.
        extrinsics: tf2's, where it works; otherwise None.
        fixed_frame: Told every transform, too, where somebody wants to know how the vehicle moves.
    """

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        problem: Callable[[str, str], None],
        debug: Debug = silent,
    ) -> None:
        """Subscribe to ``/tf_static`` and ``/tf``, and follow the graph from now on.

        Args:
            node: Whose callbacks they are; its namespace counts.
            parameters: All of them; ``tf`` says which topics and what of contradictions.
            problem: Called with ("", reason) for what is wrong with transforms.
            debug: Told which topics are listened to, and what is taken.

        Raises:
            ConfigurationError: The file of ego masks is absent or malformed.
        """
        self._node, self._problem = node, problem
        self.extrinsics = tf2_extrinsics(node)
        self.rig = RigTracker(
            parameters, self.extrinsics, problem, self._explain, node.get_namespace(), debug
        )
        self.fixed_frame: FixedFrame | None = None
        self._debug = debug
        self._topics: dict[str, _Topic] = {}
        self._cameras: tuple[str, ...] = ()
        self._elsewhere: tuple[str, ...] = ()
        self._hidden: tuple[str, ...] = ()
        self._answers_at = 0.0
        self._since = time.monotonic()
        for name in ("/tf_static", "/tf"):
            self._subscribe(node.resolve_topic_name(name), "", is_static(name))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer: Timer | None = node.create_timer(LOOK_PERIOD_S, self.look, clock=steady)

    def close(self) -> None:
        """Listen no more."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        for topic in list(self._topics.values()):
            for subscription in (topic.subscription, topic.lesser):
                if subscription is not None:
                    self._node.destroy_subscription(subscription)
        self._topics.clear()
        if self.extrinsics is not None:
            self.extrinsics.close()

    def follow(self, image_topics: Iterable[str]) -> None:
        """Listen to the transforms of the cameras with these image topics, too."""
        cameras = tuple(image_topics)
        if cameras != self._cameras:
            self._cameras = cameras
            self.look()

    def namespaces(self) -> list[str]:
        """List the namespaces whose transforms are of the first camera's vehicle."""
        return self.rig.namespaces_for(self._cameras[0] if self._cameras else "")

    def look(self) -> None:
        """Compare what is listened to with what is on the graph."""
        if self._timer is None:
            return
        self._find_topics()
        for topic in list(self._topics.values()):
            self._find_publishers(topic)
        self._mend()

    def _find_topics(self) -> None:
        """Subscribe to the topics of namespaces that hold one of the cameras, or this node."""
        wanted = {name for topic in self._cameras for name in self.rig.namespaces_for(topic)}
        elsewhere, hidden = [], []
        for name, types in self._node.get_topic_names_and_types():
            if TRANSFORM_TYPE not in types or name in self._topics:
                continue
            if name.rpartition("/")[2] not in ("tf", "tf_static"):
                continue
            if not self._node.count_publishers(name):
                continue
            if self._node.resolve_topic_name(name) != name:
                hidden.append(name)  # with /tf:=tf that of other vehicles is out of reach, as meant
                continue
            if namespace_of(name) in wanted:
                self._subscribe(name, namespace_of(name), is_static(name))
            else:
                elsewhere.append(name)
        self._elsewhere, self._hidden = tuple(sorted(elsewhere)), tuple(sorted(hidden))

    def _find_publishers(self, topic: _Topic) -> None:
        """Note who publishes a topic; hear those who do not latch what is static, and say so."""
        infos = self._node.get_publishers_info_by_topic(topic.name)
        topic.publishers = tuple(dict.fromkeys(map(_node_name, infos)))
        topic.endpoints = frozenset(bytes(info.endpoint_gid) for info in infos)
        best_effort = _nodes_with(infos, reliability=ReliabilityPolicy.BEST_EFFORT)
        unlatched = _nodes_with(infos, durability=DurabilityPolicy.VOLATILE)
        topic.unlatched = unlatched if topic.static else ()
        if topic.unlatched:
            self._problem("", f"{_not_latched(topic)}. Fix: {_LATCH}")
        if topic.lesser is None and (topic.unlatched or best_effort):
            profile = qos_profile_sensor_data if best_effort else TRANSFORMS
            topic.lesser = self._listen(topic.name, topic.namespace, topic.static, profile)

    def _mend(self) -> None:
        """Have it said again what is contradicted, and forget what nobody says any more."""
        now = time.monotonic()
        before = self.rig.contradictions()
        if self._answers_at and now >= self._answers_at:
            self._answers_at = 0.0
            self.rig.drop_doubted()
        if before:
            self.rig.drop_silent(now - SILENT_S)
        if self.rig.contradictions() != before and self.extrinsics is not None:
            self.extrinsics.listen_anew()
        if self._answers_at:
            return
        for topic in list(self._topics.values()):
            if not topic.static:
                continue
            told = self.rig.contradictions(topic.name)
            state = frozenset([told, topic.endpoints]) if told else frozenset()
            if told and state != topic.answered and self.rig.doubt(topic.name):
                self._node.destroy_subscription(topic.subscription)
                topic.subscription = self._listen(topic.name, topic.namespace, True, LATCHED)
                self._answers_at = now + ANSWER_S
            topic.answered = state

    def _subscribe(self, name: str, namespace: str, static: bool) -> None:
        self._debug("transforms: subscribed to {}".format, name)
        profile = LATCHED if static else TRANSFORMS
        subscription = self._listen(name, namespace, static, profile)
        self._topics[name] = _Topic(name, namespace, static, subscription)

    def _listen(self, name: str, namespace: str, static: bool, profile: Any) -> Subscription:
        def take(message: Any) -> None:
            self.rig.add_transforms(
                message, name, static=static, namespace=namespace, at=time.monotonic()
            )
            if self.fixed_frame is not None:
                self.fixed_frame.add(message, namespace, static)

        return self._node.create_subscription(
            message_class(TRANSFORM_TYPE),
            name,
            take,
            profile,
            # Who does not latch is found on the graph, with the name of the node.
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=lambda event: None),
        )

    def _explain(self, image_topic: str, error: TransformError) -> TransformError:
        """Say in an error what the graph shows; runs in any thread."""
        topics = list(self._topics.values())
        if isinstance(error, ContradictionError):
            names = [
                f"{topic.name} is published by {' and '.join(topic.publishers)}"
                for topic in topics
                if topic.name in error.topics and topic.publishers
            ]
            if not names:
                return error
            return ContradictionError(
                f"{error.problem}; {', '.join(names)}",
                expected=error.expected,
                fix=error.fix,
                topics=error.topics,
            )
        seen, fixes = [], []
        for topic in topics:
            if topic.unlatched:
                seen.append(_not_latched(topic))
                fixes.append(_LATCH)
        silent = not any(topic.publishers for topic in topics)
        if silent and time.monotonic() - self._since > SETTLED_S:
            seen.append(f"nobody publishes {' or '.join(topic.name for topic in topics)}")
        if self._elsewhere:
            where = namespace_of(next((t for t in self._elsewhere if is_static(t)), "/tf"))
            where = where or namespace_of(self._elsewhere[0])
            exist = "exists" if len(self._elsewhere) == 1 else "exist"
            seen.append(f"{', '.join(self._elsewhere)} {exist}, in a namespace of no camera here")
            fixes += [] if silent or fixes else [error.fix]
            fixes.append(
                f"remap /tf_static:={where}/tf_static and /tf:={where}/tf, or set tf.namespace:"
                f" {where}, or run the node in namespace {where}"
            )
        if silent and self._hidden:
            rules = " ".join(
                f"{name}:={self._node.resolve_topic_name(name)}" for name in self._hidden
            )
            seen.append(f"remapping ({rules}) keeps the node from {', '.join(self._hidden)}")
            fixes.append("leave out these rules, or publish where they lead")
        if not seen:
            return error
        return TransformError(
            "; ".join([error.problem, *seen]),
            expected=error.expected,
            fix="; or ".join(fixes) or error.fix,
        )


_LATCH = (
    "publish it with durability transient_local (StaticTransformBroadcaster and"
    " static_transform_publisher do)"
)


def _not_latched(topic: _Topic) -> str:
    return (
        f"somebody publishes {topic.name}, but not latched (volatile):"
        f" {', '.join(topic.unlatched)}; what was said before this node listened is lost"
    )


def _nodes_with(endpoints: Iterable[Any], **policy: Any) -> tuple[str, ...]:
    """Name the nodes whose endpoints have this value of a QoS policy."""
    ((name, value),) = policy.items()
    return tuple(
        dict.fromkeys(
            _node_name(item) for item in endpoints if getattr(item.qos_profile, name) == value
        )
    )


def _node_name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
