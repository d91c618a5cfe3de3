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

"""The one way in which the geometry's loops are compiled."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba


def compiled(loop: Callable[..., Any], **options: Any) -> Any:
    """Compile a loop with Numba: no interpreter lock, machine code kept between runs.

    Code is kept beside the file itself, not beside a link to it: a checkout and what is installed
    from it by links share theirs. Where neither that folder nor the user's cache folder can be
    written to, Numba refuses to keep code; then it is compiled anew at each start.

    Args:
        loop: A function of what Numba knows.
        options: Of `numba.njit`.
    """
    if isinstance(loop, FunctionType):
        code = loop.__code__
        loop.__code__ = code.replace(co_filename=os.path.realpath(code.co_filename))
    try:
        return numba.njit(nogil=True, cache=True, **options)(loop)
    except RuntimeError:
        return numba.njit(nogil=True, **options)(loop)


def inlined(loop: Callable[..., Any]) -> Any:
    """Compile a helper into the loops that call it."""
    return numba.njit(inline="always")(loop)
