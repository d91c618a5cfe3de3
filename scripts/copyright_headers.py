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

"""Put the copyright line and the licence header, as ament_copyright knows them, into source files.

    python scripts/copyright_headers.py           # add what is missing
    python scripts/copyright_headers.py --check   # name the files that lack it, and fail

Files that have the header stay as they are, so it may be run again at any time. First lines that
must stay first (``#!``, coding) do. What ament_copyright does not look at (shell scripts,
messages, an empty file) gets none.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("depth_perception", "launch", "scripts", "test")
SUFFIXES = {".py", ".cmake", ".c", ".cc", ".cpp", ".h", ".hpp"}
HEADER = """\
Copyright 2026 depth_perception contributors

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
"""
STAYS_FIRST = re.compile(r"#!|#.*coding[=:]")


def header(suffix: str) -> str:
    """Return the header as comment lines of a language, an empty line behind it."""
    token = "#" if suffix in (".py", ".cmake") else "//"
    return "".join(f"{token} {line}".rstrip() + "\n" for line in HEADER.splitlines()) + "\n"


def with_header(text: str, suffix: str) -> str:
    """Return the text of a source file with the header in its place; unchanged where it has it."""
    wanted = header(suffix)
    lines = text.splitlines(keepends=True)
    first = 0
    while first < len(lines) and STAYS_FIRST.match(lines[first]):
        first += 1
    top, rest = "".join(lines[:first]), "".join(lines[first:]).lstrip("\n")
    if not rest or rest.startswith(wanted.rstrip("\n") + "\n"):
        return text
    return top + wanted + rest


def source_files() -> list[Path]:
    """List the files that carry the header."""
    found = [ROOT / "setup.py"]
    for folder in FOLDERS:
        found += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    return [path for path in found if "__pycache__" not in path.parts]


def main() -> int:
    """Add headers, or check that they are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail where one lacks")
    check = parser.parse_args().check
    lacking = 0
    for path in source_files():
        text = path.read_text(encoding="utf-8")
        wanted = with_header(text, path.suffix)
        if wanted == text:
            continue
        lacking += 1
        print(f"{path.relative_to(ROOT)}: {'lacks the header' if check else 'header added'}")
        if not check:
            path.write_text(wanted, encoding="utf-8")
    if check and lacking:
        print("error: run: python scripts/copyright_headers.py", file=sys.stderr)
    return int(check and lacking > 0)


if __name__ == "__main__":
    sys.exit(main())
