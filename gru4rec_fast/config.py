"""Every hyper-parameter once: name, symbol, default, range and meaning; and the published presets.

Names and defaults are those of GRU4Rec's users (SPEC section 10). Whatever states a parameter
elsewhere - the table in the docs, `--help`, error messages - is derived from the fields below.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from gru4rec_fast.errors import ParameterError, closest

LOSSES: tuple[str, ...] = ("cross-entropy", "bpr-max")
"""Accepted values of `loss`; each is a function of the reference."""


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


class ParameterRow(NamedTuple):
    """One hyper-parameter as the docs and `--help` show it."""

    name: str
    symbol: str
    default: str
    expected: str
    help: str


AT_LEAST_ONE = Range(1)
NOT_NEGATIVE = Range(0)
SHARE = Range(0, 1, open_high=True)


def _parameter(default: Any, meaning: str, *, symbol: str = "", bounds: Range | None = None) -> Any:
    return dataclasses.field(
        default=default, metadata={"symbol": symbol, "range": bounds, "help": meaning}
    )


@dataclass(frozen=True)
class Config:
    """The hyper-parameters of a model, validated; immutable.

    Values may be given as text as well ('64', '0.2', 'True', '200/200'), as NumPy scalars, and
    `layers` as any sequence; they are stored in the types below.

    Raises:
        ParameterError: a value of the wrong type or out of range, or two that exclude each other.
    """

    layers: tuple[int, ...] = _parameter(
        (100,),
        "hidden units of each recurrent layer; '200/100' as text",
        symbol="H",
        bounds=AT_LEAST_ONE,
    )
    loss: str = _parameter("cross-entropy", "loss of a step over its targets and negatives")
    batch_size: int = _parameter(
        64, "sessions trained side by side, one a lane", symbol="B", bounds=AT_LEAST_ONE
    )
    dropout_p_embed: float = _parameter(
        0.0, "probability that a unit of the embedding is dropped", bounds=SHARE
    )
    dropout_p_hidden: float = _parameter(
        0.0, "probability that a unit of a layer's new state is dropped", bounds=SHARE
    )
    learning_rate: float = _parameter(
        0.05, "step size of Adagrad", symbol="η", bounds=Range(0, open_low=True)
    )
    momentum: float = _parameter(0.0, "share of the last update kept", symbol="μ", bounds=SHARE)
    sample_alpha: float = _parameter(
        0.5,
        "negatives are drawn ∝ support^alpha: 0 uniform, 1 by popularity; above 1 sharper still",
        symbol="α",
        bounds=NOT_NEGATIVE,
    )
    n_sample: int = _parameter(
        2048,
        "negatives drawn for each step, beside the other lanes' targets",
        symbol="S",
        bounds=Range(0, 2**31 - 1),
    )
    embedding: int = _parameter(
        0,
        "columns of a separate input embedding, layers[0] for 'layersize'; 0 for none; "
        "needs constrained_embedding=False",
        bounds=NOT_NEGATIVE,
    )
    constrained_embedding: bool = _parameter(
        True, "inputs read the rows of the output table Wy; False with embedding=0 is one-hot"
    )
    n_epochs: int = _parameter(10, "passes over the sessions", bounds=AT_LEAST_ONE)
    bpreg: float = _parameter(
        1.0, "weight of the score regularisation in bpr-max", bounds=NOT_NEGATIVE
    )
    elu_param: float = _parameter(
        0.5, "parameter of the ELU on bpr-max scores, 0 for linear", bounds=NOT_NEGATIVE
    )
    logq: float = _parameter(
        0.0, "strength of the logQ correction of cross-entropy scores", bounds=NOT_NEGATIVE
    )
    sigma: float = _parameter(
        0.0, "scale of the initial weights, 0 for √(6 / (rows + columns))", bounds=NOT_NEGATIVE
    )
    init_as_normal: bool = _parameter(False, "draw initial weights normal instead of uniform")
    time_sort: bool = _parameter(
        True, "train sessions by time of their first event; False: as they appear in the log"
    )
    train_random_order: bool = _parameter(
        False, "shuffle the sessions anew, by the seed, in each epoch"
    )
    seed: int = _parameter(
        42,
        "of negatives, dropout and shuffles; of initial weights only with compatibility_mode=False",
        bounds=Range(0, 2**63 - 1),
    )

    def __post_init__(self) -> None:
        for parameter in dataclasses.fields(self):
            value = getattr(self, parameter.name)
            if parameter.name == "embedding" and isinstance(value, str) and value == "layersize":
                value = self.layers[0]
            object.__setattr__(self, parameter.name, _parse(parameter, value))
        if self.embedding and self.constrained_embedding:
            raise ParameterError(
                f"embedding={self.embedding} and constrained_embedding=True exclude each other: "
                "pass constrained_embedding=False for a separate embedding of that size, or "
                "embedding=0 to share the output table"
            )
        if self.batch_size == 1 and self.n_sample == 0:
            raise ParameterError(
                "batch_size=1 with n_sample=0 leaves no negative to compare the target with: "
                "expected batch_size >= 2 or n_sample >= 1"
            )

    def replace(self, **changes: Any) -> Config:
        """A copy with `changes` made, all at once, each parsed and validated.

        Raises:
            ParameterError: an unknown name, with the closest known one, or as for `Config`.
        """
        known = [parameter.name for parameter in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise ParameterError(
                    f"unknown parameter {name!r}{closest(name, known)}; "
                    f"known parameters: {', '.join(known)}"
                )
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Name -> value, ready for JSON (`layers` a list); `Config().replace(**d)` restores it."""
        values = {p.name: getattr(self, p.name) for p in dataclasses.fields(self)}
        return {**values, "layers": list(self.layers)}

    @classmethod
    def describe(cls) -> list[ParameterRow]:
        """The parameters in order, for the docs' table and `--help`."""
        return [
            ParameterRow(
                parameter.name,
                parameter.metadata["symbol"],
                as_text(parameter.default),
                _expected(parameter),
                parameter.metadata["help"],
            )
            for parameter in dataclasses.fields(cls)
        ]


def as_text(value: object) -> str:
    """A value as one writes it on the command line: (200, 100) is '200/100'."""
    return "/".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _expected(parameter: dataclasses.Field[Any]) -> str:
    if parameter.name == "loss":
        return "one of " + ", ".join(map(repr, LOSSES))
    noun = {
        "int": "an integer",
        "float": "a number",
        "bool": "True or False",
        "tuple[int, ...]": "one or more integers",
    }[str(parameter.type)]
    bounds = parameter.metadata["range"]
    expected = noun if bounds is None else f"{noun} {bounds}"
    return f"{expected} or 'layersize'" if parameter.name == "embedding" else expected


def _parse(parameter: dataclasses.Field[Any], value: object) -> object:
    bounds = parameter.metadata["range"]
    parsed = None
    try:
        parsed = _PARSERS[str(parameter.type)](value)
        sizes = parsed if isinstance(parsed, tuple) else (parsed,)
        valid = bool(sizes) and (bounds is None or all(size in bounds for size in sizes))
    except (TypeError, ValueError, KeyError, OverflowError):
        valid = False
    if not valid:
        hint = closest(value, LOSSES) if parameter.name == "loss" and isinstance(value, str) else ""
        raise ParameterError(
            f"{parameter.name}={value!r}: expected {_expected(parameter)} "
            f"(default {as_text(parameter.default)}){hint}"
        )
    return parsed


def _integer(value: object) -> int:
    # bool is an Integral to Python, but batch_size=True is a slip.
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


def _loss(value: object) -> str:
    if value in LOSSES:
        return str(value)
    raise ValueError


_PARSERS: dict[str, Callable[[object], object]] = {
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "str": _loss,
    "tuple[int, ...]": _integers,
}


_TUNED = (
    "loss", "layers", "batch_size", "dropout_p_embed", "dropout_p_hidden", "learning_rate",
    "momentum", "sample_alpha", "bpreg", "elu_param", "logq",
)  # fmt: skip
_PUBLISHED = {
    #                loss             H       B   drop-outs   η      μ     α    bpreg elu  logq
    "rsc15":        ("cross-entropy", (100,), 32, 0.00, 0.40, 0.200, 0.20, 0.5, 0.00, 0.0, 1.0),
    "yoochoose":    ("cross-entropy", (480,), 48, 0.00, 0.20, 0.070, 0.00, 0.2, 0.00, 0.0, 1.0),
    "rees46":       ("cross-entropy", (512,), 240, 0.45, 0.0, 0.065, 0.00, 0.5, 0.00, 0.0, 1.0),
    "coveo":        ("bpr-max",       (512,), 144, 0.35, 0.0, 0.050, 0.40, 0.2, 1.85, 1.0, 0.0),
    "retailrocket": ("bpr-max",       (224,), 80, 0.50, 0.05, 0.050, 0.40, 0.4, 1.95, 0.5, 0.0),
    "diginetica":   ("bpr-max",       (512,), 128, 0.50, 0.3, 0.050, 0.15, 0.3, 0.90, 1.0, 0.0),
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    name: dict(zip(_TUNED, values, strict=True))
    | {"n_sample": 2048, "embedding": 0, "constrained_embedding": True, "n_epochs": 10}
    for name, values in _PUBLISHED.items()
}
"""The authors' tuned settings by data set (SPEC section 9): `Config().replace(**PRESETS[name])`."""
