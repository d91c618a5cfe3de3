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

"""Views of a scene: exact truth per pixel, and the light that reaches the camera.

The rays are the camera model's own, so that distorted and fisheye lenses cost nothing and are as
exact as pinholes. A view is made in stages (`kernels`), between which a back end of `tracing`
follows rays: NVIDIA Warp on a GPU where there is one (`default_device`), else Embree, else Warp.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.world.objects.mesh import FloatArray, Mesh
from depth_perception.world.render.texture_maps import make_texture_maps
from depth_perception.world.render.tracing import FAR, make_tracer
from depth_perception.world.render.triangles import Triangles
from depth_perception.world.scene.ground_picture import GroundPicture
from depth_perception.world.scene.weather import Sky

HIDDEN_REACH = 5.0
"""Things farther away than this, m, do not darken the sky's light on a surface."""
SUN_REACH = 250.0
"""Things farther away than this, m, throw no shadow."""


@dataclass(frozen=True)
class View:
    """What one camera sees, before the camera makes a picture of it. All (H, W) or (H, W, 3).

    Attributes:
        radiance: float32 linear RGB light, 1 about a sunlit white surface.
        depth: float32 along the optical axis, m; +Inf for the sky, NaN where there is no ray.
        label: uint8 Cityscapes train id; 255 own body or no ray.
        instance: int32, 0 where there is none.
        normal: float32 unit vectors in the camera's optical frame; 0 for the sky.
        albedo: float32 linear reflectance.
        shading: float32 light that falls on the surface; radiance = albedo * shading * (1 -
            mirror) + mirrored light, then fog.
        mirror: float32 share of light that is mirrored, 0 to 1.
    """

    radiance: NDArray[np.float32]
    depth: NDArray[np.float32]
    label: NDArray[np.uint8]
    instance: NDArray[np.int32]
    normal: NDArray[np.float32]
    albedo: NDArray[np.float32]
    shading: NDArray[np.float32]
    mirror: NDArray[np.float32]


@cache
def warp() -> Any:
    """NVIDIA Warp, quiet. Raises `ImportError` where it is not installed.

    That there is no GPU is no news on a robot's or a laptop's CPU, where Embree traces the rays.
    """
    wp: Any = importlib.import_module("warp")
    if hasattr(wp.config, "log_level"):
        wp.config.log_level = wp.LOG_WARNING
    else:  # older releases
        wp.config.quiet = True
    with without_line("Could not find or load the NVIDIA CUDA driver"):
        wp.init()
    return wp


@contextlib.contextmanager
def without_line(part: str) -> Iterator[None]:
    """Hold back one line that C code would print on stderr; every other line comes out after it.

    Args:
        part: What tells the line.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed: nothing would be seen
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if part.encode() not in line:
                    os.write(stderr, line)
            os.close(stderr)


def default_device() -> str:
    """Warp's name of the first GPU, or of the CPU if there is none: "cuda:0" or "cpu".

    The environment variable DEPTH_PERCEPTION_WORLD_DEVICE overrides it.
    """
    chosen = os.environ.get("DEPTH_PERCEPTION_WORLD_DEVICE", "")
    if chosen:
        return chosen
    return "cuda:0" if warp().is_cuda_available() else "cpu"


class Renderer:
    """A scene on a device. Not for several threads at a time.

    Args:
        still: What does not move, the ground among it.
        ground: The picture painted on the ground.
        textures: All levels of a set of textures, from `texture_maps.texture_mipmaps`.
        device: A Warp device; by default a GPU where there is one.
        tracer: Back end that follows rays, see `tracing.make_tracer`; by default the fastest that
            runs.
    """

    def __init__(
        self,
        still: Mesh,
        ground: GroundPicture,
        textures: NDArray[np.uint8],
        *,
        device: str = "",
        tracer: str = "",
    ) -> None:
        self._wp = warp()
        # Only here, so that the package can be read where Warp is not installed.
        self._kernels: Any = importlib.import_module("depth_perception.world.render.kernels")
        self.device = device or default_device()
        self._tracer = make_tracer(self._wp, self.device, tracer)
        self._triangles = Triangles(self._wp, still, self.device)
        self._loaded = False  # when it is first asked for, or by `move`
        self._maps = make_texture_maps(self._wp, self.device, ground, textures)
        self._rays: dict[int, tuple[CameraModel, Any, Any, float]] = {}
        self._stages: dict[tuple[int, int], _Stages] = {}

    @property
    def tracer(self) -> str:
        """Name of the back end that follows rays: "embree" or "warp"."""
        return self._tracer.name

    def move(self, moving: Mesh | None) -> None:
        """Replace everything that moves, the vehicle's own body included."""
        anew = self._triangles.move(moving) or not self._loaded
        self._tracer.load(self._triangles, anew=anew)
        self._loaded = True

    def view(
        self,
        camera: CameraModel,
        T_odom_camera: FloatArray,
        sky: Sky,
        *,
        seed: int = 0,
        samples: int = 1,
    ) -> View:
        """Render one image.

        Args:
            camera: Its pixels' rays are followed.
            T_odom_camera: (4, 4) pose of the optical frame.
            sky: The light.
            seed: Of soft shadows.
            samples: Rays a pixel for the light, spread over it; truth is that of the first, which
                goes through the pixel's centre.
        """
        if not self._loaded:
            self.move(None)
        wp, size = self._wp, (camera.height, camera.width)
        radiance = wp.zeros(size, dtype=wp.vec3, device=self.device)
        truth: dict[str, Any] = {}
        for k in range(samples):
            # A rank-1 lattice: any number of samples spreads evenly.
            offset = ((0.7549 * k + 0.5) % 1.0 - 0.5, (0.5698 * k + 0.5) % 1.0 - 0.5)
            rays, axis, pixel = self._camera_rays(camera, offset)
            out = self._trace(
                rays, axis, pixel, T_odom_camera, sky, seed + k, 1.0 / samples, radiance
            )
            truth = truth or out
        return View(radiance=radiance.numpy(), **{k: v.numpy() for k, v in truth.items()})

    def measure(
        self, origin: FloatArray, directions: FloatArray
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        """Follow single rays, such as a laser's.

        Args:
            origin: (3,) world frame, m.
            directions: (N, 3) unit vectors.

        Returns:
            Distances (N,), m, +Inf where nothing is hit; classes (N,); strength of the echo (N,):
            albedo times cosine, less what is mirrored away.
        """
        if not self._loaded:
            self.move(None)
        wp, n = self._wp, len(directions)
        rays = self._array(directions, wp.vec3)
        hits = self._hits(n)
        self._tracer.nearest_hits(self._array(np.reshape(origin, (1, 3)), wp.vec3), rays, *hits)
        label = wp.empty(n, dtype=wp.uint8, device=self.device)
        strength = wp.empty(n, dtype=wp.float32, device=self.device)
        self._launch(
            "laser_echo",
            n,
            self._triangles.arrays,
            self._maps,
            wp.vec3(*map(float, origin)),
            rays,
            *hits,
            label,
            strength,
        )
        distance = hits[0].numpy()
        distance = np.where(distance >= FAR, np.inf, distance).astype(np.float32)
        return distance, label.numpy(), strength.numpy()

    def _trace(
        self,
        rays: Any,
        axis: Any,
        pixel: float,
        T: FloatArray,
        sky: Sky,
        seed: int,
        share: float,
        radiance: Any,
    ) -> dict[str, Any]:
        """Add a share of a view's light to `radiance`; return its truth, arrays on the device."""
        wp, (height, width) = self._wp, radiance.shape
        n = height * width
        s = self._stages.get((height, width))
        if s is None:
            s = self._stages[height, width] = _Stages(wp, self.device, height, width)
        arrays, maps, light = self._triangles.arrays, self._maps, self._light(sky)
        pose = wp.mat44(*np.asarray(T, np.float32).ravel())
        origin = self._array(np.asarray(T, np.float32)[None, :3, 3], wp.vec3)
        # One block of memory each, as they outlive this view.
        kinds = {
            "depth": wp.float32,
            "label": wp.uint8,
            "instance": wp.int32,
            "normal": wp.vec3,
            "albedo": wp.vec3,
            "shading": wp.vec3,
            "mirror": wp.float32,
        }
        out = {
            name: wp.empty((height, width), dtype=dtype, device=self.device)
            for name, dtype in kinds.items()
        }
        flat = {name: array.flatten() for name, array in out.items()}
        self._launch("generate_rays", n, rays, pose, s.directions)
        self._tracer.nearest_hits(origin, s.directions, *s.hits)
        self._launch(
            "shade_hits",
            n,
            arrays,
            maps,
            light,
            wp.vec3(*map(float, T[:3, 3])),
            s.directions,
            *s.hits,
            pixel,
            width,
            wp.uint32(seed & 0x7FFFFFFF),
            flat["label"],
            flat["instance"],
            s.normals,
            flat["albedo"],
            flat["mirror"],
            s.extra_light,
            s.positions,
            s.to_sun,
            s.sky_positions,
            s.to_sky,
            s.to_mirror,
        )
        self._tracer.occluded(s.positions, s.to_sun, SUN_REACH, s.sun_hidden)
        self._tracer.occluded(s.sky_positions, s.to_sky, HIDDEN_REACH, s.sky_hidden, coherent=False)
        self._tracer.nearest_hits(s.positions, s.to_mirror, *s.mirror_hits)
        self._launch(
            "shade_reflections",
            n,
            arrays,
            maps,
            light,
            s.positions,
            s.to_mirror,
            *s.mirror_hits,
            pixel,
            flat["mirror"],
            s.extra_light,
        )
        self._launch("direct_sunlight", n, light, s.to_sun, s.sun_hidden, s.normals, s.direct)
        self._launch("gather_sky_light", len(s.sums), s.to_sky, s.sky_hidden, width, s.sums)
        self._launch(
            "composite",
            n,
            light,
            self._air(sky),
            pose,
            width,
            height,
            axis,
            s.hits[0],
            s.direct,
            s.sums,
            s.normals,
            flat["albedo"],
            flat["mirror"],
            s.extra_light,
            share,
            flat["depth"],
            flat["normal"],
            flat["shading"],
            radiance.flatten(),
        )
        return out

    def _launch(self, kernel: str, dim: int, *inputs: Any) -> None:
        self._wp.launch(getattr(self._kernels, kernel), dim=dim, inputs=inputs, device=self.device)

    def _hits(self, n: int) -> tuple[Any, Any, Any]:
        return _hits(self._wp, self.device, n)

    def _camera_rays(
        self, camera: CameraModel, offset: tuple[float, float]
    ) -> tuple[Any, Any, float]:
        """Unit rays of all pixels on the device, their share along the axis, and a pixel's angle.

        Those through the centres are kept: a rig sees many frames.
        """
        centred = offset == (0.0, 0.0)
        if centred and id(camera) in self._rays and self._rays[id(camera)][0] is camera:
            return self._rays[id(camera)][1:]
        u, v = np.meshgrid(
            np.arange(camera.width) + offset[0], np.arange(camera.height) + offset[1]
        )
        rays = camera.lift(np.stack([u, v], -1)).reshape(-1, 3)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        on_device, axis = (
            self._array(rays, self._wp.vec3),
            self._array(rays[:, 2], self._wp.float32),
        )
        entry = (on_device, axis, float(1.0 / camera.K[0, 0]))
        if centred:
            self._rays[id(camera)] = (camera, *entry)
        return entry

    def _light(self, sky: Sky) -> Any:
        wp = self._wp
        light: Any = self._kernels.Light()
        light.sun = wp.vec3(*map(float, sky.sun))
        light.sun_colour = wp.vec3(*map(float, sky.sun_colour))
        light.zenith = wp.vec3(*map(float, sky.zenith))
        light.horizon = wp.vec3(*map(float, sky.horizon))
        light.cover = float(sky.cover)
        light.cloud_shift = wp.vec2(*map(float, sky.cloud_shift))
        light.softness = float(sky.softness)
        return light

    def _air(self, sky: Sky) -> Any:
        """Light of sky and ground without a direction, and the fog."""
        wp = self._wp
        sun_colour, zenith, horizon = (
            np.asarray(v, float) for v in (sky.sun_colour, sky.zenith, sky.horizon)
        )
        above = (zenith * 0.62 + horizon * 0.38) * sky.ambient
        bounce = 0.12 * sun_colour * max(float(sky.sun[2]), 0.0) + 0.15 * above
        thick = sky.fog > 0.004
        air: Any = self._kernels.Air()
        air.above, air.bounce = wp.vec3(*above), wp.vec3(*bounce)
        air.fog = float(sky.fog)
        air.colour = wp.vec3(*(horizon * (0.85 if thick else 1.0)))
        air.thickness = float(1.0 - np.exp(-sky.fog * 150.0)) if thick else 0.0
        return air

    def _array(self, values: Any, dtype: Any) -> Any:
        return self._wp.array(np.ascontiguousarray(values), dtype=dtype, device=self.device)


def _hits(wp: Any, device: str, n: int) -> tuple[Any, Any, Any]:
    """Memory for what `Tracer.nearest_hits` writes about n rays."""
    return (
        wp.empty(n, dtype=wp.float32, device=device),
        wp.empty(n, dtype=wp.int32, device=device),
        wp.empty(n, dtype=wp.vec2, device=device),
    )


class _Stages:
    """What the stages of a view hand on; the memory serves all views of one size."""

    def __init__(self, wp: Any, device: str, height: int, width: int) -> None:
        n = height * width
        rows, columns = (height + 1) // 2, (width + 1) // 2

        def vectors(count: int) -> Any:
            return wp.zeros(count, dtype=wp.vec3, device=device)

        self.directions, self.normals, self.extra_light = vectors(n), vectors(n), vectors(n)
        self.positions, self.to_sun, self.to_mirror = vectors(n), vectors(n), vectors(n)
        self.sky_positions, self.to_sky = vectors(rows * columns), vectors(rows * columns)
        self.hits, self.mirror_hits = _hits(wp, device, n), _hits(wp, device, n)
        self.sun_hidden = wp.empty(n, dtype=wp.uint8, device=device)
        self.sky_hidden = wp.empty(rows * columns, dtype=wp.uint8, device=device)
        self.direct = wp.empty(n, dtype=wp.float32, device=device)
        self.sums = wp.empty(rows * width, dtype=wp.vec2, device=device)
