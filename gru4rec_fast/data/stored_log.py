"""A prepared store in place of a log: its sessions as they are, or in the numbering of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.data.items import known_items
from gru4rec_fast.data.origin import Origin
from gru4rec_fast.data.sessions import Sessions
from gru4rec_fast.data.store import open_store
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    import os

    import pandas as pd


def stored_sessions(
    path: str | os.PathLike[str], itemidmap: pd.Series[int] | None, *, time_sort: bool
) -> Sessions:
    """The sessions of a store.

    Args:
        path: its folder.
        itemidmap: item id -> item index of a trained model; events of items that it lacks are
            dropped, and the sessions are in memory. None for the store's own numbering.
        time_sort: whether `order` goes by time.

    Raises:
        DataError: as for `open_store`, or no event is of an item in `itemidmap`.
    """
    sessions = open_store(path, time_sort=time_sort)
    if itemidmap is None:
        return sessions
    item_key = sessions.columns["item_key"] or ""
    ids = sessions.itemidmap.index.to_numpy()
    number = known_items(ids, itemidmap, item_key, Origin(file=True)).astype(np.int32)
    outside = np.flatnonzero((sessions.items < 0) | (sessions.items >= len(ids)))
    if len(outside):
        raise DataError(
            f"{path}: is damaged: event {outside[0]} has item {sessions.items[outside[0]]} of "
            f"{len(ids)}; prepare the store again"
        )
    items = number[sessions.items]
    known = items >= 0
    offsets = np.append(0, np.cumsum(known))[sessions.offsets]
    there = np.diff(offsets) > 0
    place = np.cumsum(there) - 1
    order = sessions.order[there[sessions.order]]
    items = items[known]
    return Sessions(
        items=items,
        offsets=np.append(0, offsets[1:][there]),
        order=place[order],
        itemidmap=itemidmap,
        support=np.bincount(items, minlength=len(itemidmap)).astype(np.int64, copy=False),
        session_ids=sessions.session_ids[there],
        rows=np.flatnonzero(known),
        dropped_events=int(sessions.n_events - len(items)),
        columns=sessions.columns,
    )
