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

from gru4rec_fast.activation import EXPECTED, Activation
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
    choices: Callable[[], Sequence[str | None]] | None = None,
    activation: Sequence[str] | None = None,
    optional: bool = False,
    word: str = "",
) -> Any:
    """A field of a dataclass that is a hyper-parameter.

    Args:
        default: its value unless another is given.
        meaning: one line for the docs and `--help`.
        symbol: its letter in docs/SPEC.md.
        bounds: of a number, or of each number of a tuple.
        choices: of a text; called whenever a value is checked.
        activation: of a text that names an activation: which words are accepted beside those.
        optional: whether a tuple may be empty.
        word: a text that is accepted beside the numbers; the dataclass replaces it by a number.
    """
    metadata = {
        "symbol": symbol, "range": bounds, "help": meaning, "choices": choices,
        "activation": activation, "optional": optional, "word": word,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def as_text(value: object) -> str:
    """A value as it is written on the command line: (200, 100) is '200/100'."""
    return "/".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def default_text(field: dataclasses.Field[Any]) -> str:
    """The default as it is written, '' in quotes."""
    return as_text(field.default) or "''"


def assignments(parameters: Any) -> str:
    """The parameters that differ from their defaults, as 'layers=[5], seed=3'."""
    changed = {
        field.name: getattr(parameters, field.name)
        for field in dataclasses.fields(parameters)
        if getattr(parameters, field.name) != field.default
    }
    return ", ".join(
        f"{name}={list(value) if isinstance(value, tuple) else value!r}"
        for name, value in changed.items()
    )


def expected(field: dataclasses.Field[Any]) -> str:
    """What the parameter accepts, in words."""
    choices = field.metadata["choices"]
    if choices is not None:
        return "one of " + ", ".join(map(repr, choices()))
    words = field.metadata["activation"]
    if words is not None:
        return ", ".join([*map(repr, words), EXPECTED])
    noun = {
        "int": "an integer",
        "float": "a number",
        "bool": "True or False",
        "tuple[int, ...]": "integers",
        "tuple[float, ...]": "numbers",
    }[str(field.type)]
    if noun.endswith("s"):
        noun = f"{'any number of' if field.metadata['optional'] else 'one or more'} {noun}"
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
        valid = (bool(sizes) or field.metadata["optional"]) and (
            bounds is None or all(size in bounds for size in sizes)
        )
        valid = valid and (choices is None or parsed in choices())
        words = field.metadata["activation"]
        if words is not None and parsed not in words:
            parsed = str(Activation.parse(str(parsed)))
    except (TypeError, ValueError, KeyError, OverflowError):
        valid = False
    if not valid:
        known = [] if choices is None else [choice for choice in choices() if choice]
        hint = closest(value, known) if isinstance(value, str) else ""
        raise ParameterError(
            f"{field.name}={value!r}: expected {expected(field)} "
            f"(default {default_text(field)}){hint}"
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


def _tuple(of: Callable[[object], object]) -> Callable[[object], object]:
    """A parser of '200/100', of several values, or of one; '' is none."""

    def parse_tuple(value: object) -> tuple[object, ...]:
        if isinstance(value, str):
            return tuple(of(one) for one in value.split("/")) if value else ()
        if isinstance(value, Iterable):
            return tuple(of(one) for one in value)
        return (of(value),)

    return parse_tuple


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError


_PARSERS: dict[str, Callable[[object], object]] = {
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "str": _text,
    "str | None": _text,
    "tuple[int, ...]": _tuple(_integer),
    "tuple[float, ...]": _tuple(_number),
}
