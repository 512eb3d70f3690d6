"""A scorer that answers the last item of a session with a ranked list of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ItemListScorer:
    """Scores depend on the session's last item alone; features are that item (M, 1) int64.

    Letters: V items, N entries of all lists. An item that is not in the list has score 0. Where a
    target ranks in its list is computed once, so that a prediction is a look-up.

    Args:
        offsets: (V + 1,) item i has the entries offsets[i] to offsets[i + 1].
        items: (N,) the entries, in each list by descending score, equal ones by ascending item.
        scores: (N,) their scores, above 0.
    """

    rows_per_block = 2**16
    device = torch.device("cpu")

    def __init__(
        self, offsets: NDArray[np.int64], items: NDArray[np.int32], scores: NDArray[np.float64]
    ) -> None:
        self.n_items = len(offsets) - 1
        self._offsets, self._items, self._scores = offsets, items, scores
        row = np.repeat(np.arange(self.n_items), np.diff(offsets))
        keys = row * self.n_items + items
        self._entry = np.argsort(keys)
        self._keys = keys[self._entry]
        # A tie is a run of equal scores within a list.
        first = np.flatnonzero(
            (np.diff(row, prepend=-1) != 0) | (np.diff(scores, prepend=np.nan) != 0)
        )
        length = np.diff(first, append=len(items))
        self._greater = (np.repeat(first, length) - offsets[row]).astype(np.int32)
        self._equal = np.repeat(length, length).astype(np.int32)

    def start(self, lanes: int) -> list[Tensor]:  # noqa: ARG002
        """No state: the features are the input."""
        return []

    def step(
        self,
        state: list[Tensor],  # noqa: ARG002
        inputs: Tensor,
        restarts: Tensor,  # noqa: ARG002
        source: Tensor,  # noqa: ARG002
    ) -> Tensor:
        """The last items (M, 1) of M lanes."""
        return inputs[:, None]

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target (R,), and equal to it, itself included (R,)."""
        last = features[:, 0].numpy()
        entry, found = self._find(last, targets.numpy())
        listed = self._offsets[last + 1] - self._offsets[last]
        greater, equal = listed, self.n_items - listed
        greater[found] = self._greater[entry[found]]
        equal[found] = self._equal[entry[found]]
        return torch.from_numpy(greater), torch.from_numpy(equal)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""
        k = min(k, self.n_items)
        scores = np.zeros((len(features), k))
        items = np.empty((len(features), k), dtype=np.int64)
        for r, last in enumerate(features[:, 0].tolist()):
            entries = slice(
                self._offsets[last], min(self._offsets[last + 1], self._offsets[last] + k)
            )
            n = entries.stop - entries.start
            items[r, :n], scores[r, :n] = self._items[entries], self._scores[entries]
            # Among the k items of lowest index at most n are listed.
            items[r, n:] = np.setdiff1d(np.arange(k), items[r, :n])[: k - n]
        return torch.from_numpy(scores), torch.from_numpy(items)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) float64 of the items (n,) int64."""
        entry, found = self._find(features.numpy(), items.numpy()[None, :])
        scores = np.zeros(entry.shape)
        scores[found] = self._scores[entry[found]]
        return torch.from_numpy(scores)

    def _find(
        self, last: NDArray[np.int64], items: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The entry of each item in the list of each last item, and whether there is one."""
        keys = last * self.n_items + items
        place = np.searchsorted(self._keys, keys)
        if len(self._keys) == 0:
            return place, np.zeros(keys.shape, dtype=bool)
        place = np.minimum(place, len(self._keys) - 1)
        return self._entry[place], self._keys[place] == keys
