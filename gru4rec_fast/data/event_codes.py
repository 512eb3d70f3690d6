"""Batches of a log -> numbers: item and session codes, and times that compare as integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from gru4rec_fast._core import IntegerNumbering, TextNumbering
from gru4rec_fast.data.columns import id_column, time_column
from gru4rec_fast.data.times import parsed_times
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from gru4rec_fast.data.log_batches import Batch
    from gru4rec_fast.data.origin import Origin

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of numbers that are times -> how many of them are a second."""
INT64_MAX = 2**63 - 1


@dataclass(frozen=True)
class Kinds:
    """What the columns of the whole log are, as far as it is known."""

    text_items: bool = False
    text_sessions: bool = False
    times: str | None = None
    """'integer', 'float', or datetimes as 'us' or 'ns'; None before the first batch."""
    zoned: bool = False
    """Whether datetimes have a time zone."""


class OtherKindsError(Exception):
    """A batch shows that the log must be read again, with its columns as other kinds."""

    def __init__(self, kinds: Kinds) -> None:
        super().__init__(kinds)
        self.kinds = kinds


def ordered(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Floats as integers of the same order; -0.0 is 0.0."""
    bits = (times + 0.0).view(np.int64)
    return np.where(bits < 0, bits ^ INT64_MAX, bits)


def unordered(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """The floats of `ordered`."""
    return np.where(keys < 0, keys ^ INT64_MAX, keys).view(np.float64)


class EventCodes:
    """Numbers the items and sessions of a log, batch after batch."""

    def __init__(self, keys: dict[str, str], kinds: Kinds) -> None:
        self.keys, self.kinds = keys, kinds
        self.items: IntegerNumbering | TextNumbering = (
            TextNumbering() if kinds.text_items else IntegerNumbering()
        )
        self.texts = TextNumbering() if kinds.text_sessions else None
        self._rows = 0  # so far, as times of a log without them

    def of(self, batch: Batch) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Session code or id (R,) int64, item code (R,) int32, time (R,) int64.

        Raises:
            DataError: a missing value, an id or a time of a wrong type.
            OtherKindsError: the log is of other kinds than were known.
        """
        if batch.frame is None:
            items, sessions = batch.arrays[:2]
            times: Any = batch.arrays[2] if "time_key" in self.keys else None
        else:
            frame = batch.frame
            items = self._ids(frame[self.keys["item_key"]], batch.origin, "text_items")
            sessions = self._ids(frame[self.keys["session_key"]], batch.origin, "text_sessions")
            times = frame[self.keys["time_key"]] if "time_key" in self.keys else None
        keys = self._times(times, len(items), batch.origin)
        try:
            item_codes = _numbered(self.items, items).astype(np.int32, copy=False)
        except ValueError as error:  # std::length_error
            raise DataError(
                f"column {self.keys['item_key']!r}: {error}: is it the id of an event?"
            ) from error
        if self.texts is not None:
            sessions = _numbered(self.texts, sessions)
        return sessions, item_codes, keys

    def _ids(self, series: pl.Series, origin: Origin, kind: str) -> Any:
        """The ids: int64, or a polars column of text."""
        import polars as pl

        wrapped: Any = nw.from_native(series, series_only=True)
        if series.dtype in (pl.Categorical, pl.Enum):
            series = series.cast(pl.String)
        if series.dtype == pl.String and (series.has_nulls() or (series == "").any()):
            id_column(wrapped, origin)  # It says which one has no value.
        if series.dtype == pl.String:
            if not getattr(self.kinds, kind):
                if not len(series):
                    return np.empty(0, dtype=np.int64)
                changed: dict[str, Any] = {kind: True}
                raise OtherKindsError(replace(self.kinds, **changed))
            return series
        ids = id_column(wrapped, origin)
        return pl.Series(series.name, ids).cast(pl.String) if getattr(self.kinds, kind) else ids

    def _times(self, values: Any, rows: int, origin: Origin) -> NDArray[np.int64]:
        if values is None:
            times: NDArray[Any] = np.arange(self._rows, self._rows + rows)
            self._rows += rows
            kind, zoned = "integer", False
        elif isinstance(values, np.ndarray):
            times, zoned = values, False
            kind = "float" if values.dtype.kind == "f" else "integer"
        else:
            times, kind, zoned = _typed(values, origin)
        if not len(times):
            return np.empty(0, dtype=np.int64)
        known = self.kinds
        if known.times is None:
            self.kinds = known = replace(known, times=kind, zoned=zoned)
        expected = known.times or kind
        if {kind, expected} in ({"integer", "float"}, {"us", "ns"}) and kind != expected:
            if expected in ("integer", "us"):
                raise OtherKindsError(replace(known, times=kind))
            times = times.astype(np.float64) if kind == "integer" else _nanoseconds(times)
            kind = expected
        if kind != known.times or zoned != known.zoned:
            raise DataError(
                f"column {self.keys['time_key']!r} holds {_said(known.times, known.zoned)}, and "
                f"then {_said(kind, zoned)}: expected one kind in the whole log; convert the files"
            )
        return ordered(times) if kind == "float" else np.ascontiguousarray(times, dtype=np.int64)


def _typed(series: pl.Series, origin: Origin) -> tuple[NDArray[Any], str, bool]:
    """The times of a column, their kind, and whether they have a zone."""
    import polars as pl

    if series.dtype == pl.String and not series.has_nulls():
        series = parsed_times(series, origin)
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    times = time_column(nw.from_native(series, series_only=True), origin)
    if isinstance(series.dtype, pl.Datetime):
        if series.dtype.time_unit == "ms":
            times = times * 1000
        unit = "ns" if series.dtype.time_unit == "ns" else "us"
        return times, unit, series.dtype.time_zone is not None
    return times, "float" if times.dtype.kind == "f" else "integer", False


def _nanoseconds(times: NDArray[Any]) -> NDArray[np.int64]:
    limit = INT64_MAX // 1000
    if (np.abs(times) > limit).any():
        raise DataError(
            "a time lies beyond the years 1678 to 2261, which nanoseconds reach: expected no "
            "fractions finer than microseconds beside it"
        )
    return times * 1000


def _said(kind: str | None, zoned: bool) -> str:
    if kind in ("us", "ns"):
        return f"datetimes {'with' if zoned else 'without'} a time zone"
    return "numbers"


def _numbered(numbering: IntegerNumbering | TextNumbering, ids: Any) -> NDArray[Any]:
    if isinstance(numbering, IntegerNumbering):
        return numbering.number(ids)
    return numbering.number(*text_buffers(ids))


def text_buffers(texts: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The offsets (n + 1,) and bytes of a polars column of text without missing values."""
    import pyarrow as pa

    arrow = texts.to_arrow().cast(pa.large_string())
    if isinstance(arrow, pa.ChunkedArray):
        arrow = arrow.combine_chunks()
    _, offsets, data = arrow.buffers()
    begin, n = arrow.offset, len(arrow)
    ends = (
        np.zeros(1, dtype=np.int64)
        if offsets is None
        else np.frombuffer(offsets, dtype=np.int64)[begin : begin + n + 1]
    )
    text = np.empty(0, np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    return ends, text
