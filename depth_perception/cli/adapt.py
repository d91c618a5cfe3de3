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


r"""Adapt the depth network to your own vehicle, from drives that nobody labelled.

    depth_perception adapt monday.mcap tuesday.mcap --output mine_int8.onnx
    depth_perception evaluate friday.mcap --set fused.model=mine_int8.onnx

What the vehicle's own motion measures, looked at from before and from after, teaches the network;
LiDAR is never learnt from. The last part of each drive is kept to judge by: where the network is
not better there, none is written, and the reasons are said. Drives are named as `depth_perception
train` takes them, too: bag:DRIVE?params=FILE, nuscenes:FOLDER (docs/datasets.md). It may be stopped
at any time; the same command goes on. docs/adapting.md says more.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from depth_perception.adaptation.settings import MORE_PARTS, PARTS
from depth_perception.cli.arguments import add_parameter_arguments, parameter_text, parameters_from
from depth_perception.cli.destinations import check_file, check_folder
from depth_perception.cli.interruption import leaving
from depth_perception.datasets.source import KINDS

if TYPE_CHECKING:
    from depth_perception.adaptation.settings import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "drives", nargs="+", metavar="BAG", help="bag of a drive, or KIND:FOLDER of recorded data"
    )
    parser.add_argument(
        "--output", "-o", required=True, metavar="FILE", help="the .onnx file for fused.model"
    )
    parser.add_argument(
        "--work", default="", metavar="DIR", help="what is kept meanwhile (default: FILE.work)"
    )
    parser.add_argument(
        "--hold-out",
        type=float,
        default=1 / 3,
        metavar="SHARE",
        help="end of each drive that is judged and not learnt from (default: a third)",
    )
    parser.add_argument(
        "--frame-sets",
        type=int,
        default=240,
        metavar="N",
        help="learnt from at most, but a window of each drive (default 240)",
    )
    parser.add_argument(
        "--rehearsal",
        type=int,
        default=96,
        metavar="N",
        help="frame sets of synthetic drives that are learnt again; 0: none (default 96)",
    )
    parser.add_argument(
        "--steps", type=int, default=0, metavar="N", help="of training (default: by the images)"
    )
    parser.add_argument(
        "--without",
        default="",
        metavar="PART,PART",
        help="leave out, to see what each brings: " + ", ".join(PARTS),
    )
    parser.add_argument(
        "--with",
        dest="also",
        default="",
        metavar="PART,PART",
        help="learn from more than is usual: " + ", ".join(MORE_PARTS),
    )
    parser.add_argument(
        "--foundation",
        default="",
        metavar="MODEL,MODEL",
        help="names or folders of CLIP, DINOv2 or SAM, and of Depth Anything, which help to teach",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    parser.add_argument("--device", default="", help="cpu or cuda (default: a GPU if there is one)")
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; the exit code is 1 when the network is no better and none is written."""
    from depth_perception.cli.extras import load_extras
    from depth_perception.datasets.source import check_source
    from depth_perception.errors import ConfigurationError

    output = check_file("--output", options.output)
    if output.suffix != ".onnx":
        raise ConfigurationError(
            f"--output '{output}'", expected="a name that ends in .onnx", fix="e.g. -o mine.onnx"
        )
    if output.exists() and not options.overwrite:
        raise ConfigurationError(
            f"--output '{output}' exists",
            expected="a new file: it may be in use",
            fix="name another file, or give --overwrite",
        )
    work = check_folder("--work", options.work or f"{output}.work")
    given = work / "parameters.yaml"
    sources = [_source(text, given) for text in options.drives]
    for text in sources:
        check_source(text)
    parameters = parameters_from(options)
    load_extras("adapting", "torch", "onnx", "depth_perception.training")
    rehearses = options.rehearsal and "rehearsal" not in options.without
    if rehearses:
        load_extras("rehearsal (--rehearsal 0 leaves it out)", "warp", "depth_perception.world")
    from depth_perception.adaptation.adapt import adapt
    from depth_perception.adaptation.settings import Options

    chosen = Options(
        hold_out=options.hold_out,
        frame_sets=options.frame_sets,
        rehearsal=options.rehearsal,
        steps=options.steps,
        device=options.device,
        without=tuple(filter(None, options.without.split(","))),
        also=tuple(filter(None, options.also.split(","))),
        foundation=tuple(filter(None, options.foundation.split(","))),
    )
    work.mkdir(parents=True, exist_ok=True)
    said = parameter_text(parameters)
    if given.exists() and given.read_text() != said:
        raise ConfigurationError(
            f"--work '{work}' holds work with other parameters",
            expected=f"those in '{given}'",
            fix="give --params and --set as before, or name another --work",
        )
    given.write_text(said)
    with leaving(lambda: f"what is done is kept in {work}; the same command goes on"):
        report = adapt(
            sources, output, work, parameters, chosen,
            render=_render if rehearses else None, say=_say,
        )  # fmt: skip
    for line in table(report):
        print(line)
    print(f"report: {work / 'report.json'}")
    if report.refused:
        print(f"no network is written: {'; '.join(report.refused)}")
        print(advice(report))
        return 1
    print(f"{output}: use it with fused.model:={output}")
    return 0


def table(report: Report) -> list[str]:
    """What was learnt from, and figures before and after, side by side."""
    lines = []
    for text, drive in report.drives.items():
        lines.append(
            f"{text}: learnt from {drive['learnt']} frame sets, judged by {drive['held_out']},"
            f" left out {len(drive['left_out'])} stretches"
        )
        lines += [f"  {why}" for why in drive["left_out"]]
    learnt = report.learnt
    lines.append(
        f"{learnt['images']} images, {learnt['synthetic_images']} synthetic ones,"
        f" {learnt['steps']} steps; weights {100 * learnt['share']:.0f} % of the way"
        + (f"; without {', '.join(learnt['without'])}" if learnt["without"] else "")
        + (f"; with {', '.join(learnt['parts'])}" if learnt["parts"] else "")
    )
    lines += ["", f"{'on what was held out':<38}  before   after"]
    names = {
        "parallax_abs_rel": "AbsRel by parallax",
        "parallax_a10": "within 10 % of parallax",
        "road_a10": "road within 10 % of the ground",
        "cameras_apart": "cameras from each other",
        "photometric": "photometric error",
        "confidence_error": "error of confidence",
        "lidar_abs_rel": "AbsRel by LiDAR",
        "lidar_a10": "within 10 % of LiDAR",
    }
    for mode, figures in report.before.items():
        for name, what in names.items():
            if name in figures and name in report.after[mode]:
                before, after = figures[name], report.after[mode][name]
                lines.append(f"{mode + ', ' + what:<38}  {before:6.3f}  {after:6.3f}")
    return lines


def advice(report: Report) -> str:
    """How much driving would help a drive that was not enough."""
    sets = sum(drive["learnt"] for drive in report.drives.values())
    if sets < 100:
        return (
            f"it learnt from {sets} frame sets; 100 to 300 of different streets, at 2 to 12 a"
            " second while the vehicle moves, are more to learn from"
        )
    return "drives of other streets and light would help more than longer ones of the same"


def _source(text: str, parameters: Path) -> str:
    """Name a bag as a source, with the parameters of the command."""
    if text.partition(":")[0] in KINDS:
        return text
    return f"bag:{text}?params={parameters}"


def _render(folder: Path, frames: int, seed: int) -> None:
    from depth_perception.world.output.dataset import write_dataset

    write_dataset(folder, frames=frames, seed=seed, width=512, height=288)


def _say(text: str) -> None:
    print(text, flush=True)
