"""A trained network as a scorer of sessions: states advanced in lanes, ranks and best items.

What a session's score is may not depend on which sessions happen to be scored beside it. Matrix
products of other shapes round differently, so lanes are advanced in chunks of one fixed height, the
last one padded, and ranked likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gru4rec_fast import ops, reference

if TYPE_CHECKING:
    from gru4rec_fast.model import Network

LANE_CHUNK = 64
RANK_CHUNK = 256


class NetworkScorer:
    """The `evaluation.Scorer` of a network; features are the last layer's states.

    Raises:
        ArithmeticError: a parameter is NaN or infinite, so that ranks would mean nothing.
    """

    rows_per_block = 4096

    def __init__(self, network: Network) -> None:
        self._p = network.parameter_dict()
        for name, parameter in self._p.items():
            if not torch.isfinite(parameter).all():
                raise ArithmeticError(
                    f"the model's {name} holds NaN or infinity; expected finite weights. "
                    "Train it again with a lower learning_rate"
                )
        self._layers = network.config.layers
        self.n_items = network.n_items
        self.device = network.Wy.weight.device

    def start(self, lanes: int) -> list[Tensor]:
        """Zero states (lanes, H_l) of every layer."""
        return [torch.zeros(lanes, h, device=self.device) for h in self._layers]

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns the features (M, H).

        inputs (M,) int64 items; restarts (M,) bool; source (M,) int64, the row of `state` that each
        lane goes on from. The list `state` is updated in place.
        """
        carried = [reference.carry(h, source, restarts) for h in state]
        x = self._p[reference.input_table(self._p)][inputs]
        masks = [None] * (len(state) + 1)
        chunks = [
            reference.advance(
                self._p,
                _padded(x[rows], LANE_CHUNK),
                [_padded(h[rows], LANE_CHUNK) for h in carried],
                masks,
            )
            for rows in _chunks(len(inputs), LANE_CHUNK)
        ]
        state[:] = [torch.cat(layer)[: len(inputs)] for layer in zip(*chunks, strict=True)]
        return state[-1]

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target, and equal to it (`ops.rank_counts`)."""
        w, b = self._p["Wy.weight"], self._p["By.weight"]
        counts = [
            ops.rank_counts(
                _padded(features[rows], RANK_CHUNK), w, b, _padded(targets[rows], RANK_CHUNK)
            )
            for rows in _chunks(len(targets), RANK_CHUNK)
        ]
        greater, equal = (torch.cat(count)[: len(targets)] for count in zip(*counts, strict=True))
        return greater, equal

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, k) of the best items of each row, best first."""
        return ops.top_k(features, self._p["Wy.weight"], self._p["By.weight"], k)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) of the given items (n,) int64."""
        return ops.scores(features, self._p["Wy.weight"], self._p["By.weight"], items)


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

        def tile(scores: Tensor, items: Tensor) -> Tensor:
            return scores[:, items]

        return reference.rank_counts(features, targets, tile, self._groups)


def _chunks(length: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, length, size)]


def _padded(x: Tensor, rows: int) -> Tensor:
    """X with zero rows added up to the given number."""
    if len(x) == rows:
        return x
    return torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])])
