"""A scorer run over sessions: the target's rank after every event, and the lists of best items.

Sessions run in lanes as in training, without negatives. What is found is stored under its event, or
is a count, so it depends neither on the batch size nor on the order in which lanes take sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gru4rec_fast.evaluation.events import Remaining
from gru4rec_fast.plan.lanes import lane_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.evaluation.scorer import Scorer

LIST_ROWS = 256
"""Rows whose lists are made together. A product's rounding can depend on its height, so a scorer
that takes this many rows always gets exactly this many."""


class TargetRanks:
    """Counts for the rank of each event's next item, stored under the event."""

    def __init__(self, sessions: Sessions) -> None:
        self.greater = np.zeros(sessions.n_events, dtype=np.int64)
        """(E,) items scored above the next item."""
        self.equal = np.zeros(sessions.n_events, dtype=np.int64)
        """(E,) items scored equal to it, itself included; 0 for an event without a next one."""

    def add(
        self,
        scorer: Scorer,
        features: Tensor,
        events: NDArray[np.int64],
        targets: NDArray[np.int32],
    ) -> None:
        """Rank the targets (R,) of events (R,) by features (R, F)."""
        items = torch.from_numpy(targets).to(scorer.device, torch.int64)
        greater, equal = scorer.rank_counts(features, items)
        self.greater[events] = greater.cpu().numpy()
        self.equal[events] = equal.cpu().numpy()


class TopLists:
    """The K best items after each event, reduced to counts and to the ranks of relevant items.

    Args:
        sessions: the sessions that are run.
        cutoffs: the list lengths; K is the largest.
        relevance: whether to keep which entries are relevant: items in the rest of the session.
    """

    def __init__(self, sessions: Sessions, cutoffs: Sequence[int], *, relevance: bool) -> None:
        self._cutoffs, self._k = cutoffs, max(cutoffs)
        self._remaining = Remaining(sessions) if relevance else None
        self.recommended = np.zeros((len(cutoffs), sessions.n_items), dtype=np.int64)
        """(cut-offs, V) in how many lists of each length an item is."""
        self.hits = np.zeros((sessions.n_events if relevance else 0, self._k), dtype=np.int32)
        """(E, K) the rank of each relevant entry of an event's list, 0 for the others."""

    def add(self, scorer: Scorer, features: Tensor, events: NDArray[np.int64]) -> None:
        """Make the lists of events (R,) by features (R, F)."""
        for first in range(0, len(events), LIST_ROWS):
            rows = features[first : first + LIST_ROWS]
            n = len(rows)
            if n < LIST_ROWS <= scorer.rows_per_block:
                rows = torch.cat([rows, rows[-1:].expand(LIST_ROWS - n, -1)])
            # One more than K tells whether items that equal the last ones are beyond the list.
            scores, items = (
                x.cpu().numpy()[:n]
                for x in scorer.top_k(rows, self._k + (self._remaining is not None))
            )
            for count, k in zip(self.recommended, self._cutoffs, strict=True):
                count += np.bincount(items[:, :k].reshape(-1), minlength=len(count))
            if self._remaining is not None:
                where = events[first : first + LIST_ROWS]
                width = min(self._k, items.shape[1])
                relevant = self._remaining.contain(where, items[:, :width])
                self.hits[where, :width] = np.where(relevant, list_ranks(scores)[:, :width], 0)


def list_ranks(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The conservative rank of each list entry, from scores (R, n), best first.

    The last rank of a row is a lower bound: further items may score the same.
    """
    ends = np.concatenate(
        [scores[:, :-1] != scores[:, 1:], np.ones((len(scores), 1), dtype=bool)], axis=1
    )
    n = scores.shape[1]
    rank = np.where(ends, np.arange(1, n + 1), n)
    ranks: NDArray[np.int64] = np.minimum.accumulate(rank[:, ::-1], axis=1)[:, ::-1]
    return ranks


def run(
    scorer: Scorer,
    sessions: Sessions,
    batch_size: int,
    ranks: TargetRanks | None,
    lists: TopLists | None,
) -> None:
    """Feed every event that has a next one to the scorer; fill in `ranks` and `lists`."""
    if sessions.n_pairs == 0:
        return
    for features, events, targets in _blocks(
        scorer, sessions, min(batch_size, sessions.n_sessions)
    ):
        if ranks is not None:
            ranks.add(scorer, features, events, targets)
        if lists is not None:
            lists.add(scorer, features, events)


def _blocks(
    scorer: Scorer, sessions: Sessions, lanes: int
) -> Iterator[tuple[Tensor, NDArray[np.int64], NDArray[np.int32]]]:
    """Features (R, F), events (R,) and next items (R,) of some steps at a time."""
    state = scorer.start(lanes)
    block_steps = max(1, scorer.rows_per_block // lanes)
    for block in lane_blocks(sessions, lanes, block_steps=block_steps):
        features = []
        for t, m in enumerate(block.live):
            inputs, source, restarts = (
                torch.from_numpy(a[t, :m]).to(scorer.device, dtype)
                for a, dtype in (
                    (block.inputs, torch.int64),
                    (block.source, torch.int64),
                    (block.restarts, torch.bool),
                )
            )
            features.append(scorer.step(state, inputs, restarts, source))
        alive = block.events >= 0
        yield torch.cat(features), block.events[alive], block.targets[alive]
