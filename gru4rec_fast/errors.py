"""The errors that a user can mend: each names the value, what was expected and the remedy."""

from __future__ import annotations

import difflib
import numbers
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class DataError(ValueError):
    """A session log, or a table of items, that cannot be used as it is."""


class ParameterError(ValueError):
    """A hyper-parameter of an unknown name, a wrong type, or a value out of range."""


class CheckpointError(ValueError):
    """A model file that cannot be written or read."""


def closest(name: str, known: Iterable[str]) -> str:
    """': did you mean …?' for the known name most like `name`, '' if none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f": did you mean {by_lower[near[0]]!r}?" if near else ""


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


@contextmanager
def naming(data: Any) -> Iterator[None]:
    """Put the path of a log before a DataError about it that does not name it."""
    try:
        yield
    except DataError as error:
        if not isinstance(data, str | os.PathLike) or os.fspath(data) in str(error):
            raise
        raise DataError(f"{os.fspath(data)}: {error}") from error
