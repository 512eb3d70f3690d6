"""The losses: scores (M, N), the positive of row i in column i -> the loss of each row (M,)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from gru4rec_fast.config import Config

LOG_EPSILON = 1e-24


def correct_logq(s: Tensor, support: Tensor, columns: Tensor, logq: float, alpha: float) -> Tensor:
    """Scores less logq * log(q), the correction of a sampled softmax.

    q is the item's support for the M in-batch columns, support^alpha for the S sampled ones.
    """
    log_q = torch.log(support[columns].to(s.dtype))
    log_q[s.shape[0] :] *= alpha
    return s - logq * log_q


def cross_entropy(s: Tensor) -> Tensor:
    """-log(softmax(s)_i + 1e-24) over all N columns (2018, categorical cross-entropy)."""
    return -torch.log(torch.softmax(s, dim=1).diagonal() + LOG_EPSILON)


def elu(s: Tensor, alpha: float) -> Tensor:
    """Exponential linear unit; alpha 0 means no activation at all."""
    return F.elu(s, alpha) if alpha > 0 else s


def bpr_max(s: Tensor, bpreg: float) -> Tensor:
    """-log(sum_j w_j sigma(s_i - s_j) + 1e-24) + bpreg sum_j w_j s_j^2 (2018, BPR-max).

    w is the softmax over the N - 1 negatives of the row.
    """
    positive = s.diagonal()[:, None]
    own = torch.zeros_like(s, dtype=torch.bool).fill_diagonal_(True)
    w = torch.softmax(s.masked_fill(own, -torch.inf), dim=1)
    likelihood = (w * torch.sigmoid(positive - s)).sum(dim=1)
    return -torch.log(likelihood + LOG_EPSILON) + bpreg * (w * s**2).sum(dim=1)


LOSSES: dict[str, Callable[[Tensor, Config], Tensor]] = {
    "cross-entropy": lambda s, _: cross_entropy(s),
    "bpr-max": lambda s, config: bpr_max(elu(s, config.elu_param), config.bpreg),
}
"""By the names of `config.LOSSES`."""
