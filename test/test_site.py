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

"""The documentation site without building it: pages, navigation, links, what is made from the code.

`make docs` builds it, strictly; that takes half a minute and packages of its own, so here the same
is looked at by hand: for the code host, and for the pages that the site is built of.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from depth_perception.cli import reference
from depth_perception.cli.main import VERBS, parser_for
from depth_perception.frames.publication import STAGES

ROOT = Path(__file__).resolve().parents[1]
LOOSE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
FILES = [*LOOSE, *sorted((ROOT / "docs").rglob("*.md"))]


def load_script():
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "scripts" / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


site = load_script()


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|^    .*$|`[^`\n]*`", "", text, flags=re.M | re.S)


def links(text: str) -> list[str]:
    """Targets of the links and pictures of a page, but for addresses elsewhere."""
    found = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as code hosts make them, and so does the site."""
    found: set[str] = set()
    for heading in re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M
    ):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_on_a_code_host(file):
    for target in links(file.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), target


@pytest.fixture(scope="module")
def pages():
    return site.pages()


def test_links_lead_somewhere_on_the_site(pages):
    for page, text in pages.items():
        for target in links(text):
            path, _, anchor = target.partition("#")
            there = (Path("/") / page).parent / path if path else Path("/") / page
            name = there.resolve().relative_to("/").as_posix()
            assert name in pages or (ROOT / "docs" / name).is_file(), f"{page}: {target}"
            if anchor:
                assert anchor in anchors(pages[name]), f"{page}: {target}"


def test_lists_begin_behind_an_empty_line(pages):
    # Code hosts do without; the site would run the items together to one paragraph.
    for page, text in pages.items():
        plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        wrong = re.findall(r"^(?! *(?:[-*]|\d+\.) | *$|\||#|  ).+\n(?=(?:[-*]|1\.) )", plain, re.M)
        assert not wrong, f"{page}: {wrong}"


def navigation(entries) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    if isinstance(entries, dict):
        return [page for value in entries.values() for page in navigation(value)]
    return [page for entry in entries for page in navigation(entry)]


def test_every_page_is_in_the_navigation_once(pages):
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = navigation(yaml.safe_load(text[text.index("\nnav:") :])["nav"])
    assert sorted(listed) == sorted(pages)


def test_links_of_a_file_are_turned_to_its_page():
    page = "experiments/world.md"
    turned = site.site_link(f"docs/{page}", page, "../../README.md#x", None)
    assert turned == "../overview.md#x"
    assert site.site_link("README.md", "overview.md", "docs/motion.md", None) == "motion.md"
    assert site.site_link("docs/rviz.md", "rviz.md", "../config/rviz", None) is None
    assert (
        site.site_link("docs/rviz.md", "rviz.md", "../config/rviz", "https://h/r/")
        == "https://h/r/config/rviz"
    )
    text = "![a](docs/images/a.jpg) [`x`](msg/A.msg)\n```\n[b](docs/b.md)\n```\n"
    expected = "![a](images/a.jpg) `x`\n```\n[b](docs/b.md)\n```\n"
    assert site.rewritten(text, "README.md", "overview.md", None) == expected


def test_the_api_has_every_room_that_runs_without_ros(pages):
    text = pages["api/geometry.md"]
    assert "::: depth_perception.geometry.camera\n" in text and "_loops" not in text
    folders = {path.parent.name for path in (ROOT / "depth_perception").glob("*/__init__.py")}
    shown = {page.removeprefix("api/").removesuffix(".md") for page in pages if "api/" in page}
    assert folders - shown == site.WITHOUT_API and "index" in shown


@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_pages_from_the_code_are_up_to_date(name):
    said = f"run: python -m depth_perception.cli.reference {name} > docs/{name}.md"
    assert (ROOT / "docs" / f"{name}.md").read_text() == reference.PAGES[name](), said


def test_the_reference_has_every_option_and_topic():
    text = reference.command_line()
    for verb in VERBS:
        _, _, part = text.partition(f"\n## {verb}\n")
        part, _, _ = part.partition("\n## ")
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", parser_for(verb).format_usage()):
            assert f"`{option}" in part or f", {option}" in part or f"{option}," in part, option
    rows = re.findall(r"^\| `surround_depth/", reference.topics(), re.M)
    assert len(rows) == len(STAGES)
