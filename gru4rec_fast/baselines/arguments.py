"""Checks of the baselines' real-valued parameters."""

from __future__ import annotations

import math
import numbers

from gru4rec_fast.errors import ParameterError


def real_number(name: str, value: object, low: float = 0.0, high: float = math.inf) -> float:
    """`value`, a finite number from low to high, as a float.

    Raises:
        ParameterError: it is of another type (also a bool or text), not finite, or out of range.
    """
    expected = f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}"
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real)
        or not math.isfinite(value)
        or not low <= float(value) <= high
    ):
        raise ParameterError(f"{name} is {value!r}; expected a finite number {expected}")
    return float(value)
