"""First-order Markov chain: what followed the last item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.baselines.baseline import Baseline
from gru4rec_fast.baselines.item_lists import ItemListScorer
from gru4rec_fast.data.sessions import require_pairs

if TYPE_CHECKING:
    from gru4rec_fast.data.sessions import Sessions


class Markov(Baseline):
    """MC (Ludewig & Jannach 2018, section 3): transition probabilities of adjacent events.

    score(j | session) = n(i, j) / Σ_l n(i, l), where i is the session's last item and n(i, j)
    counts the events of item j that directly follow an event of item i in a training session. A
    repeated item is a transition to itself. It has no parameters.
    """

    def _train(self, sessions: Sessions) -> ItemListScorer:
        require_pairs(sessions)
        V = sessions.n_items
        inside = np.ones(sessions.n_events, dtype=bool)
        inside[sessions.offsets[1:] - 1] = False  # the last event of a session has no next one
        last = np.flatnonzero(inside)
        keys, counts = np.unique(
            sessions.items[last].astype(np.int64) * V + sessions.items[last + 1],
            return_counts=True,
        )
        row, item = keys // V, keys % V
        offsets = np.searchsorted(row, np.arange(V + 1))
        total = np.bincount(row, weights=counts, minlength=V)
        order = np.lexsort((item, -counts, row))
        return ItemListScorer(offsets, item[order].astype(np.int32), (counts / total[row])[order])
