"""Views of a scene: exact truth per pixel, and the light that reaches the camera.

The rays are the camera model's own, so that distorted and fisheye lenses cost nothing and are as
exact as pinholes. NVIDIA Warp traces them, on a GPU where there is one (`default_device`).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.geometry.camera import CameraModel
from depth_perception.world.ground_grid import REACH, RESOLUTION
from depth_perception.world.ground_picture import GroundPicture
from depth_perception.world.materials import INDEX, MATERIALS
from depth_perception.world.mesh import FloatArray, Mesh, join

HIDDEN_REACH = 5.0
"""Things farther away than this, m, do not darken the sky's light on a surface."""


@dataclass(frozen=True)
class Sky:
    """The light outside.

    Attributes:
        sun: Unit vector (3,) towards the sun, world frame.
        sun_colour: (3,) light of the sun on a surface that faces it; 0 when clouds cover it.
        zenith: (3,) light of the sky overhead.
        horizon: (3,) light of the sky at the horizon.
        cover: Share of the sky that clouds cover, 0 to 1.
        cloud_shift: (2,) which clouds.
        softness: Half angle of the sun's disc as shadows show it, rad.
        fog: Extinction, 1/m.
        rain: 0 dry to 1 heavy.
        ambient: Light of the sky on surfaces over what its zenith and horizon say: haze and the
            sun's surroundings look bright but light little.
    """

    sun: FloatArray
    sun_colour: FloatArray
    zenith: FloatArray
    horizon: FloatArray
    cover: float = 0.3
    cloud_shift: tuple[float, float] = (0.0, 0.0)
    softness: float = 0.01
    fog: float = 0.001
    rain: float = 0.0
    ambient: float = 1.0


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
    """NVIDIA Warp, quiet. Raises `ImportError` where it is not installed."""
    wp: Any = importlib.import_module("warp")
    if hasattr(wp.config, "log_level"):
        wp.config.log_level = wp.LOG_WARNING
    else:  # older releases
        wp.config.quiet = True
    wp.init()
    return wp


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
        textures: All levels of a set of textures, from `texture_levels`.
        device: A Warp device; by default a GPU where there is one.
    """

    def __init__(
        self, still: Mesh, ground: GroundPicture, textures: NDArray[np.uint8], *, device: str = ""
    ) -> None:
        self._wp = warp()
        # Only here, so that the package can be read where Warp is not installed.
        self._kernels: Any = importlib.import_module("depth_perception.world.kernels")
        self.device = device or default_device()
        self._still = still
        self._looks = self._make_looks(ground, textures)
        self._body: tuple[Any, Any] | None = None  # made when it is first asked for, or by `move`
        self._rays: dict[int, tuple[CameraModel, Any, FloatArray, float]] = {}

    def move(self, moving: Mesh | None) -> None:
        """Replace everything that moves, the vehicle's own body included.

        One tree over all triangles is built anew, which costs less than following each of the
        millions of rays of a frame set through two.
        """
        self._body = self._load(self._still if moving is None else join([self._still, moving]))

    def _current(self) -> tuple[Any, Any]:
        """The body on the device; without anything that moves as long as nothing was given."""
        if self._body is None:
            self._body = self._load(self._still)
        return self._body

    def view(
        self, camera: CameraModel, T_odom_camera: FloatArray, sky: Sky, *, seed: int = 0,
        samples: int = 1,
    ) -> View:  # fmt: skip
        """Render one image.

        Args:
            camera: Its pixels' rays are followed.
            T_odom_camera: (4, 4) pose of the optical frame.
            sky: The light.
            seed: Of soft shadows.
            samples: Rays a pixel for the light, spread over it; truth is that of the first, which
                goes through the pixel's centre.
        """
        first = self._trace(camera, T_odom_camera, sky, seed, (0.0, 0.0))
        radiance = first.radiance
        for k in range(1, samples):
            # A rank-1 lattice: any number of samples spreads evenly.
            offset = ((0.7549 * k + 0.5) % 1.0 - 0.5, (0.5698 * k + 0.5) % 1.0 - 0.5)
            radiance = radiance + self._trace(camera, T_odom_camera, sky, seed + k, offset).radiance
        if samples > 1:
            return replace(first, radiance=radiance / np.float32(samples))
        return first

    def measure(
        self, origins: FloatArray, directions: FloatArray
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        """Follow single rays, such as a laser's.

        Args:
            origins: (N, 3) world frame, m.
            directions: (N, 3) unit vectors.

        Returns:
            Distances (N,), m, +Inf where nothing is hit; classes (N,); strength of the echo (N,):
            albedo times cosine, less what is mirrored away.
        """
        wp, n = self._wp, len(directions)
        out = {
            "distance": wp.empty(n, dtype=wp.float32, device=self.device),
            "label": wp.zeros(n, dtype=wp.uint8, device=self.device),
            "cosine": wp.zeros(n, dtype=wp.float32, device=self.device),
            "mirror": wp.zeros(n, dtype=wp.float32, device=self.device),
        }
        wp.launch(
            self._kernels.measure, dim=n, device=self.device,
            inputs=[
                self._current()[0], self._array(directions, wp.vec3),
                self._array(np.broadcast_to(origins, (n, 3)), wp.vec3), *out.values(), self._looks,
            ],
        )  # fmt: skip
        distance = out["distance"].numpy()
        distance = np.where(distance >= 1e6, np.inf, distance).astype(np.float32)
        strength = out["cosine"].numpy() * (1.0 - out["mirror"].numpy())
        return distance, out["label"].numpy(), strength

    def _trace(
        self, camera: CameraModel, T: FloatArray, sky: Sky, seed: int, offset: tuple[float, float]
    ) -> View:
        wp, device = self._wp, self.device
        rays, axis, pixel = self._camera_rays(camera, offset)
        n = camera.width * camera.height
        out = {
            "distance": wp.empty(n, dtype=wp.float32, device=device),
            "label": wp.zeros(n, dtype=wp.uint8, device=device),
            "instance": wp.zeros(n, dtype=wp.int32, device=device),
            "normal": wp.zeros(n, dtype=wp.vec3, device=device),
            "albedo": wp.zeros(n, dtype=wp.vec3, device=device),
            "direct": wp.zeros(n, dtype=wp.float32, device=device),
            "open_sky": wp.zeros(n, dtype=wp.float32, device=device),
            "shine": wp.zeros(n, dtype=wp.vec3, device=device),
            "mirror": wp.zeros(n, dtype=wp.float32, device=device),
        }
        wp.launch(
            self._kernels.trace, dim=n, device=device,
            inputs=[
                self._current()[0], self._looks, self._light(sky), rays,
                wp.mat44(*np.asarray(T, np.float32).ravel()), pixel, camera.width,
                wp.uint32(seed & 0x7FFFFFFF), HIDDEN_REACH, *out.values(),
            ],
        )  # fmt: skip
        shape = (camera.height, camera.width)
        arrays = {k: v.numpy().reshape(*shape, *v.numpy().shape[1:]) for k, v in out.items()}
        return _compose(arrays, axis, T, sky)

    def _camera_rays(
        self, camera: CameraModel, offset: tuple[float, float]
    ) -> tuple[Any, FloatArray, float]:
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
        axis = rays[:, 2].reshape(camera.height, camera.width).astype(np.float32)
        entry = (self._array(rays, self._wp.vec3), axis, float(1.0 / camera.K[0, 0]))
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

    def _array(self, values: Any, dtype: Any) -> Any:
        return self._wp.array(np.ascontiguousarray(values), dtype=dtype, device=self.device)

    def _load(self, mesh: Mesh) -> tuple[Any, Any]:
        """A mesh on the device. The second item keeps its tree alive."""
        wp = self._wp
        indices = self._array(mesh.triangles.ravel(), wp.int32)
        tree = wp.Mesh(
            points=self._array(mesh.vertices, wp.vec3), indices=indices,
            bvh_constructor="sah" if self.device == "cpu" else "lbvh",
        )  # fmt: skip
        body: Any = self._kernels.Body()
        body.mesh = tree.id
        body.indices = indices
        body.normals = self._array(mesh.normals, wp.vec3)
        body.uv = self._array(mesh.uv, wp.vec2)
        body.material = self._array(mesh.material, wp.uint8)
        body.tint = self._array(mesh.tint, wp.vec3)
        body.label = self._array(mesh.label, wp.uint8)
        body.instance = self._array(mesh.instance, wp.int32)
        return body, tree

    def _make_looks(self, ground: GroundPicture, textures: NDArray[np.uint8]) -> Any:
        wp = self._wp
        looks: Any = self._kernels.Looks()
        for name in ("tile", "mirror", "lumpy", "glow"):
            values = np.array([getattr(m, name) for m in MATERIALS], np.float32)
            setattr(looks, name, self._array(values, wp.float32))
        looks.textures = self._array(textures, wp.vec4ub)
        # size^2 + (size/2)^2 + ... + 1 texels.
        looks.levels = int(round(np.log2(3 * textures.shape[1] + 1) / 2))
        looks.size = 1 << (looks.levels - 1)
        painted = np.concatenate([ground.colour, ground.mirror[..., None]], axis=-1)
        texels, levels = _picture_levels(painted)
        looks.ground = self._array(texels, wp.vec4ub)
        looks.ground_levels = self._array(levels, wp.int32)
        looks.ground_label = self._array(ground.label, wp.uint8)
        looks.ground_material = self._array(ground.material, wp.uint8)
        looks.ground_start = float(ground.start)
        looks.ground_reach = float(REACH)
        looks.ground_resolution = float(RESOLUTION)
        looks.ground_index = INDEX["ground"]
        looks.clouds = self._array(_clouds(), wp.float32)
        return looks


def strengthened(textures: NDArray[np.uint8], powers: Sequence[float]) -> NDArray[np.uint8]:
    """Raise the contrast of textures (M, N, N, 4) around their mean; what they mirror stays.

    `powers` has one exponent for each of the M textures; 1 leaves it as it is.
    """
    albedo = textures[..., :3].astype(np.float32)
    mean = albedo.mean(axis=(1, 2), keepdims=True)
    albedo = (
        mean
        * (albedo / np.maximum(mean, 1.0)) ** np.asarray(powers, np.float32)[:, None, None, None]
    )
    colours = np.clip(np.rint(albedo), 0, 255).astype(np.uint8)
    return np.concatenate([colours, textures[..., 3:]], axis=-1)


def texture_levels(textures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Halve (M, N, N, 4) again and again to one texel: (M, texels of all levels, 4).

    Light is averaged, not its square root, so that a surface keeps its brightness with distance.
    """
    level = textures.astype(np.float32)
    level[..., :3] = np.square(level[..., :3] / 255.0)  # linear light
    chain = [textures.reshape(len(textures), -1, 4)]
    while level.shape[1] > 1:
        m, n = level.shape[:2]
        level = level.reshape(m, n // 2, 2, n // 2, 2, 4).mean(axis=(2, 4))
        packed = level.copy()
        packed[..., :3] = np.sqrt(packed[..., :3]) * 255.0
        chain.append(np.rint(packed).astype(np.uint8).reshape(m, -1, 4))
    return np.concatenate(chain, axis=1)


def _picture_levels(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Halve a picture (H, W, 4) to about 16 pixels: texels in a row, and (width, height, start)."""
    texels, levels, start = [], [], 0
    while True:
        height, width = picture.shape[:2]
        texels.append(picture.reshape(-1, 4))
        levels.append((width, height, start))
        start += width * height
        if min(height, width) <= 16:
            # Bilinear sampling reads one texel on; the last row needs a successor.
            texels.append(picture.reshape(-1, 4)[-width - 1 :])
            return np.concatenate(texels), np.array(levels, np.int32)
        half = picture[: height // 2 * 2, : width // 2 * 2]
        smaller = cv2.resize(half, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        picture = np.asarray(smaller, np.uint8)


def _clouds() -> NDArray[np.float32]:
    """A tiling picture of cloud density, evenly spread from 0 to 1: (256, 256)."""
    rng = np.random.default_rng(7)
    k = np.fft.fftfreq(256) * 256
    radius = np.maximum(np.hypot(k[:, None], k[None, :]), 1.0)
    spectrum = np.fft.fft2(rng.standard_normal((256, 256))) / radius**1.5
    noise = np.fft.ifft2(spectrum).real
    order = np.argsort(np.argsort(noise.ravel()))
    return (order / order.size).reshape(noise.shape).astype(np.float32)


def _blurred(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Mean over squares of `size` px around each pixel."""
    return np.asarray(cv2.blur(values, (size, size)), np.float32)


def _compose(a: dict[str, Any], axis: NDArray[np.float32], T: FloatArray, sky: Sky) -> View:
    """Put the parts of a view together.

    Args:
        a: What `kernels.trace` writes, each (H, W) or (H, W, 3).
        axis: (H, W) share of each unit ray along the optical axis; NaN for no ray.
        T: (4, 4) pose of the optical frame in the world frame.
        sky: The light.
    """
    distance = a["distance"]
    hit = distance < 1e6
    no_ray = ~np.isfinite(axis)
    depth = np.where(hit, distance * axis, np.inf).astype(np.float32)
    depth[no_ray] = np.nan
    # Sky light is known at every fourth pixel, from one random ray: spread and smooth it.
    known = (a["open_sky"] >= 0.0) & hit
    weight = _blurred(known.astype(np.float32), 9)
    open_sky = _blurred(np.where(known, a["open_sky"], 0.0).astype(np.float32), 9)
    open_sky /= np.maximum(weight, 1e-4)
    direct = _blurred(a["direct"], 3) * 0.5 + a["direct"] * 0.5
    up = 0.5 + 0.5 * a["normal"][..., 2]
    above = np.asarray(sky.zenith, np.float32) * 0.62 + np.asarray(sky.horizon, np.float32) * 0.38
    above = above * np.float32(sky.ambient)
    bounce = 0.12 * np.asarray(sky.sun_colour, np.float32) * max(float(sky.sun[2]), 0.0)
    bounce = bounce + 0.15 * above
    shading = (open_sky * up)[..., None] * above + (1.0 - up)[..., None] * bounce
    shading += direct[..., None] * np.asarray(sky.sun_colour, np.float32)
    mirror = a["mirror"][..., None]
    radiance = a["albedo"] * shading * (1.0 - mirror) + a["shine"]
    if sky.fog > 0.0:
        clear = np.exp(-sky.fog * np.where(hit, distance, 0.0))[..., None]
        air = np.asarray(sky.horizon, np.float32) * (0.85 if sky.fog > 0.004 else 1.0)
        radiance = radiance * clear + air * (1.0 - clear)
        if sky.fog > 0.004:
            # Fog hides the sky too, most at the horizon.
            up_ray = np.where(hit, 0.0, 1.0)[..., None]
            thick = 1.0 - np.exp(-sky.fog * 150.0)
            radiance = radiance + up_ray * thick * (air - radiance)
    radiance[no_ray] = 0.0
    normal = a["normal"] @ np.asarray(T[:3, :3], np.float32)
    return View(
        radiance=radiance.astype(np.float32), depth=depth, label=a["label"],
        instance=a["instance"], normal=normal, albedo=a["albedo"],
        shading=shading.astype(np.float32), mirror=a["mirror"],
    )  # fmt: skip
