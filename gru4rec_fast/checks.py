"""Checks of arguments that several modules make, and the hint at a name that was meant."""

from __future__ import annotations

import difflib
import numbers
from typing import TYPE_CHECKING

from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str:
    """': did you mean …?' for the known name most like `name`, '' if none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f": did you mean {by_lower[near[0]]!r}?" if near else ""


def one_of(name: str, value: object, known: Iterable[str]) -> str:
    """`value`, if it is one of the known names.

    Raises:
        ParameterError: it is not; the message has the one that was meant, if any is near.
    """
    names = tuple(known)
    if isinstance(value, str) and value in names:
        return value
    hint = closest(value, names) if isinstance(value, str) else ""
    raise ParameterError(f"{name} is {value!r}; expected one of {', '.join(names)}{hint}")


def whole_number(name: str, value: object, at_least: int = 1) -> int:
    """`value`, an integer of any integer type, as an int.

    Raises:
        ParameterError: it is of another type (also a bool, a whole float, text), or too small.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < at_least:
        raise ParameterError(
            f"{name} is {value!r}; expected a whole number, of type int, of at least {at_least}"
        )
    return int(value)
