"""Holding out the latest sessions of a log, as the paper's experiments do (2016, section 4)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np

from gru4rec_fast.data.files import read_log
from gru4rec_fast.data.log_inputs import is_folder
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError, ParameterError


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
    if not 0 < share < 1:
        raise ParameterError(f"share={share}: expected a number between 0 and 1")
    keys: dict[str, Any] = {"item_key": item_key, "session_key": session_key, "time_key": time_key}
    if is_folder(data):
        raise DataError(
            f"{os.fspath(data)}: a share cannot be held out of a prepared store: prepare the log "
            "with test_days=... (--test-days), and pass one store to train and one to validate on"
        )
    if nw.dependencies.is_polars_lazyframe(data):
        data = data.collect()
    sessions = load_sessions(data, **keys, sep=sep, time_sort=time_sort)
    if sessions.n_sessions < 2:
        raise DataError(
            f"column {session_key!r} holds one session, expected at least two to hold some out: "
            "pass a test log of its own"
        )
    latest = min(max(1, round(share * sessions.n_sessions)), sessions.n_sessions - 1)
    held_out = np.zeros(sessions.n_sessions, dtype=bool)
    held_out[sessions.order[-latest:]] = True
    is_later = np.empty(sessions.n_events, dtype=bool)
    is_later[sessions.rows] = np.repeat(held_out, np.diff(sessions.offsets))
    if isinstance(data, str | os.PathLike):
        named = {keyword: name for keyword, name in keys.items() if name is not None}
        columns, _ = read_log(Path(data), named, sep, text_items=False, all_columns=True)
        data = columns.to_pandas()
    table = nw.from_native(data, eager_only=True)
    earlier, later = (table[np.flatnonzero(side)].to_native() for side in (~is_later, is_later))
    return earlier, later
