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

"""What a fused network is made of: two sizes, and switches that take its parts away."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import nearest

TRUNKS = ("lite0", "lite1", "lite2")
"""EfficientNet-Lite of these sizes come with ImageNet weights."""


@dataclass(frozen=True)
class NetworkConfiguration:
    """Sizes and switches.

    Attributes:
        trunk: Image encoder, one of `TRUNKS`.
        widths: Channels of the decoder at strides 4, 8, 16 and 32.
        bins: Depth bins.
        heads: Attention heads; divides the widths at strides 16 and 32.
        fine_gate: A bridging gate at stride 16, beside that at 32.
        finest_gate: With `fine_gate`: 8 or 4 for gates at that stride, too.
        nearest: Near end of the bins, m, for a focal length of `focal`.
        farthest: Far end of the bins, m, for a focal length of `focal`.
        focal: Focal length that bins are for, px: depth scales with the real one over it.
        dead_zone: Angles by which the plane seems tilted count above this, rad.
        temperature: Of the gates' attention, by which logits are divided when the network is used.
        prior: Embodied depth goes in, and comes out on the road. Without it: image alone.
        measured: Depth that geometry measured goes in, too, and comes out where it is sure.
        peak_reach: Depth is the mean of the most probable bin and so many on either side, which
            gives no depth between two surfaces; 0: of all bins.
        cross_attention: Image and embodied depth attend to each other; without: they are added.
        gates: Bridging gates let depth attend to semantics.
        camera_bins: Centres of bins follow image and camera; without: they are fixed.
        pretrained: Training starts with ImageNet's weights.
    """

    trunk: str = "lite0"
    widths: tuple[int, int, int, int] = (32, 48, 64, 96)
    bins: int = 32
    heads: int = 2
    fine_gate: bool = False
    finest_gate: int = 16
    nearest: float = 0.5
    farthest: float = 250.0
    focal: float = 500.0
    dead_zone: float = 0.012
    temperature: float = 1.0
    prior: bool = True
    measured: bool = False
    peak_reach: int = 0
    cross_attention: bool = True
    gates: bool = True
    camera_bins: bool = True
    pretrained: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.trunk not in TRUNKS:
            raise ConfigurationError(
                f"trunk '{self.trunk}'", expected=nearest(str(self.trunk), TRUNKS)
            )
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise ConfigurationError(f"widths {self.widths}", expected="four numbers above zero")
        if self.heads < 1 or self.widths[2] % self.heads or self.widths[3] % self.heads:
            raise ConfigurationError(
                f"heads {self.heads} with widths {self.widths}",
                expected="a divisor of the last two widths",
            )
        wide = self.widths[int(math.log2(self.finest_gate)) - 2 :] if self.finer_gates else ()
        if any(width % self.heads for width in wide):
            raise ConfigurationError(
                f"heads {self.heads} with widths {self.widths}",
                expected="a divisor of the widths of all gates",
            )
        if self.bins < 2 or not 0 < self.nearest < self.farthest or not self.focal > 0:
            raise ConfigurationError(
                f"{self.bins} bins from {self.nearest} to {self.farthest} m, focal {self.focal}",
                expected="two bins or more, 0 < nearest < farthest, focal above zero",
            )
        if self.measured and not self.prior:
            raise ConfigurationError(
                "measured: true with prior: false",
                expected="measured depth beside embodied depth, whose encoder it joins",
                fix="set prior: true, or measured: false",
            )
        if self.peak_reach < 0:
            raise ConfigurationError(f"peak_reach {self.peak_reach}", expected="0 or more bins")
        if self.dead_zone < 0:
            raise ConfigurationError(f"dead_zone {self.dead_zone}", expected="0 or more, rad")
        if not self.temperature > 0:
            raise ConfigurationError(f"temperature {self.temperature}", expected="above zero")

    @property
    def finer_gates(self) -> tuple[int, ...]:
        """Strides of gates below 16, from coarse to fine.

        Raises:
            ConfigurationError: `finest_gate` is none of 16, 8 and 4.
        """
        if self.finest_gate not in (16, 8, 4):
            raise ConfigurationError(f"finest_gate {self.finest_gate}", expected="16, 8 or 4")
        on = self.gates and self.fine_gate
        return tuple(stride for stride in (8, 4) if on and stride >= self.finest_gate)

    @property
    def named_size(self) -> str:
        """Name of `SIZES` that this is, whatever goes in and however depth is read; or "other"."""
        bare = dataclasses.replace(self, measured=False, peak_reach=0)
        return next((name for name, known in SIZES.items() if known == bare), "other")

    @staticmethod
    def from_dict(values: dict[str, Any]) -> NetworkConfiguration:
        """Build from plain values, such as YAML holds; "size" names one of `SIZES` to start from.

        Raises:
            ConfigurationError: An unknown name or an impossible value.
        """
        values = dict(values)
        size = values.pop("size", "lite")
        if size not in SIZES:
            raise ConfigurationError(
                f"network.size '{size}'", expected=nearest(str(size), SIZES), fix="correct the name"
            )
        known = {item.name for item in dataclasses.fields(NetworkConfiguration)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigurationError(
                f"network.{unknown[0]} does not exist",
                expected=nearest(str(unknown[0]), known),
                fix="correct the name",
            )
        try:
            if "widths" in values:
                values["widths"] = tuple(values["widths"])
            return dataclasses.replace(SIZES[size], **values)
        except TypeError as error:  # a text where a number is meant
            raise ConfigurationError(
                f"network: {values} ({error})",
                expected="values like those of NetworkConfiguration",
                fix="see docs/network.md",
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads."""
        return {**dataclasses.asdict(self), "widths": list(self.widths)}


SIZES = {
    "lite": NetworkConfiguration(),
    "base": NetworkConfiguration(
        trunk="lite2", widths=(48, 64, 128, 192), bins=64, heads=4, fine_gate=True
    ),
}
"""`lite` for CPUs, `base` for GPUs."""
