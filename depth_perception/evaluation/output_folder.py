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

"""A folder that a verb fills with files of its own, again and again, beside files of others.

One rule for all of them: what an earlier run wrote there makes room for the new run's files, so
that pictures of two drives never mix, and nothing else is ever removed or replaced. A list of what
was written lies in the folder and tells the two apart.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from depth_perception.errors import ConfigurationError

LIST = ".depth_perception_outputs"
"""Name of the list: a line of JSON for each file, ``[name, bytes, CRC-32]``."""


class OutputFolder:
    """The files of one run in a folder.

    Attributes:
        path: The folder.
        names: Names of the files that this run wrote.
    """

    def __init__(self, path: str | Path) -> None:
        """Look at what lies there; nothing is written or removed yet."""
        self.path = Path(path)
        self.names: list[str] = []
        self._own: set[str] = set()
        self._changed: set[str] = set()
        for name, size, checksum in self._earlier():
            own = self._is_unchanged(name, size, checksum)
            (self._own if own else self._changed).add(name)

    def begin(self) -> None:
        """Make the folder, and remove what an earlier run wrote there and nobody has changed since.

        Raises:
            ConfigurationError: It cannot be made or written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in self._own:
                (self.path / name).unlink(missing_ok=True)
            self._own.clear()
            # What somebody has changed is theirs, and no longer on the list.
            (self.path / LIST).write_text("")
        except OSError as error:
            raise self._unwritable(self.path, error) from None

    def _earlier(self) -> list[tuple[str, int, int]]:
        """What the list of an earlier run holds; a line that is cut or strange counts for none."""
        found = []
        try:
            lines = (self.path / LIST).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        for line in lines:
            try:
                name, size, checksum = json.loads(line)
            except (ValueError, TypeError):
                continue
            # The list may come from anywhere: it must not reach out of the folder.
            if isinstance(name, str) and Path(name).name == name:
                found.append((name, size, checksum))
        return found

    def _is_unchanged(self, name: str, size: int, checksum: int) -> bool:
        path = self.path / name
        try:
            return (
                not path.is_symlink()
                and path.stat().st_size == size
                and zlib.crc32(path.read_bytes()) == checksum
            )
        except OSError:
            return False

    def check(self, name: str) -> Path:
        """Give the path of a file to write, if nobody else's file lies there.

        Raises:
            ConfigurationError: One does.
        """
        path = self.path / name
        mine = name in self.names or name in self._own
        if not mine and (path.exists() or path.is_symlink()):
            why = ", and was changed since it was written" if name in self._changed else ""
            raise ConfigurationError(
                f"'{path}' exists{why}",
                expected="only what an earlier run wrote, which is replaced",
                fix="name another folder, or move it away",
            )
        return path

    def note(self, name: str) -> None:
        """Note that this run wrote a file, so that a later run may replace it.

        Raises:
            ConfigurationError: The list cannot be written.
        """
        data = (self.path / name).read_bytes()
        entry = json.dumps([name, len(data), zlib.crc32(data)])
        try:
            with (self.path / LIST).open("a", encoding="utf-8") as file:
                file.write(entry + "\n")
        except OSError as error:
            raise self._unwritable(self.path / LIST, error) from None
        self.names.append(name)

    def write(self, name: str, data: bytes) -> Path:
        """Write one file.

        Raises:
            ConfigurationError: Somebody else's file lies there, or it cannot be written.
        """
        path = self.check(name)
        try:
            path.write_bytes(data)
        except OSError as error:
            raise self._unwritable(path, error) from None
        self.note(name)
        return path

    def free(self, stem: str, endings: tuple[str, ...]) -> str:
        """Give a stem under which this run has written none of these files yet.

        Two frame sets may bear the same stamp; the second gets ``-2`` behind it, and so on.
        """
        number, found = 1, stem
        while any(found + ending in self.names for ending in endings):
            number += 1
            found = f"{stem}-{number}"
        return found

    @staticmethod
    def _unwritable(path: Path, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"'{path}' cannot be written ({error.strerror or error})",
            expected="a folder to write to",
            fix="name another folder",
        )
