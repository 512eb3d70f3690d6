"""Times that are written as text, in a file or in a column of a table: numbers, or ISO 8601."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gru4rec_fast.data.origin import shortened
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from gru4rec_fast.data.origin import Origin

# 07/04/2014 is not among them: it may be in April or July.
NOTATION = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}/[0-9]{2}/[0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?: ?(Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?))?)?$"
)
"""Year, month and day, by - or /; then the time to the minute or finer; then its time zone."""
MICROSECOND_DIGITS = 6


def parsed_times(text: pl.Series, origin: Origin) -> pl.Series:
    """The times as numbers, or as datetimes to the microsecond or, if so written, nanosecond.

    Times with a zone are converted to UTC. Times without one stay as they are: only their order
    counts, so the zone of a whole log does not matter.

    Args:
        text: what is written; missing values stay missing.
        origin: where the log came from, for errors.

    Raises:
        DataError: a text that is no time, or times with a zone beside times without.
    """
    import polars as pl

    for kind in (pl.Int64, pl.Int128, pl.Float64):
        numbers = text.cast(kind, strict=False)
        if numbers.null_count() == text.null_count():
            return numbers
        if kind is pl.Int64:
            text = text.str.strip_chars()
    if re.match("[0-9]{4}[-/]", "".join(text.drop_nulls().head(1))):
        return _datetimes(text, origin)
    raise _no_time(text, numbers, origin)


def _datetimes(text: pl.Series, origin: Origin) -> pl.Series:
    import polars as pl

    parts = text.str.extract_groups(NOTATION).struct.unnest()
    parts.columns = ["date", "hour", "minute", "second", "fraction", "zone"]
    finer = parts["fraction"].str.len_chars().max()
    unit, scale = ("ns", 10**9) if (finer or 0) > MICROSECOND_DIGITS else ("us", 10**6)  # type: ignore[operator]
    hour, minute, second = (
        pl.col(name).cast(pl.Int64).fill_null(0) for name in ("hour", "minute", "second")
    )
    fraction = pl.col("fraction").fill_null("").str.pad_end(9, "0").cast(pl.Int64)
    digits = pl.col("zone").str.replace(":", "", literal=True)
    minutes_east = (
        pl.when(digits.str.contains("^[+-]"))
        .then(
            digits.str.slice(1, 2).cast(pl.Int64, strict=False) * 60
            + digits.str.slice(3, 2).str.pad_start(1, "0").cast(pl.Int64, strict=False)
        )
        .otherwise(0)
    )
    east = pl.when(digits.str.starts_with("-")).then(-minutes_east).otherwise(minutes_east)
    date = pl.col("date").str.replace_all("/", "-", literal=True).str.to_date(strict=False)
    days = date.cast(pl.Int32).cast(pl.Int64)
    seconds = ((days * 24 + hour) * 60 + minute - east) * 60 + second
    exists = (hour < 24) & (minute < 60) & (second < 60)
    if unit == "ns":
        exists &= date.dt.year().is_between(1678, 2261)  # What int64 holds.
    times = parts.select(
        pl.when(exists).then(seconds * scale + fraction // (10**9 // scale)).alias(text.name)
    ).to_series()
    if times.null_count() > text.null_count():
        raise _no_time(text, times, origin)
    zoned = parts["zone"].is_not_null()
    times = times.cast(pl.Datetime(unit))  # type: ignore[arg-type]
    if not zoned.any():
        return times
    without = ~zoned & text.is_not_null()
    if without.any():
        row, other = int(without.arg_max() or 0), int(zoned.arg_max() or 0)
        raise DataError(
            f"column {text.name!r}, {origin.row(row)} holds '{shortened(text[row])}' without a "
            f"time zone, but {origin.row(other)} holds '{shortened(text[other])}' with one: "
            f"expected a zone for all times or for none; {_remedy(text.name, origin)}"
        )
    return times.dt.replace_time_zone("UTC")


def _no_time(text: pl.Series, times: pl.Series, origin: Origin) -> DataError:
    """The error of texts whose times are missing."""
    wrong = times.is_null() & text.is_not_null()
    row = int(wrong.arg_max() or 0)
    return DataError(
        f"column {text.name!r}, {origin.row(row)} holds '{shortened(text[row])}', which is no "
        f"time, as do {wrong.sum()} rows in all: expected numbers, or dates and times in ISO "
        f"8601 (2014-04-07T10:51:09.277Z); {_remedy(text.name, origin)}"
    )


def _remedy(name: str, origin: Origin) -> str:
    if origin.file:
        return "correct them in the file, or read it into a table and convert the column there"
    return f"convert the column, e.g. pd.to_datetime(data[{name!r}], format=...)"
