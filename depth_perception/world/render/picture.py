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

"""From light to a picture: what lens, sensor and file format do to what a camera sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sensor:
    """How one camera makes pictures. Every field is a plain number, so that a rig can vary them.

    Attributes:
        exposure: Factor on the automatic exposure.
        balance: (3,) gain of red, green and blue.
        gamma: Exponent of the tone curve; 2.2 is usual.
        contrast: 0 none to 1 strong: an S-shaped tone curve.
        blur: Standard deviation of the lens' blur, px.
        sharpness: How much the camera sharpens edges, 0 to about 1.
        vignette: Loss of light in the corners, 0 to 1.
        noise: Standard deviation of noise at full scale, in 1/255; grows in the dark.
        smear: Length of motion blur along the image's rows, px.
        saturation: 1 as seen; 0 grey.
        jpeg: Quality of compression, 0 for none.
        dirt: Number of specks on the lens.
        dirt_seed: Where they are.
        steps: Instants (s) from which on the exposure is another, and by which factor each time.
        dazzle: How much of the sun's light the lens scatters, 0 to 1.
    """

    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 2.2
    contrast: float = 0.3
    blur: float = 0.5
    sharpness: float = 0.5
    vignette: float = 0.2
    noise: float = 2.0
    smear: float = 0.0
    saturation: float = 1.0
    jpeg: int = 90
    dirt: int = 0
    dirt_seed: int = 0
    steps: tuple[tuple[float, float], ...] = ()
    dazzle: float = 0.0

    def exposure_at(self, time: float) -> float:
        """Factor on the automatic exposure at an instant, s: it may change from set to set."""
        changes = [factor for at, factor in self.steps if at <= time]
        return self.exposure * float(np.prod(changes))


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a camera make: one for a rig, varied a little from camera to camera."""
    tint = rng.normal(0.0, 0.06)
    return Sensor(
        exposure=float(np.exp(rng.normal(0.0, 0.35)) * rng.choice([1.0, 1.0, 1.0, 1.0, 2.2])),
        balance=(float(1 + tint), 1.0, float(1 - tint + rng.normal(0, 0.02))),
        gamma=float(rng.uniform(1.9, 2.5)),
        contrast=float(rng.uniform(0.1, 1.0)),
        blur=float(rng.uniform(0.25, 0.7)),
        sharpness=float(rng.uniform(0.0, 1.2)),
        vignette=float(rng.uniform(0.0, 0.45)),
        noise=float(rng.choice([0.8, 2.0, 4.0])),
        saturation=float(rng.uniform(0.7, 1.7)),
        jpeg=int(rng.integers(60, 97)),
        dirt=int(rng.choice([0, 0, 0, 3, 12])),
        dirt_seed=int(rng.integers(1 << 30)),
    )


def draw_lifelike_sensor(rng: np.random.Generator, make: Sensor) -> Sensor:
    """Change a camera's make to what recordings of real drives show: harsh, bright, dazzled.

    Their roads are twice as bright as those that `automatic_exposure` aims at, their dark parts
    black, their corners dim.
    """
    harsh = rng.uniform() < 0.6
    return replace(
        make,
        exposure=float(np.clip(make.exposure * np.exp(rng.normal(0.6, 0.45)), 0.5, 4.0)),
        contrast=float(rng.uniform(0.6, 1.0)) if harsh else make.contrast,
        vignette=float(rng.uniform(0.4, 1.0)) if rng.uniform() < 0.2 else make.vignette,
        dazzle=float(rng.uniform(0.2, 1.0)) if rng.uniform() < 0.5 else 0.1,
    )


def draw_exposure_steps(
    rng: np.random.Generator, longest: float
) -> tuple[tuple[float, float], ...]:
    """Draw when a camera's exposure changes within `longest` seconds: half of them keep theirs."""
    if rng.uniform() < 0.5:
        return ()
    count = 1 + int(rng.poisson(0.5 * longest))
    times = np.sort(rng.uniform(0.0, longest, count))
    factors = np.exp(rng.normal(0.0, 0.3, count))
    return tuple(zip(times.tolist(), factors.tolist(), strict=True))


def develop(
    radiance: NDArray[np.float32],
    sensor: Sensor,
    rng: np.random.Generator,
    *,
    exposure: float | None = None,
    rain: float = 0.0,
) -> NDArray[np.uint8]:
    """Make an 8-bit BGR picture (H, W, 3) of linear RGB light (H, W, 3).

    Args:
        radiance: Light, from `Renderer.view`.
        sensor: The camera.
        rng: Of the noise.
        exposure: Fixed factor on the light; by default `automatic_exposure`.
        rain: 0 to 1: streaks and drops.
    """
    height, width = radiance.shape[:2]
    # OpenCV's passes are vectorised, and work in place where they can.
    light = np.asarray(cv2.cvtColor(radiance, cv2.COLOR_RGB2BGR), np.float32)
    cv2.patchNaNs(light, 0.0)
    if exposure is None:
        exposure = automatic_exposure(radiance)
    light *= np.float32(exposure * sensor.exposure) * np.array(sensor.balance[::-1], np.float32)
    # A clipped highlight stays clipped when the lens blurs it: bright edges bloom a little only.
    np.minimum(light, np.float32(4.0), out=light)
    if sensor.blur > 0.05:
        cv2.GaussianBlur(light, (0, 0), sensor.blur, dst=light)
    if sensor.smear >= 1.5:
        length = int(round(sensor.smear)) | 1
        cv2.blur(light, (length, 1), dst=light)
    light *= _vignette(height, width, sensor.vignette)
    if sensor.dirt or rain > 0.0:
        light = _specks(light, sensor, rain)
    if sensor.saturation != 1.0:
        grey = np.array([0.114, 0.587, 0.299], np.float32)
        mix = np.float32(sensor.saturation) * np.eye(3, dtype=np.float32)
        cv2.transform(light, mix + np.float32(1.0 - sensor.saturation) * grey, dst=light)
    level = _tone(light, sensor)
    if sensor.sharpness > 0.0:
        soft = cv2.GaussianBlur(level, (0, 0), 1.0)
        cv2.addWeighted(level, 1.0 + sensor.sharpness, soft, -sensor.sharpness, 0.0, dst=level)
    noise = rng.standard_normal((height, width, 3), np.float32)
    # level * 255 + strength * noise, and the strength is noise * (1.4 - 0.8 level).
    noise *= np.float32(sensor.noise)
    level *= 255.0 - np.float32(0.8) * noise
    noise *= np.float32(1.4)
    level += noise
    picture = np.clip(level, 0, 255, out=level).astype(np.uint8)
    if sensor.jpeg:
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
        if decoded is None:
            raise RuntimeError(f"OpenCV did not encode a JPEG image of shape {picture.shape}")
        picture = np.asarray(decoded, np.uint8)
    return picture


@lru_cache(maxsize=16)
def _vignette(height: int, width: int, strength: float) -> NDArray[np.float32]:
    """What is left of the light towards the corners: (H, W, 3)."""
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / (width / 2)
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / (width / 2)
    left = 1.0 - strength * 0.7 * (x[None, :] ** 2 + y[:, None] ** 2)
    return np.repeat(left[..., None], 3, axis=2).astype(np.float32)


def _tone(light: NDArray[np.float32], sensor: Sensor) -> NDArray[np.float32]:
    """Brightness 0 to 1 of light (H, W, 3), which is used up: shoulder, gamma and contrast."""
    np.maximum(light, np.float32(0.0), out=light)
    # A soft shoulder.
    level = np.multiply(light, np.float32(0.12 / 1.1))
    level += np.float32(1.0 / 1.1)
    np.divide(light, level, out=level)
    np.minimum(level, np.float32(1.0), out=level)
    cv2.pow(level, 1.0 / sensor.gamma, dst=level)
    if sensor.contrast:
        # level (1 - level) (2 level - 1), with the memory of the light.
        bend = np.multiply(level, np.float32(-2.0), out=light)
        bend += np.float32(3.0)
        bend *= level
        bend -= np.float32(1.0)
        bend *= level
        bend *= np.float32(0.7 * sensor.contrast)
        level += bend
    return level


def automatic_exposure(radiance: NDArray[np.float32]) -> float:
    """The factor that brings the picture's lower two thirds to a grey of 11 %."""
    grey = radiance[radiance.shape[0] // 3 :: 4, ::4].mean(axis=-1)
    known = grey[np.isfinite(grey) & (grey > 0)]
    if not len(known):
        return 1.0
    return float(np.clip(0.11 / np.exp(np.log(known + 1e-3).mean()), 0.3, 12.0))


def _specks(light: NDArray[np.float32], sensor: Sensor, rain: float) -> NDArray[np.float32]:
    """Dirt and drops on the lens: soft, out of focus, in the same place in every picture."""
    height, width = light.shape[:2]
    rng = np.random.default_rng(sensor.dirt_seed)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(sensor.dirt + int(10 * rain)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = (int(rng.uniform(2, 0.022 * width + 3)), int(rng.uniform(2, 0.022 * width + 3)))
        cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    softened = cv2.GaussianBlur(mask, (0, 0), 0.004 * width)
    alpha = softened[..., None] * np.float32(0.6 / 255.0)
    # So wide a blur loses nothing at a quarter of the size.
    small = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.005 * width)
    soft = np.asarray(
        cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
    tint = np.array([0.75, 0.85, 0.9], np.float32) if rain < 0.1 else np.float32(1.05)
    soft *= tint
    soft -= light
    soft *= alpha
    soft += light
    return soft
