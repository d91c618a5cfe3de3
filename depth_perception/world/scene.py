"""Scenes as flat arrays of primitives: what the ray caster works on.

A scene is a ground profile (an exact plane z = 0 for the road, raised pavements beside it) and a
list of convex primitives with a material and a label each. Arrays, not objects, because compiled
kernels take them as they are. Frame `odom`: x along the street, y left, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Kinds of primitive, and what the eleven numbers of `Primitives.shape` mean for each:
BOX = 0  # centre(3), cos yaw, sin yaw, half sizes(3), inset of the top edge: front, back, sides
ELLIPSOID = 1  # centre(3), cos yaw, sin yaw, radii(3)
CROWN = 2  # as ELLIPSOID, with gaps between the leaves
CYLINDER = 3  # end a(3), end b(3), radius
CAPSULE = 4  # end a(3), end b(3), radius

# Materials, the keys into the procedural textures:
PLAIN, FACADE, PAINT, CABIN, WHEEL, FOLIAGE, BARK, SIGN, ROOF, BRICK, GLOSSY, COACH = range(12)

# Cityscapes train ids used here:
ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, TRAFFIC_SIGN, VEGETATION, TERRAIN = range(10)
SKY, PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = range(10, 19)
OWN_BODY = 255

VERGE, PAVEMENT = 1.7, 4.3  # from the kerb face to the far edge of each, m

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Colour = tuple[float, float, float]


class Primitives(NamedTuple):
    """N primitives at one instant. A named tuple, so that compiled code takes it whole."""

    kind: IntArray  # (N,)
    shape: FloatArray  # (N, 11), by kind
    material: IntArray  # (N,)
    label: IntArray  # (N,) Cityscapes train id, 255 own body
    colour: FloatArray  # (N, 3) linear albedo
    extra: FloatArray  # (N, 4) by material
    corners: FloatArray  # (N, 8, 3) of a bounding box
    velocity: FloatArray  # (N, 2) m/s


class Ground(NamedTuple):
    """Road z = 0 for right < y < left; beside it pavement, verge and land at z = kerb."""

    right: float  # y of the right kerb face, m
    left: float  # y of the left kerb face, m
    kerb: float  # height of the pavement, m
    centre: float  # y of the centre line, m
    crossing: float  # x of the middle of the zebra crossing, m
    seed: int


@dataclass(frozen=True)
class Scene:
    """A street in `odom` at time 0 with the velocity of everything, the own body, and one sun."""

    primitives: Primitives
    ego: Primitives  # own body, in base_link
    ground: Ground
    sun: FloatArray  # (3,) unit vector towards the sun
    seed: int

    def at(self, time: float, ego_pose: FloatArray) -> Primitives:
        """All primitives at `time` seconds, the own body placed at `ego_pose` (4, 4) odom<-base."""
        shift = np.zeros((len(self.primitives.kind), 3))
        shift[:, :2] = self.primitives.velocity * time
        yaw = float(np.arctan2(ego_pose[1, 0], ego_pose[0, 0]))
        own = _rotated(self.ego, yaw)
        own = _shifted(own, np.broadcast_to(ego_pose[:3, 3], (len(own.kind), 3)))
        parts = (_shifted(self.primitives, shift), own)
        return Primitives(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _shifted(p: Primitives, shift: FloatArray) -> Primitives:
    shape = p.shape.copy()
    shape[:, :3] += shift
    ends = p.kind >= CYLINDER
    shape[ends, 3:6] += shift[ends]
    return p._replace(shape=shape, corners=p.corners + shift[:, None, :])


def _rotated(p: Primitives, yaw: float) -> Primitives:
    """Turn primitives about the origin's vertical axis."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    shape = p.shape.copy()
    shape[:, :3] = p.shape[:, :3] @ turn.T
    ends = p.kind >= CYLINDER
    shape[ends, 3:6] = p.shape[ends, 3:6] @ turn.T
    solid = ~ends
    shape[solid, 3] = c * p.shape[solid, 3] - s * p.shape[solid, 4]
    shape[solid, 4] = s * p.shape[solid, 3] + c * p.shape[solid, 4]
    return p._replace(shape=shape, corners=p.corners @ turn.T)


@dataclass
class SceneBuilder:
    """Collects primitives. An object is a `Placement` and a few calls relative to it."""

    rows: list[tuple] = field(default_factory=list)

    def primitives(self) -> Primitives:
        """The collected rows as arrays."""
        kind, shape, material, label, colour, extra, corners, velocity = zip(
            *self.rows, strict=True
        )
        return Primitives(
            np.array(kind, np.int64),
            np.array(shape, np.float64),
            np.array(material, np.int64),
            np.array(label, np.int64),
            np.array(colour, np.float64),
            np.array(extra, np.float64),
            np.array(corners, np.float64),
            np.array(velocity, np.float64),
        )


@dataclass(frozen=True)
class Placement:
    """Where one object stands: origin on the ground, heading, velocity, and its label."""

    builder: SceneBuilder
    label: int
    x: float
    y: float
    z: float = 0.0
    yaw: float = 0.0
    velocity: tuple[float, float] = (0.0, 0.0)

    def _point(self, x: float, y: float, z: float) -> FloatArray:
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([self.x + c * x - s * y, self.y + s * x + c * y, self.z + z])

    def _add(self, kind, shape, material, colour, extra, corners) -> None:
        shape = np.concatenate([shape, np.zeros(11 - len(shape))])
        extra = np.concatenate([extra, np.zeros(4 - len(extra))])
        row = (kind, shape, material, self.label, colour, extra, corners, self.velocity)
        self.builder.rows.append(row)

    def _solid(self, kind, centre, half, tail, material, colour, extra) -> None:
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        shape = np.array([*self._point(*centre), c, s, *half, *tail], np.float64)
        signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        corners = np.array(
            [self._point(*(np.asarray(centre) + sign * np.asarray(half))) for sign in signs]
        )
        self._add(kind, shape, material, colour, extra, corners)

    def box(
        self,
        centre: tuple[float, float, float],
        half: tuple[float, float, float],
        colour: Colour,
        material: int = PLAIN,
        *,
        inset: tuple[float, float, float] = (0.0, 0.0, 0.0),
        extra: tuple[float, ...] = (),
    ) -> None:
        """A box whose top is shorter than its foot by `inset` metres: front, back, each side."""
        self._solid(BOX, centre, half, inset, material, colour, extra)

    def ellipsoid(
        self,
        centre: tuple[float, float, float],
        radii: tuple[float, float, float],
        colour: Colour,
        material: int = PLAIN,
        *,
        leaves: bool = False,
        extra: tuple[float, ...] = (),
    ) -> None:
        """An ellipsoid; with `leaves` its silhouette is ragged and lets some rays through."""
        kind = CROWN if leaves else ELLIPSOID
        self._solid(kind, centre, radii, (), material, colour, extra)

    def rod(
        self,
        a: tuple[float, float, float],
        b: tuple[float, float, float],
        radius: float,
        colour: Colour,
        material: int = PLAIN,
        *,
        round_ends: bool = False,
        extra: tuple[float, ...] = (),
    ) -> None:
        """A cylinder from a to b, or a capsule where the ends are round."""
        ends = np.array([self._point(*a), self._point(*b)])
        low, high = ends.min(0) - radius, ends.max(0) + radius
        corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, 8).T
        shape = np.array([*ends[0], *ends[1], radius])
        kind = CAPSULE if round_ends else CYLINDER
        self._add(kind, shape, material, colour, extra, corners)
