"""The latest of loaded sessions, and sessions split by them without reading their log again."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gru4rec_fast.data.items import numbered_items
from gru4rec_fast.data.log_inputs import is_folder
from gru4rec_fast.errors import DataError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.data.sessions import Sessions


def latest(sessions: Sessions, n: int) -> NDArray[np.bool_]:
    """(S,) whether a session is one of the n latest."""
    held_out = np.zeros(sessions.n_sessions, dtype=bool)
    held_out[sessions.order[-n:]] = True
    return held_out


def latest_share(sessions: Sessions, share: float) -> NDArray[np.bool_]:
    """(S,) whether a session is one of the latest `share`; at least one is, and one is not.

    Raises:
        ParameterError: `share` is not between 0 and 1.
        DataError: fewer than two sessions.
    """
    if not 0 < share < 1:
        raise ParameterError(f"share={share}: expected a number between 0 and 1")
    require_two(sessions)
    n = sessions.n_sessions
    return latest(sessions, min(max(1, round(share * n)), n - 1))


def require_two(sessions: Sessions) -> None:
    """Refuse sessions of which none can be held out.

    Raises:
        DataError: fewer than two sessions.
    """
    if sessions.n_sessions < 2:
        raise DataError(
            f"column {sessions.columns['session_key']!r} holds one session, expected at least two "
            "to hold some out: pass a test log of its own"
        )


def refuse_store(data: Any) -> None:
    """Refuse a log that is a prepared store, which is split while it is prepared.

    Raises:
        DataError: it is one.
    """
    if is_folder(data):
        raise DataError(
            f"{os.fspath(data)}: a share cannot be held out of a prepared store: prepare the log "
            "with test_days=... (--test-days), and pass one store to train and one to validate on"
        )


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
    held_out = latest_share(sessions, share)
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
