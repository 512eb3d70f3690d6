"""Another implementation of GRU4Rec as a scorer of sessions, by its `model.forward` alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gru4rec_fast import reference


class ForwardScorer:
    """The `evaluation.Scorer` of another GRU4Rec that has the surface of the original.

    Its features are the scores themselves (M, V), from `gru.model.forward(in_idx, H, None)`, so
    that memory grows with the catalogue. Items with equal rows of its `Wy` and `By` tie, also
    where its forward rounds them differently.
    """

    rows_per_block = 1

    def __init__(self, gru: Any) -> None:
        self._gru = gru
        self.device = torch.device(gru.device)
        w, b = (getattr(gru.model, name, None) for name in ("Wy", "By"))
        if w is None or b is None:
            n_items = len(gru.data_iterator.itemidmap)
            self._groups = reference.ItemGroups.all_different(n_items, self.device)
        else:
            self._groups = reference.ItemGroups.of(w.weight.detach(), b.weight.detach())

    def start(self, lanes: int) -> list[Tensor]:
        """Zero states (lanes, H_l) of every layer."""
        return [torch.zeros(lanes, int(h), device=self.device) for h in self._gru.layers]

    @torch.no_grad()
    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns all scores (M, V)."""
        state[:] = [reference.carry(h, source, restarts) for h in state]
        scores: Tensor = self._gru.model.forward(inputs, state, None, training=False)
        return scores

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target, and equal to it."""
        return reference.rank_counts(features, targets, lambda s, items: s[:, items], self._groups)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)) of the best items of each row, best first."""
        return reference.top_k(features, k, lambda s, items: s[:, items], self._groups)
