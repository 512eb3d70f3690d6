"""Holding out the latest sessions of a log, as the paper's experiments do (2016, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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
    time_key: str = "Time",
    sep: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a log into its earlier sessions and the latest `share` of them, never within a session.

    Sessions go by the time of their first event. At least one goes to each side.

    Args:
        data: a table or path as for `GRU4Rec.fit`; it is not changed.
        share: of the sessions that is held out, between 0 and 1.
        item_key: column of item ids; likewise the other two.
        session_key: column of session ids.
        time_key: column of times.
        sep: what separates the fields of a text file; None detects tabs, commas or semicolons.

    Returns:
        Two tables with the log's column names, events in order. An event's time is the place of its
        session in the log (ties keep their order), whatever it was in `data`.

    Raises:
        ParameterError: `share` is not between 0 and 1.
        DataError: a bad log, or one of fewer than two sessions.
    """
    if not 0 < share < 1:
        raise ParameterError(f"share={share}: expected a number between 0 and 1")
    sessions = load_sessions(
        data, item_key=item_key, session_key=session_key, time_key=time_key, sep=sep
    )
    if sessions.n_sessions < 2:
        raise DataError(
            f"column {session_key!r} holds one session, expected at least two to hold some out: "
            "pass a test log of its own"
        )
    latest = min(max(1, round(share * sessions.n_sessions)), sessions.n_sessions - 1)
    keys = (session_key, item_key, time_key)
    earlier, later = np.split(sessions.order, [sessions.n_sessions - latest])
    return _table(sessions, earlier, 0, keys), _table(sessions, later, len(earlier), keys)


def _table(
    sessions: Sessions, chosen: NDArray[np.int64], place: int, keys: tuple[str, str, str]
) -> pd.DataFrame:
    """The events of the chosen sessions; the first of these has the given place in the log."""
    length = np.diff(sessions.offsets)[chosen]
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    events = np.repeat(sessions.offsets[chosen], length) + within
    item_ids = sessions.itemidmap.index[np.argsort(sessions.itemidmap.to_numpy())]
    columns: tuple[Any, ...] = (
        sessions.session_ids[np.repeat(chosen, length)],
        item_ids[sessions.items[events]],
        place + np.repeat(np.arange(len(chosen)), length),
    )
    table: pd.DataFrame = pd.DataFrame(dict(zip(keys, columns, strict=True)))
    return table
