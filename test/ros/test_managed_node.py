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

"""The node's life: transitions, live parameters, services, QoS, and what it says of itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import SetParametersAtomically  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from tiny_drive import CAMERA  # noqa: E402
from vehicle import CAMERAS, Vehicle, road_depth, sent_until  # noqa: E402

from depth_perception.datasets.bag import BagReader  # noqa: E402
from depth_perception.errors import ConfigurationError  # noqa: E402
from depth_perception.messages.sensors import decode_depth  # noqa: E402
from depth_perception.nodes import surround_depth  # noqa: E402
from depth_perception.parameters import from_flat  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
FRONT_DEPTH = ("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")
DIAGNOSTICS = ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")


class Client:
    """Calls services of the node."""

    def __init__(self, listener: Listener) -> None:
        self._node = listener.node

    def call(self, kind: type, name: str, **fields: Any) -> Any:
        client = self._node.create_client(kind, f"/surround_depth/{name}")
        assert client.wait_for_service(10.0), name
        future = client.call_async(kind.Request(**fields))
        wait_for(future.done, what=name)
        self._node.destroy_client(client)
        return future.result()

    def change(self, transition: int) -> bool:
        return self.call(ChangeState, "change_state", transition=Transition(id=transition)).success

    @property
    def state(self) -> str:
        return str(self.call(GetState, "get_state").current_state.label)

    def set(self, **values: Any) -> Any:
        parameters = [Parameter(n.replace("__", "."), value=v) for n, v in values.items()]
        messages = [p.to_parameter_msg() for p in parameters]
        return self.call(
            SetParametersAtomically, "set_parameters_atomically", parameters=messages
        ).result


@pytest.fixture
def client(listener: Listener) -> Client:
    return Client(listener)


def values_of(array: Any, task: str) -> dict[str, str]:
    (status,) = [s for s in array.status if s.name == f"surround_depth: {task}"]
    return {"": status.message, **{item.key: item.value for item in status.values}}


def test_every_transition_there_and_back(
    start: Any, vehicle: Vehicle, listener: Listener, client: Client
) -> None:
    depth = listener.listen(*FRONT_DEPTH)
    node = start(autostart=False)
    assert client.state == "unconfigured"
    for _ in range(2):
        assert client.change(Transition.TRANSITION_CONFIGURE) and client.state == "inactive"
        assert not vehicle.heard
        assert client.change(Transition.TRANSITION_ACTIVATE) and client.state == "active"
        depth.clear()
        sent_until(vehicle, lambda: depth)
        assert client.change(Transition.TRANSITION_DEACTIVATE) and client.state == "inactive"
        wait_for(lambda: not vehicle.heard, what="the node to unsubscribe")
        assert client.change(Transition.TRANSITION_CLEANUP) and client.state == "unconfigured"
        assert node._processor is None
        wait_for(lambda: listener.node.count_publishers(FRONT_DEPTH[0]) == 0)


@pytest.mark.parametrize(
    ("steps", "shutdown"),
    [
        ([], Transition.TRANSITION_UNCONFIGURED_SHUTDOWN),
        ([Transition.TRANSITION_CONFIGURE], Transition.TRANSITION_INACTIVE_SHUTDOWN),
        (
            [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE],
            Transition.TRANSITION_ACTIVE_SHUTDOWN,
        ),
    ],
)
def test_shutdown_from_every_state(
    start: Any, vehicle: Vehicle, client: Client, steps: list[int], shutdown: int
) -> None:
    node = start(autostart=False)
    for step in steps:
        assert client.change(step)
    assert client.change(shutdown) and client.state == "finalized"
    assert node._processor is None and not vehicle.heard


def test_a_transition_that_there_is_not_ends_nothing(start: Any, client: Client) -> None:
    start(autostart=False)
    answer = client.call(ChangeState, "change_state", transition=Transition(label="dance"))
    assert not answer.success
    assert client.state == "unconfigured"


def test_a_failed_configure_says_why_and_may_be_tried_again(
    start: Any, listener: Listener, client: Client, tmp_path: Path
) -> None:
    start(autostart=False, ego_masks=str(tmp_path / "absent.yaml"))
    assert not client.change(Transition.TRANSITION_CONFIGURE) and client.state == "unconfigured"
    assert wait_for(lambda: listener.line("absent.yaml", "Fix: "))
    assert client.set(ego_masks="").successful
    assert client.change(Transition.TRANSITION_CONFIGURE) and client.state == "inactive"
    with pytest.raises(ConfigurationError, match="absent"):
        start(ego_masks=str(tmp_path / "absent.yaml"))
    listener.line("")
    said = [line for line in listener.lines if "absent.yaml" in line]
    assert len(said) == 1, "the second is said by the process that started it, and only there"


def test_live_parameters_take_effect_and_others_are_refused_with_the_reason(
    start: Any, vehicle: Vehicle, listener: Listener, client: Client
) -> None:
    depth = listener.listen(*FRONT_DEPTH)
    start(embodied__level="road")
    sent_until(vehicle, lambda: depth)
    assert decode_depth(depth[-1])[150, 159] == pytest.approx(road_depth(150), rel=1e-5)

    # The road 0.5 m higher: the camera is 1 m above it instead of 1.5 m.
    assert client.set(ground__height=0.5, sync__tolerance=0.03).successful
    sent_until(
        vehicle,
        lambda: np.isclose(decode_depth(depth[-1])[150, 159], road_depth(150) / 1.5, rtol=1e-5),
    )
    assert client.set(output__depth_encoding="16UC1").successful
    sent_until(vehicle, lambda: depth[-1].encoding == "16UC1")

    for values, said in (
        ({"base_frame": "rear_axle"}, "base_frame does not change while the node is configured"),
        ({"cloud__obstacle_max_height": 0.1}, "more than cloud.obstacle_min_height"),
        ({"embodied__level": "moon"}, "one of road, ground"),
        ({"cameras": ["front"], "ground__height": 9.0}, "cameras does not change"),
    ):
        answer = client.set(**values)
        assert not answer.successful and said in answer.reason
    count = len(depth)
    sent_until(vehicle, lambda: len(depth) > count)
    millimetres = np.frombuffer(depth[-1].data, np.uint16).reshape(200, 320)
    assert millimetres[150, 159] == round(road_depth(150) / 1.5 * 1000), "nothing of it was taken"


def test_a_foreign_parameter_is_named_and_a_misspelt_one_refused_at_the_start(
    start: Any, listener: Listener
) -> None:
    start(play_rate=2.0)
    assert wait_for(lambda: listener.line("parameter 'play_rate' is not one of this node's"))
    with pytest.raises(ConfigurationError, match=r"'sync.tolerence' does not exist.*tolerance"):
        start(sync__tolerence=0.1)


def test_frame_sets_are_left_out_while_disabled(
    start: Any, vehicle: Vehicle, listener: Listener, client: Client
) -> None:
    depth, status = listener.listen(*FRONT_DEPTH), listener.listen(*STATUS)
    start()
    sent_until(vehicle, lambda: depth)
    assert client.call(SetBool, "set_enabled", data=False).success
    wait_for(lambda: any("disabled" in c.reason for s in list(status) for c in s.cameras))
    depth.clear()
    for _ in range(5):
        vehicle.send()
    count = len(status)
    wait_for(lambda: len(status) > count + 1, what="another second")
    assert not depth
    assert client.call(SetBool, "set_enabled", data=True).success
    sent_until(vehicle, lambda: depth)


def call_while_driving(
    vehicle: Vehicle, client: Client, name: str, *first: str, alone: int = 0
) -> Any:
    """Call a service without arguments while the cameras go on; some may be ``alone`` at first.

    Args:
        vehicle: Whose cameras they are.
        client: Calls.
        name: Of the service.
        first: Cameras that send from the beginning.
        alone: How many images they send before the others do.
    """
    answered = threading.Event()

    def drive() -> None:
        sent = 0
        while not answered.wait(0.1):
            vehicle.send(*first if sent < alone else ())
            sent += bool(vehicle.watched)

    cameras = threading.Thread(target=drive)
    cameras.start()
    try:
        return client.call(Trigger, name)
    finally:
        answered.set()
        cameras.join()


def test_a_saved_frame_set_replays(
    start: Any, vehicle: Vehicle, listener: Listener, client: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    start(monitor__save_folder=str(folder))
    none = client.call(Trigger, "save_frame_set")
    assert not none.success and "no frame set has come yet" in none.message
    saved = call_while_driving(vehicle, client, "save_frame_set")
    assert saved.success, saved.message
    wait_for(lambda: not vehicle.watched, what="the cameras, that nobody listens to, to be let go")
    assert Path(saved.message).parent == folder
    with BagReader(saved.message, from_flat({})) as reader:
        (frame_set,) = reader.frame_sets()
        assert set(frame_set.frames) == set(CAMERAS)
        assert reader.rig["front"].model.same_as(CAMERA)
        assert reader.rig["front"].position.tolist() == [1.5, 0.0, 1.5]

    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert client.set(monitor__save_folder=str(blocked)).successful
    failed = call_while_driving(vehicle, client, "save_frame_set")
    assert not failed.success
    assert str(blocked) in failed.message and "Fix: " in failed.message


def test_no_output_is_due_while_frame_sets_are_left_out(
    start: Any,
    vehicle: Vehicle,
    listener: Listener,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surround_depth, "SILENCE_S", 3.0)
    depth, arrays = listener.listen(*FRONT_DEPTH), listener.listen(*DIAGNOSTICS)
    start()
    sent_until(vehicle, lambda: depth)
    assert client.call(SetBool, "set_enabled", data=False).success

    def outputs(disabled: bool) -> list[str]:
        said = [values_of(array, "output")[""] for array in list(arrays)]
        return [text for text in said if ("disabled" in text) == disabled]

    wait_for(lambda: len(outputs(disabled=True)) > 4, what="a rest of four seconds")
    count = len(outputs(disabled=False))
    assert client.call(SetBool, "set_enabled", data=True).success
    wait_for(lambda: len(outputs(disabled=False)) > count)
    assert outputs(disabled=False)[count].endswith(" Hz"), "an image has a moment to come"


@pytest.mark.parametrize(("alone", "saved_cameras"), [(8, CAMERAS), (1000, ("front",))])
def test_a_set_to_save_is_complete_unless_a_camera_stays_away(
    start: Any,
    vehicle: Vehicle,
    client: Client,
    tmp_path: Path,
    alone: int,
    saved_cameras: tuple[str, ...],
) -> None:
    start(monitor__save_folder=str(tmp_path))
    saved = call_while_driving(vehicle, client, "save_frame_set", "front", alone=alone)
    assert saved.success, saved.message
    with BagReader(saved.message, from_flat({})) as reader:
        (frame_set,) = reader.frame_sets()
        assert set(frame_set.frames) == set(saved_cameras)


@pytest.mark.parametrize("end", ["input", "output"])
def test_qos_that_does_not_match_is_named_with_the_fix(
    ros: RosSession, start: Any, listener: Listener, end: str
) -> None:
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    if end == "input":
        vehicle = Vehicle(ros, profile=best_effort)
        listener.listen(*STATUS)
        start(qos__input="reliable")
        topic, fix = "/front/image_raw", "qos.input: sensor_data"
    else:
        vehicle = Vehicle(ros)
        start()
        demanding = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        wait_for(lambda: listener.node.count_publishers(STATUS[0]))
        listener.listen(*STATUS, demanding)
        topic, fix = (
            STATUS[0],
            "listener asks for more than this node offers (QoS policy durability)",
        )
    arrays = listener.listen(*DIAGNOSTICS)
    try:
        assert wait_for(lambda: listener.line(topic, "QoS policy", fix, "Fix: "))
        if end == "input":
            inputs = wait_for(
                lambda: [a for a in list(arrays) if "QoS" in values_of(a, "input front")["QoS"]]
            )
            assert "QoS policy reliability" in values_of(inputs[-1], "input front")["QoS"]
        else:
            wait_for(lambda: arrays and fix in values_of(arrays[-1], "output")["QoS"])
            for subscription in list(listener.node.subscriptions):
                if subscription.topic_name == topic:
                    listener.node.destroy_subscription(subscription)
            wait_for(lambda: values_of(arrays[-1], "output")["QoS"] == "matches")
    finally:
        vehicle.close()


def test_the_map_is_there_for_who_wants_it_latched_and_who_does_not(
    ros: RosSession, start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    topic = ("/surround_depth/occupancy", "nav_msgs/msg/OccupancyGrid")
    demanding = QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
    )
    volatile = listener.listen(*topic)
    start()
    sent_until(vehicle, lambda: volatile)
    wait_for(lambda: volatile[-1].header.stamp.sec)
    vehicle.close = lambda: None  # type: ignore[method-assign]
    ros.remove(vehicle.node)
    late = Listener(ros, listener._capture)
    try:
        latched = late.listen(*topic, demanding)
        (last,) = wait_for(lambda: latched, what="the last map, for who comes when no more come")
        assert last.header.stamp == volatile[-1].header.stamp
        assert not listener.line("surround_depth/occupancy", "QoS policy")
    finally:
        late.close()


def test_a_map_of_best_effort_is_not_latched(start: Any, listener: Listener) -> None:
    start(qos__output="sensor_data")
    (info,) = wait_for(
        lambda: listener.node.get_publishers_info_by_topic("/surround_depth/occupancy")
    )
    assert info.qos_profile.durability == DurabilityPolicy.VOLATILE
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_diagnostics_count_by_reason_and_time_by_stage(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    status, arrays = listener.listen(*STATUS), listener.listen(*DIAGNOSTICS)
    start(monitor__latency_budget=1e-6, ground__pitch=0.01)
    sent_until(vehicle, lambda: [s for s in status if all(c.present for c in s.cameras)])
    for _ in range(3):
        vehicle.send("rear", stamp=0)
    vehicle.send("front", stamp=vehicle.stamp)
    array = wait_for(
        lambda: next(
            (
                a
                for a in list(arrays)
                if values_of(a, "input rear").get("left out, header.stamp is zero") == "3"
                and int(values_of(a, "processing")["frame sets processed"])
            ),
            None,
        )
    )
    names = {status.name for status in array.status}
    assert names == {
        f"surround_depth: {task}"
        for task in ("input front", "input rear", "processing", "output", "ground", "motion")
    }
    processing = values_of(array, "processing")
    for stage in ("wait", "decode", "depth", "cloud", "publish"):
        assert float(processing[f"{stage} p50 (ms)"]) >= 0
        assert float(processing[f"{stage} p95 (ms)"]) >= float(processing[f"{stage} p50 (ms)"])
    assert "above the budget" in processing[""]
    assert processing["provider"] == "geometry"
    assert values_of(array, "ground")["pitch (deg)"] == "0.573"
    assert values_of(array, "input rear")["QoS"] == "matches"
    assert values_of(array, "output")["lifecycle state"] == "active"


def test_only_cameras_that_somebody_listens_to_are_computed(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    depth = listener.listen(*FRONT_DEPTH)
    node = start()
    computed: list[set[str]] = []
    process = node._processor.pipeline.process
    node._processor.pipeline.process = lambda frames, rig, **k: (
        computed.append(set(frames.frames)) or process(frames, rig, **k)
    )
    sent_until(vehicle, lambda: depth)
    assert computed and all(names <= {"front"} for names in computed)
    status = listener.listen(*STATUS)
    sent_until(vehicle, lambda: computed[-1] == {"front", "rear"})
    sent_until(vehicle, lambda: [s for s in list(status) if s.stage_names])
