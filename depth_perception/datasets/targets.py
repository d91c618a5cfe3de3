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

"""What foundation models said of the images of a source: the folder that holds it, read.

`training.targets` says what is in such a folder, fills it, and cuts targets like the images.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_perception.datasets.manifest import read_checked_manifest
from depth_perception.datasets.sample import DatasetError

FORMAT = "depth_perception targets"
VERSION = 1
SOURCE_PIXEL = "source_pixel"
"""Layer (H, W, 4) float32: column and row in the whole image, from -1 at its first edge to 1 at its
last, the image's number from 1 on, 0 for none, and a number of the folder of targets."""
PREFIX = "targets:"
MOST_CAMERAS = 32
"""Of a frame set; images are counted so many to a set."""
FOLDER_SIZE = 1000


def file_of(folder: Path, index: int) -> Path:
    """File of a frame set's targets."""
    return folder / f"{index // FOLDER_SIZE:05d}" / f"{index:08d}.npz"


def read_arrays(path: Path, camera: int) -> dict[str, NDArray[Any]]:
    """One camera's arrays by name."""
    begin = f"{camera}."
    try:
        with np.load(path) as stored:
            return {n[len(begin) :]: stored[n] for n in stored.files if n.startswith(begin)}
    except FileNotFoundError:
        raise DatasetError(
            f"targets '{path}' are absent",
            expected="the file of a frame set",
            fix="run depth_perception targets again with the same arguments",
        ) from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"targets '{path}' are damaged ({error})",
            expected="a whole npz file",
            fix="delete it and run depth_perception targets again with the same arguments",
        ) from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what the targets in a folder are.

    Raises:
        DatasetError: There are none, they are damaged, or of another format.
    """
    return read_checked_manifest(
        folder, FORMAT, VERSION, maker="depth_perception targets", make="compute the targets"
    )


class Targets:
    """Targets that `compute` has finished. Safe to hand to processes.

    Args:
        folder: Where they are.

    Raises:
        DatasetError: There are none, or not all yet.

    Attributes:
        manifest: What they are.
        number: Of the folder, as `SOURCE_PIXEL` has it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.manifest = Path(folder), read_manifest(Path(folder))
        if not self.manifest.get("done"):
            raise DatasetError(
                f"the targets in '{folder}' are not complete",
                expected=f"those of {self.manifest['sets']} frame sets",
                fix="run depth_perception targets again with the same arguments: it goes on",
            )
        self.number = zlib.crc32(str(self.folder).encode()) % 2**24  # float32 holds it

    def read(self, index: int, camera: int) -> dict[str, NDArray[Any]]:
        """Arrays of one image, by name, as stored.

        Raises:
            DatasetError: Their file is absent or damaged.
        """
        return read_arrays(file_of(self.folder, index), camera)
