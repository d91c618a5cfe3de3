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

"""Errors of the package: each names the thing, what was seen, what was expected and the fix."""

from __future__ import annotations

import os
import sys


class DepthPerceptionError(Exception):
    """Base of every error that the package raises on purpose.

    Args:
        problem: The thing and what was seen, e.g. ``"/CAM_FRONT/camera_info: K is all zeros"``.
        expected: What would have been right.
        fix: What the user can do about it.
    """

    def __init__(self, problem: str, *, expected: str = "", fix: str = "") -> None:
        """Compose the one-line message from its parts, which stay readable as attributes."""
        self.problem = problem
        self.expected = expected
        self.fix = fix
        text = problem
        if expected:
            text += f"; expected {expected}"
        if fix:
            text += f". Fix: {fix}"
        super().__init__(text)


class ConfigurationError(DepthPerceptionError):
    """A parameter, a configuration file or an argument is impossible."""


class CalibrationError(DepthPerceptionError):
    """A camera's calibration is absent, degenerate or contradicts its images."""


class TransformError(DepthPerceptionError):
    """A transform between two frames is absent or not a rigid motion."""


class ContradictionError(TransformError):
    """Transforms contradict each other, and nobody knows which is right.

    Attributes:
        topics: Where they were told.
    """

    def __init__(
        self, problem: str, *, expected: str = "", fix: str = "", topics: tuple[str, ...] = ()
    ) -> None:
        """Compose the message; see the base class."""
        super().__init__(problem, expected=expected, fix=fix)
        self.topics = topics


class MessageError(DepthPerceptionError):
    """A message's content is malformed: wrong encoding, size, step, fields or values."""


class BagError(DepthPerceptionError):
    """A bag cannot be read, or lacks what the job needs."""


class ModelError(DepthPerceptionError):
    """A network file is absent, unreadable or does not match its description."""


class LibraryError(DepthPerceptionError, ImportError):
    """A library that pip installs is absent, or does not import."""


def missing_library(name: str, error: ImportError) -> LibraryError:
    """Say which library does not import, why, and the command that installs it here.

    On a robot it belongs into a virtual environment beside apt's packages, in versions that go with
    them: an unbounded ``pip install`` would bring a NumPy with which apt's OpenCV does not import.

    Args:
        name: As pip knows it.
        error: What importing it raised.
    """
    distribution = os.environ.get("ROS_DISTRO", "")
    pins = distribution if distribution in ("humble", "jazzy", "kilted") else ""
    in_environment = sys.prefix != sys.base_prefix
    fix = f"{sys.executable} -m pip install {name}"
    if pins and in_environment:
        fix = (
            f"{sys.executable} -m pip install -r src/depth_perception/requirements/{pins}.txt,"
            " in the workspace"
        )
    elif pins:
        fix = (
            "in the workspace: python3 -m venv --system-site-packages venv && touch"
            " venv/COLCON_IGNORE && . venv/bin/activate && pip install -r"
            f" src/depth_perception/requirements/{pins}.txt, then build the package again"
        )
    reason = " ".join(str(error).split())
    return LibraryError(f"{name} does not import in {sys.executable} ({reason})", fix=fix)
