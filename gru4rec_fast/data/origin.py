"""How an error names a place in a log, and the remedy: in code for a table, in words for a file."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gru4rec_fast.checks import closest
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SHOWN_COLUMNS, SHOWN_LENGTH = 20, 40


@dataclass(frozen=True)
class Origin:
    """Where a log came from, as far as its errors need it."""

    file: bool = False
    """Whether it is a file; else a table of the caller."""
    line_of: Callable[[int], int] | None = None
    """Line of a row, counted from 0, in a text file."""
    rows_before: int = 0
    """Rows of the log before those that are read here."""

    def row(self, row: int) -> str:
        """The place of row `row`, counted from 0."""
        return (
            f"line {self.line_of(row)}"
            if self.line_of
            else f"row {row + self.rows_before} (counted from 0)"
        )

    def conversion(self, name: object, kind: str) -> str:
        """How to make a column 'text' or 'integers'."""
        if self.file:
            return (
                "correct the column in the file, or read the file into a table and convert it to "
                f"{kind} there"
            )
        return f"convert it, e.g. {cast(name, kind)}"


def cast(name: object, kind: str) -> str:
    """Code that makes a column 'text' or 'integers'."""
    pandas, polars = ("str", "String") if kind == "text" else ("'int64'", "Int64")
    return (
        f"data[{name!r}].astype({pandas}) in pandas, pl.col({name!r}).cast(pl.{polars}) in polars"
    )


def require_columns(
    columns: Sequence[Any], keys: dict[str, str], index_names: Sequence[Any] = ()
) -> None:
    """Refuse a table without the columns `keys` (argument -> name of its column).

    Raises:
        DataError: which column is missing, and those there.
    """
    for keyword, name in keys.items():
        if columns.count(name) > 1:
            raise two_of_one_name(columns)
        if name in columns:
            continue
        if name in index_names:
            raise DataError(
                f"column {name!r} is the index of the table: call data.reset_index() first"
            )
        near = closest(name, [str(column) for column in columns])
        there = [shortened(str(column)) for column in columns[:SHOWN_COLUMNS]]
        more = ["..."] if len(columns) > SHOWN_COLUMNS else []
        or_none = ", or time_key=None where the rows are in the order of time"
        raise DataError(
            f"no column {name!r}{near}; columns there: {', '.join(there + more)}; "
            f"if it has another name, pass {keyword}=...{or_none * (keyword == 'time_key')}"
        )


def two_of_one_name(columns: Sequence[Any]) -> DataError:
    """The error of a table in which columns have the same name."""
    name = next(name for name in columns if columns.count(name) > 1)
    return DataError(
        f"the table has {columns.count(name)} columns of one name, {name!r}: expected different "
        "names; rename or drop all but one"
    )


@contextmanager
def naming(data: Any) -> Iterator[None]:
    """Put the path of a log before a DataError about it that does not name it."""
    try:
        yield
    except DataError as error:
        if not isinstance(data, str | os.PathLike) or os.fspath(data) in str(error):
            raise
        raise DataError(f"{os.fspath(data)}: {error}") from error


def shortened(text: str) -> str:
    """Text of a log as an error shows it: not too long, and printable."""
    short = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."
    return short if short.isprintable() else repr(short)[1:-1]
