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

"""The node with the fused estimator: depth, status and diagnostics, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_fused
from conftest import Listener, RosSession, wait_for

rclpy = pytest.importorskip("rclpy")

from vehicle import Vehicle, sent_until  # noqa: E402

from depth_perception.errors import ModelError  # noqa: E402
from depth_perception.messages.sensors import decode_depth  # noqa: E402

STATUS = ("/surround_depth/status", "depth_perception/msg/SurroundDepthStatus")
DEPTH = ("/surround_depth/front/depth/image_rect", "sensor_msgs/msg/Image")
EMBODIED = ("/surround_depth/front/embodied/image_rect", "sensor_msgs/msg/Image")
DIAGNOSTICS = ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused") / "plane.onnx"
    return tiny_fused.model(path, tiny_fused.network(plane=True))


def test_depth_of_the_road_and_what_made_it(
    ros: RosSession, start: Any, vehicle: Vehicle, listener: Listener, model: Path
) -> None:
    depths, embodied = listener.listen(*DEPTH), listener.listen(*EMBODIED)
    status, diagnostics = listener.listen(*STATUS), listener.listen(*DIAGNOSTICS)
    node = start(estimator="fused", fused__model=str(model))
    sent_until(vehicle, lambda: depths and embodied and status)
    depth = decode_depth(depths[-1])
    # Row 149.5 is 50 rows below the horizon of a camera 1.5 m high with 200 px: 6 m.
    assert depth.shape == (200, 320)
    assert np.median(depth[150]) == pytest.approx(6.0, rel=0.03)
    assert np.median(decode_depth(embodied[-1])[150]) == pytest.approx(6.0, rel=0.03)
    last = wait_for(lambda: next((m for m in status if m.cameras and m.model), None))
    assert (last.estimator, last.provider) == ("fused", "CPUExecutionProvider")
    assert last.model == "other fp32 (plane.onnx)"

    def said() -> dict[str, str]:
        for array in reversed(diagnostics):
            for item in array.status:
                if item.name.endswith(": processing"):
                    return {value.key: value.value for value in item.values}
        return {}

    wait_for(lambda: said().get("model") == "other fp32 (plane.onnx)", what="diagnostics")
    assert said()["provider"] == "CPUExecutionProvider"
    wait_for(lambda: int(said()["frame sets processed"]), what="diagnostics of a result")
    assert int(said()["images computed"]) >= int(said()["frame sets processed"]) > 0
    assert said()["images carried along"] == "0", "nothing is known of how the vehicle moves"
    assert 50 <= int(said()["effort (%)"]) <= 100
    estimator = node._processor.pipeline.estimator
    sessions = [batch.session for batch in estimator._batches.values()]
    assert sessions
    # Where its callbacks run: they must not meet a node that is half taken down.
    released = ros.executor.create_task(node.release)
    wait_for(released.done, what="release")
    slots = [slot for session in sessions for slot in session._slots]
    assert not estimator._batches and slots and all(s._binding is None for s in slots)


def test_a_silent_fallback_is_refused_when_a_gpu_is_required(
    ros: RosSession, start: Any, model: Path
) -> None:
    with pytest.raises(ModelError, match="require_gpu"):
        start(estimator="fused", fused__model=str(model), fused__require_gpu=True)
