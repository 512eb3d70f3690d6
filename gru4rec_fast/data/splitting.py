"""Holding out the latest sessions of a log, as the paper's experiments do (2016, section 4)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pandas as pd

from gru4rec_fast.data.files import read_log
from gru4rec_fast.data.items import numbered_items
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.errors import DataError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hold_out_latest(
    data: Any,
    share: float = 0.1,
    *,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str | None = "Time",
    sep: str | None = None,
    time_sort: bool = True,
) -> tuple[Any, Any]:
    """Split a log into its earlier sessions and the latest `share` of them, never within a session.

    Sessions go by the time of their first event, ties by ascending id, or with `time_sort=False` in
    the order in which they appear in the log. At least one goes to each side.

    Args:
        data: a table or path as for `GRU4Rec.fit`; it is not changed.
        share: of the sessions that is held out, between 0 and 1.
        item_key: column of item ids.
        session_key: column of session ids.
        time_key: column of times; None where the rows are in the order of time.
        sep: what separates the fields of a text file; None detects tabs, commas or semicolons.
        time_sort: whether the latest sessions are those of the latest time.

    Returns:
        Two tables with the log's rows, in its order and with all its columns. They are of the kind
        of `data`, or pandas DataFrames for a file. Of a text file, ids and times have their types,
        and the other columns are text as written.

    Raises:
        ParameterError: `share` is not between 0 and 1.
        DataError: a bad log, or one of fewer than two sessions.
    """
    _check_share(share)
    keys: dict[str, Any] = {"item_key": item_key, "session_key": session_key, "time_key": time_key}
    if nw.dependencies.is_polars_lazyframe(data):
        data = data.collect()
    sessions = load_sessions(data, **keys, sep=sep, time_sort=time_sort)
    held_out = _latest(sessions, share)
    is_later = np.empty(sessions.n_events, dtype=bool)
    is_later[sessions.rows] = np.repeat(held_out, np.diff(sessions.offsets))
    if isinstance(data, str | os.PathLike):
        named = {keyword: name for keyword, name in keys.items() if name is not None}
        columns, _ = read_log(Path(data), named, sep, text_items=False, all_columns=True)
        data = columns.to_pandas()
    table = nw.from_native(data, eager_only=True)
    earlier, later = (table[np.flatnonzero(side)].to_native() for side in (~is_later, is_later))
    return earlier, later


def split_latest(sessions: Sessions, share: float) -> tuple[Sessions, Sessions]:
    """Split sessions as `hold_out_latest` splits their log, without reading it again.

    Returns:
        The earlier sessions, with items numbered as if their part of the log were all, and the
        latest ones in that numbering. Events of items that the earlier part lacks are dropped.
        `rows` are those of the whole log.

    Raises:
        ParameterError: `share` is not between 0 and 1.
        DataError: fewer than two sessions, or no item of the latest ones is in the others.
    """
    _check_share(share)
    held_out = _latest(sessions, share)
    of_latest = np.repeat(held_out, np.diff(sessions.offsets))
    # Items are numbered in the order of the log's rows.
    by_row = np.argsort(np.where(of_latest, len(sessions.rows), sessions.rows), kind="stable")
    earlier_by_row = by_row[: len(by_row) - np.count_nonzero(of_latest)]
    _, items = pd.factorize(sessions.items[earlier_by_row])
    number = np.full(sessions.n_items, -1, dtype=np.int32)
    number[items] = np.arange(len(items), dtype=np.int32)
    name = str(sessions.itemidmap.index.name)
    itemidmap = numbered_items(sessions.itemidmap.index[items].to_numpy(), name)
    renumbered = replace(sessions, items=number[sessions.items], itemidmap=itemidmap)
    earlier = _chosen(renumbered, ~of_latest)
    if (renumbered.items[of_latest] < 0).all():
        raise DataError(
            f"none of the items of the latest {np.count_nonzero(held_out)} sessions occurs in the "
            f"other {np.count_nonzero(~held_out)}: expected a larger share, or a log of its own"
        )
    return earlier, _chosen(renumbered, of_latest & (renumbered.items >= 0))


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ParameterError(f"share={share}: expected a number between 0 and 1")


def _latest(sessions: Sessions, share: float) -> NDArray[np.bool_]:
    """(n,) whether a session is one of the latest `share`; at least one is, and one is not."""
    n = sessions.n_sessions
    if n < 2:
        raise DataError(
            f"column {sessions.columns['session_key']!r} holds one session, expected at least two "
            "to hold some out: pass a test log of its own"
        )
    latest = np.zeros(n, dtype=bool)
    latest[sessions.order[-min(max(1, round(share * n)), n - 1) :]] = True
    return latest


def _chosen(sessions: Sessions, events: NDArray[np.bool_]) -> Sessions:
    """The chosen events (E,), in sessions that have any of them."""
    lengths = np.add.reduceat(events, sessions.offsets[:-1], dtype=np.int64)
    stays = lengths > 0
    number = np.cumsum(stays) - 1
    items = sessions.items[events]
    whole = np.repeat(stays, np.diff(sessions.offsets))
    return replace(
        sessions,
        items=items,
        offsets=np.append(0, np.cumsum(lengths[stays])),
        order=number[sessions.order[stays[sessions.order]]],
        support=np.bincount(items, minlength=sessions.n_items).astype(np.int64, copy=False),
        session_ids=sessions.session_ids[stays],
        rows=sessions.rows[events],
        dropped_events=int(np.count_nonzero(whole & ~events)),
    )
