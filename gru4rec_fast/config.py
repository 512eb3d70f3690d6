"""Every hyper-parameter once: name, symbol, default, range and meaning.

Names and defaults are those of GRU4Rec's users (SPEC section 10). The table in the docs, `--help`
and the error messages are derived from the fields below.
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

from gru4rec_fast.activation import Activation
from gru4rec_fast.checks import closest
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.parameter import (
    AT_LEAST_ONE,
    NOT_NEGATIVE,
    SHARE,
    Range,
    as_text,
    default_text,
    expected,
    parameter,
    parse,
)

LOSSES: tuple[str, ...] = ("cross-entropy", "bpr-max", "bpr", "top1", "top1-max")
"""Accepted values of `loss`; each is a function of the reference."""
CELLS = ("gru", "lstm", "rnn")
SCHEDULES = ("constant", "linear", "cosine")
TABLE_DTYPES = ("float32", "bfloat16")
RESETS = (None, "after", "before")
PRECISIONS = ("auto", "highest", "high", "medium")
"""Accepted values of `precision`, torch's words; each is an entry of the reference's `LINEAR`."""
OPTIMISERS = ("sgd", "adagrad", "adagrad-rowwise", "rmsprop", "adadelta", "adam")
"""Accepted values of `adapt`; each is a class of the reference."""
OPTIMISER_PARAMETERS: dict[str, dict[str, float]] = {
    "rmsprop": {"rho": 0.9},
    "adadelta": {"rho": 0.95},
    "adam": {"beta1": 0.9, "beta2": 0.999},
}
"""Optimiser -> name and default of each number of `adapt_params`."""
SOFTMAX = ("softmax", "softmax_logit")
"""Names of the activation that cross-entropy contains."""
DEFAULT_ELU = 0.5
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
    smoothing: float = parameter(0.0, "label smoothing of cross-entropy", symbol="ε", bounds=SHARE)
    final_act: str = parameter(
        "auto",
        "activation of the scores before the loss: 'auto' is elu-<elu_param> for bpr-max and none "
        "for other losses; cross-entropy contains its softmax",
        activation=("auto", *SOFTMAX),
    )
    cell: str = parameter("gru", "recurrent cell of all layers", choices=lambda: CELLS)
    reset: str | None = parameter(
        None,
        "where the GRU's reset gate stands: before or after the recurrent product; None is before "
        "it in the first layer of a one-hot input, else after it",
        choices=lambda: RESETS,
    )
    hidden_act: str = parameter(
        "tanh",
        "activation of the candidate state; other than tanh for the GRU with the reset gate before "
        "the product, and for the RNN",
        activation=(),
    )
    feed_forward: tuple[int, ...] = parameter(
        (),
        "units of feed-forward layers between the last cell and the scores; '' for none",
        bounds=AT_LEAST_ONE,
        optional=True,
    )
    feed_forward_act: str = parameter(
        "tanh", "activation of the feed-forward layers", activation=()
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
        0.05, "step size; adadelta takes 1", symbol="η", bounds=Range(0, open_low=True)
    )
    lr_schedule: str = parameter(
        "constant",
        "course of the learning rate after the warm-up: constant, or falling to lr_final at the "
        "end of the training",
        choices=lambda: SCHEDULES,
    )
    lr_final: float = parameter(
        0.0, "share of the learning rate at which linear and cosine end", bounds=SHARE
    )
    lr_warmup: float = parameter(
        0.0,
        "epochs, 0.5 for half a one, in which the learning rate rises from 0 at first",
        bounds=NOT_NEGATIVE,
    )
    lr_decay: float = parameter(
        1.0,
        "factor of the learning rate from epoch to epoch",
        bounds=Range(0, 1, open_low=True),
    )
    adapt: str = parameter(
        "adagrad",
        "optimiser; None is sgd; adagrad-rowwise keeps one number a row",
        choices=lambda: OPTIMISERS,
    )
    adapt_params: tuple[float, ...] = parameter(
        (),
        "decay of the optimiser's averages: of rmsprop (0.9), adadelta (0.95), adam (0.9/0.999); "
        "'' for these defaults",
        bounds=SHARE,
        optional=True,
    )
    momentum: float = parameter(0.0, "share of the last update kept", symbol="μ", bounds=SHARE)
    lmbd: float = parameter(
        0.0,
        "L2 weight, of the rows and weights that a step updates",
        symbol="λ",
        bounds=NOT_NEGATIVE,
    )
    grad_cap: float = parameter(
        0.0, "largest norm of all gradients of a step together, 0 for none", bounds=NOT_NEGATIVE
    )
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
        DEFAULT_ELU, "parameter of the ELU on bpr-max scores, 0 for linear", bounds=NOT_NEGATIVE
    )
    logq: float = parameter(
        0.0, "strength of the logQ correction of cross-entropy scores", bounds=NOT_NEGATIVE
    )
    sigma: float = parameter(
        0.0, "scale of the initial weights, 0 for √(6 / (rows + columns))", bounds=NOT_NEGATIVE
    )
    init_as_normal: bool = parameter(False, "draw initial weights normal instead of uniform")
    table_dtype: str = parameter(
        "float32",
        "numbers of the item tables; bfloat16 takes half the memory, is rounded stochastically in "
        "each step, and trains on the CPU",
        choices=lambda: TABLE_DTYPES,
    )
    time_sort: bool = parameter(
        True, "train sessions by time of their first event; False: as they appear in the log"
    )
    train_random_order: bool = parameter(
        False, "shuffle the sessions anew, by the seed, in each epoch"
    )
    precision: str = parameter(
        "auto",
        "of the products of training at least, in PyTorch's words: 'highest' is float32, 'high' "
        "tf32 or a float32 as two bfloat16 numbers, 'medium' one bfloat16; 'auto' is 'highest' on "
        "CPUs, 'high' on GPUs; ranks are float32 always",
        choices=lambda: PRECISIONS,
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
            value = _original_spelling(field.name, value)
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
        self._check_cell()
        self._check_loss()
        if self.lr_final > 0 and self.lr_schedule == "constant":
            raise ParameterError(
                f"lr_final={self.lr_final} with lr_schedule='constant', which ends at the rate "
                "itself: pass lr_schedule='linear' or 'cosine', or leave lr_final out"
            )
        expected_numbers = OPTIMISER_PARAMETERS.get(self.adapt, {})
        if self.adapt_params and len(self.adapt_params) != len(expected_numbers):
            raise ParameterError(
                f"adapt_params={as_text(self.adapt_params)}: {self.adapt} takes "
                f"{len(expected_numbers)} ({', '.join(expected_numbers) or 'none'}); pass as many, "
                "or none for the defaults"
            )

    def _check_cell(self) -> None:
        if self.reset is not None and self.cell != "gru":
            raise ParameterError(
                f"reset={self.reset!r} with cell={self.cell!r}: only the gru has a reset gate; "
                "leave reset out"
            )
        fixed = [cell for cell in self.cells if cell in ("gru-reset-after", "lstm")]
        if self.hidden_act != "tanh" and fixed:
            raise ParameterError(
                f"hidden_act={self.hidden_act!r}: the cell {fixed[0]} has tanh inside; pass "
                "reset='before' or cell='rnn' for another activation"
            )

    def _check_loss(self) -> None:
        softmax = self.final_act in SOFTMAX
        if self.loss == "cross-entropy" and not softmax and self.final_act != "auto":
            raise ParameterError(
                f"final_act={self.final_act!r} with loss='cross-entropy', which contains its "
                "softmax: expected 'softmax' or 'auto'"
            )
        if softmax and self.loss != "cross-entropy":
            raise ParameterError(
                f"final_act={self.final_act!r} with loss={self.loss!r}: softmax belongs to "
                "cross-entropy; expected another activation, or 'auto'"
            )
        if self.smoothing > 0 and self.loss != "cross-entropy":
            raise ParameterError(
                f"smoothing={self.smoothing} with loss={self.loss!r}: label smoothing belongs to "
                "cross-entropy; leave it out"
            )
        elu = Activation.parse(f"elu-{self.elu_param}")
        given = self.elu_param != DEFAULT_ELU and self.final_act != "auto"
        if given and self.loss == "bpr-max" and Activation.parse(self.final_act) != elu:
            raise ParameterError(
                f"final_act={self.final_act!r} and elu_param={self.elu_param} say different "
                "things; leave one out"
            )

    @property
    def cells(self) -> tuple[str, ...]:
        """The cell of each layer, by the names of `spec.CELLS`."""
        if self.cell != "gru":
            return (self.cell,) * len(self.layers)
        if self.reset is not None:
            return (f"gru-reset-{self.reset}",) * len(self.layers)
        one_hot = not self.constrained_embedding and not self.embedding
        first = "gru-reset-before" if one_hot else "gru-reset-after"
        return (first, *("gru-reset-after",) * (len(self.layers) - 1))

    @property
    def score_activation(self) -> Activation:
        """Of the scores before the loss; linear where the loss contains a softmax."""
        if self.loss == "cross-entropy":
            return Activation()
        if self.final_act != "auto":
            return Activation.parse(self.final_act)
        return Activation.parse(f"elu-{self.elu_param}" if self.loss == "bpr-max" else "linear")

    @property
    def hidden_activation(self) -> Activation:
        """Of the candidate state of cells that let one choose it."""
        return Activation.parse(self.hidden_act)

    @property
    def feed_forward_activation(self) -> Activation:
        """Of the feed-forward layers."""
        return Activation.parse(self.feed_forward_act)

    @property
    def has_schedule(self) -> bool:
        """Whether the learning rate changes from step to step."""
        return self.lr_schedule != "constant" or self.lr_warmup > 0 or self.lr_decay < 1

    @property
    def optimiser_parameters(self) -> tuple[float, ...]:
        """`adapt_params`, or the defaults of the optimiser."""
        return self.adapt_params or tuple(OPTIMISER_PARAMETERS.get(self.adapt, {}).values())

    def replace(self, **changes: Any) -> Config:
        """A copy with `changes` made, all at once, each parsed and validated.

        Raises:
            ParameterError: an unknown name, with the closest known one, or as for `Config`.
        """
        if "decay" in changes:
            changes = without_decay(changes, self.adapt)
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise ParameterError(
                    f"unknown parameter {name!r}{closest(name, known)}; "
                    f"known parameters: {', '.join(known)}"
                )
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Name -> value, ready for JSON (tuples as lists); `Config().replace(**d)` restores it."""
        values = {p.name: getattr(self, p.name) for p in dataclasses.fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def describe(cls) -> list[ParameterRow]:
        """The parameters in order, for the docs' table and `--help`."""
        return [
            ParameterRow(
                field.name,
                field.metadata["symbol"],
                default_text(field),
                expected(field),
                field.metadata["help"],
            )
            for field in dataclasses.fields(cls)
        ]


def without_decay(changes: dict[str, Any], adapt: str) -> dict[str, Any]:
    """The changes with the original's `decay` as our `adapt_params`."""
    adapt = _original_spelling("adapt", changes.get("adapt", adapt))
    others = {name: value for name, value in changes.items() if name != "decay"}
    if len(OPTIMISER_PARAMETERS.get(adapt, {})) == 1:
        return {"adapt_params": (changes["decay"],), **others}
    # The original's parameter files give it for every optimiser.
    warnings.warn(f"decay={changes['decay']} has no effect with adapt={adapt!r}", stacklevel=3)
    return others


def _original_spelling(name: str, value: Any) -> Any:
    """A value as we spell it: the original's None of `adapt`, 'xe_logit', one unwrapped decay."""
    if name == "adapt" and value in (None, "None", ""):
        return "sgd"
    if name == "loss" and value == "xe_logit":
        return "cross-entropy"
    if name == "reset" and value in ("None", ""):
        return None
    return value
