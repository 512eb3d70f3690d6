"""The three columns of a text file, and what their fields mean.

Ids stay as they are written. A column holds integers only if each value is the one notation of an
integer that fits int64: 00123 and 123 stay two ids. Quotes are as in RFC 4180, except between tabs,
which need no escape: there `screen 12"` is an id like any other. Many programs write text in quotes
even there, so a field that is wholly in quotes is taken out of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gru4rec_fast.data.lines import line_of, records, why_unreadable
from gru4rec_fast.data.origin import Origin, require_columns, shortened, two_of_one_name
from gru4rec_fast.data.plain_text import HEAD, plain_columns
from gru4rec_fast.data.times import parsed_times
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";"}
"""Those that a header line is searched for, by name."""


def read_text(
    source: Path | bytes,
    sep: str | None,
    usual: str,
    keys: dict[str, str],
    text_items: bool,
    *,
    text_sessions: bool = False,
    all_columns: bool = False,
    lines_before: int = 0,
    plain: bool = True,
) -> tuple[pl.DataFrame, Origin]:
    """The columns of a text file, and how its errors name a line.

    Args:
        source: the file, or its content.
        sep: what separates the fields of a line; None detects it from the header line.
        usual: the separator of files of this kind, taken where the header line decides nothing.
        keys: item_key, session_key and, unless rows are in order, time_key -> name of the column.
        text_items: whether items of digits stay text.
        text_sessions: whether sessions of digits stay text.
        all_columns: whether to read the other columns too, as text.
        lines_before: lines of the file between its header line and the rest of `source`.
        plain: whether to try `plain_columns` first, which is several times faster.

    Raises:
        DataError: no UTF-8 text, a wrong header, a line that cannot be read, a time that is none.
    """
    import polars as pl

    separator, names = header_of(_head(source), sep, usual, keys)
    origin = Origin(
        file=True, line_of=lambda row: line_of(_content(source), separator, row) + lines_before
    )
    if plain and not (text_items or text_sessions or all_columns):
        columns = plain_columns(source, separator, names, keys)
        if columns is not None:
            return pl.DataFrame(columns), origin
    try:
        if all_columns and len(set(names)) < len(names):
            raise two_of_one_name(names)
        wanted = names if all_columns else keys.values()
        places = sorted(names.index(name) for name in wanted)
        frame = _read(source, separator, columns=places)
    except pl.exceptions.PolarsError as error:
        raise DataError(why_unreadable(_content(source), separator, lines_before)) from error
    frame.columns = [names[place] for place in places]
    frame = _unquoted(frame, separator)
    items, time_key = frame[keys["item_key"]], keys.get("time_key")
    sessions = frame[keys["session_key"]]
    typed = [items if text_items else _ids(items), sessions if text_sessions else _ids(sessions)]
    if time_key is not None:
        typed.append(parsed_times(frame[time_key], origin))
    return frame.with_columns(typed), origin


def header_of(
    head: bytes, sep: str | None, usual: str, keys: dict[str, str]
) -> tuple[str, list[str]]:
    """The separator of a text file and the names of its columns, from the beginning of it.

    Raises:
        DataError: no text in UTF-8, nothing at all, a header line that cannot be read or that lacks
            a column of `keys`.
    """
    if b"\0" in head:
        raise DataError("is a binary file, or text in UTF-16: expected text in UTF-8")
    if not head.strip(b"\r\n"):
        raise DataError("the file is empty: expected a header line and events")
    separator = _detected(head, usual, keys) if sep is None else sep
    names = _header(head, separator)
    if not names:
        whole = head[: head.rfind(b"\n") + 1] or head
        raise DataError(why_unreadable(whole, separator))
    _require_header(names, sep, separator, keys)
    return separator, names


def _read(source: Path | bytes, separator: str, **how: Any) -> pl.DataFrame:
    import polars as pl

    # As text throughout: polars' own guess of types would take 007 for 7.
    return pl.read_csv(
        source,
        separator=separator,
        quote_char=None if separator == "\t" else '"',
        infer_schema=False,
        glob=False,
        **how,
    )


def _header(head: bytes, separator: str) -> list[str]:
    """The names of the columns; none where the header line cannot be read."""
    import polars as pl

    _, line = next(records(head, separator))
    try:
        names = _unquoted(_read(line, separator, has_header=False), separator).row(0)
    except pl.exceptions.PolarsError:
        return []
    return [name or "" for name in names]


def _detected(head: bytes, usual: str, keys: dict[str, str]) -> str:
    """The separator by which the header line has most of the columns asked for, or most columns."""
    best, most = usual, (0, 0)
    # The usual one first: it is kept where others are no better.
    for separator in sorted(SEPARATORS.values(), key=lambda other: other != usual):
        names = _header(head, separator)
        found = (len(set(keys.values()).intersection(names)), len(names))
        if found > most:
            best, most = separator, found
    return best


def _head(source: Path | bytes) -> bytes:
    """Enough of the file to hold the header line."""
    if isinstance(source, bytes):
        return source[:HEAD]
    with source.open("rb") as file:
        return file.read(HEAD)


def _content(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _unquoted(frame: pl.DataFrame, separator: str) -> pl.DataFrame:
    """The fields; those of a .tsv that are wholly in quotes without them."""
    import polars as pl

    text = pl.all()
    if separator != "\t" or not any(frame.select(text.str.starts_with('"').any()).row(0)):
        return frame
    within = text.str.slice(1, text.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    quoted = text.str.contains('^"(?:[^"]|"")*"$')
    return frame.select(pl.when(quoted).then(within).otherwise(text).name.keep())


def _require_header(
    names: list[str], sep: str | None, separator: str, keys: dict[str, str]
) -> None:
    if not set(keys.values()).intersection(names):
        if sep is not None and len(names) == 1:
            raise DataError(
                f"has no {sep!r} in its header line ({shortened(names[0])}), but sep={sep!r}: "
                "expected what separates the names of the columns; leave sep out to detect it"
            )
        if any(re.fullmatch(r"-?\d+(\.\d*)?", name) for name in names):
            raise DataError(
                f"begins with what looks like data ({shortened(separator.join(names))}): expected "
                "a header line with the names of the columns, e.g. "
                f"{separator.join(keys.values())!r}"
            )
    require_columns(names, keys)


def _ids(text: pl.Series) -> pl.Series:
    """The ids as integers, if their text follows from these."""
    import polars as pl

    integers = text.cast(pl.Int64, strict=False)
    if integers.null_count() == text.null_count():
        return text if text.str.contains(r"^(\+|-?0\d|-0)").any() else integers
    # A missing value turned integers into decimals: refused later, as in a table.
    whole = text.str.contains(r"^-?\d+\.0*$").all()
    return text.cast(pl.Float64) if whole else text
