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

"""Decompressors of bags, Zstandard and LZ4: those that ``rosbags`` brings, or Python's own."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from depth_perception.errors import BagError


@lru_cache(maxsize=1)
def zstd() -> Any:
    """Return a module with ``ZstdDecompressor``, ``decompress`` and ``open``, as of Python 3.14.

    Raises:
        BagError: There is none.
    """
    return _first("zstd", ("compression.zstd", "backports.zstd"), "backports.zstd")


@lru_cache(maxsize=1)
def lz4_frame() -> Any:
    """Return the module ``lz4.frame``.

    Raises:
        BagError: It is not there.
    """
    return _first("lz4", ("lz4.frame",), "lz4")


def _first(method: str, names: tuple[str, ...], package: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise BagError(
        f"the bag is compressed with {method}, and this Python cannot read that",
        expected=f"the module {package}",
        fix=f"pip install {package}",
    )
