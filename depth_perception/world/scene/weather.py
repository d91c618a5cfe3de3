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

"""Sun, sky and weather: the light of a drive."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from depth_perception.world.objects.mesh import FloatArray

WEATHERS = ("clear", "low_sun", "cloudy", "overcast", "rain", "fog", "dusk")
"""Kinds of light; each is drawn with its own spread."""

_FREQUENCY = (0.26, 0.12, 0.22, 0.20, 0.10, 0.05, 0.05)


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


def draw_sky(rng: np.random.Generator, weather: str = "") -> Sky:
    """Draw the light outside.

    Args:
        rng: Source of chance.
        weather: One of `WEATHERS`; empty draws one.

    Raises:
        ValueError: For a weather that does not exist.
    """
    if weather and weather not in WEATHERS:
        raise ValueError(f"weather {weather!r}: expected one of {', '.join(WEATHERS)}")
    weather = weather or str(rng.choice(WEATHERS, p=_FREQUENCY))
    low, high = {"low_sun": (8, 22), "dusk": (1.5, 7)}.get(weather, (24, 66))
    elevation, azimuth = np.radians(rng.uniform(low, high)), rng.uniform(0, 2 * np.pi)
    sun = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    warm = float(np.clip((np.radians(30) - elevation) / np.radians(30), 0.0, 1.0))
    colour = np.array([0.86, 0.80, 0.70]) * np.array([1.0, 1 - 0.28 * warm, 1 - 0.6 * warm])
    zenith = np.array([0.09, 0.17, 0.34]) * rng.uniform(0.7, 1.3)
    horizon = np.array([0.42, 0.50, 0.60]) * rng.uniform(0.8, 1.2) + warm * np.array(
        [0.12, 0.02, -0.1]
    )
    cover, fog, rain, softness = float(rng.uniform(0.0, 0.5)), 0.0005, 0.0, 0.008
    ambient = float(rng.uniform(0.3, 0.65))
    if weather == "cloudy":
        cover = float(rng.uniform(0.5, 0.9))
        ambient = float(rng.uniform(0.5, 0.9))
        dim = float(rng.uniform(0.35, 1.0))
        colour, softness = colour * dim, 0.02 + 0.06 * (1 - dim)
        grey = np.full(3, 0.30) * rng.uniform(0.8, 1.2)
        zenith, horizon = 0.5 * zenith + 0.5 * grey, 0.6 * horizon + 0.4 * grey
    elif weather in ("overcast", "rain", "fog"):
        cover, ambient = 1.0, 1.0
        level = {"overcast": 0.42, "rain": 0.30, "fog": 0.40}[weather] * rng.uniform(0.7, 1.3)
        colour = np.zeros(3)
        zenith = np.array([0.97, 1.0, 1.05]) * level
        horizon = np.array([0.98, 1.0, 1.03]) * level * rng.uniform(0.8, 1.05)
        fog = {
            "overcast": 0.0008,
            "rain": float(rng.uniform(0.001, 0.004)),
            "fog": float(rng.uniform(0.006, 0.025)),
        }[weather]
        rain = float(rng.uniform(0.4, 1.0)) if weather == "rain" else 0.0
    elif weather == "dusk":
        colour = colour * rng.uniform(0.1, 0.4)
        zenith = np.array([0.05, 0.07, 0.13]) * rng.uniform(0.6, 1.4)
        horizon = np.array([0.30, 0.22, 0.18]) * rng.uniform(0.7, 1.3)
    elif weather in ("clear", "low_sun") and rng.uniform() < 0.3:
        fog = float(rng.uniform(0.001, 0.003))  # haze
    shift = rng.uniform(0, 1, 2)
    return Sky(
        sun=sun,
        sun_colour=np.maximum(colour, 0.0),
        zenith=zenith,
        horizon=np.maximum(horizon, 0.02),
        cover=cover,
        cloud_shift=(float(shift[0]), float(shift[1])),
        softness=softness,
        fog=fog,
        rain=rain,
        ambient=ambient,
    )


def with_hard_sun(sky: Sky, rng: np.random.Generator) -> Sky:
    """Let what the sun does not reach be as dark beside it as on a clear day of real drives.

    Pictures of those show roads that are nearly white beside leaves and shadows that are nearly
    black. Skies without sun stay as they are.
    """
    dimmer, brighter = float(rng.uniform(0.35, 1.0)), float(rng.uniform(1.0, 1.6))
    if sky.fog > 0.005 or not sky.sun_colour.any():
        return sky
    return replace(
        sky,
        sun_colour=sky.sun_colour * brighter,
        ambient=sky.ambient * dimmer,
        softness=min(sky.softness, 0.03),
    )
