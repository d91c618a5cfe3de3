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

"""The folder of a run over many bags: a result for each bag, so that a run goes on where it was.

``bags/<name>-<key>.json.gz`` and ``.<n>.jpg`` beside it are of one bag; the key stands for all that
the result depends on. A bag whose file is there, is not scored again. ``bags.parquet``,
``cameras.parquet``, ``frames.parquet`` and ``index.html`` are made of them at the end of each run.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from depth_perception.cluster.judge import BagPicture, BagResult
from depth_perception.errors import ConfigurationError

BAGS = "bags"
"""Folder of the results of single bags."""


class ResultFolder:
    """What was found out about each bag, on disk.

    Attributes:
        path: The folder of the run.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder if it is not there.

        Raises:
            ConfigurationError: It cannot be made.
        """
        self.path = path
        try:
            (path / BAGS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from None

    def finished(self, name: str, key: str) -> BagResult | None:
        """Return the result of a bag if it is here; one that cannot be read is as none."""
        path = self._file(name, key)
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                facts = json.load(file)
            drawn = [
                BagPicture(p["caption"], p["words"], self._picture(path, k).read_bytes())
                for k, p in enumerate(facts.pop("pictures"))
            ]
            result = BagResult(pictures=drawn, **facts)
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            return None
        return result if result.key == key else None

    def keep(self, result: BagResult) -> None:
        """Write the result of a bag, as a whole or not at all.

        Raises:
            ConfigurationError: It cannot be written.
        """
        path = self._file(result.bag, result.key)
        facts = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
        facts["pictures"] = [{"caption": p.caption, "words": p.words} for p in result.pictures]
        part = path.with_name(path.name + ".part")
        try:
            for k, picture in enumerate(result.pictures):
                self._picture(path, k).write_bytes(picture.jpeg)
            with gzip.open(part, "wt", encoding="utf-8") as file:
                json.dump(_plain(facts), file, allow_nan=False)
            os.replace(part, path)
        except OSError as error:
            raise _unwritable(path, error) from None

    def _file(self, name: str, key: str) -> Path:
        legible = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-80:]
        return self.path / BAGS / f"{legible}-{key[:16]}.json.gz"

    @staticmethod
    def _picture(path: Path, number: int) -> Path:
        return path.with_name(path.name.removesuffix(".json.gz") + f".{number + 1}.jpg")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"--output: '{path}' cannot be written ({error.strerror or error})",
        expected="a folder that may be written to and has room",
        fix="make room there, or name another: the same command goes on",
    )
