"""The options of a preparation: what is read, what becomes a session, and what is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from itertools import chain
from typing import TYPE_CHECKING, Any

from gru4rec_fast.checks import closest, one_of
from gru4rec_fast.data.event_codes import UNITS
from gru4rec_fast.data.items import is_unicode
from gru4rec_fast.data.recipes import RECIPES
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BYTES = {"K": 2**10, "M": 2**20, "G": 2**30}
LEAST_MEMORY = 2**24


@dataclass(frozen=True)
class Preparation:
    """The options of `prepare`."""

    item_key: str = "ItemId"
    """Column of item ids: integers that fit int64, or text."""
    session_key: str = "SessionId"
    """Column of session ids, likewise; of users where `session_gap` is set."""
    time_key: str | None = "Time"
    """Column of times, as for `fit`; None where the rows are in the order of time."""
    sep: str | None = None
    """What separates the fields of a text file; None detects tabs, commas or semicolons."""
    columns: Sequence[str] | None = None
    """Names of all columns of text files without a header line."""
    where: Mapping[str, Sequence[str]] | None = None
    """Column -> the values, as text, of the events that are kept."""
    time_unit: str = "s"
    """Unit of times that are numbers: s, ms, us or ns. Dates have their own."""
    session_gap: float | None = None
    """Seconds: a longer pause of a user begins a new session. Sessions then get running numbers."""
    remove_repeats: bool = False
    """Whether an event goes that has the item of the event before it in its session."""
    min_session_length: int = 1
    """Shorter sessions are left out, again and again with `min_item_support`."""
    min_item_support: int = 1
    """Items of fewer events are left out, again and again with `min_session_length`."""
    test_days: float | None = None
    """Sessions that end in the last so many days are the test part."""
    valid_days: float | None = None
    """Sessions of the training part that end in its last so many days are the validation part."""
    memory: int = 2**30
    """Bytes of events that are kept in memory; more go to the disk. Text: '512M', '4G'."""

    @classmethod
    def of(cls, recipe: str | None = None, **options: Any) -> Preparation:
        """The options of a recipe, as far as others are not given.

        Raises:
            ParameterError: an unknown recipe or option, or a value out of range.
        """
        if recipe is not None:
            one_of("recipe", recipe, sorted(RECIPES))
        values = (RECIPES[recipe] if recipe is not None else {}) | options
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise ParameterError(
                    f"prepare has no option {name!r}{closest(name, names)}; expected one of "
                    f"recipe, overwrite, {', '.join(names)}"
                )
        if "memory" in values:
            values = values | {"memory": bytes_of(values["memory"])}
        how = cls(**values)
        how._check()
        return how

    @property
    def keys(self) -> dict[str, str]:
        """item_key, session_key and, unless rows are in order, time_key -> name of the column."""
        names = {"item_key": self.item_key, "session_key": self.session_key}
        return names if self.time_key is None else names | {"time_key": self.time_key}

    @property
    def selects(self) -> bool:
        """Whether events are left out after they were grouped, or split."""
        return (
            self.remove_repeats
            or self.min_session_length > 1
            or self.min_item_support > 1
            or self.test_days is not None
        )

    def said_where(self) -> str:
        """The filter in words."""
        return " and ".join(
            f"{name} of {', '.join(values)}" for name, values in (self.where or {}).items()
        )

    def to_json(self) -> dict[str, Any]:
        """What a manifest says of the options."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        where = {name: list(kept) for name, kept in (self.where or {}).items()}
        columns = None if self.columns is None else list(self.columns)
        return values | {"where": where, "columns": columns}

    def _check(self) -> None:
        for name in ("item_key", "session_key", "time_key"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name != "time_key"):
                raise ParameterError(f"{name} is {value!r}; expected the name of a column")
        if len(set(self.keys.values())) < len(self.keys):
            raise ParameterError(f"{self.keys}: expected different columns")
        if self.sep is not None and not re.fullmatch(r"[ !#-~\t]", str(self.sep)):
            raise ParameterError(f"sep is {self.sep!r}; expected one ASCII character, no quote")
        one_of("time_unit", self.time_unit, UNITS)
        for name, least in (("min_session_length", 1), ("min_item_support", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ParameterError(f"{name} is {value!r}; expected a whole number from {least}")
        for name in ("session_gap", "test_days", "valid_days"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
                raise ParameterError(f"{name} is {value!r}; expected a number above 0")
            if self.time_key is None:
                raise ParameterError(f"{name}={value} needs times: pass time_key")
        if self.valid_days is not None and self.test_days is None:
            raise ParameterError(
                f"valid_days={self.valid_days} without test_days: pass both, or test_days alone"
            )
        names = (*self.keys.values(), *(self.columns or ()), *(self.where or ()))
        for text in (*names, *chain(*(self.where or {}).values())):
            if isinstance(text, str) and not is_unicode(text):
                raise ParameterError(
                    f"{text!r} is not valid Unicode (a lone surrogate): expected names and values "
                    "that UTF-8 can encode"
                )
        for name, values in (self.where or {}).items():
            if isinstance(values, str) or not all(isinstance(value, str) for value in values):
                raise ParameterError(
                    f"where[{name!r}] is {values!r}; expected a list of texts, as ['view']"
                )


def bytes_of(size: Any) -> int:
    """A number of bytes, or text as '512M' or '4G'.

    Raises:
        ParameterError: neither, or too little to work with.
    """
    match = re.fullmatch(r"(\d+)([KMG]?)B?", size) if isinstance(size, str) else None
    number = int(match[1]) * BYTES.get(match[2], 1) if match else size
    if not isinstance(number, int) or isinstance(number, bool) or number < LEAST_MEMORY:
        raise ParameterError(
            f"memory is {size!r}; expected bytes as 1000000000, '512M' or '4G', at least 16M"
        )
    return number
