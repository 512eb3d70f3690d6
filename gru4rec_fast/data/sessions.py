"""A raw log of (session, item, time) events -> `Sessions` (SPEC section 1).

Letters: E events, n sessions, V items. A log is a table of pandas, polars or Arrow, which is never
changed, or a .tsv, .txt, .csv (each also .gz) or .parquet file.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import narwhals as nw
import numpy as np
import pandas as pd

from gru4rec_fast._core import SessionStore
from gru4rec_fast.data.columns import id_column, select_columns, time_column
from gru4rec_fast.data.files import read_log
from gru4rec_fast.data.items import (
    INT32_MAX,
    distinct_ids,
    holds_integers,
    known_items,
    numbered_items,
)
from gru4rec_fast.data.log_inputs import is_folder
from gru4rec_fast.data.origin import Origin
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Sessions:
    """Events grouped by session, ordered by time within each; ties keep the order of the log.

    Without a time column, time is the order of the log.
    """

    in_memory: ClassVar[bool] = True
    """Else arrays are memory maps of a prepared store."""
    items: NDArray[np.int32]
    """(E,) item index of each event, session after session in ascending order of their ids."""
    offsets: NDArray[np.int64]
    """(n + 1,) session s holds items[offsets[s]:offsets[s + 1]]."""
    order: NDArray[np.int64]
    """(n,) the order in which an epoch takes the sessions."""
    itemidmap: pd.Series[int]
    """Index: item ids, named by the item column; values: their item index 0..V-1, int64."""
    support: NDArray[np.int64]
    """(V,) events of each item in this log."""
    session_ids: pd.Index[Any]
    """(n,) ids of the sessions, ascending."""
    rows: NDArray[np.int64]
    """(E,) row of the log, counted from 0, that each event came from."""
    dropped_events: int = 0
    """Events left out because the given itemidmap does not know their item."""
    columns: dict[str, str | None] = field(default_factory=dict)
    """item_key, session_key and time_key, by which the log was read."""

    @property
    def n_sessions(self) -> int:
        """n, those of one event included."""
        return len(self.session_ids)

    @property
    def n_events(self) -> int:
        """E."""
        return len(self.items)

    @property
    def n_items(self) -> int:
        """V, those without an event in this log included."""
        return len(self.itemidmap)

    @property
    def n_pairs(self) -> int:
        """(input, target) pairs: events that have a next one in their session."""
        return self.n_events - self.n_sessions

    @property
    def n_single(self) -> int:
        """Sessions of one event, which hold no pair."""
        return int(np.count_nonzero(np.diff(self.offsets) == 1))


def load_sessions(
    data: Any,
    *,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str | None = "Time",
    sep: str | None = None,
    itemidmap: pd.Series[int] | None = None,
    time_sort: bool = True,
) -> Sessions:
    """Read a log into sessions.

    Item indices follow the first appearance of each item in the log as given; with `itemidmap`
    (evaluation) they are those of the map, and events of items that it lacks are dropped.
    `order` is by the time of a session's first event (ties by ascending session id), or by first
    appearance with `time_sort=False`. A warning counts the events whose order is decided by the
    rows alone: tied times in a log that is not sorted by session and time.

    Args:
        data: a pandas, polars or Arrow table, or the path of a .tsv, .txt, .csv (each also .gz)
            or .parquet file, or of a prepared store, which has columns and order of its own.
        item_key: column of item ids: integers that fit int64, or text. A column of a text file
            is read as integers where each value is one without leading zeros, else as text;
            items also where `itemidmap` holds text.
        session_key: column of session ids, likewise.
        time_key: column of integers, floats, dates, datetimes or text in ISO 8601 (see
            `times.parsed_times`); None where the rows are in the order of time.
        sep: what separates the fields of a text file, one character; None detects tabs, commas or
            semicolons from the header line.
        itemidmap: item id -> item index of a trained model; None to make one from this log.
        time_sort: whether `order` goes by time.

    Raises:
        DataError: no such file or an unknown kind of file; a missing column, a missing value, a
            column of a wrong type; an id that is not valid Unicode; an empty log; no event of an
            item in `itemidmap`.
    """
    given = {"item_key": item_key, "session_key": session_key, "time_key": time_key}
    for keyword, name in given.items():
        if not isinstance(name, str) and (name is not None or keyword != "time_key"):
            or_none = ", or None for rows in the order of time" if keyword == "time_key" else ""
            raise DataError(f"{keyword} is {name!r}: expected the name of a column{or_none}")
    keys = {keyword: name for keyword, name in given.items() if name is not None}
    if len(set(keys.values())) < len(keys):
        raise DataError(
            ", ".join(f"{keyword}={name!r}" for keyword, name in keys.items())
            + ": expected three different columns"
        )
    if sep is not None and not (isinstance(sep, str) and re.fullmatch(r"[ !#-~\t]", sep)):
        raise DataError(
            f"sep is {sep!r}: expected one ASCII character that is no quote, as ',', ';' or '\\t'"
        )
    if is_folder(data):
        # A store is sessions, so its module comes after this one.
        from gru4rec_fast.data.stored_log import stored_sessions

        return stored_sessions(data, itemidmap, time_sort=time_sort)
    if not isinstance(data, str | os.PathLike):
        table = select_columns(data, keys)
        return _sessions(table, Origin(), keys, itemidmap, time_sort, "")
    if not os.fspath(data):
        raise DataError("data is an empty path: expected the path of a session log")
    try:
        text_items = itemidmap is not None and not holds_integers(itemidmap.index)
        columns, origin = read_log(Path(data), keys, sep, text_items)
        frame = nw.from_native(columns, eager_only=True)
        return _sessions(frame, origin, keys, itemidmap, time_sort, f"{os.fspath(data)}: ")
    except DataError as error:
        raise DataError(f"{os.fspath(data)}: {error}") from error


def require_pairs(sessions: Sessions) -> None:
    """Refuse sessions that cannot be trained or evaluated on.

    Raises:
        DataError: every session has one event, so that no event has a next one to predict.
    """
    if sessions.n_pairs == 0:
        raise DataError(
            f"all {sessions.n_sessions} sessions have a single event, so no event has a next one "
            "to predict: expected sessions of two events and more; check that the session column "
            "(session_key=...) holds the id of a session, not of an event"
        )


def _sessions(
    frame: nw.DataFrame[Any],
    origin: Origin,
    keys: dict[str, str],
    itemidmap: pd.Series[int] | None,
    time_sort: bool,
    path: str,
) -> Sessions:
    item_key, session_key, time_key = keys["item_key"], keys["session_key"], keys.get("time_key")
    if len(frame) == 0:
        raise DataError("the log has no rows: expected at least one session of two events")
    items, sessions = id_column(frame[item_key], origin), id_column(frame[session_key], origin)
    times: NDArray[Any] = (
        np.arange(len(frame)) if time_key is None else time_column(frame[time_key], origin)
    )
    kept: NDArray[np.int64] | None = None
    if itemidmap is None:
        codes, ids = distinct_ids(items, item_key)
        if len(ids) > INT32_MAX:
            raise DataError(
                f"column {item_key!r} holds {len(ids)} different items: expected at most "
                f"{INT32_MAX}; is it the id of an event?"
            )
        itemidmap = numbered_items(ids, item_key)
    else:
        codes = known_items(items, itemidmap, item_key, origin)
        if codes.min() < 0:
            kept = np.flatnonzero(codes >= 0)
            codes, sessions, times = codes[kept], sessions[kept], times[kept]
    session_codes, session_ids = distinct_ids(sessions, session_key, kept, sort=True)
    store = SessionStore(
        np.ascontiguousarray(session_codes, dtype=np.int64),
        np.ascontiguousarray(codes, dtype=np.int32),
        times,
        len(session_ids),
    )
    if time_key is not None and (tied := _tied_by_rows(store, times)):
        warn_once(
            f"{path}{tied} of {len(times)} events have the time of the event before them in their "
            f"session ({time_key!r}), and the log is not sorted by session and time: only the "
            "order of its rows says which came first. If it is the right one, sort the log by "
            "session and time with a stable sort, or pass time_key=None where all rows are in "
            "order; else give times that are finer"
        )
    return Sessions(
        items=store.items,
        offsets=store.offsets,
        order=store.order_by_time() if time_sort else store.order_by_appearance(),
        itemidmap=itemidmap,
        support=np.bincount(store.items, minlength=len(itemidmap)).astype(np.int64, copy=False),
        session_ids=pd.Index(session_ids, name=session_key),
        rows=store.rows if kept is None else kept[store.rows],
        dropped_events=0 if kept is None else len(frame) - len(kept),
        columns={"item_key": item_key, "session_key": session_key, "time_key": time_key},
    )


def _tied_by_rows(store: SessionStore, times: NDArray[Any]) -> int:
    """Events that tie with another item before them, unless the log is sorted as the store is."""
    of_one_session = np.ones(max(0, len(times) - 1), dtype=bool)
    of_one_session[store.offsets[1:-1] - 1] = False
    if (np.diff(store.rows)[of_one_session] == 1).all():
        return 0
    sorted_times = times[store.rows]
    ties = of_one_session & (sorted_times[1:] == sorted_times[:-1])
    return int(np.count_nonzero(ties & (store.items[1:] != store.items[:-1])))


@cache
def warn_once(message: str) -> None:
    """Warn of a log; once, although training and evaluation read a log more than once.

    Python's own record of what it has shown is lost whenever a library changes the filters.
    """
    warnings.warn(message, stacklevel=2)
