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

"""Two back ends that follow rays through a scene's triangles: Embree on CPUs, Warp anywhere.

In: `Triangles`, and rays as arrays on the device: origins, one for all or one for each, and unit
directions, NaN for no ray. Out, in arrays on the device: what each ray hits first, or whether it
hits anything. Both answer alike, to rounding, and neither goes through the host.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Protocol

from depth_perception.errors import ConfigurationError
from depth_perception.world.render.embree import Embree, find_embree
from depth_perception.world.render.triangles import Triangles

FAR = 1.0e6
"""Length of a ray that hits nothing, m; as `kernel_tracing.FAR`."""

TRACERS = ("embree", "warp")
"""Names of the back ends."""


class Tracer(Protocol):
    """Follows rays. `load` comes first and each time that something moved.

    Attributes:
        name: One of `TRACERS`.
    """

    name: str

    def load(self, triangles: Triangles, *, anew: bool) -> None:
        """Take what moves; with `anew`, also what stands."""

    def nearest_hits(
        self,
        origins: Any,
        directions: Any,
        distance: Any,
        face: Any,
        weights: Any,
        *,
        coherent: bool = True,
    ) -> None:
        """Write each ray's first hit.

        Args:
            origins: (1,) or (N,) vec3.
            directions: (N,) vec3.
            distance: (N,) float32, m; `FAR` where there is no hit.
            face: (N,) int32, -1 where there is no hit.
            weights: (N,) vec2, of the triangle's first two corners.
            coherent: Neighbours go almost the same way: only the speed depends on it.
        """

    def occluded(
        self, origins: Any, directions: Any, reach: float, hidden: Any, *, coherent: bool = True
    ) -> None:
        """Write 1 into `hidden` (N,) uint8 for each ray that hits anything within `reach` m."""


def make_tracer(wp: Any, device: str, name: str = "") -> Tracer:
    """Choose a back end.

    Args:
        wp: The module warp.
        device: A Warp device.
        name: One of `TRACERS`; by default what the environment variable
            DEPTH_PERCEPTION_WORLD_TRACER says, else Embree on a CPU where the package embreex is
            installed, else Warp.

    Raises:
        ConfigurationError: There is no such back end, or it does not run here.
    """
    name = name or os.environ.get("DEPTH_PERCEPTION_WORLD_TRACER", "")
    if name not in ("", *TRACERS):
        raise ConfigurationError(
            f"back end '{name}' of the renderer",
            expected=" or ".join(TRACERS),
            fix="correct DEPTH_PERCEPTION_WORLD_TRACER, or unset it",
        )
    if name == "warp" or (device != "cpu" and not name):
        return WarpTracer(wp, device)
    found = find_embree() if device == "cpu" else None
    if found is not None:
        return EmbreeTracer(wp, found)
    if name:
        raise ConfigurationError(
            f"back end 'embree' of the renderer does not run on device '{device}'",
            expected="a CPU and the package embreex, which exists for Linux and Windows on x86-64"
            " and for macOS on arm64",
            fix="pip install embreex, or leave the choice to the renderer",
        )
    return WarpTracer(wp, device)


class WarpTracer:
    """Warp's queries, one thread a ray; the tree is built anew whenever something moves."""

    name = "warp"

    def __init__(self, wp: Any, device: str) -> None:
        self._wp, self._device = wp, device
        self._kernels: Any = importlib.import_module("depth_perception.world.render.kernel_tracing")
        self._mesh: Any = None

    def load(self, triangles: Triangles, *, anew: bool) -> None:
        """One tree over everything costs less than following each ray through two."""
        arrays = triangles.arrays
        self._mesh = self._wp.Mesh(
            points=arrays.points[: triangles.points],
            indices=arrays.indices[: 3 * triangles.count],
            bvh_constructor="sah" if self._device == "cpu" else "lbvh",
        )

    def nearest_hits(
        self,
        origins: Any,
        directions: Any,
        distance: Any,
        face: Any,
        weights: Any,
        *,
        coherent: bool = True,
    ) -> None:
        """See `Tracer`."""
        self._wp.launch(
            self._kernels.nearest_hits,
            dim=len(directions),
            device=self._device,
            inputs=[self._mesh.id, origins, directions, distance, face, weights],
        )

    def occluded(
        self, origins: Any, directions: Any, reach: float, hidden: Any, *, coherent: bool = True
    ) -> None:
        """See `Tracer`."""
        self._wp.launch(
            self._kernels.occluded,
            dim=len(directions),
            device=self._device,
            inputs=[self._mesh.id, origins, directions, reach, hidden],
        )


class EmbreeTracer:
    """Embree's trees, eight rays at a time; what stands has one of its own, built once."""

    name = "embree"

    def __init__(self, wp: Any, embree: Embree) -> None:
        self._wp, self._embree = wp, embree
        self._kernels: Any = importlib.import_module("depth_perception.world.render.kernel_embree")
        self._still, self._moving, self._first = 0, 0, 0

    def load(self, triangles: Triangles, *, anew: bool) -> None:
        """See `Tracer`."""
        arrays, still = triangles.arrays, triangles.still_count
        if anew:
            self._embree.release(self._still)
            self._still = self._embree.scene(
                arrays.points, triangles.still_points, arrays.indices, 0, still, geometry=0
            )
        self._embree.release(self._moving)
        self._moving = self._embree.scene(
            arrays.points,
            triangles.points,
            arrays.indices,
            still,
            triangles.count - still,
            geometry=1,
        )
        self._first = still

    def nearest_hits(
        self,
        origins: Any,
        directions: Any,
        distance: Any,
        face: Any,
        weights: Any,
        *,
        coherent: bool = True,
    ) -> None:
        """See `Tracer`."""
        self._wp.launch(
            self._kernels.nearest_hits,
            dim=self._packets(directions),
            device="cpu",
            inputs=[
                self._embree.intersect,
                self._still,
                self._moving,
                self._first,
                int(coherent),
                FAR,
                origins,
                directions,
                distance,
                face,
                weights,
            ],
        )

    def occluded(
        self, origins: Any, directions: Any, reach: float, hidden: Any, *, coherent: bool = True
    ) -> None:
        """See `Tracer`."""
        self._wp.launch(
            self._kernels.occluded,
            dim=self._packets(directions),
            device="cpu",
            inputs=[
                self._embree.occlude,
                self._still,
                self._moving,
                int(coherent),
                reach,
                origins,
                directions,
                hidden,
            ],
        )

    def _packets(self, directions: Any) -> int:
        return -(-len(directions) // self._kernels.WIDTH)
