"""Rows for new items from the items that they were visited with.

Letters: V rows that the tables had, N new items, P pairs of a session and a known item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.model.network import Network


def add_co_visited_means(network: Network, sessions: Sessions, n_known: int) -> None:
    """Add to the rows of new items the mean of their co-visited items' rows, in each item table.

    Co-visited are the known items of the same sessions; one counts once for each such session. A
    new item without any keeps its row. Biases stay as they are.

    Args:
        network: with the new items as its last rows, drawn as at initialisation.
        sessions: the new log, in the numbering of the network.
        n_known: V, the first rows of the tables, which the network had before.
    """
    n_items = network.n_items
    session = np.repeat(np.arange(sessions.n_sessions), np.diff(sessions.offsets))
    pairs = np.unique(session * n_items + sessions.items)
    session, item = np.divmod(pairs, n_items)
    is_new = item >= n_known
    # Only sessions with a new item matter: they get numbers of their own.
    chosen, place = np.unique(session[is_new], return_inverse=True)
    at = np.minimum(np.searchsorted(chosen, session), max(0, len(chosen) - 1))
    known = ~is_new & np.isin(session, chosen)
    new_item = torch.from_numpy(item[is_new] - n_known)
    new_place = torch.from_numpy(place)
    known_item = torch.from_numpy(item[known])
    known_place = torch.from_numpy(at[known])

    def summed(rows: torch.Tensor) -> torch.Tensor:
        """(N, columns) sum over a new item's sessions of the rows (P, columns) of their items."""
        of_sessions = rows.new_zeros(len(chosen), rows.shape[1])
        of_sessions.index_add_(0, known_place, rows)
        total = rows.new_zeros(n_items - n_known, rows.shape[1])
        return total.index_add_(0, new_item, of_sessions[new_place])

    count = summed(torch.ones(len(known_item), 1)).clamp(min=1)
    parameters = network.parameter_dict()
    with torch.no_grad():
        for name in {"Wy.weight", network.spec.input_table}:
            table = parameters[name]
            table[n_known:] += summed(table[known_item].float()) / count
