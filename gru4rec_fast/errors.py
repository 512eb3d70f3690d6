"""The errors that a user can mend: each names the value, what was expected and the remedy."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


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
