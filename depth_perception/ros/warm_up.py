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

"""The first frame set compiles and loads; a made-up one does that before a real one comes."""

from __future__ import annotations

import numpy as np

from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.transforms import OPTICAL_AXES
from depth_perception.pipeline import SurroundPipeline

_NAME = "warm-up"


def warm_up(pipeline: SurroundPipeline) -> None:
    """Run one small camera over the pipeline's ground through everything, and forget it."""
    pipeline.compile_motion()
    ground = pipeline.ground
    model = CameraModel(64, 48, np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]]))
    T = np.eye(4)
    T[:3, :3] = OPTICAL_AXES
    T[:3, 3] = ground.normal * (ground.height + 1.5)
    rig = Rig({_NAME: RigCamera(_NAME, model, T, _NAME, model)}, "base_link")
    labels = np.zeros((model.height, model.width), np.uint8)
    frame = CameraFrame(1, np.zeros((model.height, model.width, 3), np.uint8), labels)
    pipeline.process(FrameSet(1, {_NAME: frame}), rig)
    pipeline.forget_motion()
