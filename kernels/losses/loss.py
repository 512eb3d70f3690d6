"""What a sampled loss gives to the kernels that compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gru4rec_fast.config import Config


@dataclass(frozen=True)
class Loss:
    """A loss over the scores of a lane, as a compile-time part of two kernels.

    y is a score after the activation. Sums over the N columns of a lane run over the unique scored
    rows u, weighted by count(u), the number of columns with that item. So does the softmax:
    count(u) exp(y_u) / sum_v count(v) exp(y_v). Everything is float32. OPTIONS are the values of
    `options`.

    `lane_loss.lane_loss_kernel` reads all scores of a lane once, calls `terms` for each tile of
    them and `value` at the end. Of a plain softmax it reads the parts that `scores_kernel` summed.
    `row_gradients.row_gradients_kernel` reads the statistics back and calls `gradient` for each
    score.
    """

    value: Any
    """(positive, total, means, OPTIONS) -> loss (lanes,), statistics (a tuple of (lanes,)).

    positive: the score of the lane's own target; total: logarithm of the softmax's denominator, or
    without softmax the number of columns; means: a tuple of the weighted means of `terms`, then the
    sums of `column_terms`.
    """
    n_statistics: int
    """How many statistics `value` returns and `gradient` gets."""
    gradient: Any
    """(y, weight, is_own, statistics, OPTIONS) -> gradient (rows, lanes) of B times the loss by y.

    weight (rows,): count of each row; is_own (rows, lanes): 1.0 where the row is the lane's target,
    else 0.0; statistics: a tuple of (1, lanes).
    """
    terms: Any = None
    """(e, y, positive) -> n_terms tiles (lanes, rows) whose sums over the rows become the means.

    e: count(u) exp(y_u - maximum), or without softmax count(u); positive (lanes, 1).
    """
    n_terms: int = 0
    softmax: bool = True
    """Whether the means of `terms` are weighted by the softmax, or by the counts alone."""
    negatives_only: bool = False
    """Whether the lane's own target is left out of the means."""
    column_terms: Any = None
    """(y, total) -> n_column_terms tiles (lanes, rows) to be summed over all columns.

    It is called in a second pass over the scores, when the softmax's denominator is known. y: score
    of a column, less its own correction by logq; total (lanes, 1).
    """
    n_column_terms: int = 0
    column_gradient: Any = None
    """(y, statistics, OPTIONS) -> what each column adds to the gradient (rows, lanes), y likewise.
    """
    takes_logq: bool = False
    """Whether scores are corrected by logq."""
    options: tuple[str, ...] = ()
    """Names of the `Config` fields that become the compile-time OPTIONS, in this order."""
    smoothed: Loss | None = None
    """The same loss with label smoothing, where there is one."""

    @property
    def plain_softmax(self) -> bool:
        """Whether the first pass over the scores sums the softmax's denominator over all columns,
        and nothing else.
        """
        return self.softmax and self.terms is None and not self.negatives_only

    def of(self, config: Config) -> tuple[float, ...]:
        """OPTIONS of a configuration."""
        return tuple(float(getattr(config, name)) for name in self.options)
