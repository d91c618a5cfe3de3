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

"""The node says the sentence of a wrong base_frame or ground.height: on its status and its log."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Listener, wait_for

rclpy = pytest.importorskip("rclpy")

from vehicle import Vehicle, sent_until  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
DEPTH = ("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")


def test_all_cameras_below_the_road_are_named_with_height_and_remedy(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    status, depth = listener.listen(*STATUS), listener.listen(*DEPTH)
    start(ground__height=2.0)
    sentence = "camera {} is -0.50 m above the ground (ground.height is 2 m in base_frame 'base_li"

    def said() -> bool:
        reasons = {c.name: c.reason for s in list(status) for c in s.cameras if "above" in c.reason}
        return reasons.keys() == {"front", "rear"} and all(
            reason.startswith(sentence.format(name)) and "set ground.height to 0 if" in reason
            for name, reason in reasons.items()
        )

    sent_until(vehicle, said)

    def logged() -> str | None:
        vehicle.send()
        return listener.line("no output for 5 s: ", sentence.format("front"), "Fix: set ground")

    wait_for(logged, what="the line on the console")
    assert not depth


def test_one_camera_below_the_road_is_named_and_the_other_goes_on(
    start: Any, vehicle: Vehicle, listener: Listener
) -> None:
    vehicle.publish_transforms(sink="rear")
    status, depth = listener.listen(*STATUS), listener.listen(*DEPTH)
    start()
    sentence = "camera rear is -1.00 m above the ground"

    def said() -> bool:
        kept = {c.name: c for s in list(status)[-1:] for c in s.cameras}
        return bool(kept) and kept["front"].present and kept["rear"].reason.startswith(sentence)

    sent_until(vehicle, said)
    assert depth
    wait_for(lambda: listener.line(sentence, "if the camera is 1.5 m above the road"))


def test_a_provider_that_is_absent_is_a_warning_of_the_node(start: Any, listener: Listener) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime has CUDA here, so that no provider is absent")
    start(estimator="fused", fused__providers=["cuda", "cpu"])
    wait_for(lambda: listener.line("WARN", "fused.providers asks for cuda, cpu", "onnxruntime-gpu"))
