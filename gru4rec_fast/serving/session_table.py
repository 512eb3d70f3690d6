"""Sessions by id: their states and last items, with eviction of those not used for long.

Letters: n ids of a call, L kept items of a session.
"""

from __future__ import annotations

from collections import OrderedDict
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

NO_SLOT = -1
FIRST_ROWS = 64


class SessionTable:
    """Up to `capacity` sessions; each has a slot, a row of all arrays.

    A session ends if it was not used for `ttl` seconds, or to make room for a new one, the least
    recently used first. Times are seconds of any clock that does not go back.
    """

    def __init__(
        self, widths: Sequence[int], last: int, capacity: int, ttl: float | None, dtype: Any
    ) -> None:
        self.capacity, self.ttl, self.last = capacity, ttl, last
        self._slots: OrderedDict[Hashable, int] = OrderedDict()  # the least recently used first
        self._free: list[int] = []
        rows = min(FIRST_ROWS, capacity)
        self.values = [np.zeros((rows, width), dtype=dtype) for width in widths]
        """(rows, width) float: what the caller keeps of a session, 0 at its start."""
        self.items = np.full((rows, last), -1, dtype=np.int32)
        """(rows, L) the last items; event e of the session is in column e mod L."""
        self.events = np.zeros(rows, dtype=np.int64)
        """(rows,) events of the session so far."""
        self.used = np.zeros(rows, dtype=np.float64)
        """(rows,) when the session was last used."""

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, session: Hashable) -> bool:
        return session in self._slots

    def copy(self) -> SessionTable:
        """A table of its own with the same sessions."""
        other = copy(self)
        other._slots, other._free = self._slots.copy(), self._free.copy()
        other.values = [values.copy() for values in self.values]
        other.items, other.events, other.used = (
            self.items.copy(), self.events.copy(), self.used.copy()
        )  # fmt: skip
        return other

    def ids(self) -> Iterator[Hashable]:
        """The sessions, the least recently used first."""
        return iter(self._slots)

    def slots(self) -> NDArray[np.int64]:
        """Their slots, in the same order."""
        return np.fromiter(self._slots.values(), dtype=np.int64, count=len(self._slots))

    def find(self, session: Hashable, now: float) -> int:
        """The slot of a session, which counts as a use; NO_SLOT if there is none."""
        slot = self._slots.get(session, NO_SLOT)
        if slot != NO_SLOT:
            self._slots.move_to_end(session)
            self.used[slot] = now
        return slot

    def claim(self, session: Hashable, now: float) -> int:
        """The slot of a session, which starts here if there is none."""
        slot = self.find(session, now)
        if slot != NO_SLOT:
            return slot
        if len(self._slots) >= self.capacity:
            self.end(next(iter(self._slots)))
        slot = self._free.pop() if self._free else len(self._slots)
        if slot == len(self.events):
            self._grow()
        for table in self.values:
            table[slot] = 0
        self.items[slot], self.events[slot], self.used[slot] = -1, 0, now
        self._slots[session] = slot
        return slot

    def end(self, session: Hashable) -> bool:
        """Forget a session; whether there was one."""
        slot = self._slots.pop(session, NO_SLOT)
        if slot != NO_SLOT:
            self._free.append(slot)
        return slot != NO_SLOT

    def end_all(self) -> None:
        """Forget all sessions."""
        self._slots.clear()
        self._free.clear()

    def expire(self, now: float) -> None:
        """Forget the sessions that were not used for longer than `ttl`."""
        while self.ttl is not None and self._slots:
            session, slot = next(iter(self._slots.items()))
            if now - self.used[slot] <= self.ttl:
                return
            self.end(session)

    def add_events(self, slots: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        """Note one more event of each of some sessions (n,), which must differ."""
        self.items[slots, self.events[slots] % self.last] = items
        self.events[slots] += 1

    def last_items(self, slot: int) -> NDArray[np.int32]:
        """The last items of a session, at most L, oldest first."""
        events = int(self.events[slot])
        if events < self.last:
            return self.items[slot, :events]
        return np.roll(self.items[slot], -(events % self.last))

    def _grow(self) -> None:
        rows = min(self.capacity, 2 * len(self.events))

        def grown(table: NDArray[Any]) -> NDArray[Any]:
            larger = np.empty((rows, *table.shape[1:]), dtype=table.dtype)
            larger[: len(table)] = table
            return larger

        # All are made before any is replaced, so that too little memory changes nothing.
        values, items, events, used = (
            [grown(table) for table in self.values],
            grown(self.items),
            grown(self.events),
            grown(self.used),
        )
        self.values, self.items, self.events, self.used = values, items, events, used
