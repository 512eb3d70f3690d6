"""Every hyper-parameter once: name, symbol, default, range and meaning.

Names and defaults are those of GRU4Rec's users (SPEC section 10). The table in the docs, `--help`
and the error messages are derived from the fields below.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

from gru4rec_fast.checks import closest
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.parameter import (
    AT_LEAST_ONE,
    NOT_NEGATIVE,
    SHARE,
    Range,
    as_text,
    expected,
    parameter,
    parse,
)

LOSSES: tuple[str, ...] = ("cross-entropy", "bpr-max")
"""Accepted values of `loss`; each is a function of the reference."""
LAYER_SIZE = "layersize"
"""As `embedding`: as many columns as the first layer has units."""


class ParameterRow(NamedTuple):
    """One hyper-parameter as the docs and `--help` show it."""

    name: str
    symbol: str
    default: str
    expected: str
    help: str


@dataclass(frozen=True)
class Config:
    """The hyper-parameters of a model, validated; immutable.

    Values may be given as text as well ('64', '0.2', 'True', '200/200'), as NumPy scalars, and
    `layers` as any sequence. They are stored in the types below.

    Raises:
        ParameterError: a value of the wrong type or out of range, or two that exclude each other.
    """

    layers: tuple[int, ...] = parameter(
        (100,),
        "hidden units of each recurrent layer; '200/100' as text",
        symbol="H",
        bounds=AT_LEAST_ONE,
    )
    loss: str = parameter(
        "cross-entropy",
        "loss of a step over its targets and negatives",
        choices=lambda: LOSSES,
    )
    batch_size: int = parameter(
        64, "sessions trained side by side, one a lane", symbol="B", bounds=AT_LEAST_ONE
    )
    dropout_p_embed: float = parameter(
        0.0, "probability that a unit of the embedding is dropped", bounds=SHARE
    )
    dropout_p_hidden: float = parameter(
        0.0, "probability that a unit of a layer's new state is dropped", bounds=SHARE
    )
    learning_rate: float = parameter(
        0.05, "step size of Adagrad", symbol="η", bounds=Range(0, open_low=True)
    )
    momentum: float = parameter(0.0, "share of the last update kept", symbol="μ", bounds=SHARE)
    sample_alpha: float = parameter(
        0.5,
        "negatives are drawn ∝ support^alpha: 0 uniform, 1 by popularity; above 1 sharper still",
        symbol="α",
        bounds=NOT_NEGATIVE,
    )
    n_sample: int = parameter(
        2048,
        "negatives drawn for each step, beside the other lanes' targets",
        symbol="S",
        bounds=Range(0, 2**31 - 1),
    )
    embedding: int = parameter(
        0,
        "columns of a separate input embedding, layers[0] for 'layersize'; 0 for none; "
        "needs constrained_embedding=False",
        bounds=NOT_NEGATIVE,
        word=LAYER_SIZE,
    )
    constrained_embedding: bool = parameter(
        True, "inputs read the rows of the output table Wy; False with embedding=0 is one-hot"
    )
    n_epochs: int = parameter(10, "passes over the sessions", bounds=AT_LEAST_ONE)
    bpreg: float = parameter(
        1.0, "weight of the score regularisation in bpr-max", bounds=NOT_NEGATIVE
    )
    elu_param: float = parameter(
        0.5, "parameter of the ELU on bpr-max scores, 0 for linear", bounds=NOT_NEGATIVE
    )
    logq: float = parameter(
        0.0, "strength of the logQ correction of cross-entropy scores", bounds=NOT_NEGATIVE
    )
    sigma: float = parameter(
        0.0, "scale of the initial weights, 0 for √(6 / (rows + columns))", bounds=NOT_NEGATIVE
    )
    init_as_normal: bool = parameter(False, "draw initial weights normal instead of uniform")
    time_sort: bool = parameter(
        True, "train sessions by time of their first event; False: as they appear in the log"
    )
    train_random_order: bool = parameter(
        False, "shuffle the sessions anew, by the seed, in each epoch"
    )
    seed: int = parameter(
        42,
        "of negatives, dropout and shuffles; of initial weights only with compatibility_mode=False",
        bounds=Range(0, 2**63 - 1),
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "embedding" and isinstance(value, str) and value == LAYER_SIZE:
                value = self.layers[0]
            object.__setattr__(self, field.name, parse(field, value))
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
        known = [field.name for field in dataclasses.fields(self)]
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
                field.name,
                field.metadata["symbol"],
                as_text(field.default),
                expected(field),
                field.metadata["help"],
            )
            for field in dataclasses.fields(cls)
        ]
