"""What a hyper-parameter accepts: its type, its range, its choices; and how it is parsed.

A parameter is a field of a dataclass (`Config`), made by `parameter`; the functions below read its
metadata. Text is accepted for every type, as the command line and parameter files give it.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gru4rec_fast.checks import closest
from gru4rec_fast.errors import ParameterError


@dataclass(frozen=True)
class Range:
    """The finite numbers from `low` to `high`; `]low` and `high[` leave the end itself out."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{'>' if self.open_low else '>='} {self.low}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"in {left}{self.low}, {self.high}{right}"


AT_LEAST_ONE = Range(1)
NOT_NEGATIVE = Range(0)
SHARE = Range(0, 1, open_high=True)


def parameter(
    default: Any,
    meaning: str,
    *,
    symbol: str = "",
    bounds: Range | None = None,
    choices: Callable[[], Sequence[str]] | None = None,
    word: str = "",
) -> Any:
    """A field of a dataclass that is a hyper-parameter.

    Args:
        default: its value unless another is given.
        meaning: one line for the docs and `--help`.
        symbol: its letter in docs/SPEC.md.
        bounds: of a number, or of each number of a tuple.
        choices: of a text; called whenever a value is checked.
        word: a text that is accepted beside the numbers; the dataclass replaces it by a number.
    """
    metadata = {"symbol": symbol, "range": bounds, "help": meaning, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata | {"word": word})


def as_text(value: object) -> str:
    """A value as it is written on the command line: (200, 100) is '200/100'."""
    return "/".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def expected(field: dataclasses.Field[Any]) -> str:
    """What the parameter accepts, in words."""
    choices = field.metadata["choices"]
    if choices is not None:
        return "one of " + ", ".join(map(repr, choices()))
    noun = {
        "int": "an integer",
        "float": "a number",
        "bool": "True or False",
        "tuple[int, ...]": "one or more integers",
    }[str(field.type)]
    bounds, word = field.metadata["range"], field.metadata["word"]
    accepted = noun if bounds is None else f"{noun} {bounds}"
    return f"{accepted} or {word!r}" if word else accepted


def parse(field: dataclasses.Field[Any], value: object) -> object:
    """`value` in the type of the parameter.

    Raises:
        ParameterError: it is of another type, out of range, or none of the choices.
    """
    bounds, choices = field.metadata["range"], field.metadata["choices"]
    parsed = None
    try:
        parsed = _PARSERS[str(field.type)](value)
        sizes = parsed if isinstance(parsed, tuple) else (parsed,)
        valid = bool(sizes) and (bounds is None or all(size in bounds for size in sizes))
        valid = valid and (choices is None or parsed in choices())
    except (TypeError, ValueError, KeyError, OverflowError):
        valid = False
    if not valid:
        hint = closest(value, choices()) if choices is not None and isinstance(value, str) else ""
        raise ParameterError(
            f"{field.name}={value!r}: expected {expected(field)} "
            f"(default {as_text(field.default)}){hint}"
        )
    return parsed


def _integer(value: object) -> int:
    # bool is an Integral in Python, but batch_size=True is a mistake.
    if not isinstance(value, bool) and isinstance(value, str | numbers.Integral):
        return int(value)
    raise TypeError


def _number(value: object) -> float:
    if not isinstance(value, bool) and isinstance(value, str | numbers.Real):
        return float(value)
    raise TypeError


def _boolean(value: object) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[str(value).strip().lower()]


def _integers(value: object) -> tuple[int, ...]:
    if isinstance(value, str):
        return tuple(int(size) for size in value.split("/"))
    if isinstance(value, Iterable):
        return tuple(_integer(size) for size in value)
    return (_integer(value),)


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    raise TypeError


_PARSERS: dict[str, Callable[[object], object]] = {
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "str": _text,
    "tuple[int, ...]": _integers,
}
