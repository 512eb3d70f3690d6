"""Random ranking: the floor of every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gru4rec_fast.baselines.baseline import Baseline
from gru4rec_fast.checks import whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.data.sessions import Sessions

    UInt64 = NDArray[np.uint64]

ROUNDS = 6


class RandomPred(Baseline):
    """A random order of all items after each event.

    The order is a function of the seed and of the session's items so far. score(i) = 1 - r / V for
    the item at place r = 0, 1, ... of the order, so that no two items are equal.

    Args:
        seed: of all orders.

    Raises:
        ParameterError: the seed is not a whole number of at least 0.
    """

    def __init__(self, seed: int = 42) -> None:
        self.seed = whole_number("seed", seed, at_least=0)

    def _train(self, sessions: Sessions) -> RandomScorer:
        return RandomScorer(sessions.n_items, self.seed)


class RandomScorer:
    """The scorer of `RandomPred`; features (M, 1) int64 are hashes of the sessions so far.

    The place of an item is computed alone, by a Feistel network on 2b bits (Luby & Rackoff 1988)
    with V <= 2^2b <= 4V, or 4 for V = 1, applied until the result is an item.
    """

    rows_per_block = 2**16
    device = torch.device("cpu")

    def __init__(self, n_items: int, seed: int) -> None:
        self.n_items = n_items
        self._half_bits = np.uint64(max(1, ((n_items - 1).bit_length() + 1) // 2))
        self._seed = np.uint64(seed % 2**64)

    def start(self, lanes: int) -> list[Tensor]:
        """Hashes (lanes, 1) of sessions without an event."""
        return [torch.zeros(lanes, 1, dtype=torch.int64)]

    def step(self, state: list[Tensor], inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event each; returns the hashes (M, 1)."""
        before = state[0][source].masked_fill(restarts[:, None], 0).numpy().view(np.uint64)
        after = _mixed(before ^ _mixed(inputs[:, None].numpy().astype(np.uint64) + self._seed))
        state[:] = [torch.from_numpy(after.view(np.int64))]
        return state[0]

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The place of each row's target (R,), counted from 0, and ones (R,)."""
        return self._permuted(features[:, 0], targets), torch.ones_like(targets)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first."""
        place = torch.arange(min(k, self.n_items)).expand(len(features), -1)
        return 1 - place.double() / self.n_items, self._permuted(features, place, inverse=True)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) float64 of the items (n,) int64."""
        place = self._permuted(features, items.expand(len(features), -1))
        return 1 - place.double() / self.n_items

    def _permuted(self, hashes: Tensor, values: Tensor, *, inverse: bool = False) -> Tensor:
        """Place of each item in the order of its hash; with `inverse`, item of each place."""
        key = np.broadcast_to(hashes.numpy().view(np.uint64), values.shape).ravel()
        x = values.numpy().astype(np.uint64).ravel()
        waiting = np.arange(len(x))
        while len(waiting):
            x[waiting] = self._network(x[waiting], key[waiting], inverse)
            waiting = waiting[x[waiting] >= self.n_items]
        return torch.from_numpy(x.astype(np.int64).reshape(values.shape))

    def _network(self, x: UInt64, key: UInt64, inverse: bool) -> UInt64:
        mask = (np.uint64(1) << self._half_bits) - np.uint64(1)
        left, right = x >> self._half_bits, x & mask
        for r in range(ROUNDS):
            if inverse:
                bits = _mixed(left ^ _mixed(key + np.uint64(ROUNDS - 1 - r))) & mask
                left, right = right ^ bits, left
            else:
                bits = _mixed(right ^ _mixed(key + np.uint64(r))) & mask
                left, right = right, left ^ bits
        return (left << self._half_bits) | right


def _mixed(x: UInt64) -> UInt64:
    """A 64-bit hash of each number: the output function of SplitMix64 (Steele et al. 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
