"""Matrix factorisation of sessions x items, trained by BPR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gru4rec_fast._core import train_bpr_mf
from gru4rec_fast.baselines.arguments import real_number
from gru4rec_fast.baselines.baseline import Baseline
from gru4rec_fast.checks import whole_number
from gru4rec_fast.data.sessions import require_pairs
from gru4rec_fast.engines import choice
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.reference import carry

if TYPE_CHECKING:
    from gru4rec_fast.data.sessions import Sessions


class BPRMF(Baseline):
    """BPR-MF (Rendle et al. 2009, sections 4.2 and 4.3.1), on sessions x items.

    Training ascends Σ ln σ(w_s·(h_i - h_j)) - regularization / 2 |Θ|² by LearnBPR, over triples of
    a session s, an item i of it and another item j. A new session has no factors: it is represented
    by the mean of the factors of its events' items (Hidasi et al. 2016, section 4), so
    score(j) = mean_{i in s} h_i · h_j. The papers state no values of the parameters.

    Args:
        n_factors: length of w_s and h_i.
        n_epochs: times as many triples are drawn as there are distinct (session, item) pairs.
        learning_rate: step size of the gradient ascent.
        regularization: L2 regularisation of all factors.
        init_std: standard deviation of the initial factors, which are normal.
        seed: of the initial factors and of the triples.

    Raises:
        ParameterError: a parameter of the wrong type or out of range.
    """

    def __init__(
        self,
        n_factors: int = 100,
        n_epochs: int = 10,
        learning_rate: float = 0.05,
        regularization: float = 0.0025,
        init_std: float = 0.1,
        seed: int = 42,
    ) -> None:
        self.n_factors = whole_number("n_factors", n_factors)
        self.n_epochs = whole_number("n_epochs", n_epochs)
        self.learning_rate = real_number("learning_rate", learning_rate)
        self.regularization = real_number("regularization", regularization)
        self.init_std = real_number("init_std", init_std)
        self.seed = whole_number("seed", seed, at_least=0)

    def _train(self, sessions: Sessions) -> BPRMFScorer:
        require_pairs(sessions)
        random = np.random.default_rng(self.seed)
        session_factors, item_factors = (
            random.standard_normal((rows, self.n_factors), dtype=np.float32)
            * np.float32(self.init_std)
            for rows in (sessions.n_sessions, sessions.n_items)
        )
        train_bpr_mf(
            sessions.items,
            sessions.offsets,
            session_factors,
            item_factors,
            n_epochs=self.n_epochs,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            seed=self.seed,
        )
        if not np.isfinite(item_factors).all():
            raise ParameterError(
                f"training with learning_rate={self.learning_rate} and regularization="
                f"{self.regularization} led to factors that are not finite; lower learning_rate"
            )
        return BPRMFScorer(torch.from_numpy(item_factors))


class BPRMFScorer:
    """The scorer of `BPRMF`; item_factors (V, F) float32. Features are session vectors (M, F)."""

    rows_per_block = 4096
    device = torch.device("cpu")

    def __init__(self, item_factors: Tensor) -> None:
        self.n_items = len(item_factors)
        self._item_factors = item_factors
        self._ranker = choice.ranker("cpu", item_factors, item_factors.new_zeros(self.n_items, 1))

    def start(self, lanes: int) -> list[Tensor]:
        """Sums of factors (lanes, F) and numbers of events (lanes, 1)."""
        factors = self._item_factors
        return [factors.new_zeros(lanes, factors.shape[1]), factors.new_zeros(lanes, 1)]

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns the means of their factors (M, F)."""
        total, events = (carry(table, source, restarts) for table in state)
        total = total + self._item_factors[inputs]
        events = events + 1
        state[:] = [total, events]
        return total / events

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target (R,), and equal to it, itself included (R,)."""
        return self._ranker.rank_counts(features, targets)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""
        return self._ranker.top_k(features, k)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) float32 of the items (n,) int64."""
        return self._ranker.scores(features, items)
