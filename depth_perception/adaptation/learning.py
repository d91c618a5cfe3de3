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


"""Training on what was recorded, beside synthetic drives, and the file that nodes run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_perception.adaptation.recording import write_manifest
from depth_perception.adaptation.settings import (
    FILLED,
    KEPT,
    LEARN,
    REHEARSAL,
    SYNTHETIC,
    Options,
    Render,
    Report,
    Say,
)
from depth_perception.datasets.manifest import MANIFEST
from depth_perception.datasets.shards import TAR_END, ShardReader, encode_set
from depth_perception.errors import ConfigurationError
from depth_perception.inference.network_inputs import network_size
from depth_perception.resources import WEIGHTS_FOLDER

SHARES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
"""How far from the start to what was learnt the weights may lie."""
FORGOTTEN = 1.08
"""Depth of synthetic drives that were held out may be off by so many times as much as before."""
GUIDES = ("clip", "dinov2", "sam")
"""Families of foundation models whose features guide how frames are compared."""
SINGLE = 0.25
"""Single images of the vehicle for each synthetic one, where those with neighbours come on top."""
FEW_IMAGES = 200
"""With fewer images the bridging gates learn alone at first, for a sixth of the steps."""
_MOST_PIXELS = 110_000
"""Of a training image: time goes with them."""
_REHEARSED = 384
"""Width of synthetic images when it is asked what is forgotten, px."""


def learn(
    work: Path, options: Options, render: Render | None, report: Report, say: Say
) -> tuple[Path, Path]:
    """Learn; return the checkpoint of the start and that of the run.

    Raises:
        KeyboardInterrupt: It was interrupted; what was learnt so far is kept.
    """
    from depth_perception.network.checkpoint import load_checkpoint
    from depth_perception.training import recipe, systems
    from depth_perception.training.fit import train

    start = WEIGHTS_FOLDER / "lite.pt"
    taught, guides = _with_foundation(work, options, say)
    learn = ShardReader(taught)
    images = sum(len(learn.cameras(i)) for i in range(len(learn)))
    folders, rehearsed = [str(taught)], 0
    if render is not None and options.rehearsal and "rehearsal" not in options.without:
        rehearsed = _rehearsal(work, options, render, start, say)
    steps = options.steps or int(np.clip(4 * images, 300, 2400))
    first = learn.read(0).cameras[0].model
    report.learnt = {"images": images, "steps": steps, "synthetic_images": rehearsed}
    report.learnt["without"] = list(options.without)
    report.learnt["foundation"] = list(options.foundation)
    own = _options(learn, taught, options, guides, images, steps)
    report.learnt["parts"] = _in_words(own)
    if rehearsed:
        folders = mixed((str(taught), images), (str(work / REHEARSAL), rehearsed), own)
    anchor = {"plane": 0.0, "angle": 0.0} if "anchor" in options.without else {}
    configuration = recipe.from_dict(
        {
            "system": "adapting",
            "options": own,
            "start": str(start),
            "network": {"size": "lite", "measured": True},
            "data": {
                "folders": folders,
                "sizes": _sizes((first.height, first.width), options.width),
                "crop": [0.6, 1.0],
                "measured_drop": 1.0 if "measured" in options.without else 0.6,
                "measured_corrupt": 0.08,
                "workers": 0,
            },
            # Of the vehicle's drives nobody knows classes, and what is no road.
            "loss": {"distrust": 0.0, "road": 0.25, "semantics": 0.1, **anchor},
            "schedule": {
                "steps": steps,
                "batch": 8,
                "start_rate": 2.0e-4,
                "rate": 1.0e-3,
                "trunk_rate": 2.0e-5,
                "warm_up": 30,
                "average": 0.98,
            },
            "save_every": 100,
            "validate_every": steps,
        }
    )
    run = work / "run"
    done = train(
        systems.find(configuration.system),
        configuration,
        run,
        device=options.device,
        say=say,
        facts=systems.facts(),
    )
    report.learnt["figures"] = done
    weights = run / "weights.pt"
    if load_checkpoint(weights)[1]["step"] < steps:
        raise KeyboardInterrupt  # training took it for itself, and ended at a step
    return start, weights


def mixed(taught: tuple[str, int], rehearsed: tuple[str, int], own: dict[str, Any]) -> list[str]:
    """Name folders so often that about as many images of the vehicle as of synthetic drives come.

    Then neither is drowned. Images with neighbours, which are the vehicle's, are counted.

    Args:
        taught: Folder of the vehicle's, and its images.
        rehearsed: Likewise of synthetic drives.
        own: Options of the system.
    """
    near = own["reflections"] or any(own.get(k, 1.0) for k in ("photometric", "guided", "vrkd"))
    ratio = rehearsed[1] / max(taught[1], 1) * (SINGLE if near else 1.0)
    return [taught[0]] * max(1, round(ratio)) + [rehearsed[0]] * max(1, round(1 / ratio))


def _with_foundation(work: Path, options: Options, say: Say) -> tuple[Path, tuple[str, ...]]:
    """Let a depth model fill what was taught; return the folder to learn from, and the guides."""
    if not options.foundation:
        return work / LEARN, ()
    from depth_perception.adaptation.filling import filled
    from depth_perception.training.foundation import depth_model, family_of

    families = {name: family_of(name) for name in options.foundation}
    guides = tuple(name for name, family in families.items() if family in GUIDES)
    models = [name for name, family in families.items() if family == "depth_anything"]
    for name, family in families.items():
        if name not in guides[:1] and name not in models[:1]:
            raise ConfigurationError(
                f"--foundation {name}: family {family}",
                expected="one of clip, dinov2 and sam, and one of depth_anything",
                fix="leave it out",
            )
    if not models:
        return work / LEARN, guides
    say(f"{models[0]} says depth where nothing was measured")
    return filled(work / LEARN, work / FILLED, depth_model(models[0]).of_picture), guides


def _options(
    learn: ShardReader,
    folder: Path,
    options: Options,
    guides: tuple[str, ...],
    images: int,
    steps: int,
) -> dict[str, Any]:
    """Options of the system `adapting`, by what is wanted and what the drives have."""
    also = options.also
    cameras = min(3, max(len(learn.cameras(i)) for i in range(len(learn))))
    posed = ["T_odom_base" in learn.read(i, lambda _: []).facts for i in range(len(learn))]
    around = [(learn.neighbour(i, -1), i, learn.neighbour(i, 1)) for i in range(len(learn))]
    frames = any(all(n is not None and posed[n] for n in near) for near in around)
    off: dict[str, Any] = {"ckd": 0.0} if "bins" not in also else {}
    if "neighbours" not in also or cameras < 2:
        off["vrkd"] = 0.0
    if not (frames and ("photometric" in also or guides)):
        off |= {"photometric": 0.0, "guided": 0.0}
    return {
        "drives": [str(folder)],
        "cameras": cameras,
        "reflections": frames and "reflections" in also,
        "features": list(guides),
        "gates_first": steps // 6 if "gates" in also and images < FEW_IMAGES else 0,
        **off,
    }


def _in_words(own: dict[str, Any]) -> list[str]:
    """Which parts of learning a run has, for its report."""
    parts = {
        "bins": own.get("ckd", 1.0) > 0,
        "neighbours": own.get("vrkd", 1.0) > 0,
        "photometric": own.get("photometric", 1.0) > 0,
        "reflections": own["reflections"],
        "gates": own["gates_first"] > 0,
    }
    return [name for name, used in parts.items() if used]


def _rehearsal(work: Path, options: Options, render: Render, start: Path, say: Say) -> int:
    """Make what is rehearsed, or take what is there; return how many images it has."""
    from depth_perception.network.checkpoint import load_checkpoint
    from depth_perception.training.weights_between import remembered

    say(f"rendering {options.rehearsal} frame sets of synthetic drives, not to forget")
    render(work / SYNTHETIC, options.rehearsal, 7001)
    render(work / KEPT, max(8, options.rehearsal // 6), 7919)
    folder, name = work / REHEARSAL, "remembered.tar"
    if not (folder / MANIFEST).exists():
        folder.mkdir(exist_ok=True)
        network, _ = load_checkpoint(start)
        sets = 0
        with (folder / name).open("wb") as file:
            for item in remembered(network.eval(), work / SYNTHETIC):
                file.write(encode_set(item))
                sets += 1
            file.write(TAR_END)
        write_manifest(folder, {name: sets}, {"made_by": "depth_perception adapt"})
    reader = ShardReader(folder)
    return sum(len(reader.cameras(i)) for i in range(len(reader)))


def _sizes(shape: tuple[int, int], width: int) -> list[list[int]]:
    """Two sizes of training images of about the shape (h, w) of the vehicle's, px."""
    width = min(width, round(math.sqrt(_MOST_PIXELS * shape[1] / shape[0])))
    larger, smaller = (network_size(shape, max(64, round(s * width))) for s in (1.0, 0.875))
    return [[larger[1], larger[0]], [smaller[1], smaller[0]]]


def written(
    work: Path,
    run: tuple[Path, Path],
    sources: Sequence[str],
    options: Options,
    report: Report,
    say: Say,
) -> Path:
    """Choose how far weights go, and write the file that nodes run."""
    from depth_perception.network.export import ExportOptions, export_model
    from depth_perception.training.calibration import calibration_feeds
    from depth_perception.training.weights_between import between

    share, errors = _share(work, run, say)
    report.learnt.update(share=share, kept_abs_rel=errors)
    network = between(*run, share)
    reader = ShardReader(work / LEARN)
    item = reader.read(0).cameras[0]
    size = network_size((item.model.height, item.model.width), 512)
    chosen = ExportOptions("int8", cameras=min(6, len(reader.cameras(0))), network=size, image=size)
    feeds = calibration_feeds(work / LEARN, chosen, 4)
    if (work / REHEARSAL).exists():
        feeds += calibration_feeds(work / REHEARSAL, chosen, 4)
    facts = {
        "adapted_to": [Path(text.partition("?")[0]).name for text in sources],
        "cameras": reader.cameras(0),
        **{k: v for k, v in report.learnt.items() if k != "figures"},
    }
    say("writing int8")
    return export_model(network, facts, work / "adapted_int8.onnx", chosen, feeds)


def _share(work: Path, run: tuple[Path, Path], say: Say) -> tuple[float, dict[str, float]]:
    """Say how far to go from the start: as far as synthetic drives allow that were held out."""
    from depth_perception.training.weights_between import between, depth_error

    if not (work / KEPT).exists():
        return 0.5, {}

    def error(share: float) -> float:
        return depth_error(between(*run, share), work / KEPT, (_REHEARSED, _REHEARSED // 2))

    before = error(0.0)
    errors = {"0": before}
    for share in SHARES:
        errors[f"{share:g}"] = now = error(share)
        say(
            f"weights {100 * share:.0f} % of the way: AbsRel of synthetic drives"
            f" {before:.3f} -> {now:.3f}"
        )
        if now <= FORGOTTEN * before:
            break
    return share, errors
