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

"""An installation of tf2_ros that is not whole: the own buffer takes its place, and says why."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from types import SimpleNamespace
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")

from test_transforms import Buffer, TransformException, TransformListener  # noqa: E402

from depth_perception.ros import tf2  # noqa: E402


class Log:
    """A node as far as its logger goes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warning = self.lines.append

    def get_logger(self) -> Log:
        return self


def whole(**changes: Any) -> SimpleNamespace:
    parts = {"Buffer": Buffer, "TransformException": TransformException}
    return SimpleNamespace(**{**parts, "TransformListener": TransformListener, **changes})


class OfAnotherRelease(Buffer):
    def set_transform_static(self, message: Any, authority: str, extra: int) -> None:
        """Take one argument more."""


class OfAnotherLayout(Buffer):
    """Reads the members of a message where others lie."""

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        found = super().lookup_transform(target, source, time)
        found.transform.translation.x = 5e-324
        return found


def listener_that_fails(*_: Any, **__: Any) -> None:
    raise AttributeError("'BufferCore' object has no attribute 'core'")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (SimpleNamespace(), "AttributeError: .* no attribute 'TransformException'"),
        (whole(Buffer=OfAnotherRelease), "TypeError: .* argument: 'extra'"),
        (whole(Buffer=OfAnotherLayout), "it looks up other transforms than were put in"),
        (whole(TransformListener=listener_that_fails), "AttributeError: 'BufferCore'"),
    ],
)
def test_what_does_not_work_is_not_used_and_said_once(
    module: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf2, "tf2_ros", module)
    monkeypatch.setattr(tf2, "_fault", "")
    log = Log()
    assert tf2.tf2_extrinsics(log) is None  # type: ignore[arg-type]
    (line,) = log.lines
    assert re.search(reason, line), line
    assert "own buffer" in line and "Fix:" in line


def test_where_it_is_not_installed_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf2, "tf2_ros", None)
    monkeypatch.setattr(tf2, "_fault", "")
    log = Log()
    assert tf2.tf2_extrinsics(log) is None and not log.lines  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("from tf2_py import *", "ModuleNotFoundError: No module named 'tf2_py'"),
        ("raise ImportError('undefined symbol: _ZN3tf2')", "ImportError: undefined symbol"),
        ("raise SystemError('initialization failed\\nof _tf2')", "failed of _tf2"),
        ("raise AttributeError('_ARRAY_API not found')", "AttributeError: _ARRAY_API"),
    ],
)
def test_what_does_not_import_is_a_fault_with_its_reason(
    text: str, reason: str, tmp_path: Any
) -> None:
    folder = tmp_path / "tf2_ros"
    folder.mkdir()
    (folder / "__init__.py").write_text(text)
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from depth_perception.ros import tf2
        print(tf2.tf2_ros, tf2._fault)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    if "tf2_py" in text and "None" not in done.stdout:
        pytest.skip("tf2_py is installed here")
    assert done.stdout.startswith("None ") and reason in done.stdout
    assert len(done.stdout.splitlines()) == 1
