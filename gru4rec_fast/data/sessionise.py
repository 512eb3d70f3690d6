"""Parts of grouped events -> arrays of sessions on the disk, with time gaps and repeats applied.

Letters: E events, n sessions. A part holds whole sessions (or users, with a gap), in ascending
order of their ids; within each, events go by time and then row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast.data.array_files import ArrayWriter
from gru4rec_fast.data.event_codes import unordered

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from numpy.typing import NDArray

    from gru4rec_fast._core import EventPartitions


@dataclass(frozen=True)
class Sessionising:
    """How events become sessions."""

    gap: float | None = None
    """A longer pause, in units of the times, begins a new session; None: sessions as they are."""
    floats: bool = False
    """Whether times are floats in disguise (`event_codes.ordered`)."""
    remove_repeats: bool = False
    """Whether an event goes that has the item of the event before it in its session."""
    keep_rows: bool = False
    """Whether the row and time of each event are kept, for filters."""


@dataclass
class SessionArrays:
    """What was written to a folder, and what is kept in memory for each session."""

    folder: Path
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Array -> its entry of a manifest."""
    start: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """(n,) time of the first event."""
    n_single: int = 0
    tied: int = 0
    """Events with the time of the event before them in their session, but another item."""
    in_rows: bool = True
    """Whether each session's events came one after the other, in the order of time."""


def write_sessions(
    parts: EventPartitions, folder: Path, how: Sessionising, stack: ExitStack
) -> SessionArrays:
    """Write items, offsets, ids and first rows of the sessions of all parts.

    Args:
        parts: the events; they are taken out of it.
        folder: gets `items.npy`, `offsets.npy`, `session_ids.npy` (running numbers with a gap),
            `first_rows.npy` and, if asked for, `rows.npy` and `times.npy`.
        how: gap, repeats and rows.
        stack: closes the files where an error ends the block.
    """
    out = SessionArrays(folder)
    names = ["items", "offsets", "session_ids", "first_rows"] + ["rows", "times"] * how.keep_rows
    files = {
        name: stack.enter_context(
            ArrayWriter(folder / f"{name}.npy", np.int32 if name == "items" else np.int64)
        )
        for name in names
    }
    files["offsets"].append(np.zeros(1, dtype=np.int64))
    starts: list[NDArray[np.int64]] = []
    total = n = 0
    while True:
        session, item, time, row = parts.next()
        if not len(session):
            break
        new = np.empty(len(session), dtype=bool)
        new[0] = True
        np.not_equal(session[1:], session[:-1], out=new[1:])
        if how.gap is not None:
            new[1:] |= _pauses(time, how) > how.gap
        out.in_rows = out.in_rows and bool((np.diff(row)[~new[1:]] == 1).all())
        same_item = item[1:] == item[:-1]
        out.tied += int(np.count_nonzero(~new[1:] & (time[1:] == time[:-1]) & ~same_item))
        if how.remove_repeats:
            keep = new.copy()
            keep[1:] |= ~same_item
            session, item, time = session[keep], item[keep], time[keep]
            row, new = row[keep], new[keep]
        first = np.flatnonzero(new)
        stop = np.append(first[1:], len(item))
        files["items"].append(item)
        files["offsets"].append(total + stop)
        ids = session[first] if how.gap is None else np.arange(n, n + len(first))
        files["session_ids"].append(ids)
        files["first_rows"].append(np.minimum.reduceat(row, first))
        starts.append(time[first])
        if how.keep_rows:
            files["rows"].append(row)
            files["times"].append(time)
        out.n_single += int(np.count_nonzero(stop - first == 1))
        total += len(item)
        n += len(first)
    out.entries = {name: file.finish() for name, file in files.items()}
    out.start = np.concatenate(starts) if starts else out.start
    return out


def _pauses(time: NDArray[np.int64], how: Sessionising) -> NDArray[Any]:
    return np.diff(unordered(time) if how.floats else time)
