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

"""What a rig's sensors measure on a drive: views of its cameras, scans of its LiDAR."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.world.output.rigs import MountedCamera, WorldRig
from depth_perception.world.render.glare import glare
from depth_perception.world.render.picture import (
    develop,
    draw_exposure_steps,
    draw_lifelike_sensor,
    draw_sensor,
)
from depth_perception.world.render.renderer import Renderer, View
from depth_perception.world.render.texture_maps import texture_mipmaps, with_contrast
from depth_perception.world.scene.drive import Drive
from depth_perception.world.surfaces.materials import MATERIALS
from depth_perception.world.surfaces.surface_textures import texture_set

TEXTURE_SETS = 12
"""How many sets of textures there are to draw from."""


TEXTURE_CONTRAST = 1.6
"""Real pictures of streets have twice the gradients of the textures as they are drawn."""

EXPOSURE_CHANGES_S = 12.0
"""Within so long after the start lifelike cameras change their exposure, s."""

_EVEN = ("plain", "paint", "glass", "metal", "skin")


@lru_cache(maxsize=TEXTURE_SETS)
def _textures(number: int) -> NDArray[np.uint8]:
    powers = [1.0 if m.name in _EVEN else TEXTURE_CONTRAST for m in MATERIALS]
    return texture_mipmaps(with_contrast(texture_set(number), powers))


class SensorSuite:
    """A rig on a drive. Not for several threads at a time.

    Args:
        drive: Where it goes.
        rig: What it carries.
        device: A Warp device; by default a GPU where there is one.
        tracer: What follows rays, see `tracing.make_tracer`; by default the fastest that runs.
    """

    def __init__(self, drive: Drive, rig: WorldRig, *, device: str = "", tracer: str = "") -> None:
        self.drive, self.rig = drive, rig
        self._renderer = Renderer(
            drive.still,
            drive.picture,
            _textures(drive.seed % TEXTURE_SETS),
            device=device,
            tracer=tracer,
        )
        rng = np.random.default_rng([drive.seed, 23])
        make = draw_sensor(rng)
        self._sensors = {
            camera.name: replace(
                make,
                exposure=make.exposure * float(np.exp(rng.normal(0, 0.06))),
                dirt_seed=int(rng.integers(1 << 30)),
            )
            for camera in rig.cameras
        }
        self._dazzled = False
        if drive.lifelike:
            of_life = np.random.default_rng([drive.seed, 29])
            self._dazzled = of_life.uniform() < 0.7
            for name, sensor in self._sensors.items():
                self._sensors[name] = replace(
                    draw_lifelike_sensor(np.random.default_rng([drive.seed, 30]), sensor),
                    steps=draw_exposure_steps(of_life, EXPOSURE_CHANGES_S),
                )
        self._time: float | None = None

    @property
    def device(self) -> str:
        """The Warp device that traces rays, such as "cpu" or "cuda:0"."""
        return self._renderer.device

    @property
    def tracer(self) -> str:
        """The back end that follows rays: "embree" or "warp"."""
        return self._renderer.tracer

    def view(self, camera: MountedCamera, time: float, *, samples: int = 1) -> View:
        """Render what a camera of the rig sees at `time` seconds."""
        self._move(time)
        T = self.drive.ego_pose(time) @ camera.T_base_camera
        seed = _seed(self.drive.seed, camera.name, time)
        return self._renderer.view(camera.model, T, self.drive.sky, seed=seed, samples=samples)

    def picture(
        self, camera: MountedCamera, view: View, time: float, *, jpeg: bool = True
    ) -> NDArray[np.uint8]:
        """Make the camera's 8-bit BGR picture (H, W, 3) of a view.

        Args:
            camera: One of the rig's.
            view: What it sees.
            time: s.
            jpeg: Compress and decompress, as cameras do; not where the caller compresses.
        """
        sensor = self._sensors[camera.name]
        if not jpeg:
            sensor = replace(sensor, jpeg=0)
        # Side cameras see the street rush by: 8 ms of exposure, seen across at 8 m.
        across = abs(float(np.sin(np.arctan2(*camera.T_base_camera[1::-1, 2]))))
        smear = self.drive.pace.speed(time) * 0.008 / 8.0 * across * camera.model.K[0, 0]
        rng = np.random.default_rng(_seed(self.drive.seed, camera.name, time) + 1)
        sensor = replace(sensor, smear=smear, exposure=sensor.exposure_at(time))
        radiance = view.radiance
        if self._dazzled and sensor.dazzle > 0.0:
            T = self.drive.ego_pose(time) @ camera.T_base_camera
            light = glare(camera.model, T[:3, :3].T @ self.drive.sky.sun, view.depth)
            if light is not None:
                colour = np.asarray(self.drive.sky.sun_colour, np.float32)
                radiance = radiance + np.float32(sensor.dazzle) * light[..., None] * colour
        return develop(radiance, sensor, rng, rain=self.drive.sky.rain)

    def jpeg_quality(self, camera: MountedCamera) -> int:
        """Quality with which the camera compresses its pictures, 1 to 100."""
        return self._sensors[camera.name].jpeg

    def scan(self, time: float) -> NDArray[np.float32]:
        """One revolution of the LiDAR, taken at one instant: (N, 4) x, y, z, intensity.

        In the LiDAR's frame, metres; intensity is 0 to 255. Weak echoes, from far, dark or
        mirroring surfaces, are lost more often.
        """
        lidar = self.rig.lidar
        self._move(time)
        elevation = lidar.elevations[:, None]
        azimuth = np.linspace(np.pi, -np.pi, lidar.columns, endpoint=False)[None, :]
        beams = np.stack(
            np.broadcast_arrays(
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
            ),
            axis=-1,
        ).reshape(-1, 3)
        T = self.drive.ego_pose(time) @ lidar.T_base_lidar
        distance, label, strength = self._renderer.measure(T[:3, 3], beams @ T[:3, :3].T)
        rng = np.random.default_rng(_seed(self.drive.seed, lidar.name, time))
        echo = np.clip(strength, 0.0, 1.0) * np.minimum(
            1.0, (30.0 / np.maximum(distance, 1.0)) ** 2
        )
        lost = lidar.lost + 0.9 * np.exp(-echo / 0.002)
        kept = (distance < lidar.reach) & (rng.uniform(size=len(distance)) >= lost)
        kept &= label != labels.OWN_BODY
        ranges = (distance + rng.normal(0.0, lidar.noise, distance.shape))[kept]
        intensity = np.round(np.clip(255.0 * strength[kept], 0.0, 255.0))
        return np.column_stack([beams[kept] * ranges[:, None], intensity]).astype(np.float32)

    def _move(self, time: float) -> None:
        if self._time == time:
            return
        self._renderer.move(self.drive.moving(time, self.rig.body))
        self._time = time


def _seed(seed: int, name: str, time: float) -> int:
    """A seed for one sensor's noise at one instant, the same on every run and machine."""
    return zlib.crc32(f"{seed} {name} {round(time * 1e6)}".encode()) & 0x3FFFFFFF
