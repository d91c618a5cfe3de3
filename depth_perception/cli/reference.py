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

"""Pages of the reference made from the code: ``docs/command_line.md`` and ``docs/topics.md``.

    python -m depth_perception.cli.reference command_line > docs/command_line.md
    python -m depth_perception.cli.reference topics > docs/topics.md

Made by hand from what the parsers hold, not from what argparse prints: that differs from one Python
to the next.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

from depth_perception.cli.main import VERBS, parser_for
from depth_perception.frames.publication import FOR_PEOPLE, STAGES, camera_topics, vehicle_topics
from depth_perception.nodes.bringup import ARGUMENTS
from depth_perception.resources import share_folder


def command_line() -> str:
    """Return every verb with its arguments, and those of the launch file, as Markdown."""
    lines = [
        "# Command line",
        "",
        "`depth_perception VERB`, and `depth_perception VERB --help`. Exit codes: 0; 1 for an"
        " error, said in one line; 2 for wrong usage; 130 or 143 where Ctrl-C or SIGTERM ended it."
        " Made by `python -m depth_perception.cli.reference command_line`.",
        "",
        "| verb | |",
        "|---|---|",
        *(f"| [`{verb}`](#{verb}) | {text} |" for verb, text in VERBS.items()),
    ]
    for verb in VERBS:
        lines += ["", f"## {verb}", "", *_verb(verb)]
    return "\n".join(lines) + "\n"


def _verb(verb: str) -> Iterator[str]:
    parser = parser_for(verb)
    yield from ("```text", _usage(verb, parser), "```", "")
    yield from _paragraphs(parser.description or "")
    rows = [_row(action) for action in _arguments(parser)]
    yield from ("", "| argument | default | meaning |", "|---|---|---|", *rows)
    if verb == "launch":
        yield from ("", "What may be assigned, also with `ros2 launch`:", "")
        yield from ("| name:= | default | meaning |", "|---|---|---|")
        for argument in ARGUMENTS:
            default = f"`{argument.default}`" if argument.default else "empty"
            yield f"| `{argument.name}` | {default} | {_cell(argument.help)} |"


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    actions = parser._actions  # argparse has no public list
    return [action for action in actions if not isinstance(action, argparse._HelpAction)]


def _paragraphs(text: str) -> Iterator[str]:
    """Turn a docstring to Markdown: what looks like markup in words is words."""
    for line in text.strip().splitlines():
        if line.startswith("    "):
            yield line
        else:
            yield re.sub(r"``(.+?)``", r"`\1`", line).replace("<", "&lt;")


def _name(action: argparse.Action) -> str:
    """Write an argument as it is typed, with a name for its value."""
    if not action.option_strings:
        return str(action.metavar or action.dest)
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    return f"{', '.join(action.option_strings)} {value}"


def _usage(verb: str, parser: argparse.ArgumentParser) -> str:
    words = [f"depth_perception {verb}"]
    for action in _arguments(parser):
        if not action.option_strings:
            words.append(_positional(action))
        elif action.required:
            words.append(f"{action.option_strings[0]} {_name(action).split(' ')[-1]}")
    return " ".join(words) + " [OPTION]..."


def _positional(action: argparse.Action) -> str:
    name = _name(action).upper() if action.metavar is None else _name(action)
    return {"+": f"{name}...", "*": f"[{name}...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _row(action: argparse.Action) -> str:
    default = ""
    if action.option_strings and action.nargs != 0 and action.default not in (None, "", []):
        value = action.default
        default = f"`{value:.3g}`" if isinstance(value, float) else f"`{value}`"
    if action.required and action.option_strings:
        default = "required"
    text = re.sub(r" \((?:default:? [\w.:]+)\)", "", action.help or "") if default else action.help
    return f"| `{_cell(_name(action))}` | {default} | {_cell(text or '')} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def topics() -> str:
    """Return every topic that the node publishes, and its messages, as Markdown."""
    vehicle = vehicle_topics(motion=True)
    camera = camera_topics("<camera>", motion=True)
    lines = [
        "# Topics",
        "",
        "What `surround_depth` publishes, and `depth_perception replay` writes. Names are relative"
        " to the node's namespace. What depth values mean, QoS, subscriptions and services:"
        " [nodes.md](nodes.md#published)."
        " Made by `python -m depth_perception.cli.reference topics`.",
        "",
        "A topic is computed while somebody listens to it: those with a stage need that stage"
        " besides. *Motion*: only with `motion.enabled`. With `rectify: false`, `image_rect` is"
        " `image_raw`.",
        "",
        "## Of each camera",
        "",
        *_topic_table(camera, camera.keys() - camera_topics("", motion=False).keys()),
        "",
        "## Of the vehicle",
        "",
        *_topic_table(vehicle, vehicle.keys() - vehicle_topics(motion=False).keys()),
        "",
        "## Messages",
    ]
    for path in sorted((share_folder() / "msg").glob("*.msg")):
        definition = path.read_text(encoding="utf-8").strip()
        lines += ["", f"### {path.stem}", "", "```text", definition, "```"]
    return "\n".join(lines) + "\n"


def _topic_table(table: dict[str, tuple[str, str]], motion: Iterable[str]) -> Iterator[str]:
    yield "| topic | type | stage | in bags | motion |"
    yield "|---|---|---|---|---|"
    moving = set(motion)
    for short, (topic, kind) in table.items():
        bag = "no" if short in FOR_PEOPLE else "yes"
        only = "only" if short in moving else ""
        yield f"| `{topic}` | `{kind}` | {STAGES[short]} | {bag} | {only} |"


PAGES = {"command_line": command_line, "topics": topics}


def main(argv: Sequence[str] | None = None) -> int:
    """Print one of the pages."""
    parser = argparse.ArgumentParser(prog="python -m depth_perception.cli.reference")
    parser.add_argument("page", choices=PAGES)
    print(PAGES[parser.parse_args(argv).page](), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
