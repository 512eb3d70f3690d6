"""Sessions that are served live: one event at a time, with their states kept by id.

Letters: n events of a call, F features, L kept items of a session.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.serving.fork import ForkSafeLock
from gru4rec_fast.serving.ranking import best_items
from gru4rec_fast.serving.recommend import candidate_items
from gru4rec_fast.serving.recommendations import Recommendations, recommendations
from gru4rec_fast.serving.session_file import read_sessions, write_sessions
from gru4rec_fast.serving.session_table import NO_SLOT, SessionTable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from gru4rec_fast.evaluation.network_scorer import CheckedScorer, NetworkScorer
    from gru4rec_fast.serving.catalogue import Catalogue


class LiveSessions:
    """Recommendations for sessions that go on, see `GRU4Rec.live`, which makes it.

    All methods may be called from several threads. A forked process goes on with a copy of the
    sessions of its own.
    """

    def __init__(
        self,
        scorer_of: CheckedScorer,
        catalogue: Catalogue,
        itemidmap: pd.Series[int],
        fingerprint: Callable[[], str],
        *,
        capacity: int,
        ttl: float | None,
        last: int,
    ) -> None:
        self.capacity = whole_number("capacity", capacity)
        self.last = whole_number("last", last)
        if ttl is not None and not (isinstance(ttl, int | float) and ttl > 0):
            raise ParameterError(f"ttl is {ttl!r}; expected seconds above 0, or None for no limit")
        self.ttl = None if ttl is None else float(ttl)
        self._scorer_of, self._fingerprint = scorer_of, fingerprint
        self._catalogue, self._itemidmap = catalogue, itemidmap
        scorer = scorer_of()
        # With feed-forward layers the features are no part of a state.
        self._units = 0 if scorer.spec.feed_forward else scorer.spec.layers[-1].units
        widths = [state.shape[1] for state in scorer.start(0)]
        if not self._units:
            widths.append(scorer.spec.features)
        dtype = scorer.start(0)[0].cpu().numpy().dtype
        self._table = SessionTable(widths, self.last, self.capacity, self.ttl, dtype)
        self._clock: Callable[[], float] = time.monotonic
        self._lock = ForkSafeLock()

    def __len__(self) -> int:
        with self._lock:
            self._table.expire(self._clock())
            return len(self._table)

    def __contains__(self, session_id: Hashable) -> bool:
        with self._lock:
            self._table.expire(self._clock())
            return session_id in self._table

    def __repr__(self) -> str:
        return f"LiveSessions({len(self)} of capacity={self.capacity}, ttl={self.ttl})"

    def __reduce__(self) -> Any:
        raise TypeError(
            "live sessions are not pickled: write them by save(path), and read them in the other "
            "process by gru.live(...).restore(path)"
        )

    def step(
        self,
        session_ids: Sequence[Hashable],
        items: Sequence[Any],
        k: int = 20,
        *,
        exclude_seen: bool = False,
        candidates: Any = None,
    ) -> Recommendations:
        """Take one more event of each session, and recommend the next items after it.

        Args:
            session_ids: (n,) integers or text. An id that is not known starts a session. Repeated
                ids act in order, each row as after its own event.
            items: (n,) item ids. An event of an unknown item changes nothing, and starts no
                session; `unknown` of the result counts it.
            k: how many items.
            exclude_seen: leave the last items of the session out, as many as are kept.
            candidates: item ids, the only ones to rank.

        Returns:
            `ids, scores`, both (n, k), best first, with further fields. A session without an event
            of a known item is answered by popularity.

        Raises:
            DataError: no lists of ids of one length, or no known candidate.
            ParameterError: k is not a whole number of at least 1; more sessions than `capacity`.
        """
        k = whole_number("k", k)
        sessions = _session_ids(session_ids)
        events = self._catalogue.find(_listed(items, "items"))
        if len(events) != len(sessions):
            raise DataError(
                f"items has {len(events)} entries; expected one for each of the {len(sessions)} "
                "session_ids"
            )
        return self._answer(sessions, events, k, exclude_seen, candidates, events < 0)

    def recommend(
        self,
        session_ids: Sequence[Hashable],
        k: int = 20,
        *,
        exclude_seen: bool = False,
        candidates: Any = None,
    ) -> Recommendations:
        """What `step` answers, without new events; counts as a use of the sessions.

        Raises:
            DataError, ParameterError: as `step`.
        """
        k = whole_number("k", k)
        sessions = _session_ids(session_ids)
        none = np.full(len(sessions), -1, dtype=np.int64)
        return self._answer(sessions, none, k, exclude_seen, candidates, none > 0)

    def end(self, session_id: Hashable) -> bool:
        """Forget a session that ended; returns whether there was one."""
        with self._lock:
            return self._table.end(session_id)

    def forget(self) -> None:
        """Forget all sessions."""
        with self._lock:
            self._table.end_all()

    def items(self, session_id: Hashable) -> list[Any]:
        """The last items of a session, oldest first; [] if there is no such session."""
        with self._lock:
            now = self._clock()
            self._table.expire(now)
            if session_id not in self._table:
                return []
            # A copy, as the slot may become another session's once the lock is free.
            kept = self._table.last_items(self._table.find(session_id, now)).astype(np.int64)
        found: list[Any] = self._catalogue.ids(kept).tolist()
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all sessions to a file with a checksum, complete or not at all.

        Other threads wait only while the sessions are copied in memory.

        Raises:
            CheckpointError: it cannot be written, or a session id is neither an integer nor text.
        """
        fingerprint = self._fingerprint()
        with self._lock:
            now = self._clock()
            self._table.expire(now)
            sessions = self._table.copy()
        write_sessions(path, sessions, self._catalogue, fingerprint, now)

    def restore(self, path: str | os.PathLike[str], *, replay: bool = False) -> LiveSessions:
        """Read the sessions of a file in place of those that are here; the same object comes back.

        Their states have the bits that were saved. The time that passed since counts for `ttl`. If
        there are more than `capacity`, the most recently used are kept.

        Args:
            path: a file of `save`.
            replay: make the states anew from the kept items. States of another model, as that of
                the day before, mean nothing to this one, and are refused without it.

        Raises:
            CheckpointError: no such file, damaged or foreign content, or another model's states.
        """
        saved = read_sessions(path, self._catalogue)
        if not replay:
            saved.require(self._fingerprint(), self.last)
        with self._lock:
            table = SessionTable(
                [values.shape[1] for values in self._table.values],
                self.last,
                self.capacity,
                self.ttl,
                self._table.values[0].dtype,
            )
            now = self._clock()
            slots = saved.enter(table, now, states=not replay)
            if replay:
                self._replay(table, slots)
            table.expire(now)
            self._table = table
        return self

    def _answer(
        self,
        sessions: list[Hashable],
        events: NDArray[np.int64],
        k: int,
        exclude_seen: bool,
        candidates: Any,
        unknown: NDArray[np.bool_],
    ) -> Recommendations:
        ranked = candidate_items(self._itemidmap, candidates)
        scorer = self._scorer_of()
        with self._lock:
            features, cold, seen = self._take(scorer, sessions, events, exclude_seen)
        # Without the lock: ranking takes the most time and reads no session.
        on_device = torch.from_numpy(features).to(scorer.device)
        best = best_items(scorer, on_device, k, seen, ranked)
        return recommendations(
            self._catalogue,
            best,
            sessions,
            unknown.astype(np.int64),
            cold,
            ranked,
            popularity=True,
        )

    def _take(
        self,
        scorer: NetworkScorer,
        sessions: list[Hashable],
        events: NDArray[np.int64],
        exclude_seen: bool,
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_], list[NDArray[np.int64]] | None]:
        """Features (n, F) after the events, which rows are cold, and the unique seen items."""
        table, now = self._table, self._clock()
        table.expire(now)
        if len(sessions) > self.capacity and len(set(sessions)) > self.capacity:
            raise ParameterError(
                f"session_ids holds {len(set(sessions))} sessions, but capacity={self.capacity}; "
                "pass fewer at a time, or make gru.live with a larger capacity"
            )
        slots = np.array(
            [
                table.claim(session, now) if event >= 0 else table.find(session, now)
                for session, event in zip(sessions, events.tolist(), strict=True)
            ],
            dtype=np.int64,
        )
        features = np.zeros((len(slots), scorer.spec.features), dtype=table.values[0].dtype)
        cold = np.ones(len(slots), dtype=bool)
        seen = [np.empty(0, dtype=np.int64)] * len(slots) if exclude_seen else None
        for rows in _rounds(slots):
            fed = rows[events[rows] >= 0]
            if len(fed):
                self._advance(scorer, table, slots[fed], events[fed])
            mine = slots[rows]
            features[rows] = (
                table.values[-1][mine, : self._units] if self._units else table.values[-1][mine]
            )
            cold[rows] = table.events[mine] == 0
            if seen is not None:
                for row, slot in zip(rows, mine, strict=True):
                    seen[row] = np.unique(table.last_items(slot)).astype(np.int64)
        return features, cold, seen

    def _advance(
        self,
        scorer: NetworkScorer,
        table: SessionTable,
        slots: NDArray[np.int64],
        items: NDArray[np.int64],
        offsets: NDArray[np.int64] | None = None,
    ) -> None:
        """Feed different sessions one event each, or their first events as of `offsets`."""
        layers = len(scorer.spec.layers)
        before = [torch.from_numpy(v[slots]).to(scorer.device) for v in table.values[:layers]]
        after, features = scorer.advance(
            torch.from_numpy(items).to(scorer.device),
            before,
            None if offsets is None else torch.from_numpy(offsets),
        )
        if not self._units:
            after.append(features)
        for values, new in zip(table.values, after, strict=True):
            values[slots] = new.detach().cpu().numpy()
        if offsets is None:
            table.add_events(slots, items)

    def _replay(self, table: SessionTable, slots: NDArray[np.int64]) -> None:
        """Make the states of sessions anew from their last items."""
        events = [table.last_items(int(slot)).astype(np.int64) for slot in slots]
        if events:
            offsets = np.cumsum([0, *map(len, events)]).astype(np.int64)
            self._advance(self._scorer_of(), table, slots, np.concatenate(events), offsets)


def _rounds(slots: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows in rounds, in which no session occurs twice; rows without a session are left out."""
    rows = np.flatnonzero(slots != NO_SLOT)
    if len(rows) < 2:
        return [rows] if len(rows) else []
    earlier: Counter[int] = Counter()
    turn = np.empty(len(rows), dtype=np.int64)
    for i, slot in enumerate(slots[rows].tolist()):
        turn[i] = earlier[slot]
        earlier[slot] += 1
    return [rows[turn == number] for number in range(int(turn.max()) + 1)]


def _listed(values: Any, what: str) -> list[Any]:
    """A list, array or column as a list.

    Raises:
        DataError: it is none.
    """
    if isinstance(values, list):
        return values
    if hasattr(values, "tolist") and getattr(values, "ndim", 1) == 1:
        listed: list[Any] = values.tolist()
        return listed
    if isinstance(values, tuple):
        return list(values)
    raise DataError(f"{what} is {values!r}; expected a list of ids, as [3, 17] or ['a', 'b']")


def _session_ids(values: Any) -> list[Hashable]:
    """The ids of sessions.

    Raises:
        DataError: they are no list, or one is missing or cannot be an id.
    """
    ids = _listed(values, "session_ids")
    for number, session in enumerate(ids):
        if session is None or session != session or not isinstance(session, int | str | np.integer):
            raise DataError(f"session_ids[{number}] is {session!r}; expected an integer or text")
    return ids
