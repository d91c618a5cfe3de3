"""The one way in which this package's kernels are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

# The kernels read arrays and allocate none, so arrays need no counted references. Counting took
# 40 % of a picture's time (0.57 s against 0.35 s at 800x450) and made threads wait for each other.
# The option's underscore is Numba's own: leaving it out costs that time and changes no result.
_OPTIONS: dict[str, Any] = {"_nrt": False}

# Without the interpreter's lock, threads render side by side. Division by zero gives +-Inf, which
# the intersections rely on.
compiled = njit(nogil=True, error_model="numpy", **_OPTIONS)
