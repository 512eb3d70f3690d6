"""A log of any size -> a prepared store, or one for each part of a temporal split (docs/DATA.md).

Letters: E events, n sessions, V items.
"""

from __future__ import annotations

import os
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from gru4rec_fast._core import EventPartitions, TextNumbering
from gru4rec_fast.data import store
from gru4rec_fast.data.array_files import open_array, write_array
from gru4rec_fast.data.columns import select_columns
from gru4rec_fast.data.event_codes import UNITS, EventCodes, Kinds, OtherKindsError, unordered
from gru4rec_fast.data.files import require_unicode_path
from gru4rec_fast.data.items import is_unicode, not_unicode
from gru4rec_fast.data.log_batches import Batch, LogFormat, batches_of, kept
from gru4rec_fast.data.log_inputs import files_of
from gru4rec_fast.data.origin import Origin, naming
from gru4rec_fast.data.preparation import Preparation
from gru4rec_fast.data.selection import Selection
from gru4rec_fast.data.sessionise import SessionArrays, Sessionising, write_sessions
from gru4rec_fast.data.store_folder import prepared_aside
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from numpy.typing import NDArray

SECONDS_OF_A_DAY = 86_400


@dataclass(frozen=True)
class PreparedStore:
    """What a store holds."""

    path: Path
    events: int
    sessions: int
    items: int

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.events:,} events, {self.sessions:,} sessions, {self.items:,} items"
        )


def prepare(
    inputs: Any, out: str | os.PathLike[str], *, overwrite: bool = False, **options: Any
) -> list[PreparedStore]:
    """Prepare a log once, so that training and evaluation open it at once and in little memory.

    `fit`, `partial_fit`, `batch_eval` and `evaluate` take the path of a store as they take a log,
    with the same result bit for bit.

    Args:
        inputs: a pandas, polars or Arrow table; or the path of a log, a folder or a pattern, or a
            list of these: .tsv, .txt, .csv, .dat (each also .gz or .zst) and .parquet. Files of a
            folder or a pattern are read in order of their names, as if they were one.
        out: the folder of the store. With a split it gets a store for each part: `train_full` and
            `test`, and with `valid_days` also `train_tr` and `valid`.
        overwrite: whether a store that is there is replaced.
        options: the fields of `preparation.Preparation`, and `recipe`, which gives their defaults.

    Returns:
        What was written, store by store.

    Raises:
        DataError: a bad log, nothing left of it, or a folder that cannot be written; nothing is
            changed then.
        ParameterError: an unknown option, or a value out of range.
    """
    how = Preparation.of(**options)
    target = Path(out)
    require_unicode_path(target)
    with prepared_aside(target, overwrite) as (result, work):
        kinds = Kinds()
        while True:
            try:
                written = _Run(inputs, how, kinds, result, work).run()
                break
            except OtherKindsError as error:
                kinds = error.kinds
            except RuntimeError as error:  # of C++, which names the file
                raise DataError(f"{error}; nothing was changed") from error
    return [
        PreparedStore(target if name is None else target / name, *counts)
        for name, counts in written.items()
    ]


class _Run:
    """One reading of a log, whose columns are of these kinds as far as is known."""

    def __init__(
        self, inputs: Any, how: Preparation, kinds: Kinds, result: Path, work: Path
    ) -> None:
        self.inputs, self.how, self.result, self.work = inputs, how, result, work
        self.log = LogFormat(
            how.keys,
            how.sep,
            how.columns,
            how.where,
            text_items=kinds.text_items,
            text_sessions=kinds.text_sessions,
        )
        self.codes = EventCodes(how.keys, kinds)
        self.sources: list[dict[str, Any]] = []

    def run(self) -> dict[str | None, tuple[int, int, int]]:
        """Write the stores into the result folder; their names and E, n and V."""
        parts = EventPartitions(str(self.work), self.how.memory)
        for source, batch in self._batches():
            with naming(source):
                parts.add(*self.codes.of(batch))
        if parts.rows == 0:
            raise DataError(
                "the log has no rows"
                + (f" with {self.how.said_where()}" if self.how.where else "")
                + ": expected at least one session of two events"
            )
        self.texts: NDArray[np.int64] | None = None
        if self.codes.texts is not None:
            self.texts = self.codes.texts.sorted()
            label = np.empty(len(self.texts), dtype=np.int64)
            label[self.texts] = np.arange(len(self.texts))
            parts.relabel(label)
        how = self.how
        per_second = self._units_per_second()
        sessionising = Sessionising(
            gap=None if how.session_gap is None else how.session_gap * per_second,
            floats=self.codes.kinds.times == "float",
            remove_repeats=how.remove_repeats,
            keep_rows=how.selects,
        )
        with ExitStack() as stack:
            folder = self.work if how.selects else self.result
            arrays = write_sessions(parts, folder, sessionising, stack)
            if arrays.tied and not arrays.in_rows and "time_key" in how.keys:
                warnings.warn(
                    f"{arrays.tied} of {parts.rows} events have the time of the event before them "
                    "in their session, and the log is not sorted by session and time: only the "
                    "order of its rows says which came first",
                    stacklevel=4,
                )
            if not how.selects:
                return {None: self._finish(self.result, arrays, None)}
            return self._select(arrays, per_second, stack)

    def _batches(self) -> Iterator[tuple[Path | None, Batch]]:
        if not isinstance(self.inputs, str | os.PathLike | list | tuple):
            table = select_columns(self.inputs, self.log.read)
            frame = _polars(nw.from_native(table, eager_only=True))
            self.sources = [{"name": "a table", "rows": len(frame)}]
            yield None, Batch(kept(frame, self.log), [], Origin())
            return
        for path in files_of(self.inputs):
            self.sources.append({"name": str(path), "bytes": path.stat().st_size})
            for batch in batches_of(path, self.log):
                yield path, batch

    def _units_per_second(self) -> float:
        kind = self.codes.kinds.times
        return UNITS[kind if kind in UNITS else self.how.time_unit]

    def _select(
        self, arrays: SessionArrays, per_second: float, stack: ExitStack
    ) -> dict[str | None, tuple[int, int, int]]:
        """Apply filters and splits to what was written to the work folder."""
        how = self.how
        selection = Selection(arrays, self._n_items())
        stack.callback(selection.close)
        if how.min_session_length > 1 or how.min_item_support > 1:
            selection.require_support(how.min_item_support, how.min_session_length)
        everything = selection.kept_sessions()
        if not everything.any():
            raise DataError(
                f"nothing is left with min_session_length={how.min_session_length} and "
                f"min_item_support={how.min_item_support}: expected smaller numbers"
            )
        if how.test_days is None:
            written = selection.write(self.result, everything, stack)
            return {None: self._finish(self.result, *written)}
        last = selection.last_times()
        parts = [("train_full", "test", everything, how.test_days)]
        found: dict[str | None, tuple[int, int, int]] = {}
        while parts:
            earlier_name, later_name, sessions, days = parts.pop()
            later = sessions & self._is_late(last, sessions, days, per_second)
            earlier = sessions & ~later
            known = selection.support(earlier) > 0
            for name, chosen, of in (
                (earlier_name, earlier, None),
                (later_name, later, known),
            ):
                folder = self.result / name
                folder.mkdir()
                written = selection.write(
                    folder, chosen, stack, known=of, min_events=1 if of is None else 2
                )
                if not len(written[0].start):
                    raise DataError(
                        f"{name} has no session: {days} days leave none, or none of two known "
                        "items; choose other test_days, valid_days"
                    )
                found[name] = self._finish(folder, *written)
            if name == "test" and how.valid_days is not None:
                parts.append(("train_tr", "valid", earlier, how.valid_days))
        return found

    def _is_late(
        self,
        last: NDArray[np.int64],
        sessions: NDArray[np.bool_],
        days: float,
        per_second: float,
    ) -> NDArray[np.bool_]:
        times: NDArray[Any] = unordered(last) if self.codes.kinds.times == "float" else last
        late: NDArray[np.bool_] = times >= (
            times[sessions].max() - days * SECONDS_OF_A_DAY * per_second
        )
        return late

    def _n_items(self) -> int:
        return len(self.codes.items)

    def _finish(
        self, folder: Path, arrays: SessionArrays, items: NDArray[np.int64] | None
    ) -> tuple[int, int, int]:
        """Write what is missing beside the sessions, and the manifest; E, n and V."""
        entries = dict(arrays.entries)
        n_items = self._n_items() if items is None else len(items)
        n_events, n = entries["items"]["length"], len(arrays.start)

        def add(name: str, values: NDArray[Any]) -> None:
            entries[name] = write_array(folder / f"{name}.npy", values)

        add("order", np.argsort(arrays.start, kind="stable"))
        numbering = self.codes.items
        if isinstance(numbering, TextNumbering):
            _add_texts(add, "item_ids", numbering, items)
        else:
            add("item_ids", numbering.ids if items is None else numbering.ids[items])
        if self.texts is not None and self.how.session_gap is None:
            assert self.codes.texts is not None  # noqa: S101 - made together
            path = folder / "session_ids.npy"
            ranks = open_array(path, "<i8", n)
            _add_texts(add, "session_ids", self.codes.texts, self.texts[ranks])
            del entries["session_ids"]
            path.unlink()
        written = open_array(folder / "items.npy", "<i4", n_events)
        support = np.zeros(n_items, dtype=np.int64)
        for start in range(0, n_events, 2**22):
            np.add.at(support, written[start : start + 2**22], 1)
        add("support", support)
        columns: dict[str, str | None] = {"time_key": None, **self.how.keys}
        store.write_manifest(
            folder,
            {
                "format": store.FORMAT,
                "version": store.VERSION,
                "n_events": n_events,
                "n_sessions": n,
                "n_items": n_items,
                "n_single": arrays.n_single,
                "columns": columns,
                "options": self.how.to_json(),
                "times": self.codes.kinds.times,
                "sources": self.sources,
                "arrays": entries,
            },
        )
        return n_events, n, n_items


def _polars(table: nw.DataFrame[Any]) -> pl.DataFrame:
    try:
        return table.to_polars()
    except UnicodeEncodeError:
        for name in table.columns:
            for row, text in enumerate(table[name].to_list()):
                if isinstance(text, str) and not is_unicode(text):
                    raise not_unicode(name, row, text) from None
        raise DataError(
            f"a column's name is not valid Unicode: {table.columns}; rename it"
        ) from None


def _add_texts(
    add: Any, name: str, numbering: TextNumbering, chosen: NDArray[np.int64] | None
) -> None:
    """Write the texts of a numbering, those with the chosen numbers in that order."""
    offsets, text = numbering.offsets, numbering.bytes
    if chosen is not None:
        lengths = np.diff(offsets)[chosen]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(offsets[:-1][chosen] - ends[:-1], lengths) + np.arange(ends[-1])
        offsets, text = ends.astype(np.int64), text[places]
    add(f"{name}.offsets", offsets)
    add(f"{name}.bytes", text)
