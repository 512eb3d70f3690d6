"""Popularity: every session is answered with the items of highest support."""

# ruff: noqa: ARG002 - the methods take what every scorer is given

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gru4rec_fast.baselines.baseline import Baseline
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from gru4rec_fast.data.sessions import Sessions


class Pop(Baseline):
    """POP (Hidasi et al. 2016, section 4): the score of an item is its number of training events.

    It has no parameters.
    """

    def _train(self, sessions: Sessions) -> PopScorer:
        return PopScorer(sessions.support)


class PopScorer:
    """The scorer of `Pop`.

    Args:
        support: (V,) events of each item index in the training log, `Sessions.support`.

    Raises:
        ParameterError: `support` is not a finite number for each of one or more items.
    """

    rows_per_block = 2**20
    device = torch.device("cpu")

    def __init__(self, support: ArrayLike) -> None:
        counts = np.asarray(support, dtype=np.float64)
        if counts.ndim != 1 or counts.size == 0 or not np.isfinite(counts).all():
            raise ParameterError(
                f"support has shape {counts.shape}: expected (V,), a count for each item; "
                "take Sessions.support of the training log"
            )
        self.n_items = len(counts)
        self._support = torch.from_numpy(counts)
        self._ascending = self._support.sort().values

    def start(self, lanes: int) -> list[Tensor]:
        """No state."""
        return []

    def step(
        self,
        state: list[Tensor],
        inputs: Tensor,
        restarts: Tensor,
        source: Tensor,
    ) -> Tensor:
        """Features (M, 0): the answer does not depend on the session."""
        return torch.empty(len(inputs), 0)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Supports and items (R, min(k, V)) of highest support, for every row the same."""
        order = torch.sort(self._support, descending=True, stable=True)
        rows = len(features)
        return order.values[:k].expand(rows, -1), order.indices[:k].expand(rows, -1)

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items of higher support than each target (R,), and of equal one, itself included (R,)."""
        own = self._support[targets]
        below = torch.searchsorted(self._ascending, own, side="left")
        up_to = torch.searchsorted(self._ascending, own, side="right")
        return self.n_items - up_to, up_to - below

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Supports (R, n) of the items (n,), for every row the same."""
        return self._support[items].expand(len(features), -1)
