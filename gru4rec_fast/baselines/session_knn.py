"""Nearest training sessions: SKNN, VSKNN and VMIS-kNN.

Letters: s the session, its events at positions 1 (oldest) to |s|, where an item that occurs more
than once has the position of its last event; n a training session, as a set of items; N(s) the k
most similar of the m most recent training sessions that share an item with s.

Sessions are ordered by recency: by the time of their first event, ties by ascending session id
(`Sessions.order`). Where the similarities of training sessions are equal, the more recent one is
preferred. Items of the session itself can be recommended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast import _core
from gru4rec_fast.baselines.baseline import Baseline
from gru4rec_fast.baselines.event_window import empty_windows, push
from gru4rec_fast.checks import whole_number
from gru4rec_fast.data.sessions import require_pairs
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from gru4rec_fast.data.sessions import Sessions


class SKNN(Baseline):
    """S-KNN (Jannach & Ludewig 2017; Ludewig & Jannach 2018, section 3).

    score(i) = Σ_{n in N(s)} sim(s, n) 1[i in n], sim the cosine of the sets of items.

    Scores are rounded down to multiples of 2^-24 / √|s|, so that sums of roots that are equal tie.

    Args:
        k: neighbours, 500 as in Jannach & Ludewig 2017.
        m: most recent sessions among which they are searched, 1000 as there.

    Raises:
        ParameterError: a parameter is not a whole number of at least 1, or k > m.
    """

    _similarity = "cosine"
    _match_weight = False
    _idf = False

    def __init__(self, k: int = 500, m: int = 1000) -> None:
        self.k = whole_number("k", k)
        self.m = whole_number("m", m)
        if self.k > self.m:
            raise ParameterError(
                f"k is {k} but m is {m}; expected k <= m, since the k neighbours are taken from "
                "the m most recent sessions. Raise m or lower k"
            )

    def _train(self, sessions: Sessions) -> SessionKnnScorer:
        require_pairs(sessions)
        return SessionKnnScorer(
            _core.SessionKnn(
                sessions.items,
                sessions.offsets,
                sessions.order,
                sessions.n_items,
                similarity=self._similarity,
                match_weight=self._match_weight,
                idf=self._idf,
                k=self.k,
                m=self.m,
            ),
            sessions.n_items,
        )


class VSKNN(SKNN):
    """V-SKNN (Ludewig & Jannach 2018, section 3): recent events of the session count more.

    score(i) = Σ_{n in N(s)} sim(s, n) 1[i in n], with sim(s, n) = Σ_{j in s ∩ n} position(j) / |s|,
    the dot product of the linearly decayed session with the set of items of n. k and m as for SKNN.
    """

    _similarity = "decay"


class VMISKNN(VSKNN):
    """VMIS-kNN (Kersbergen, Sprangers & Schelter, "Serenade", SIGMOD 2022, section 3).

    score(i) = Σ_{n in N(s)} λ(s, n) sim(s, n) 1[i in n] log(|H| / h_i), with sim as for VSKNN, |H|
    training sessions, h_i of them with item i, and the match weight λ(s, n) = max(0, 1 - p / 10),
    where the most recent item that s shares with n is the p-th last event of s (p = 1: the last).

    Args:
        k: neighbours.
        m: most recent sessions among which they are searched; an item keeps no more.
    """

    _match_weight = True
    _idf = True

    def __init__(self, k: int = 100, m: int = 500) -> None:
        super().__init__(k, m)


class SessionKnnScorer:
    """The scorer of SKNN, VSKNN and VMISKNN; features (M, L) int32 are the last events."""

    rows_per_block = 1024
    device = torch.device("cpu")

    def __init__(self, knn: _core.SessionKnn, n_items: int) -> None:
        self.n_items = n_items
        self._knn = knn

    def start(self, lanes: int) -> list[Tensor]:
        """Empty sessions."""
        return empty_windows(lanes)

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns their last events (M, L)."""
        return push(state, inputs, restarts, source)

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target (R,), and equal to it, itself included (R,)."""
        greater, equal = self._knn.rank_counts(features.numpy(), targets.numpy())
        return torch.from_numpy(greater), torch.from_numpy(equal)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""
        scores, items = self._knn.top_k(features.numpy(), k)
        return torch.from_numpy(scores), torch.from_numpy(items)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) float64 of the items (n,) int64."""
        return torch.from_numpy(self._knn.item_scores(features.numpy(), items.numpy()))
