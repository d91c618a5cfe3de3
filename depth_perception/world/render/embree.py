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

"""Embree, the ray tracing library, through its C interface: scenes of triangles.

The Python package embreex (BSD-2-Clause; Embree and oneTBB in it: Apache-2.0) brings the library.
Its own interface copies meshes element by element and follows rays one by one: both take two to
three times as long as here, where meshes are shared and `kernel_embree` calls the library for eight
rays at a time.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import weakref
from functools import cache
from pathlib import Path
from typing import Any

from depth_perception.errors import DepthPerceptionError

_TRIANGLES, _INDEX, _VERTEX, _UINT3, _FLOAT3 = 0, 0, 1, 0x5003, 0x9003
_ROBUST, _MEDIUM, _VERSION = 1 << 2, 1, 0
_POINTER, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "rtcNewDevice": (_POINTER, [ctypes.c_char_p]),
    "rtcGetDeviceProperty": (ctypes.c_ssize_t, [_POINTER, _INT]),
    "rtcGetDeviceError": (_INT, [_POINTER]),
    "rtcReleaseDevice": (None, [_POINTER]),
    "rtcNewScene": (_POINTER, [_POINTER]),
    "rtcSetSceneFlags": (None, [_POINTER, _INT]),
    "rtcCommitScene": (None, [_POINTER]),
    "rtcReleaseScene": (None, [_POINTER]),
    "rtcNewGeometry": (_POINTER, [_POINTER, _INT]),
    "rtcSetSharedGeometryBuffer": (
        None,
        [_POINTER, _INT, ctypes.c_uint, _INT, _POINTER, _SIZE, _SIZE, _SIZE],
    ),
    "rtcSetGeometryBuildQuality": (None, [_POINTER, _INT]),
    "rtcCommitGeometry": (None, [_POINTER]),
    "rtcAttachGeometryByID": (None, [_POINTER, _POINTER, ctypes.c_uint]),
    "rtcReleaseGeometry": (None, [_POINTER]),
    "rtcIntersect8": (None, []),
    "rtcOccluded8": (None, []),
}


@cache
def _library() -> Any:
    """The library that embreex brings, its functions declared; None where there is none."""
    spec = importlib.util.find_spec("embreex")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    patterns = {"win32": "embreex.libs/embree4*.dll", "darwin": "embreex/.dylibs/libembree4*"}
    pattern = patterns.get(sys.platform, "embreex.libs/libembree4*")
    for path in sorted(package.parent.glob(pattern)):
        try:
            # On Windows the package makes its folder known when it is imported.
            importlib.import_module("embreex")
            library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, ImportError, AttributeError):
            continue
        return library
    return None


def find_embree() -> Embree | None:
    """Embree 4 where embreex brings it and it runs on this processor, else None."""
    library = _library()
    if library is None:
        return None
    # Workers share the processor's cores already.
    device = library.rtcNewDevice(b"threads=1")
    if not device:
        return None
    if library.rtcGetDeviceProperty(device, _VERSION) // 10000 != 4:
        library.rtcReleaseDevice(device)
        return None
    return Embree(library, device)


class Embree:
    """A device of the library, and its scenes. Not for several threads at a time.

    Attributes:
        intersect: Address of rtcIntersect8.
        occlude: Address of rtcOccluded8.
    """

    def __init__(self, library: Any, device: int) -> None:
        self._library, self._device = library, device
        self._scenes: set[int] = set()
        self.intersect = ctypes.cast(library.rtcIntersect8, _POINTER).value or 0
        self.occlude = ctypes.cast(library.rtcOccluded8, _POINTER).value or 0
        weakref.finalize(self, _release_all, library, device, self._scenes)

    def scene(
        self, points: Any, vertices: int, indices: Any, first: int, count: int, *, geometry: int
    ) -> int:
        """Build the tree of some triangles.

        The arrays stay in use until the scene is released, and 4 bytes behind their last element
        must be readable.

        Args:
            points: (V,) vec3 on the CPU.
            vertices: How many of them may be asked for.
            indices: (3 T,) int32 on the CPU.
            first: First triangle.
            count: Number of triangles.
            geometry: Number that hits tell.

        Returns:
            The scene's address; 0 for no triangles.

        Raises:
            DepthPerceptionError: Embree does not build it.
        """
        if not count:
            return 0
        library = self._library
        scene: int = library.rtcNewScene(self._device)
        self._scenes.add(scene)
        # Rays find no way between two triangles that share an edge.
        library.rtcSetSceneFlags(scene, _ROBUST)
        shape = library.rtcNewGeometry(self._device, _TRIANGLES)
        for kind, layout, address, size in (
            (_VERTEX, _FLOAT3, points.ptr, vertices),
            (_INDEX, _UINT3, indices.ptr + 12 * first, count),
        ):
            library.rtcSetSharedGeometryBuffer(shape, kind, 0, layout, address, 0, 12, size)
        library.rtcSetGeometryBuildQuality(shape, _MEDIUM)
        library.rtcCommitGeometry(shape)
        library.rtcAttachGeometryByID(scene, shape, geometry)
        library.rtcReleaseGeometry(shape)
        library.rtcCommitScene(scene)
        error = library.rtcGetDeviceError(self._device)
        if error:
            raise DepthPerceptionError(
                f"Embree built no tree of {count} triangles (error {error})",
                expected="enough memory",
                fix="set DEPTH_PERCEPTION_WORLD_TRACER=warp",
            )
        return scene

    def release(self, scene: int) -> None:
        """Forget a scene; 0 is none."""
        if scene:
            self._scenes.discard(scene)
            self._library.rtcReleaseScene(scene)


def _release_all(library: Any, device: int, scenes: set[int]) -> None:
    for scene in scenes:
        library.rtcReleaseScene(scene)
    library.rtcReleaseDevice(device)
