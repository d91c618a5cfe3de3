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

"""Every source file begins with the header that ament_copyright knows; the script that adds it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "copyright_headers.py"


@pytest.fixture(scope="module")
def headers():
    spec = importlib.util.spec_from_file_location("copyright_headers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_source_file_has_the_header():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ('"""About it."""\n', ""),
        ("#!/usr/bin/env python3\n# coding: utf-8\n\nimport sys\n", "#!/usr/bin/env python3\n"),
        ("# A word on what follows.\nimport sys\n", ""),
    ],
)
def test_the_header_comes_once_and_after_what_must_be_first(headers, text, first):
    made = headers.with_header(text, ".py")
    assert made.startswith(first)
    assert made.count("# Copyright 2026 depth_perception contributors\n#\n# Licensed under") == 1
    assert made.endswith(text.splitlines(keepends=True)[-1])
    # A comment of the file's own is not taken for a part of the header.
    assert "# limitations under the License.\n\n" in made
    assert headers.with_header(made, ".py") == made


def test_an_empty_file_stays_empty(headers):
    assert headers.with_header("", ".py") == ""


def test_a_header_that_was_changed_is_not_taken_for_one(headers):
    made = headers.with_header('"""About it."""\n', ".py").replace("Version 2.0", "Version 3.0")
    assert headers.with_header(made, ".py") != made


def test_ament_copyright_agrees():
    main = pytest.importorskip("ament_copyright.main")
    assert main.main([str(ROOT / name) for name in ("depth_perception", "launch", "test")]) == 0
