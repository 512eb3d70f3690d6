"""Recommendations for all sessions of a log, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gru4rec_fast.checks import whole_number
from gru4rec_fast.data.column_names import ITEM_KEY, SESSION_KEY, TIME_KEY, resolved
from gru4rec_fast.data.sessions import load_sessions

if TYPE_CHECKING:
    import pandas as pd

    from gru4rec_fast.gru4rec import GRU4Rec


class SessionTable(NamedTuple):
    """What the model recommends, and what it passed over."""

    table: pd.DataFrame
    """A row a recommendation: session, Rank (from 1), item, Score; sessions by ascending id."""
    n_sessions: int
    """Sessions with recommendations."""
    unknown_sessions: int
    """Sessions of which the model knows no item: they have no row."""
    unknown_events: int
    """Events of unknown items, passed over."""


def recommend_sessions(
    gru: GRU4Rec, log: str, k: int, exclude_seen: bool, **given: Any
) -> SessionTable:
    """The k best next items of each session of a log.

    Args:
        gru: a trained model.
        log: a table or path as for `GRU4Rec.fit`.
        k: how many items a session.
        exclude_seen: leave out the session's own items.
        given: how the log is read, item_key and so on; by default as the training log.

    Raises:
        DataError: a bad log, or one without an item that the model knows.
        ParameterError: k is no whole number of at least 1.
    """
    whole_number("k", k)
    names = {"item_key": ITEM_KEY, "session_key": SESSION_KEY, "time_key": TIME_KEY}
    keys = resolved(gru.data_iterator.columns, {**names, **given})
    known = load_sessions(log, itemidmap=gru.data_iterator.itemidmap, **keys)
    n_all = known.n_sessions
    if known.dropped_events:
        n_all = load_sessions(log, **keys).n_sessions
    ids = gru.data_iterator.itemidmap.sort_values().index
    sessions = [ids[items].tolist() for items in np.split(known.items, known.offsets[1:-1])]
    table = gru.recommend_batch(sessions, k, exclude_seen=exclude_seen).to_frame()
    item = table.columns[2]
    table["Session"] = known.session_ids.to_numpy()[table["Session"].to_numpy()]
    if known.session_ids.name != item:
        table = table.rename(columns={"Session": known.session_ids.name})
    return SessionTable(table, len(sessions), n_all - known.n_sessions, known.dropped_events)
