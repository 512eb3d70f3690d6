"""A trained network as a scorer of sessions: states advanced in lanes, ranks and best items.

A score must not depend on the other sessions in the batch. Matrix products of other shapes round
differently, so lanes are advanced in chunks of one fixed height, the
last one padded, and ranked likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.engines import choice

if TYPE_CHECKING:
    from gru4rec_fast.model.network import Network

LANE_CHUNK = 64
RANK_CHUNK = 256


class NetworkScorer:
    """The `evaluation.Scorer` of a network; features are what its last layer hands on.

    With `bounds` a large catalogue is ranked faster by a rounded copy, with the same results.

    Raises:
        ArithmeticError: a parameter is NaN or infinite, so that ranks would mean nothing.
    """

    rows_per_block = 4096

    def __init__(self, network: Network, engine: str = "auto", *, bounds: bool = True) -> None:
        self._spec = network.spec
        self._p = network.parameter_dict()
        for name, parameter in self._p.items():
            if not torch.isfinite(parameter).all():
                raise ArithmeticError(
                    f"the model's {name} holds NaN or infinity; expected finite weights. "
                    "Train it again with a lower learning_rate"
                )
        self._ranker = choice.ranker(
            engine, self._p["Wy.weight"], self._p["By.weight"], bounds=bounds
        )
        self.n_items = network.n_items
        self.device = network.Wy.weight.device

    def start(self, lanes: int) -> list[Tensor]:
        """Zero states (lanes, states * H_l) of every layer."""
        like = self._p["Wy.weight"]
        return [like.new_zeros(lanes, layer.state_width) for layer in self._spec.layers]

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns the features (M, H).

        inputs (M,) int64 items; restarts (M,) bool; source (M,) int64, the row of `state` that each
        lane goes on from. The list `state` is updated in place.
        """
        carried = [reference.carry(h, source, restarts) for h in state]
        x = self._p[self._spec.input_table][inputs]
        masks = [None] * self._spec.n_sites
        advanced = [
            reference.advance(
                self._spec,
                self._p,
                _padded(x[rows], LANE_CHUNK),
                [_padded(h[rows], LANE_CHUNK) for h in carried],
                masks,
            )
            for rows in _chunks(len(inputs), LANE_CHUNK)
        ]
        new_states = zip(*(states for states, _ in advanced), strict=True)
        state[:] = [torch.cat(layer)[: len(inputs)] for layer in new_states]
        return torch.cat([features for _, features in advanced])[: len(inputs)]

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target, and equal to it."""
        counts = [
            self._ranker.rank_counts(
                _padded(features[rows], RANK_CHUNK), _padded(targets[rows], RANK_CHUNK)
            )
            for rows in _chunks(len(targets), RANK_CHUNK)
        ]
        greater, equal = (torch.cat(count)[: len(targets)] for count in zip(*counts, strict=True))
        return greater, equal

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, k) of the best items of each row, best first."""
        return self._ranker.top_k(features, k)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) of the given items (n,) int64."""
        return self._ranker.scores(features, items)


def _chunks(length: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, length, size)]


def _padded(x: Tensor, rows: int) -> Tensor:
    """X with zero rows added up to the given number."""
    if len(x) == rows:
        return x
    return torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])])
