"""Splitting a log into earlier and later sessions, as the papers' experiments do (2016, section 4).

A session goes by the time of its first event, and is never split itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from gru4rec_fast.checks import whole_number
from gru4rec_fast.data.files import read_log
from gru4rec_fast.data.origin import Origin
from gru4rec_fast.data.session_split import latest, latest_share, refuse_store, require_two
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.data.times import parsed_times
from gru4rec_fast.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl
    from numpy.typing import NDArray

    Choose = Callable[[Sessions, nw.DataFrame[Any]], NDArray[np.bool_]]
    """Which sessions are the later ones, from the sessions and the whole table."""

UNIX_SECONDS_BELOW = 10**11
"""Larger numbers are no seconds since 1970: this is in the year 5138."""


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

    def choose(sessions: Sessions, _: nw.DataFrame[Any]) -> NDArray[np.bool_]:
        return latest_share(sessions, share)

    return _split(data, choose, item_key, session_key, time_key, sep, time_sort)


def hold_out_last_sessions(
    data: Any,
    n_sessions: int,
    *,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str | None = "Time",
    sep: str | None = None,
) -> tuple[Any, Any]:
    """Split off the latest `n_sessions` sessions; otherwise as `hold_out_latest`.

    Raises:
        ParameterError: no whole number of at least 1, or as many as the log has.
        DataError: a bad log, or one of fewer than two sessions.
    """
    whole_number("n_sessions", n_sessions)

    def choose(sessions: Sessions, _: nw.DataFrame[Any]) -> NDArray[np.bool_]:
        if n_sessions >= sessions.n_sessions:
            raise ParameterError(
                f"n_sessions is {n_sessions}, but the log has {sessions.n_sessions} sessions: "
                "expected fewer, so that some are left"
            )
        return latest(sessions, n_sessions)

    return _split(data, choose, item_key, session_key, time_key, sep)


def hold_out_from(
    data: Any,
    date: str,
    *,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str = "Time",
    sep: str | None = None,
) -> tuple[Any, Any]:
    """Split off the sessions that start at `date` or later; otherwise as `hold_out_latest`.

    `date` is a number in the unit of the log's times, or ISO 8601 ('2024-03-31', '2024-03-31
    10:00'). Where the times are numbers, a date in ISO 8601 means seconds since 1970, in UTC.

    Raises:
        ParameterError: no such date, or one that leaves one side without a session.
        DataError: a bad log, or one of fewer than two sessions.
    """

    def choose(sessions: Sessions, table: nw.DataFrame[Any]) -> NDArray[np.bool_]:
        times = table[time_key].to_polars()
        first_rows = sessions.rows[sessions.offsets[:-1]]
        later = _is_at_or_after(times, str(date))[first_rows]
        if later.all() or not later.any():
            starts = times.to_numpy()[first_rows]
            side = "after" if later.any() else "before"
            raise ParameterError(
                f"date is {date!r}: all {sessions.n_sessions} sessions start {side} it; times are "
                f"from {starts.min()} to {starts.max()}, expected one within"
            )
        return later

    return _split(data, choose, item_key, session_key, time_key, sep)


def _split(
    data: Any,
    choose: Choose,
    item_key: str,
    session_key: str,
    time_key: str | None,
    sep: str | None,
    time_sort: bool = True,
) -> tuple[Any, Any]:
    keys: dict[str, Any] = {"item_key": item_key, "session_key": session_key, "time_key": time_key}
    refuse_store(data)
    if nw.dependencies.is_polars_lazyframe(data):
        data = data.collect()
    sessions = load_sessions(data, **keys, sep=sep, time_sort=time_sort)
    require_two(sessions)
    if isinstance(data, str | os.PathLike):
        named = {keyword: name for keyword, name in keys.items() if name is not None}
        columns, _ = read_log(Path(data), named, sep, text_items=False, all_columns=True)
        data = columns.to_pandas()
    table = nw.from_native(data, eager_only=True)
    is_later = np.empty(sessions.n_events, dtype=bool)
    is_later[sessions.rows] = np.repeat(choose(sessions, table), np.diff(sessions.offsets))
    earlier, later = (table[np.flatnonzero(side)].to_native() for side in (~is_later, is_later))
    return earlier, later


def _is_at_or_after(times: pl.Series, date: str) -> NDArray[np.bool_]:
    """(E,) whether each time is at the date or later."""
    import polars as pl

    if times.dtype == pl.String:
        times = parsed_times(times, Origin())
    try:
        at = parsed_times(pl.Series("date", [date]), Origin())
    except DataError as error:
        raise ParameterError(
            f"date is {date!r}; expected a number in the unit of the log's times, or a date as "
            "2024-03-31 or 2024-03-31 10:00"
        ) from error
    is_date = at.dtype.is_temporal()
    if times.dtype.is_temporal():
        if not is_date:
            raise ParameterError(
                f"date is {date!r}, but the log's times are dates as {times[0]}; expected one as "
                "2024-03-31 or 2024-03-31 10:00"
            )
        # To the nanosecond, which no unit of a log is finer than.
        times, at = (_nanoseconds(column) for column in (times, at))
    elif is_date:
        if np.max(times.to_numpy()) >= UNIX_SECONDS_BELOW:
            raise ParameterError(
                f"date is {date!r}, but the log's times are numbers as {times[0]}, which are no "
                "seconds since 1970; expected a number in their unit"
            )
        at = at.dt.epoch("s")
    later: NDArray[np.bool_] = times.to_numpy() >= at.to_numpy()
    return later


def _nanoseconds(times: pl.Series) -> pl.Series:
    import polars as pl

    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return times.cast(pl.Datetime("ns")).cast(pl.Int64)
