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

"""Propose masks of the vehicle's own body from a drive, for the parameter ego_masks.

The vehicle must move, best with turns, for 20 frames or more. A mask that may be the world's (few
frames, a faint outline, one that runs like a kerb, halves of the drive that disagree) is shown with
its doubts and not written; --force CAMERA writes it after a look at the overlay pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING

from depth_perception.cli.arguments import add_parameter_arguments, bag_from, parameters_from
from depth_perception.cli.destinations import check_file, check_folder
from depth_perception.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from depth_perception.datasets.bag import BagReader
    from depth_perception.evaluation.output_folder import OutputFolder
    from depth_perception.rig.ego_mask_proposal import EgoMaskProposal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3 of a drive")
    parser.add_argument("--output", required=True, metavar="FILE", help="mask file to write, YAML")
    parser.add_argument("--overwrite", action="store_true", help="replace that file")
    parser.add_argument("--images", metavar="DIR", help="folder for overlay pictures, JPEG")
    parser.add_argument(
        "--force",
        nargs="*",
        metavar="CAMERA",
        help="write masks that are doubted, too: of these cameras, or of all",
    )
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; the exit code is 1 when no camera could be judged, or every mask is doubted."""
    from pathlib import Path

    from depth_perception.datasets.bag import BagReader
    from depth_perception.errors import BagError, ConfigurationError
    from depth_perception.evaluation.output_folder import OutputFolder
    from depth_perception.rig.ego_mask import write_ego_masks
    from depth_perception.rig.ego_mask_proposal import propose_ego_mask

    parameters, options.bag = parameters_from(options), bag_from(options)
    check_file("--output", options.output)
    if options.images is not None:
        check_folder("--images", options.images)
    if Path(options.output).exists() and not options.overwrite:
        raise ConfigurationError(
            f"--output '{options.output}' exists",
            expected="a new file: masks may have been drawn by hand",
            fix="name another file, or give --overwrite",
        )
    with BagReader(options.bag, parameters, log=_to_stderr) as reader:
        rig = reader.rig
        topics = {name: reader.cameras[name] for name in rig.names}
    unknown = [name for name in options.force or () if name not in topics]
    if unknown:
        raise ConfigurationError(
            f"--force {' '.join(unknown)}", expected="cameras of the bag: " + ", ".join(topics)
        )
    overlays = OutputFolder(options.images) if options.images else None
    if overlays is not None:
        overlays.begin()
    proposals: dict[str, EgoMaskProposal] = {}
    problems: list[str] = []
    for name, camera in topics.items():
        # One pass for each camera: the frames of all cameras would not fit in memory together. A
        # reader of one camera decodes the images of that camera only.
        alone = dataclasses.replace(
            parameters,
            cameras=[name],
            image_topics=[camera.image],
            camera_info_topics=[camera.info],
            image_kinds=["rectified" if camera.rectified else "raw"],
            ego_masks="",
        )
        with BagReader(options.bag, alone) as reader:
            try:
                frames = _frames(reader, name)
                proposals[name] = propose_ego_mask(frames, name, camera=rig[name])
            except BagError as error:
                problems.append(str(error))
                continue
            if overlays is not None:
                _write_overlay(overlays, name, proposals[name], reader)
    _print_table(proposals)
    for problem in problems:
        _to_stderr(problem)
    found = {name: item for name, item in proposals.items() if item.coverage > 0}
    forced = topics.keys() if options.force == [] else set(options.force or ())
    masks = {n: item.mask for n, item in found.items() if not item.warning or n in forced}
    left_out = [name for name in found if name not in masks]
    if masks:
        write_ego_masks(options.output, masks)
        print(
            f"Wrote {options.output}: {', '.join(masks)}. Look at the masks, then set the parameter"
            " ego_masks to it."
        )
    if left_out:
        _to_stderr(
            f"not written, since doubted: {', '.join(left_out)}. Fix: a longer drive with turns; or"
            f" look at the overlays (--images DIR), and where a mask is right: --force"
            f" {' '.join(left_out)}"
        )
    elif proposals and not masks:
        print("No camera was found to see the own body: nothing to write.")
    return 0 if masks or (proposals and not left_out) else 1


def _frames(reader: BagReader, camera: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the camera's images."""
    with Progress(camera, reader.image_count, "frame") as progress:
        for frame_set in progress.over(reader.frame_sets()):
            if camera in frame_set.frames:
                yield frame_set.frames[camera].image


def _write_overlay(
    folder: OutputFolder, camera: str, proposal: EgoMaskProposal, reader: BagReader
) -> None:
    """Write the first image with the proposal in red, or in yellow where it is doubted."""
    import cv2
    import numpy as np

    frame_sets = (item.frames for item in reader.frame_sets())
    image = next(frames[camera].image for frames in frame_sets if camera in frames).copy()
    colour = np.array([0, 220, 255] if proposal.warning else [0, 0, 255], dtype=np.float32)
    image[proposal.mask] = (0.5 * image[proposal.mask] + 0.5 * colour).astype(np.uint8)
    stem = folder.free(camera.replace("/", "_"), (".jpg",))
    folder.write(f"{stem}.jpg", bytes(cv2.imencode(".jpg", image)[1]))


def _print_table(proposals: dict[str, EgoMaskProposal]) -> None:
    if not proposals:
        return
    width = max(len("camera"), *(len(name) for name in proposals))
    print(f"{'camera':<{width}}  frames  moved  share  strength  doubts")
    for name, item in proposals.items():
        print(
            f"{name:<{width}}  {item.frames:6d}  {item.moved:5d}  {item.coverage:5.1%}"
            f"  {item.strength:8.2f}  {item.warning}".rstrip()
        )


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)
