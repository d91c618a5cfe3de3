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

"""Write what the site is built of: pages of docs/, files of the repository, API of each room.

    python scripts/site_pages.py build/site/pages

Pages read on a code host as they are; here links that leave docs/ are turned to where the site has
the same file, or to the repository where its address is known. No part of MkDocs: what comes out
are Markdown files, for any builder of sites. Standard library alone.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "depth_perception"

PAGES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security_policy.md",
}
"""Files of the repository that are pages of the site, and their names there."""

WITHOUT_API = {"benchmarks", "cli", "nodes", "ros", "transport"}
"""Rooms that need ROS, or whose surface is a command."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)", re.M | re.S)


def rooms() -> dict[str, list[str]]:
    """Name the modules of each room that has a page, in the order of architecture.md's table."""
    loose = [path.stem for path in sorted(PACKAGE.glob("[a-z]*.py"))]
    found = {"depth_perception": [f"depth_perception.{name}" for name in loose]}
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    order = re.findall(r"^\| `(.+?)` \|", text, re.M)
    folders = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    known = [room for room in order if room in folders]
    for room in known + sorted(set(folders) - set(known)):
        if room not in WITHOUT_API:
            found[room] = _modules(PACKAGE / room)
    return found


def _modules(folder: Path) -> list[str]:
    paths = [path for path in sorted(folder.rglob("*.py")) if not path.stem.startswith("_")]
    # Compiled loops are the inside of the module that they are named after.
    paths = [path for path in paths if not path.stem.endswith("_loops")]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def about(room: str) -> str:
    """Return the first line of a room's docstring."""
    folder = PACKAGE if room == "depth_perception" else PACKAGE / room
    text = (folder / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^"""(.+?)(?:"""|\n)', text, re.M)
    return found[1] if found else ""


def api_page(room: str, modules: list[str]) -> str:
    """Write the page of a room: what mkdocstrings finds in its modules."""
    parts = [f"# {room}", about(room)]
    return "\n\n".join(parts + [f"::: {module}" for module in modules]) + "\n"


def api_index(found: dict[str, list[str]]) -> str:
    """Write the table of rooms."""
    lines = [
        "# API",
        "",
        "The part of the package that runs without ROS, room by room: what the docstrings say of"
        " what is public. How rooms fit together: [architecture](../architecture.md). An example"
        " of the whole way from a bag to depth: [overview](../overview.md#without-ros).",
        "",
        "| room | what is in it |",
        "|---|---|",
    ]
    lines += [f"| [`{room}`]({room}.md) | {about(room)} |" for room in found]
    return "\n".join(lines) + "\n"


def site_link(source: str, page: str, target: str, repository: str | None) -> str | None:
    """Say where a link of a file leads on the site, or beside it.

    Args:
        source: The file that has the link, from the root of the repository.
        page: Its page, from the root of the site.
        target: The link, relative to the file.
        repository: Address that files of the repository are below; None: nobody knows.

    Returns:
        The link relative to the page, or the file's address; None where there is neither.
    """
    path, hash_, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return target
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if file in PAGES:
        there = PAGES[file]
    elif file.startswith("docs/"):
        there = file.removeprefix("docs/")
    else:
        return f"{repository.rstrip('/')}/{file}" if repository else None
    return posixpath.relpath(there, posixpath.dirname(page) or ".") + hash_ + anchor


def rewritten(text: str, source: str, page: str, repository: str | None) -> str:
    """Turn the links of a file to where its page finds them; a link to nowhere leaves its words."""

    def turned(match: re.Match[str]) -> str:
        image, words, target = match.groups()
        there = site_link(source, page, target, repository)
        return words if there is None else f"{image}[{words}]({there})"

    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(turned, part) for part in parts)


def sources() -> dict[str, str]:
    """Name each page that is a file of the repository, and the file: ``{page: source}``."""
    found = {page: source for source, page in PAGES.items()}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        found[path.relative_to(ROOT / "docs").as_posix()] = path.relative_to(ROOT).as_posix()
    return found


def pages(repository: str | None = None) -> dict[str, str]:
    """Return every page of the site: its name, and its Markdown.

    Args:
        repository: Address that files of the repository are below; None: nobody knows.
    """
    written = {}
    for page, source in sources().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        written[page] = rewritten(text, source, page, repository)
    found = rooms()
    written["api/index.md"] = api_index(found)
    for room, modules in found.items():
        written[f"api/{room}.md"] = api_page(room, modules)
    return written


def repository() -> str | None:
    """Return the address that `mkdocs.yml` gives as `repo_url`, as far as files lie below it."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    found = re.search(r"^repo_url: *(\S+)", text, re.M)
    return f"{found[1].rstrip('/')}/blob/HEAD" if found else None


def write(folder: Path) -> int:
    """Write the pages, and what lies beside them in docs/, into a folder; returns how many pages.

    What an earlier call wrote there is replaced.
    """
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.md"))
    written = pages(repository())
    for page, text in written.items():
        (folder / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / page).write_text(text, encoding="utf-8")
    return len(written)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="is made anew")
    print(f"{write(parser.parse_args(sys.argv[1:]).folder)} pages")
