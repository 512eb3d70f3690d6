"""Filters and splits of sessions on the disk: which events stay, and the stores made of them.

Letters: E events, n sessions, V items. Everything goes through the events a piece at a time; what
is kept in memory is a number for each item or session, and the mask of events is a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast.data.array_files import ArrayWriter, open_array
from gru4rec_fast.data.sessionise import SessionArrays

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from numpy.typing import NDArray

PIECE = 2**22
"""Events."""
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Piece:
    """Events of some whole sessions."""

    sessions: slice
    events: slice
    starts: NDArray[np.int64]
    """Where each session begins, counted from the first event of the piece."""
    lengths: NDArray[np.int64]


class Selection:
    """Events and sessions that were written with rows and times, and a mask of those that stay."""

    def __init__(self, arrays: SessionArrays, n_items: int) -> None:
        folder, entries = arrays.folder, arrays.entries
        self.arrays = {
            name: open_array(folder / f"{name}.npy", entry["dtype"], entry["length"])
            for name, entry in entries.items()
        }
        self.n_items, self.n_sessions = n_items, len(arrays.start)
        n_events = len(self.arrays["items"])
        self._mask_file = folder / "mask"
        self.mask: NDArray[np.bool_] = (
            np.memmap(self._mask_file, dtype=bool, mode="w+", shape=(n_events,))
            if n_events
            else np.empty(0, dtype=bool)
        )
        self.mask[:] = True

    def pieces(self) -> Iterator[Piece]:
        """All sessions, some at a time."""
        offsets = self.arrays["offsets"]
        first = 0
        while first < self.n_sessions:
            stop = int(np.searchsorted(offsets, offsets[first] + PIECE, side="right")) - 1
            stop = min(max(stop, first + 1), self.n_sessions)
            ends = np.asarray(offsets[first : stop + 1])
            yield Piece(
                slice(first, stop),
                slice(int(ends[0]), int(ends[-1])),
                ends[:-1] - ends[0],
                np.diff(ends),
            )
            first = stop

    def support(self, sessions: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """(V,) events of each item that stay, in all sessions or those chosen (n,)."""
        counts = np.zeros(self.n_items, dtype=np.int64)
        for piece in self.pieces():
            np.add.at(counts, self.arrays["items"][piece.events][self._kept(piece, sessions)], 1)
        return counts

    def require_support(self, min_items: int, min_events: int) -> None:
        """Leave out items of fewer events and sessions of fewer, until all have enough."""
        while True:
            enough = self.support() >= min_items
            dropped = 0
            for piece in self.pieces():
                keep = self.mask[piece.events]
                before = np.count_nonzero(keep)
                keep = keep & enough[self.arrays["items"][piece.events]]
                lengths = np.add.reduceat(keep, piece.starts, dtype=np.int64)
                keep &= np.repeat(lengths >= min_events, piece.lengths)
                dropped += int(before - np.count_nonzero(keep))
                self.mask[piece.events] = keep
            if not dropped:
                return

    def last_times(self) -> NDArray[np.int64]:
        """(n,) the time of each session's last event that stays; the least int64 for none."""
        ends = np.empty(self.n_sessions, dtype=np.int64)
        least = np.iinfo(np.int64).min
        for piece in self.pieces():
            times = np.where(self.mask[piece.events], self.arrays["times"][piece.events], least)
            ends[piece.sessions] = np.maximum.reduceat(times, piece.starts)
        return ends

    def kept_sessions(self) -> NDArray[np.bool_]:
        """(n,) whether an event of the session stays."""
        kept = np.empty(self.n_sessions, dtype=bool)
        for piece in self.pieces():
            kept[piece.sessions] = np.logical_or.reduceat(self.mask[piece.events], piece.starts)
        return kept

    def write(
        self,
        folder: Path,
        sessions: NDArray[np.bool_],
        stack: ExitStack,
        *,
        known: NDArray[np.bool_] | None = None,
        min_events: int = 1,
    ) -> tuple[SessionArrays, NDArray[np.int64]]:
        """Write the chosen sessions (n,) with items numbered anew by first appearance.

        Args:
            folder: gets the files of `sessionise.write_sessions`, without rows and times.
            sessions: those that are written.
            stack: closes the files where an error ends the block.
            known: (V,) items whose events are written; None for all.
            min_events: sessions that are left with fewer are not written.

        Returns:
            What was written, and the old numbers of its items in order of the new ones.
        """
        first = np.full(self.n_items, NEVER)
        for piece in self.pieces():
            keep = self._kept(piece, sessions, known, min_events)
            items = self.arrays["items"][piece.events][keep]
            np.minimum.at(first, items, self.arrays["rows"][piece.events][keep])
        old = np.argsort(first, kind="stable")[: np.count_nonzero(first != NEVER)]
        number = np.full(self.n_items, -1, dtype=np.int32)
        number[old] = np.arange(len(old), dtype=np.int32)

        out = SessionArrays(folder)
        files = {
            name: stack.enter_context(
                ArrayWriter(folder / f"{name}.npy", np.int32 if name == "items" else np.int64)
            )
            for name in ("items", "offsets", "session_ids", "first_rows")
        }
        files["offsets"].append(np.zeros(1, dtype=np.int64))
        total, starts = 0, []
        for piece in self.pieces():
            keep = self._kept(piece, sessions, known, min_events)
            files["items"].append(number[self.arrays["items"][piece.events][keep]])
            lengths = np.add.reduceat(keep, piece.starts, dtype=np.int64)
            there = lengths > 0
            files["offsets"].append(total + np.cumsum(lengths[there]))
            files["session_ids"].append(self.arrays["session_ids"][piece.sessions][there])
            rows = np.where(keep, self.arrays["rows"][piece.events], NEVER)
            files["first_rows"].append(np.minimum.reduceat(rows, piece.starts)[there])
            times = np.where(keep, self.arrays["times"][piece.events], NEVER)
            starts.append(np.minimum.reduceat(times, piece.starts)[there])
            out.n_single += int(np.count_nonzero(lengths == 1))
            total += int(lengths.sum())
        out.entries = {name: file.finish() for name, file in files.items()}
        out.start = np.concatenate(starts) if starts else out.start
        return out, old

    def close(self) -> None:
        """Delete the mask."""
        self.mask = np.empty(0, dtype=bool)
        self._mask_file.unlink(missing_ok=True)

    def _kept(
        self,
        piece: Piece,
        sessions: NDArray[np.bool_] | None,
        known: NDArray[np.bool_] | None = None,
        min_events: int = 1,
    ) -> NDArray[np.bool_]:
        keep: NDArray[Any] = np.array(self.mask[piece.events])
        if sessions is not None:
            keep &= np.repeat(sessions[piece.sessions], piece.lengths)
        if known is not None:
            keep &= known[self.arrays["items"][piece.events]]
        if min_events > 1:
            lengths = np.add.reduceat(keep, piece.starts, dtype=np.int64)
            keep &= np.repeat(lengths >= min_events, piece.lengths)
        return keep
