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
