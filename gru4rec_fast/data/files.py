"""The three columns of a log file: what its text means, and which line is wrong.

Ids stay as they are written: a column holds integers only if each value is the one notation of an
integer that fits int64, so 00123 and 123 stay apart. In a .csv, quotes are as in RFC 4180. A .tsv
or .txt has none, since tabs need no escape: `screen 12"` is an id like any other. Only a field
that is wholly in quotes, as many programs write text, is taken out of them.
"""

from __future__ import annotations

import gzip
import re
import stat
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import DataError, closest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import polars as pl

SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
FILE_KINDS = ".tsv or .txt (tabs), .csv (commas), each also as .gz, and .parquet"
WRONG_SEPARATORS = {
    ",": ("commas", "give it a name that ends with .csv"),
    "\t": ("tabs", "give it a name that ends with .tsv"),
    ";": ("semicolons", "write it with commas (.csv) or tabs (.tsv)"),
}
SHOWN_COLUMNS, SHOWN_LENGTH = 20, 40
RECORDS = {
    "\t": re.compile(rb"[^\n]*\n?"),
    ",": re.compile(
        rb'(?:"[^"]*(?:""[^"]*)*"|[^",\n]*)(?:,(?:"[^"]*(?:""[^"]*)*"|[^",\r\n]*))*\r?(?:\n|\Z)'
    ),
}
"""A line of a .tsv; a record of a .csv, which can go over several lines within quotes."""


@dataclass(frozen=True)
class Origin:
    """How an error speaks of rows and remedies: in code of a table, in words of a file."""

    file: bool = False
    line_of: Callable[[int], int] | None = None
    """Line of a row in a text file."""

    def row(self, row: int) -> str:
        """Where row `row`, counted from 0, is found."""
        return f"line {self.line_of(row)}" if self.line_of else f"row {row} (counted from 0)"

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
    """Refuse a table without the wanted columns.

    Raises:
        DataError: which column is missing, and those there.
    """
    for keyword, name in keys.items():
        if columns.count(name) > 1:
            raise DataError(f"the table has two columns of one name: {name!r}; rename one")
        if name in columns:
            continue
        if name in index_names:
            raise DataError(
                f"column {name!r} is the index of the table: call data.reset_index() first"
            )
        near = closest(name, [str(column) for column in columns])
        there = [_trimmed(str(column)) for column in columns[:SHOWN_COLUMNS]]
        more = ["..."] if len(columns) > SHOWN_COLUMNS else []
        raise DataError(
            f"no column {name!r}{near}; columns there: {', '.join(there + more)}; "
            f"if it has another name, pass {keyword}=..."
        )


def read_log(path: Path, keys: dict[str, str], text_items: bool) -> tuple[pl.DataFrame, Origin]:
    """The three columns of a file. `text_items` keeps items of digits as text.

    Raises:
        DataError: no such file, or one that cannot be read as what its name says.
    """
    import polars as pl  # needed for files alone

    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("no such file: expected the path of a session log") from None
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error
    if is_folder:
        raise DataError(f"is a folder: expected a file, {FILE_KINDS}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    separator = SEPARATORS.get("".join(suffixes[-2:]).removesuffix(".gz")[-4:])
    if separator is None and suffixes[-1:] != [".parquet"]:
        raise DataError(f"unknown kind of file: expected {FILE_KINDS}")
    try:
        if separator is not None:
            source = gzip.decompress(path.read_bytes()) if suffixes[-1] == ".gz" else path
            return _read_text(source, separator, keys, text_items)
        require_columns(list(pl.read_parquet_schema(path)), keys)
        frame = pl.read_parquet(path, columns=list(keys.values()), glob=False)
        return frame, Origin(file=True)
    except (pl.exceptions.PolarsError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot be read as {suffixes[-1]}: {str(error).partition(chr(10))[0]}; expected an "
            "intact file of the kind that its name says"
        ) from error
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> DataError:
    cause = getattr(error, "strerror", None) or error
    return DataError(f"cannot be read ({cause}): expected a file that this user may open")


# -- Text --------------------------------------------------------------------------------------


def _read_text(
    source: Path | bytes, separator: str, keys: dict[str, str], text_items: bool
) -> tuple[pl.DataFrame, Origin]:
    import polars as pl

    head = _head(source)
    if b"\0" in head:
        raise DataError("is a binary file, or text in UTF-16: expected text in UTF-8")
    blank = len(head) - len(head.lstrip(b"\r\n"))
    if blank == len(head):
        raise DataError("the file is empty: expected a header line and events")

    def read(**how: Any) -> pl.DataFrame:
        # As text throughout: polars' own guess of types would take 007 for 7.
        return pl.read_csv(
            source,
            separator=separator,
            quote_char='"' if separator == "," else None,
            infer_schema=False,
            glob=False,
            **how,
        )

    try:
        header = _unquoted(
            read(has_header=False, n_rows=1, skip_rows=head.count(b"\n", 0, blank)), separator
        )
        names = [name or "" for name in header.row(0)]
        _require_header(names, separator, keys)
        places = sorted(names.index(name) for name in keys.values())
        frame = read(columns=places)
    except pl.exceptions.PolarsError as error:
        raise DataError(_cause(_content(source), separator)) from error
    frame.columns = [names[place] for place in places]
    frame = _unquoted(frame, separator)
    origin = Origin(file=True, line_of=lambda row: _line_of(_content(source), separator, row))
    item_key, session_key, time_key = keys.values()
    return frame.with_columns(
        frame[item_key] if text_items else _ids(frame[item_key]),
        _ids(frame[session_key]),
        _times(frame[time_key], origin),
    ), origin


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:4096]
    with source.open("rb") as file:
        return file.read(4096)


def _content(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _unquoted(frame: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Fields of a .tsv that are wholly in quotes, out of them."""
    import polars as pl

    text = pl.all()
    if separator == "," or not any(frame.select(text.str.starts_with('"').any()).row(0)):
        return frame
    within = text.str.slice(1, text.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    quoted = text.str.contains('^"(?:[^"]|"")*"$')
    return frame.select(pl.when(quoted).then(within).otherwise(text).name.keep())


def _require_header(names: list[str], separator: str, keys: dict[str, str]) -> None:
    if not set(keys.values()).intersection(names):
        for other, (kind, remedy) in WRONG_SEPARATORS.items():
            if other != separator and len(names) == 1 and other in names[0]:
                raise DataError(
                    f"looks separated by {kind} (its first line: {_trimmed(names[0])}), but its "
                    f"name says {WRONG_SEPARATORS[separator][0]}: {remedy}"
                )
        if any(re.fullmatch(r"-?\d+(\.\d*)?", name) for name in names):
            raise DataError(
                f"begins with what looks like data ({_trimmed(separator.join(names))}): expected a "
                f"header line with the names of the columns, e.g. {separator.join(keys.values())!r}"
            )
    require_columns(names, keys)


def _ids(text: pl.Series) -> pl.Series:
    """Integers where nothing is lost by it."""
    import polars as pl

    integers = text.cast(pl.Int64, strict=False)
    if integers.null_count() == text.null_count():
        return text if text.str.contains(r"^(\+|-?0\d|-0)").any() else integers
    # Integers that a missing value has made decimals: refused later, as in a table.
    whole = text.str.contains(r"^-?\d+\.0*$").all()
    return text.cast(pl.Float64) if whole else text


def _times(text: pl.Series, origin: Origin) -> pl.Series:
    import polars as pl

    times = text.cast(pl.Int64, strict=False)
    if times.null_count() == text.null_count():
        return times
    text = text.str.strip_chars()
    for kind in (pl.Int64, pl.Int128, pl.Float64):
        times = text.cast(kind, strict=False)
        if times.null_count() == text.null_count():
            return times
    # Other notations are refused: 07/04 may be April or July.
    if re.match(r"\d{4}-\d\d-\d\d", "".join(text.drop_nulls().head(1))):
        times = text.str.to_datetime(strict=False)
    wrong = times.is_null() & text.is_not_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"column {text.name!r}, {origin.row(row)} holds '{_trimmed(text[row])}', which is no "
            f"time, as do {wrong.sum()} rows in all: expected numbers, or dates and times in ISO "
            "8601 (2014-04-07T10:51:09.277Z) of one form; correct them in the file, or read it "
            "into a table and convert the column there"
        )
    return times


def _trimmed(text: str) -> str:
    short = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."
    return short if short.isprintable() else repr(short)[1:-1]


# -- Lines -------------------------------------------------------------------------------------


def _records(content: bytes, separator: str) -> Iterator[tuple[int, bytes]]:
    """(line that it begins on, text) of the header and each row; ends early at a broken one."""
    record = RECORDS[separator]
    position = len(content) - len(content.lstrip(b"\r\n"))
    line = 1 + content.count(b"\n", 0, position)
    while position < len(content):
        found = record.match(content, position)
        yield line, b"" if found is None else found[0]
        if found is None:
            return
        line += found[0].count(b"\n")
        position = found.end()


def _line_of(content: bytes, separator: str, row: int) -> int:
    records = _records(content, separator)
    return next((line for i, (line, _) in enumerate(records, -1) if i == row), row + 2)


def _cause(content: bytes, separator: str) -> str:
    """Why polars cannot read the file, in terms of its lines."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return (
            f"line {content.count(10, 0, error.start) + 1} is not UTF-8 (byte "
            f"0x{content[error.start]:02x}): expected text in UTF-8; is the file binary, or of "
            "another encoding?"
        )
    wanted = 0
    for line, record in _records(content, separator):
        if not record:
            return (
                f"line {line} has a quote that is not closed, or one within a field: expected a "
                "field with quotes to be in quotes as a whole, and those within it twice "
                '("screen 12""")'
            )
        fields = re.sub(rb'"[^"]*"', b"", record) if separator == "," else record
        count = fields.count(separator.encode()) + 1
        wanted = wanted or count
        if count > wanted:
            return f"line {line} has {count} fields: expected {wanted}, as in the header line"
    return f"cannot be read: expected lines of {wanted} fields each, as in the header line"
