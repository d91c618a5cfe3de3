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

"""Tasks that fail on purpose, for tests of the cluster: workers import them, and nothing of pytest.

Each gets a file to which it adds a line, so that the test can count how often it ran.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path


def _count(path: str) -> int:
    with open(path, "a") as file:
        file.write("here\n")
    return len(Path(path).read_text().splitlines())


def killed_once(path: str) -> int:
    """Kill the own process at the first time; then give how often it ran."""
    count = _count(path)
    if count == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


def killed_always(path: str) -> None:
    """Kill the own process."""
    _count(path)
    os.kill(os.getpid(), signal.SIGKILL)


def full_disk(path: str) -> None:
    """Fail as where there is no room."""
    _count(path)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache")


def wrong(path: str) -> None:
    """Fail by a mistake in the code, which is the same at every try."""
    _count(path)
    raise ZeroDivisionError("by a mistake")
