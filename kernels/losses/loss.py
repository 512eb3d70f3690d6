"""What a sampled loss gives to the kernels that compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gru4rec_fast.config import Config


@dataclass(frozen=True)
class Loss:
    """A loss over the scores of a lane, as a compile-time part of two kernels.

    y is a score after the activation. The softmax of a lane runs over the unique scored rows u with
    the weights count(u) exp(y_u) / sum_v count(v) exp(y_v). Everything is float32. OPTIONS are the
    values of `options`.

    `sampled_loss.lane_loss_kernel` reads all scores of a lane once, calls `terms` for each tile of
    them and `value` at the end. `row_gradients.row_gradients_kernel` reads the statistics back and
    calls `gradient` for each score.
    """

    value: Any
    """(positive, log_total, means, OPTIONS) -> loss (lanes,), statistics (a tuple of (lanes,)).

    positive: the score of the lane's own target; log_total: logarithm of the softmax's denominator;
    means: a tuple of the softmax-weighted means of `terms`.
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

    e: count(u) exp(y_u - maximum); positive (lanes, 1).
    """
    n_terms: int = 0
    negatives_only: bool = False
    """Whether the lane's own target is left out of its softmax."""
    takes_logq: bool = False
    """Whether scores are corrected by logq."""
    takes_elu: bool = False
    """Whether scores pass an exponential linear unit first."""
    options: tuple[str, ...] = ()
    """Names of the `Config` fields that become the compile-time OPTIONS, in this order."""

    def of(self, config: Config) -> tuple[float, ...]:
        """OPTIONS of a configuration."""
        return tuple(float(getattr(config, name)) for name in self.options)
