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


"""How to adapt, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from depth_perception.errors import ConfigurationError
from depth_perception.yaml_mapping import nearest

LEARN, HELD_OUT = "learn", "held_out"
"""Folders of work: windows that are learnt from, and those that judge."""
FILLED = "filled"
"""What is learnt from, with depth that a foundation model says where nothing was measured."""
SYNTHETIC, REHEARSAL, KEPT = "synthetic", "rehearsal", "kept"
"""Synthetic drives; the same with depth as the network in the package sees it; and others, with
their truth, that say whether anything is forgotten."""

PARTS = ("backwards", "anchor", "rehearsal", "measured")
"""What may be left out: time that runs backwards, so that the teacher is what was known as it was
driven; the ground as what holds metres on the road; synthetic drives; measured depth among what the
network learns from, which then learns from images alone."""

MORE_PARTS = ("bins", "neighbours", "photometric", "reflections", "gates")
"""What may be added: cross-interaction of bins; relations of neighbouring cameras; view synthesis
between frames; the search for mirrors, where the teacher is not believed; and, where there are few
images, a start in which the gates alone learn."""

Say = Callable[[str], None]
Render = Callable[[Path, int, int], None]
"""Makes a data set of synthetic drives: folder, frame sets, seed."""


@dataclass(frozen=True)
class Options:
    """How to adapt.

    Attributes:
        hold_out: Share of each drive, its end, that is judged and not learnt from.
        frame_sets: At most so many are learnt from, of all drives together, but a window of each.
        window: Consecutive sets that are computed together.
        rehearsal: Frame sets of synthetic drives; 0: none, and more is forgotten.
        steps: Batches of training; 0: by the number of images.
        width: Of training images, px.
        device: "cpu" or "cuda"; empty: a GPU where there is one.
        without: Parts that are left out, of `PARTS`.
        also: Parts that are added, of `MORE_PARTS`.
        foundation: Names or folders of foundation models that help to teach, see
            `training.foundation`: CLIP, DINOv2 or SAM guides how frames are compared, which adds
            ``photometric``; Depth Anything says depth where nothing was measured.
    """

    hold_out: float = 1 / 3
    frame_sets: int = 240
    window: int = 20
    rehearsal: int = 96
    steps: int = 0
    width: int = 512
    device: str = ""
    without: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    foundation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is impossible."""
        for option, names, known in (
            ("without", self.without, PARTS),
            ("with", self.also, MORE_PARTS),
        ):
            for name in names:
                if name not in known:
                    raise ConfigurationError(
                        f"--{option} {name}", expected=nearest(name, known), fix="correct the name"
                    )
        if not 0.1 <= self.hold_out <= 0.9:
            raise ConfigurationError(
                f"--hold-out {self.hold_out}", expected="0.1 to 0.9", fix="e.g. --hold-out 0.3"
            )
        if self.frame_sets < 4 or self.window < 4 or self.rehearsal < 0 or self.steps < 0:
            raise ConfigurationError(
                f"{self.frame_sets} frame sets, windows of {self.window}, {self.rehearsal} of"
                f" rehearsal, {self.steps} steps",
                expected="4 and 4 or more, 0 or more, 0 or more",
                fix="correct them",
            )


@dataclass
class Report:
    """What was done, and what came of it; `as_json` writes it.

    Attributes:
        drives: By source: sets that were learnt from, held out, and what was left out and why.
        learnt: Images, steps, synthetic sets, and how far weights went.
        before: Figures by mode, ``one image`` and ``with motion``, of the network in the package.
        after: Likewise, of the adapted one.
        refused: Why it is not given away; empty when it is.
    """

    drives: dict[str, dict[str, Any]] = field(default_factory=dict)
    learnt: dict[str, Any] = field(default_factory=dict)
    before: dict[str, dict[str, float]] = field(default_factory=dict)
    after: dict[str, dict[str, float]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), indent=1)
