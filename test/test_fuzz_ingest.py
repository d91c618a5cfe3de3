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

"""Hostile messages through the ingest: one camera's fault stays its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import calibrations, cases, compressed_images, images, transforms
from tiny_drive import CAMERA, mounting, picture

from depth_perception import messages
from depth_perception.datasets.bag_writer import BagTypes, package_typestore
from depth_perception.errors import DepthPerceptionError
from depth_perception.frames.frame_set import CameraMessages, FrameSet
from depth_perception.frames.ingest import Ingest
from depth_perception.parameters import Parameters, from_flat
from depth_perception.pipeline import SurroundPipeline
from depth_perception.rig.camera_topics import CameraTopics
from depth_perception.rig.tracker import RigTracker

TYPES = BagTypes(package_typestore())
SMALL = CAMERA.resized(32, 20)
GOOD = messages.image_message(TYPES, 10, "rear", picture(0)[::10, ::10], "bgr8")
GOOD_INFO = messages.camera_info_message(TYPES, 10, "rear", SMALL)


@pytest.fixture(scope="module")
def node() -> Any:
    """Ingest and pipeline as in the node, and TF as a tracker of its own has it."""
    tf = RigTracker(Parameters()).tree
    ingest = Ingest(Parameters(), RigTracker(Parameters(), tf))
    ingest.set_cameras(
        CameraTopics(name, f"/{name}/image_raw", False, False, f"/{name}/camera_info")
        for name in ("front", "rear")
    )
    pipeline = SurroundPipeline(from_flat({"estimator": "embodied", "occupancy.size": 4.0}))
    yield SimpleNamespace(tree=tf, ingest=ingest, pipeline=pipeline)
    ingest.close()
    pipeline.close()


def test_hostile_messages_of_one_camera_leave_the_other_alone(node: Any) -> None:
    seen = {"used": 0, "refused": 0}

    def often(good: Any, hostile: Any) -> Any:
        """The good value in about three cases of four, so that enough of them get through."""
        return st.sampled_from([st.just(good)] * 3 + [hostile]).flatmap(lambda chosen: chosen)

    labels = often(None, images() | compressed_images())

    @cases(800)
    @given(
        often(GOOD, images() | compressed_images()),
        often(GOOD_INFO, calibrations()),
        labels,
        often(None, transforms()),
    )
    def check(image: Any, info: Any, labels: Any, transform: Any) -> None:
        node.tree.set("base_link", "rear", mounting("rear"))
        frame = (image.header.frame_id or info.header.frame_id).lstrip("/")
        if frame not in ("rear", "base_link"):
            node.tree.set("base_link", frame, mounting("front"))
        if transform is not None and frame not in ("rear", "base_link"):
            try:
                _, _, T = messages.decode_transform(transform)
                node.tree.set("base_link", frame, T)
            except DepthPerceptionError:
                pass
        members = {
            "front": CameraMessages(10, image, info, labels),
            "rear": CameraMessages(10, GOOD, GOOD_INFO),
        }
        frame_set, rig = node.ingest.decode(FrameSet(10, members))
        result = node.pipeline.process(frame_set, rig)
        assert "rear" in result.cameras and "rear" not in frame_set.missing
        assert ("front" in result.cameras) != bool(result.missing.get("front"))
        seen["used" if "front" in result.cameras else "refused"] += 1

    check()
    assert seen["used"] > 20 and seen["refused"] > 20, seen
