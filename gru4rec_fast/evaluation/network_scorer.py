"""A trained network as a scorer of sessions: states advanced in lanes, ranks and best items.

A score does not depend on the other sessions in the batch: `engines.contract.Forward` promises it
for the features, and ranks are counted in chunks of one fixed height, the last one padded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gru4rec_fast import reference
from gru4rec_fast.engines import choice
from gru4rec_fast.engines.reference import padded
from gru4rec_fast.model.finite import require_finite
from gru4rec_fast.model.weight_version import ParameterVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gru4rec_fast.model.network import Network

RANK_CHUNK = 256


class NetworkScorer:
    """The `evaluation.Scorer` of a network; features are what its last layer hands on.

    With `bounds` a large catalogue is ranked faster by a rounded copy, with the same results.

    Raises:
        ArithmeticError: a parameter is NaN or infinite, so that ranks would mean nothing.
    """

    rows_per_block = 4096

    def __init__(self, network: Network, engine: str = "auto", *, bounds: bool = True) -> None:
        self.spec = network.spec
        p = network.parameter_dict()
        self._checked = ParameterVersion(network)
        require_finite(p)
        self._forward = choice.forward(engine, network.spec, p)
        self._ranker = choice.ranker(engine, p["Wy.weight"], p["By.weight"], bounds)
        self._like = p["By.weight"]  # Wy may be bfloat16
        self.n_items = network.n_items
        self.device = network.Wy.weight.device

    def is_current(self) -> bool:
        """Whether the network's parameters are the tensors that were checked, not written since."""
        return self._checked.is_current()

    def start(self, lanes: int) -> list[Tensor]:
        """Zero states (lanes, states * H_l) of every layer."""
        return [_zeros(self._like, lanes, layer.state_width) for layer in self.spec.layers]

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns the features (M, H).

        inputs (M,) int64 items; restarts (M,) bool; source (M,) int64, the row of `state` that each
        lane goes on from. The list `state` is updated in place.
        """
        carried = [reference.carry(h, source, restarts) for h in state]
        state[:], features = self._forward.advance(inputs, carried)
        return features

    def advance(
        self, items: Tensor, states: Sequence[Tensor], offsets: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Feed sessions their next events, see `engines.contract.Forward.advance`."""
        return self._forward.advance(items, states, offsets)

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target, and equal to it."""
        counts = [
            self._ranker.rank_counts(
                padded(features[rows], RANK_CHUNK), padded(targets[rows], RANK_CHUNK)
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


class CheckedScorer:
    """The scorer of a network, made again only after the network's parameters have changed."""

    def __init__(self, network: Network, engine: str = "auto", *, bounds: bool = True) -> None:
        self._network, self.engine, self.bounds = network, engine, bounds
        self._scorer: NetworkScorer | None = None

    def __call__(self) -> NetworkScorer:
        """The scorer.

        Raises:
            ArithmeticError: as `NetworkScorer`.
        """
        scorer = self._scorer
        if scorer is None or not scorer.is_current():
            scorer = self._scorer = NetworkScorer(self._network, self.engine, bounds=self.bounds)
        return scorer

    def refresh(self) -> None:
        """Make the scorer again at its next use, after writes that PyTorch cannot see."""
        self._scorer = None


def _zeros(like: Tensor, rows: int, columns: int) -> Tensor:
    # On the CPU without PyTorch, as in `model.finite`: also right after a fork.
    if like.device.type != "cpu":
        return like.new_zeros(rows, columns)
    return torch.from_numpy(np.zeros((rows, columns), dtype=like.detach()[:0].numpy().dtype))


def _chunks(length: int, size: int) -> list[slice]:
    return [slice(first, first + size) for first in range(0, length, size)]
