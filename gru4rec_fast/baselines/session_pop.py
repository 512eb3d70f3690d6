"""Popularity in the session so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast.baselines.baseline import Baseline
from gru4rec_fast.baselines.event_window import empty_windows, push

if TYPE_CHECKING:
    from gru4rec_fast.data.sessions import Sessions


class SessionPop(Baseline):
    """S-POP (Hidasi et al. 2016, section 4): the items that the session holds most often.

    score(i) = count(i) + supp_i / (1 + max_j supp_j), with count(i) the events of item i in the
    session and supp_i those in training: items of equal count are ordered by global popularity,
    and so are the items that the session does not hold. It has no parameters.
    """

    def _train(self, sessions: Sessions) -> SessionPopScorer:
        return SessionPopScorer(torch.from_numpy(sessions.support))


class SessionPopScorer:
    """The scorer of `SessionPop`; support (V,) int64. Features are the session's last events.

    Scores are compared as whole numbers, in units of 1 / (1 + max_j supp_j).
    """

    rows_per_block = 1024
    device = torch.device("cpu")

    def __init__(self, support: Tensor) -> None:
        self.n_items = len(support)
        self._support = support
        self._ascending = support.sort().values
        self._by_support = torch.sort(support, descending=True, stable=True).indices
        self._unit = 1 + int(support.max())

    def start(self, lanes: int) -> list[Tensor]:
        """Empty sessions."""
        return empty_windows(lanes)

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns their last events (M, L)."""
        return push(state, inputs, restarts, source)

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target (R,), and equal to it, itself included (R,)."""
        row, item, score = self._in_session(features)
        held = torch.zeros_like(targets)
        held.index_add_(0, row, (item == targets[row]).long() * (score // self._unit))
        own = held * self._unit + self._support[targets]
        greater = torch.bincount(row[score > own[row]], minlength=len(targets))
        equal = torch.bincount(row[score == own[row]], minlength=len(targets))
        # The items that the session does not hold matter to targets that it does not hold.
        up_to = torch.searchsorted(self._ascending, own, side="right")
        below = torch.searchsorted(self._ascending, own, side="left")
        outside = held == 0
        support, same = self._support[item], self._support[targets][row]
        above = self.n_items - up_to - torch.bincount(row[support > same], minlength=len(targets))
        level = up_to - below - torch.bincount(row[support == same], minlength=len(targets))
        return greater + outside * above, equal + outside * level

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""
        k = min(k, self.n_items)
        rows, items, _ = self._in_session(features)
        best = []
        for r in range(len(features)):
            held = items[rows == r]
            score = self._score(features[r], held)
            order = torch.sort(score, descending=True, stable=True).indices
            others = self._by_support[: k + len(held)]
            others = others[~torch.isin(others, held)]
            best.append(torch.cat([held[order], others])[:k])
        top = torch.stack(best) if best else torch.empty(0, k, dtype=torch.int64)
        scores = [self._score(window, row) for window, row in zip(features, top, strict=True)]
        return torch.stack(scores) if scores else torch.empty(0, k, dtype=torch.float64), top

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) float64 of the items (n,) int64."""
        return torch.stack([self._score(window, items) for window in features])

    def _score(self, window: Tensor, items: Tensor) -> Tensor:
        """Scores (n,) of the items (n,) in the session of one window (L,)."""
        held, counts = torch.unique(window[window >= 0].long(), return_counts=True)
        where = torch.searchsorted(held, items).clamp(max=max(0, len(held) - 1))
        found = counts[where] * (held[where] == items) if len(held) else torch.zeros_like(items)
        return (found * self._unit + self._support[items]).double() / self._unit

    def _in_session(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Row, item and score of each distinct item of each window, by ascending row and item."""
        row, column = torch.nonzero(features >= 0, as_tuple=True)
        keys, counts = torch.unique(
            row * self.n_items + features[row, column], return_counts=True, sorted=True
        )
        row, item = keys // self.n_items, keys % self.n_items
        return row, item, counts * self._unit + self._support[item]
