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

"""What a pixel shows, as far as depth cares, and the class maps of label images.

In: class ids as a label image or a network gives them. Out: `Surface` of each pixel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_perception.errors import ConfigurationError
from depth_perception.geometry.surface import Surface
from depth_perception.yaml_mapping import check_keys, nearest, read_yaml_mapping

__all__ = ["ClassMap", "LabelClass", "Surface", "class_map", "class_map_from"]

MAX_ID = 65535
_SURFACES = {surface.name.lower(): surface for surface in Surface}
_EXAMPLE = "'classes: {0: {name: other, surface: other}, 1: {name: road, surface: road}}'"


@dataclass(frozen=True)
class LabelClass:
    """One class of a label image: its name, and what it means for depth."""

    name: str
    surface: Surface


@dataclass(frozen=True, eq=False)
class ClassMap:
    """What each class id of a label image means.

    Ids that are not in it, negative ones included, are `Surface.UNKNOWN`.

    Attributes:
        name: The map's name or file, for errors and logs.
        classes: By class id, 0 to 65535.
        instance_divisor: Ids from this number on are class id x divisor + number of the instance,
            as in Cityscapes' instance images; 0 when there are no such ids.
    """

    name: str
    classes: Mapping[int, LabelClass]
    instance_divisor: int = 0
    _table: NDArray[np.uint8] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Build the lookup table: at least the 256 ids of an 8-bit image, and one for the rest."""
        for number in self.classes:
            if not 0 <= number <= MAX_ID:
                raise ConfigurationError(
                    f"class map '{self.name}': class id {number}",
                    expected=f"0 to {MAX_ID}",
                    fix="leave it out: ids that are not in the map are unknown",
                )
        table = np.full(max([255, *self.classes]) + 2, Surface.UNKNOWN, dtype=np.uint8)
        for number, label in self.classes.items():
            table[number] = label.surface
        object.__setattr__(self, "classes", MappingProxyType(dict(self.classes)))
        object.__setattr__(self, "_table", table)

    def apply(self, labels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Look up the `Surface` of each class id.

        Args:
            labels: (h, w) class ids of any integer type.

        Returns:
            (h, w) uint8 `Surface` values.
        """
        if labels.dtype == np.uint8 and not self.instance_divisor:
            return np.asarray(cv2.LUT(labels, self._table[:256]), dtype=np.uint8)
        # Huge unsigned ids turn negative here, which is outside just as well.
        ids = labels.astype(np.int64)
        if self.instance_divisor:
            ids = np.where(ids >= self.instance_divisor, ids // self.instance_divisor, ids)
        outside = len(self._table) - 1
        return np.asarray(self._table[np.where((ids >= 0) & (ids < outside), ids, outside)])

    def surfaces(self) -> set[Surface]:
        """Return the surfaces that the map can give, apart from `Surface.UNKNOWN`."""
        return {label.surface for label in self.classes.values()} - {Surface.UNKNOWN}


def class_map(name_or_path: str | Path) -> ClassMap:
    """Return a built-in class map by name, or read one from a YAML file.

    A file holds ``classes``, and may name in ``base`` the map that it extends or alters::

        base: cityscapes
        classes:
          255: {name: own body, surface: ego}

    Args:
        name_or_path: ``cityscapes`` (19 train ids), ``cityscapes_ids`` (the 34 full ids, and the
            instance ids made of them), or a file.

    Raises:
        ConfigurationError: No such map or file, or an impossible entry; names it and the fix.
    """
    name = str(name_or_path)
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(name)
    if not path.suffix and not path.exists():
        raise ConfigurationError(
            f"class map '{name}' does not exist",
            expected=f"{nearest(name, BUILT_IN)}, or a YAML file",
            fix="correct the name",
        )
    content = read_yaml_mapping(path, "class map", _EXAMPLE)
    where = f"class map '{path}'"
    check_keys(content, ("base", "classes"), where)
    classes: dict[int, LabelClass] = {}
    divisor = 0
    if "base" in content:
        if content["base"] not in BUILT_IN:
            raise ConfigurationError(
                f"{where}: base is '{content['base']}'",
                expected=nearest(str(content["base"]), BUILT_IN),
                fix="correct the name",
            )
        classes.update(BUILT_IN[content["base"]].classes)
        divisor = BUILT_IN[content["base"]].instance_divisor
    own = class_map_from(content.get("classes"), where, name, base=classes)
    return dataclasses.replace(own, instance_divisor=divisor) if divisor else own


def class_map_from(
    entries: Any, where: str, name: str, base: Mapping[int, LabelClass] | None = None
) -> ClassMap:
    """Build a class map from what a YAML file's ``classes`` key holds.

    Args:
        entries: A mapping of class id to ``{name, surface}``.
        where: File and key, for errors.
        name: The map's name.
        base: Classes that ``entries`` adds to or replaces.

    Raises:
        ConfigurationError: An impossible entry; names it, the nearest surface and the fix.
    """
    if not isinstance(entries, dict) or not entries:
        raise ConfigurationError(
            f"{where}: classes is {entries!r}", expected=_EXAMPLE, fix="list the classes"
        )
    classes = dict(base or {})
    for number, entry in entries.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise ConfigurationError(
                f"{where}: class id {number!r}",
                expected="a whole number",
                fix="write the id in front of the colon",
            )
        if not isinstance(entry, dict) or "surface" not in entry:
            raise ConfigurationError(
                f"{where}: class {number} is {entry!r}",
                expected="{name: ..., surface: ...}",
                fix="give its surface: " + ", ".join(_SURFACES),
            )
        check_keys(entry, ("name", "surface"), f"{where}, class {number}")
        surface = str(entry["surface"])
        if surface not in _SURFACES:
            raise ConfigurationError(
                f"{where}: class {number} has surface '{surface}'",
                expected=nearest(surface, _SURFACES),
                fix="use one of " + ", ".join(_SURFACES),
            )
        classes[number] = LabelClass(str(entry.get("name", number)), _SURFACES[surface])
    return ClassMap(name, classes)


def _built_in(
    name: str, groups: Mapping[int, tuple[str, Surface]], instance_divisor: int = 0
) -> ClassMap:
    classes = {number: LabelClass(*entry) for number, entry in groups.items()}
    return ClassMap(name, classes, instance_divisor)


_ROAD, _GROUND, _OBJECT = Surface.ROAD, Surface.GROUND, Surface.OBJECT
_STRUCTURE, _SKY, _UNKNOWN, _OTHER = (
    Surface.STRUCTURE,
    Surface.SKY,
    Surface.UNKNOWN,
    Surface.OTHER,
)

# 255 is "ignore" by the data set's own convention. Where a topic uses it for the own body, say so
# in a file with ``base: cityscapes``.
_CITYSCAPES = _built_in(
    "cityscapes",
    {
        0: ("road", _ROAD),
        1: ("sidewalk", _GROUND),
        2: ("building", _STRUCTURE),
        3: ("wall", _STRUCTURE),
        4: ("fence", _STRUCTURE),
        5: ("pole", _OBJECT),
        6: ("traffic light", _OBJECT),
        7: ("traffic sign", _OBJECT),
        8: ("vegetation", _STRUCTURE),
        9: ("terrain", _GROUND),
        10: ("sky", _SKY),
        11: ("person", _OBJECT),
        12: ("rider", _OBJECT),
        13: ("car", _OBJECT),
        14: ("truck", _OBJECT),
        15: ("bus", _OBJECT),
        16: ("train", _OBJECT),
        17: ("motorcycle", _OBJECT),
        18: ("bicycle", _OBJECT),
        255: ("ignore", _UNKNOWN),
    },
)

# Bridges hang over the road and have no foot in the image, so nothing says where they stand.
_CITYSCAPES_IDS = _built_in(
    "cityscapes_ids",
    {
        0: ("unlabeled", _UNKNOWN),
        1: ("ego vehicle", Surface.EGO),
        2: ("rectification border", _UNKNOWN),
        3: ("out of roi", _UNKNOWN),
        4: ("static", _OTHER),
        5: ("dynamic", _OBJECT),
        6: ("ground", _GROUND),
        7: ("road", _ROAD),
        8: ("sidewalk", _GROUND),
        9: ("parking", _GROUND),
        10: ("rail track", _GROUND),
        11: ("building", _STRUCTURE),
        12: ("wall", _STRUCTURE),
        13: ("fence", _STRUCTURE),
        14: ("guard rail", _STRUCTURE),
        15: ("bridge", _OTHER),
        16: ("tunnel", _STRUCTURE),
        17: ("pole", _OBJECT),
        18: ("polegroup", _OBJECT),
        19: ("traffic light", _OBJECT),
        20: ("traffic sign", _OBJECT),
        21: ("vegetation", _STRUCTURE),
        22: ("terrain", _GROUND),
        23: ("sky", _SKY),
        24: ("person", _OBJECT),
        25: ("rider", _OBJECT),
        26: ("car", _OBJECT),
        27: ("truck", _OBJECT),
        28: ("bus", _OBJECT),
        29: ("caravan", _OBJECT),
        30: ("trailer", _OBJECT),
        31: ("train", _OBJECT),
        32: ("motorcycle", _OBJECT),
        33: ("bicycle", _OBJECT),
    },
    instance_divisor=1000,
)

BUILT_IN: Mapping[str, ClassMap] = MappingProxyType(
    {"cityscapes": _CITYSCAPES, "cityscapes_ids": _CITYSCAPES_IDS}
)
