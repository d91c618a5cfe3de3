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

"""Objects of an image as sentences: what they are, how far, and which place from the farthest.

In: classes of an image, instances where they are known, and embodied depth; never measured or exact
depth, which is not there when the network is used. Out: objects with depth and rank, sentences, a
caption of a synthetic scene, and the closed vocabulary that all of it is made of.

Source: Vision-Language Embodiment (CVPR 2025, arXiv 2503.16535), methods.md 3.2; the paper gives no
wording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets import labels

THINGS = {
    labels.POLE: ("pole", "poles"),
    labels.LIGHT: ("traffic light", "traffic lights"),
    labels.SIGN: ("traffic sign", "traffic signs"),
    labels.PERSON: ("person", "people"),
    labels.RIDER: ("rider", "riders"),
    labels.CAR: ("car", "cars"),
    labels.TRUCK: ("truck", "trucks"),
    labels.BUS: ("bus", "buses"),
    labels.TRAIN: ("train", "trains"),
    labels.MOTORCYCLE: ("motorcycle", "motorcycles"),
    labels.BICYCLE: ("bicycle", "bicycles"),
}
"""Countable classes: one, and more than one."""
BACKGROUND = {
    labels.BUILDING: "buildings",
    labels.WALL: "a wall",
    labels.FENCE: "a fence",
    labels.VEGETATION: "trees",
    labels.SIDEWALK: "a pavement",
    labels.TERRAIN: "grass",
    labels.SKY: "sky",
}
"""Classes that are not counted, as a caption names them."""
PLACES = {
    "city": "city street",
    "suburb": "suburban street",
    "country": "country road",
    "motorway": "motorway",
    "industrial": "industrial estate",
    "car_park": "car park",
    "tunnel": "tunnel",
    "bridge": "bridge",
    "": "street",
}
LEAST_SHARE = 0.001
"""Smaller objects are not spoken of: share of the image's pixels."""
LEAST_BACKGROUND = 0.03
_RAIN, _FOG, _COVERED, _CLOUDY = 0.1, 0.005, 0.95, 0.5
_DUSK, _LOW = 0.13, 0.38
"""Sines of the sun's elevation."""
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?|\.")
_FRAME = "a an is metres away number of from the farthest with and at dusk in low sun ."
_WEATHER = "rainy foggy overcast cloudy clear"
WORDS = tuple(
    sorted(
        {
            word
            for text in (
                _FRAME,
                _WEATHER,
                *PLACES.values(),
                *BACKGROUND.values(),
                *(name for pair in THINGS.values() for name in pair),
            )
            for word in text.split()
        }
    )
)
"""All words of captions and sentences, the full stop among them, but no numbers."""


@dataclass(frozen=True)
class SceneObject:
    """Something countable in an image.

    Attributes:
        name: What it is.
        depth: Median embodied depth within its mask, m.
        rank: Place from the farthest: 1 for that.
    """

    name: str
    depth: float
    rank: int


def masks_of(
    label: NDArray[np.uint8], instances: NDArray[np.integer] | None = None
) -> list[tuple[int, NDArray[np.bool_]]]:
    """Class and mask (h, w) of each countable thing, the largest first.

    Args:
        label: (h, w) train ids.
        instances: (h, w) numbers, 0 where there is none: pixels of one class and number are one
            thing. Elsewhere, and without them, 8-connected pixels of one class are.
    """
    numbers = np.zeros(label.shape, np.int64) if instances is None else instances
    found: list[tuple[int, NDArray[np.bool_]]] = []
    for kind in np.intersect1d(np.unique(label), list(THINGS)):
        mine = label == kind
        found += [(int(kind), mine & (numbers == n)) for n in np.unique(numbers[mine]) if n > 0]
        count, parts = cv2.connectedComponents((mine & (numbers == 0)).astype(np.uint8))
        found += [(int(kind), parts == part) for part in range(1, count)]
    least = LEAST_SHARE * label.size
    areas = [int(mask.sum()) for _, mask in found]
    order = sorted(range(len(found)), key=lambda i: -areas[i])
    return [found[i] for i in order if areas[i] >= least]


def objects_of(
    masks: list[tuple[int, NDArray[np.bool_]]], depth: NDArray[np.floating], most: int = 8
) -> list[SceneObject]:
    """Objects from the farthest to the nearest.

    Args:
        masks: See `masks_of`.
        depth: (h, w) embodied depth, m; NaN unknown, +Inf beyond range. Objects without any known
            depth are left out.
        most: The largest so many are kept.
    """
    known: list[tuple[float, str]] = []
    for kind, mask in masks:
        values = depth[mask]
        values = values[np.isfinite(values)]
        if len(values) and len(known) < most:
            known.append((float(np.median(values)), THINGS[kind][0]))
    known.sort(key=lambda item: -item[0])
    return [SceneObject(name, d, rank) for rank, (d, name) in enumerate(known, 1)]


def spoken(depth: float) -> str:
    """A depth, m, in two digits: tenths below 10 m, whole metres from there."""
    rounded = round(depth, 1)
    return f"{rounded:.1f}" if rounded < 10 else f"{depth:.0f}"


def sentence(thing: SceneObject, count: int) -> str:
    """One object of so many as a sentence with its depth and rank."""
    return (
        f"a {thing.name} is {spoken(thing.depth)} metres away,"
        f" number {thing.rank} of {count} from the farthest."
    )


def depth_sentences(objects: list[SceneObject]) -> str:
    """A sentence for each object, from the farthest; empty without objects."""
    return " ".join(sentence(thing, len(objects)) for thing in objects)


def scene_caption(
    facts: Mapping[str, Any], label: NDArray[np.uint8], masks: list[tuple[int, NDArray[np.bool_]]]
) -> str:
    """Caption of a synthetic scene, in place of a captioner's; no depth is looked at.

    Args:
        facts: Of the frame set: setting and weather are used where they are there.
        label: (h, w) train ids.
        masks: See `masks_of`.
    """
    counts: dict[int, int] = {}
    for kind, _ in masks:
        counts[kind] = counts.get(kind, 0) + 1
    parts = [
        f"a {THINGS[kind][0]}" if n == 1 else f"{n} {THINGS[kind][1]}"
        for kind, n in sorted(counts.items(), reverse=True)
    ]
    parts += [
        name for kind, name in BACKGROUND.items() if (label == kind).mean() > LEAST_BACKGROUND
    ]
    place = PLACES.get(str(facts.get("setting", "")), PLACES[""])
    light = f"{_light(facts['weather'])} " if "weather" in facts else ""
    sun = _sun(facts["weather"]) if "weather" in facts else ""
    seen = f" with {' and '.join(parts)}" if parts else ""
    article = "an" if (light + place)[0] in "aeiou" else "a"
    return f"{article} {light}{place}{sun}{seen}."


def _light(weather: Mapping[str, Any]) -> str:
    if weather["rain"] > _RAIN:
        return "rainy"
    if weather["fog"] > _FOG:
        return "foggy"
    if weather["cover"] > _COVERED:
        return "overcast"
    return "cloudy" if weather["cover"] > _CLOUDY else "clear"


def _sun(weather: Mapping[str, Any]) -> str:
    if _light(weather) not in ("cloudy", "clear"):
        return ""
    height = weather["sun"][2]
    return " at dusk" if height < _DUSK else " in low sun" if height < _LOW else ""


def words_of(text: str) -> list[str]:
    """Split a text into small words, numbers and full stops; the rest is left out."""
    return _WORD.findall(text.lower())
