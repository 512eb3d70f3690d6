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


def correct_logq(
    s: Tensor,
    support: Tensor,
    columns: Tensor,
    logq: float,
    alpha: float,
    in_batch: int | None = None,
) -> Tensor:
    """Scores less logq * log(q), the correction of a sampled softmax.

    q is the item's support for the in-batch columns, the first M unless `in_batch` says how many,
    and support^alpha for the sampled ones.
    """
    log_q = torch.log(support[columns].to(s.dtype))
    log_q[s.shape[0] if in_batch is None else in_batch :] *= alpha
    return s - logq * log_q


def cross_entropy(s: Tensor, smoothing: float = 0.0) -> Tensor:
    """-log(softmax(s)_i + 1e-24) over all N columns (2018, categorical cross-entropy).

    With label smoothing e the target distribution gives each of the other columns e / (N - 1) and
    the positive one the rest: (1 - N e / (N - 1)) (-log p_i) + e / (N - 1) sum_j -log p_j.
    """
    p = torch.softmax(s, dim=1)
    loss = -torch.log(p.diagonal() + LOG_EPSILON)
    if smoothing > 0:
        n = s.shape[1]
        spread = -torch.log(p + LOG_EPSILON).sum(dim=1)
        loss = (1 - n / (n - 1) * smoothing) * loss + smoothing / (n - 1) * spread
    return loss


def negative_softmax(s: Tensor) -> Tensor:
    """The softmax over the N - 1 negatives of each row; the positive's own weight is 0."""
    own = torch.zeros_like(s, dtype=torch.bool).fill_diagonal_(True)
    return torch.softmax(s.masked_fill(own, -torch.inf), dim=1)


def bpr_max(s: Tensor, bpreg: float) -> Tensor:
    """-log(sum_j w_j sigma(s_i - s_j) + 1e-24) + bpreg sum_j w_j s_j^2 (2018, BPR-max).

    w is the softmax over the N - 1 negatives of the row.
    """
    w = negative_softmax(s)
    likelihood = (w * torch.sigmoid(s.diagonal()[:, None] - s)).sum(dim=1)
    return -torch.log(likelihood + LOG_EPSILON) + bpreg * (w * s**2).sum(dim=1)


def bpr(s: Tensor) -> Tensor:
    """-sum_j log sigma(s_i - s_j) over all N columns (2016, BPR); the own one adds log 2."""
    return F.softplus(s - s.diagonal()[:, None]).sum(dim=1)


def top1(s: Tensor) -> Tensor:
    """mean_j(sigma(s_j - s_i) + sigma(s_j^2)) - sigma(s_i^2) / N over all columns (2016, TOP1)."""
    positive = s.diagonal()
    terms = torch.sigmoid(s - positive[:, None]) + torch.sigmoid(s**2)
    return terms.mean(dim=1) - torch.sigmoid(positive**2) / s.shape[1]


def top1_max(s: Tensor) -> Tensor:
    """sum_j w_j (sigma(s_j - s_i) + sigma(s_j^2)), w the softmax over the negatives (2018)."""
    terms = torch.sigmoid(s - s.diagonal()[:, None]) + torch.sigmoid(s**2)
    return (negative_softmax(s) * terms).sum(dim=1)


LOSSES: dict[str, Callable[[Tensor, Config], Tensor]] = {
    "cross-entropy": lambda s, config: cross_entropy(s, config.smoothing),
    "bpr-max": lambda s, config: bpr_max(s, config.bpreg),
    "bpr": lambda s, _: bpr(s),
    "top1": lambda s, _: top1(s),
    "top1-max": lambda s, _: top1_max(s),
}
"""By the names of `config.LOSSES`, of scores after their activation (`Config.score_activation`)."""
