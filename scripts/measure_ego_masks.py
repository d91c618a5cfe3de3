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

r"""Compare proposed own-body masks with the exact body of drives through the synthetic world.

    depth_perception world -o out/ddad --rig ddad --seed 5 --setting suburb --width 480 \
        --samples 1 --rate 2.5 --seconds 12 --speed 9 --truth ""
    python scripts/measure_ego_masks.py out/ddad

Prints, for each camera: the body's true share of the image, the mask's, how much of the body it
misses, how much of the image it takes that is none, and what it is doubted for. Label 255 counts as
body: with it go the corners of a fisheye image that have no ray.
"""

import argparse
from collections import defaultdict

import numpy as np

from depth_perception.datasets.bag import BagReader, open_bag
from depth_perception.errors import BagError
from depth_perception.parameters import Parameters
from depth_perception.rig.ego_mask_proposal import propose_ego_mask

BODY = 255


def true_bodies(bag: str) -> dict[str, np.ndarray]:
    """Pixels that show the body (or nothing) in 99 % of the frames, by camera."""
    seen: dict[str, list[np.ndarray]] = defaultdict(list)
    with open_bag(bag) as reader:
        labels = [c for c in reader.connections if c.topic.endswith("/labels")]
        for connection, _, raw in reader.messages(labels):
            message = reader.deserialize(raw, connection.msgtype)
            picture = np.asarray(message.data).reshape(message.height, message.width)
            seen[connection.topic.split("/")[1]].append(picture == BODY)
    return {name: np.mean(pictures, axis=0) > 0.99 for name, pictures in seen.items()}


def main() -> None:
    """Read the bags that are named, one camera at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bags", nargs="+", help="of depth_perception world")
    parser.add_argument("--frames", type=int, default=0, help="only so many of a drive")
    arguments = parser.parse_args()
    print("drive camera body mask missed over strength doubts".replace(" ", "\t"))
    for bag in arguments.bags:
        truths = true_bodies(bag)
        for name, truth in truths.items():
            with BagReader(bag, Parameters(cameras=[name])) as reader:
                camera = reader.rig[name]
                images = (s.frames[name].image for s in reader.frame_sets() if name in s.frames)
                if arguments.frames:
                    images = (
                        image for image, _ in zip(images, range(arguments.frames), strict=False)
                    )
                try:
                    found = propose_ego_mask(images, name, camera=camera)
                except BagError as error:
                    print(f"{bag}\t{name}\t{truth.mean():.1%}\t{error.problem}")
                    continue
            missed = (truth & ~found.mask).sum() / max(truth.sum(), 1)
            over = (found.mask & ~truth).mean()
            print(
                f"{bag}\t{name}\t{truth.mean():.1%}\t{found.coverage:.1%}\t{missed:.1%}"
                f"\t{over:.1%}\t{found.strength:.2f}\t{found.warning or '-'}"
            )


if __name__ == "__main__":
    main()
