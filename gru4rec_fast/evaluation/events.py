"""Which events of a log are predicted, and what is relevant to each prediction (SPEC section 8).

Two readings of one log: the known sessions hold the events of items that the model knows, the
whole sessions hold all events. Without unknown items, or where they are left out, both are one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from gru4rec_fast.data.sessions import Sessions

UNKNOWN_MODES = ("drop", "miss")
TARGETS = ("next", "all")


@dataclass(frozen=True, eq=False)
class PredictedEvents:
    """P predictions, in the order of the log's sessions."""

    inputs: NDArray[np.int64]
    """(P,) the last known event before each target, an index into the known sessions' items; -1
    where the session has none before it, so that the model has made no list."""
    targets: NDArray[np.int64]
    """(P,) item index of the next event, -1 where the model does not know that item."""
    session: NDArray[np.int64]
    """(P,) 0..S-1 in ascending order: which of the S sessions with a prediction it is in."""
    position: NDArray[np.int64]
    """(P,) events of the session before the target, at least 1."""
    length: NDArray[np.int64]
    """(P,) events of the session."""
    n_relevant: NDArray[np.int64]
    """(P,) relevant items: 1, or the distinct items in the rest of the session."""
    possible: NDArray[np.bool_]
    """(P,) whether the prediction can be right: False for a miss."""
    digest: str
    """The same for two results exactly when both predict the same events."""


def predicted_events(known: Sessions, whole: Sessions, targets: str) -> PredictedEvents:
    """Each event of the whole sessions but the first of its session is predicted.

    Args:
        known: the events of items that the model knows, in the model's numbering.
        whole: `known` itself, or all events of the same log, in any numbering.
        targets: 'next' or 'all'.
    """
    is_known = np.zeros(int(whole.rows.max()) + 1, dtype=bool)
    is_known[known.rows] = True
    is_known = is_known[whole.rows]
    known_so_far = np.concatenate([[0], np.cumsum(is_known)])
    lengths = np.diff(whole.offsets)
    session = np.repeat(np.arange(len(lengths)), lengths)
    target_event = np.delete(np.arange(whole.n_events), whole.offsets[:-1])
    session = session[target_event]
    start, end = whole.offsets[session], whole.offsets[session + 1]

    # Sessions and their events have the same order in both readings.
    inputs = known_so_far[target_event] - 1
    inputs[inputs < known_so_far[start]] = -1
    items = np.full(len(target_event), -1, dtype=np.int64)
    target_known = is_known[target_event]
    items[target_known] = known.items[known_so_far[target_event[target_known]]]
    if targets == "next":
        n_relevant = np.ones(len(target_event), dtype=np.int64)
        possible = target_known & (inputs >= 0)
    else:
        n_relevant = _distinct_items(whole, target_event, end)
        possible = (known_so_far[end] > known_so_far[target_event]) & (inputs >= 0)
    return PredictedEvents(
        inputs=inputs,
        targets=items,
        session=np.unique(session, return_inverse=True)[1].reshape(-1),
        position=target_event - start,
        length=end - start,
        n_relevant=n_relevant,
        possible=possible,
        digest=_digest(whole),
    )


class Remaining:
    """Which items still occur in the rest of a session, after each of its events."""

    def __init__(self, sessions: Sessions) -> None:
        self._session = np.repeat(np.arange(sessions.n_sessions), np.diff(sessions.offsets))
        self._n_items = sessions.n_items
        self._keys, self._last = _last_occurrences(sessions)

    def contain(self, events: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the session goes on to each item: events (R,), items (R, K) -> (R, K)."""
        keys = self._session[events][:, None] * self._n_items + items
        place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        found: NDArray[np.bool_] = self._keys[place] == keys
        found &= self._last[place] > events[:, None]
        return found


def _last_occurrences(sessions: Sessions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each (session, item) as session * V + item, ascending, and its last event."""
    session = np.repeat(np.arange(sessions.n_sessions), np.diff(sessions.offsets))
    keys, first = np.unique((session * sessions.n_items + sessions.items)[::-1], return_index=True)
    return keys, sessions.n_events - 1 - first


def _distinct_items(
    sessions: Sessions, events: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Distinct items from each event to the end of its session."""
    is_last = np.zeros(sessions.n_events, dtype=np.int64)
    is_last[_last_occurrences(sessions)[1]] = 1
    before = np.concatenate([[0], np.cumsum(is_last)])
    distinct: NDArray[np.int64] = before[ends] - before[events]
    return distinct


def _digest(sessions: Sessions) -> str:
    """Of the sessions' ids and items, by the ids as text: the numbering does not matter."""
    digest = hashlib.sha256(np.diff(sessions.offsets).tobytes())
    digest.update(_hashes(sessions.session_ids).tobytes())
    order = sessions.itemidmap.sort_values().index
    digest.update(_hashes(order)[sessions.items].tobytes())
    return digest.hexdigest()


def _hashes(ids: pd.Index[Any]) -> NDArray[np.uint64]:
    return pd.util.hash_array(np.array([str(i) for i in ids], dtype=object), categorize=False)
