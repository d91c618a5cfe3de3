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

from collections.abc import Callable
from typing import Any

import numba


def compiled(loop: Callable[..., Any]) -> Any:
    """Compile a loop with Numba: no interpreter lock, machine code kept between runs.

    Where neither the package's folder nor the user's cache folder can be written to, Numba refuses
    to keep code; then it is compiled anew at each start.
    """
    try:
        return numba.njit(nogil=True, cache=True)(loop)
    except RuntimeError:
        return numba.njit(nogil=True)(loop)


def inlined(loop: Callable[..., Any]) -> Any:
    """Compile a helper into the loops that call it."""
    return numba.njit(inline="always")(loop)
