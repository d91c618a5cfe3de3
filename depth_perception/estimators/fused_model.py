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

"""The fused network's file, and how it is run: with ONNX Runtime, or with PyTorch a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depth_perception.errors import ModelError
from depth_perception.inference.model_file import MULTIPLE, FusedModel, read_fused_model
from depth_perception.inference.network_inputs import Size, axis_sizes, tensor_shapes
from depth_perception.inference.onnx_session import (
    PROVIDERS,
    OnnxSession,
    available_cores,
    default_providers,
    provider_name,
    usable_providers,
)
from depth_perception.inference.session import FixedSession
from depth_perception.inference.tensorrt import refuse_int8
from depth_perception.parameters import FusedParameters
from depth_perception.resources import WEIGHTS_FIX, weights_file

_CHECKPOINT = ".pt"


@dataclass(frozen=True)
class FixedRig:
    """What a file that was made for one rig is fixed to.

    Attributes:
        cameras: How many, at most.
        image: (width, height) of images and depth, px.
        network: (width, height) of the network's images, px.
    """

    cameras: int
    image: Size
    network: Size


@dataclass(frozen=True)
class NetworkFile:
    """A file of the fused network.

    Attributes:
        path: An ``.onnx`` file of `network.export`, or a checkpoint.
        title: What it is, for status messages.
        fixed_rig: What it is fixed to; None where it serves every rig.
        providers: What runs it, in order of preference; empty with a checkpoint: the best.
        settings: How it is run.
    """

    path: Path
    title: str
    fixed_rig: FixedRig | None
    providers: Sequence[str]
    settings: FusedParameters

    def session(
        self, count: int, image: Size, network: Size, at_once: int | None = None
    ) -> FixedSession:
        """Make a session.

        Args:
            count: Of cameras, each in a slot.
            image: See `network_inputs.tensor_shapes`.
            network: See there.
            at_once: On the CPU each camera is to run by itself, so many at a time as a rule; None:
                all in one.
        """
        return self._session(count, image, network, self.providers, at_once)

    def probe_provider(self) -> str:
        """Load the network, run it once, and return what it ran on.

        TensorRT builds an engine for each size, which takes minutes: CUDA, which it needs, stands
        in for it here.
        """
        instead = {PROVIDERS["tensorrt"]: PROVIDERS["cuda"]}
        names = [provider_name(name) for name in self.providers]
        providers = [instead.get(name, name) for name in names]
        count, image, network = 1, (MULTIPLE, MULTIPLE), (MULTIPLE, MULTIPLE)
        if self.fixed_rig is not None:
            count, image, network = (
                self.fixed_rig.cameras,
                self.fixed_rig.image,
                self.fixed_rig.network,
            )
        session = self._session(count, image, network, providers)
        session.set("camera", np.ones((count, 5), np.float32))
        session.run()
        session.close()
        return session.provider

    def _session(
        self,
        count: int,
        image: Size,
        network: Size,
        providers: Sequence[str],
        at_once: int | None = None,
    ) -> FixedSession:
        shapes = tensor_shapes(count, image, network)
        if self.path.suffix == _CHECKPOINT:
            from depth_perception.estimators.torch_session import TorchSession, device_of

            gpu = self.settings.require_gpu
            return TorchSession(self.path, shapes, device=device_of(providers), require_gpu=gpu)
        apart = at_once is not None and self.fixed_rig is None
        session = OnnxSession(
            self.path,
            providers,
            self.settings.require_gpu,
            axes={} if self.fixed_rig else axis_sizes(1 if apart else count, image, network),
            cache=self.settings.tensorrt_cache or None,
            threads=max(1, available_cores() // at_once) if apart and at_once else None,
        )
        return session.bind_slots(shapes) if apart else session.bind(shapes)


def network_file(settings: FusedParameters, gpu: bool, measured: bool = False) -> NetworkFile:
    """Find the file that the parameters name, or the package's.

    Args:
        settings: The parameters.
        gpu: Of the package's, that for a GPU.
        measured: Of the package's, that which takes measured depth.

    Raises:
        ModelError: It is absent, damaged or of another kind, or in int8 for TensorRT.
        ConfigurationError: A provider that nobody knows.
    """
    names = [provider_name(name) for name in settings.providers]
    if settings.model:
        path = Path(os.path.expanduser(settings.model))
    else:
        path = weights_file(gpu, measured)
    if path.suffix == _CHECKPOINT:
        return NetworkFile(path, path.name, None, settings.providers, settings)
    try:
        info = read_fused_model(path)
    except ModelError as error:
        fix = f"{error.fix}, or set estimator: embodied" if settings.model else WEIGHTS_FIX
        raise ModelError(error.problem, expected=error.expected, fix=fix) from None
    if info.output != "depth":
        raise ModelError(
            f"model '{path}' gives {info.output}",
            expected="depth",
            fix="use it with estimator relative",
        )
    if PROVIDERS["tensorrt"] in usable_providers(names):
        refuse_int8(path)
    providers = settings.providers or default_providers()
    return NetworkFile(path, f"{info.name} ({path.name})", _fixed_rig(info), providers, settings)


def _fixed_rig(info: FusedModel) -> FixedRig | None:
    if info.cameras is None or info.width is None or info.height is None or info.network is None:
        return None
    return FixedRig(info.cameras, (info.width, info.height), info.network)
