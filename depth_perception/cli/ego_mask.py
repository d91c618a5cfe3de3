"""Propose masks of the vehicle's own body from a drive, for the parameter ego_masks.

The vehicle must move, best with turns, for 20 frames or more. Look at the overlay pictures before
use: the lane markings of a long straight road can be taken for the body's outline.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING

from depth_perception.cli.arguments import add_parameter_arguments, bag_from, parameters_from
from depth_perception.cli.destinations import check_file, check_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from depth_perception.datasets.bag import BagReader
    from depth_perception.rig.ego_mask_proposal import EgoMaskProposal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bag", help="rosbag2 directory, .mcap or .db3 of a drive")
    parser.add_argument("--output", required=True, metavar="FILE", help="mask file to write, YAML")
    parser.add_argument("--images", metavar="DIR", help="folder for overlay pictures, JPEG")
    add_parameter_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; the exit code is 1 when no camera could be judged."""
    from pathlib import Path

    from depth_perception.datasets.bag import BagReader
    from depth_perception.errors import BagError
    from depth_perception.rig.ego_mask import write_ego_masks
    from depth_perception.rig.ego_mask_proposal import propose_ego_mask

    parameters, options.bag = parameters_from(options), bag_from(options)
    check_file("--output", options.output)
    if options.images is not None:
        check_folder("--images", options.images)
    with BagReader(options.bag, parameters, log=_to_stderr) as reader:
        topics = {name: reader.cameras[name] for name in reader.rig.names}
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
                proposals[name] = propose_ego_mask(_frames(reader, name), name)
            except BagError as error:
                problems.append(str(error))
                continue
            if options.images:
                _write_overlay(Path(options.images), name, proposals[name], _frames(reader, name))
    _print_table(proposals)
    for problem in problems:
        _to_stderr(problem)
    masks = {name: item.mask for name, item in proposals.items() if item.coverage > 0}
    if masks:
        write_ego_masks(options.output, masks)
        print(f"Wrote {options.output}. Look at the masks, then set the parameter ego_masks to it.")
    elif proposals:
        print("No camera sees the own body: nothing to write.")
    return 0 if proposals else 1


def _frames(reader: BagReader, camera: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the camera's images."""
    from tqdm import tqdm

    for frame_set in tqdm(
        reader.frame_sets(), desc=camera, total=reader.image_count, disable=None, unit="frame"
    ):
        if camera in frame_set.frames:
            yield frame_set.frames[camera].image


def _write_overlay(
    folder: Path, camera: str, proposal: EgoMaskProposal, frames: Iterator[NDArray[np.uint8]]
) -> None:
    """Write the first image with the proposal in red."""
    import cv2
    import numpy as np

    from depth_perception.errors import ConfigurationError

    image = next(iter(frames)).copy()
    red = np.array([0, 0, 255], dtype=np.float32)
    image[proposal.mask] = (0.5 * image[proposal.mask] + 0.5 * red).astype(np.uint8)
    path = folder / f"{camera.replace('/', '_')}.jpg"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = cv2.imwrite(str(path), image)
    except OSError:
        written = False
    if not written:
        raise ConfigurationError(
            f"--images: '{path}' cannot be written", fix="name a folder that may be written to"
        )


def _print_table(proposals: dict[str, EgoMaskProposal]) -> None:
    if not proposals:
        return
    width = max(len("camera"), *(len(name) for name in proposals))
    print(f"{'camera':<{width}}  frames  moved  share  strength  note")
    for name, item in proposals.items():
        print(
            f"{name:<{width}}  {item.frames:6d}  {item.moved:5d}  {item.coverage:5.1%}"
            f"  {item.strength:8.2f}  {item.warning}".rstrip()
        )


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)
