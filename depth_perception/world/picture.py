"""From light to a picture: what lens, sensor and file format do to what a camera sees."""

from __future__ import annotations

from dataclasses import dataclass

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


def develop(
    radiance: NDArray[np.float32], sensor: Sensor, rng: np.random.Generator,
    *, exposure: float | None = None, rain: float = 0.0,
) -> NDArray[np.uint8]:  # fmt: skip
    """Make an 8-bit BGR picture (H, W, 3) of linear RGB light (H, W, 3).

    Args:
        radiance: Light, from `Renderer.view`.
        sensor: The camera.
        rng: Of the noise.
        exposure: Fixed factor on the light; by default `automatic_exposure`.
        rain: 0 to 1: streaks and drops.
    """
    height, width = radiance.shape[:2]
    light = np.nan_to_num(radiance[..., ::-1], nan=0.0)
    if exposure is None:
        exposure = automatic_exposure(radiance)
    light = light * (exposure * sensor.exposure)
    light *= np.array(sensor.balance[::-1], np.float32)
    # A clipped highlight stays clipped when the lens blurs it: bright edges bloom a little only.
    light = np.minimum(light, 4.0)
    if sensor.blur > 0.05:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sensor.blur), np.float32)
    if sensor.smear >= 1.5:
        kernel = np.full((1, int(round(sensor.smear)) | 1), 1.0, np.float32)
        light = np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum()), np.float32)
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / (width / 2)
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / (width / 2)
    light *= (1.0 - sensor.vignette * 0.7 * (x[None, :] ** 2 + y[:, None] ** 2))[..., None]
    if sensor.dirt or rain > 0.0:
        light = _specks(light, sensor, rain)
    if sensor.saturation != 1.0:
        grey = light @ np.array([0.114, 0.587, 0.299], np.float32)
        light = grey[..., None] + sensor.saturation * (light - grey[..., None])
    light = np.clip(light, 0.0, None)
    level = light / (1.0 + 0.12 * light)  # a soft shoulder
    level = np.power(np.clip(level * 1.1, 0.0, 1.0), 1.0 / sensor.gamma)
    if sensor.contrast:
        level += sensor.contrast * 0.7 * level * (1 - level) * (2 * level - 1)
    if sensor.sharpness > 0.0:
        level += sensor.sharpness * (level - cv2.GaussianBlur(level, (0, 0), 1.0))
    strength = sensor.noise * (1.4 - 0.8 * level)
    noise = rng.standard_normal((height, width, 3), np.float32)
    picture = np.clip(level * 255.0 + strength * noise, 0, 255).astype(np.uint8)
    if sensor.jpeg:
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
        if decoded is None:
            raise RuntimeError(f"OpenCV did not encode a JPEG image of shape {picture.shape}")
        picture = np.asarray(decoded, np.uint8)
    return picture


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
    softened = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.004 * width), np.float32)
    alpha = softened[..., None] / 255.0 * 0.6
    soft = cv2.GaussianBlur(light, (0, 0), 0.02 * width)
    tint = np.array([0.75, 0.85, 0.9], np.float32) if rain < 0.1 else np.float32(1.05)
    return light * (1 - alpha) + soft * tint * alpha
