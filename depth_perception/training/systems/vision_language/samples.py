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

"""Training images with embodied scene depth and a text: caption, and sentences on objects' depth.

In: frame sets. Out: for each image, in a dict,

- image (3, H, W) uint8 RGB; depth (H, W) float32, m, +Inf for the sky, NaN unknown;
- embodied (4, H/4, W/4) float32, see `embodied_scene.scene_maps`; focal () float32, px;
- text (`TEXT_BYTES`,) uint8, see `targets.encode_text`; `decoded` gives the text back;
- mirror (H, W) float32 where it is stored and nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from depth_perception.datasets import labels
from depth_perception.datasets.sample import DatasetError, TrueCamera
from depth_perception.datasets.source import FrameSource
from depth_perception.datasets.targets import Targets
from depth_perception.errors import ConfigurationError
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.training.configuration import DataConfiguration
from depth_perception.training.embodied_scene import Classes, focal_length, scene_depth, scene_maps
from depth_perception.training.samples import NOMINAL, Request, TrainingImages, changed
from depth_perception.training.scoring import name_of
from depth_perception.training.systems.vision_language.sentences import (
    depth_sentences,
    masks_of,
    objects_of,
    scene_caption,
)
from depth_perception.training.targets import decode_text, encode_text

TEXT_BYTES = 1536
"""Longer texts are cut."""


@dataclass(frozen=True)
class Description:
    """How images are described.

    Attributes:
        captions: "scene": made of the synthetic world's facts, in place of a captioner's; "none";
            "targets": those that `depth_perception targets --kind captions` made, where all data
            sets are such (``targets:FOLDER``); or a folder with SOURCE/KEY.CAMERA.txt for every
            image, SOURCE being the last part of the data set's path.
        sentences: A sentence on each object's embodied depth and rank follows the caption.
        segments: Whose classes embodied depth and sentences go by: "labels" of the data set, and of
            drives without labels those that the package's own network sees; or a checkpoint of the
            fused network.
        objects: Most objects that are spoken of, the largest.
        farthest: Embodied depth reaches so far, and deeper truth is not learnt, m.
    """

    captions: str = "scene"
    sentences: bool = True
    segments: str = "labels"
    objects: int = 8
    farthest: float = 80.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.captions not in ("scene", "none", "targets") and not Path(self.captions).is_dir():
            raise ConfigurationError(
                f"options.captions '{self.captions}' is no folder",
                expected="scene, none, targets, or a folder of captions",
                fix="correct the path",
            )
        if self.objects < 1 or not self.farthest > 1:
            raise ConfigurationError(
                f"options.objects {self.objects}, options.farthest {self.farthest}",
                expected="1 or more, above 1 m",
            )


class DescribedImages(TrainingImages):
    """All images of some data sets, described; see `samples.TrainingImages`.

    Args:
        data: Folders, sizes, errors.
        description: How they are described.
        folders: Instead of those of `data`.
        change: Whether images are changed and calibration gets errors.

    Raises:
        DatasetError: A folder is no data set.
        ModelError: `description.segments` is no file.
    """

    def __init__(
        self,
        data: DataConfiguration,
        description: Description,
        folders: tuple[str, ...] = (),
        change: bool = True,
    ) -> None:
        super().__init__(data, folders, change)
        self.description = description
        self._names = [name_of(folder) for folder in folders or data.folders]
        self._classes = Classes(description.segments)

    def __getitem__(self, request: Request) -> dict[str, torch.Tensor]:
        """Make one image."""
        index, size, seed = request
        source, number, k = self._images[index]
        rng = np.random.default_rng([seed, 83])
        whole = self._readers[source].read(number, lambda _: [k])
        changed_set = self._changes[size](whole, rng)
        camera = changed_set.cameras[0]
        T = camera.T_base_calibrated
        ground: GroundPlane | None = NOMINAL
        if self.change:
            camera, T, ground = changed(camera, self.data, rng)
        how, facts, caption = self.description, None, ""
        if how.captions == "scene":
            facts = whole.facts
        elif how.captions == "targets":
            caption = _told(self._readers[source], self._names[source], number, k)
        elif how.captions != "none":
            file = f"{self._names[source]}/{whole.key}.{whole.cameras[0].name}.txt"
            caption = _read_caption(Path(how.captions) / file)
        if changed_set.facts.get("mirrored"):
            caption = other_side(caption)
        classes = self._classes(camera, T, ground)
        if classes is not camera.label:  # who sees no classes sees no instances
            layers = {name: v for name, v in camera.layers.items() if name != "instance"}
            camera = replace(camera, layers=layers)
        item = described(camera, classes, T, ground, how, caption, facts)
        if not self.change and "mirror" in camera.layers:
            item["mirror"] = np.ascontiguousarray(camera.layers["mirror"])
        return {name: torch.from_numpy(value) for name, value in item.items()}


def described(
    camera: TrueCamera,
    classes: NDArray[np.uint8],
    T_base_camera: NDArray[np.float64],
    ground: GroundPlane | None,
    description: Description,
    caption: str = "",
    facts: Mapping[str, Any] | None = None,
) -> dict[str, NDArray[Any]]:
    """One camera's sample, see the module's head; nothing but `depth` is made of its depth.

    Args:
        camera: Image and truth.
        classes: (H, W) train ids that embodied depth, sentences and captions go by.
        T_base_camera: 4x4, as calibrated.
        ground: The plane that is assumed; None: no calibration.
        description: How.
        caption: To stand before the sentences.
        facts: Of the frame set; where given, a caption is made of them.
    """
    truth = np.where(camera.label == labels.OWN_BODY, np.nan, camera.depth).astype(np.float32)
    blind = replace(camera, label=classes, depth=np.full_like(truth, np.nan))
    embodied = scene_depth(blind, T_base_camera, ground, description.farthest)
    caption = caption.strip()
    if caption and caption[-1] not in ".!?":
        caption += "."  # sentences are told apart by it
    parts = [caption]
    if facts is not None or description.sentences:
        masks = masks_of(classes, camera.layers.get("instance"))
        if facts is not None:
            parts.append(scene_caption(facts, classes, masks))
        if description.sentences and embodied is not None:
            parts.append(depth_sentences(objects_of(masks, embodied.depth, description.objects)))
    focal = focal_length(camera)
    return {
        "image": np.ascontiguousarray(camera.image[..., ::-1].transpose(2, 0, 1)),
        "depth": truth,
        "embodied": scene_maps(embodied, (camera.model.width, camera.model.height), focal),
        "text": encode_text([" ".join(part for part in parts if part)], TEXT_BYTES)[0],
        "focal": np.array(focal, np.float32),
    }


def other_side(caption: str) -> str:
    """A caption of the mirrored image: left for right."""
    other = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub(r"\b([Ll]eft|[Rr]ight)\b", lambda found: other[found[0]], caption)


def decoded(texts: torch.Tensor) -> list[str]:
    """Texts of (N, `TEXT_BYTES`) uint8."""
    return [decode_text(row) for row in texts.cpu()]


def _told(source: FrameSource, name: str, number: int, camera: int) -> str:
    """The caption among a source's targets."""
    targets: Targets | None = getattr(source, "targets", None)
    found = {} if targets is None else targets.read(number, camera)
    if "caption" not in found:
        raise ConfigurationError(
            f"options.captions is 'targets', but '{name}' has no captions",
            expected="data sets targets:FOLDER with captions",
            fix="depth_perception targets SOURCE --kind captions, or options.captions: none",
        )
    return decode_text(found["caption"])


def _read_caption(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        raise DatasetError(
            f"caption '{path}' cannot be read",
            expected="a caption for every image",
            fix="make it with a captioner, or options.captions: scene or none",
        ) from None
