"""The lines of a text file: on which one a row stands, and which one cannot be read."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def _record(separator: str) -> re.Pattern[bytes]:
    """A line of fields between tabs; otherwise a record, which can go over lines within quotes."""
    if separator == "\t":
        return re.compile(rb"[^\n]*\n?")
    sep = re.escape(separator).encode()
    quoted = rb'"[^"]*(?:""[^"]*)*"'
    return re.compile(
        rb"(?:%b|[^\"%b\n]*)(?:%b(?:%b|[^\"%b\r\n]*))*\r?(?:\n|\Z)"
        % (quoted, sep, sep, quoted, sep)
    )


def records(content: bytes, separator: str) -> Iterator[tuple[int, bytes]]:
    """(line that it begins on, text) of the header and of each row; lines count from 1.

    A record that cannot be read comes as an empty text, and is the last one.
    """
    record = _record(separator)
    # A quote after a byte order mark begins a field.
    unmarked = content.removeprefix(codecs.BOM_UTF8)
    position = len(content) - len(unmarked.lstrip(b"\r\n"))
    line = 1 + content.count(b"\n", 0, position)
    while position < len(content):
        found = record.match(content, position)
        yield line, b"" if found is None else found[0]
        if found is None:
            return
        line += found[0].count(b"\n")
        position = found.end()


def line_of(content: bytes, separator: str, row: int) -> int:
    """The line, counted from 1, on which row `row`, counted from 0, begins."""
    numbered = enumerate(records(content, separator), -1)  # The header is row -1.
    return next((line for i, (line, _) in numbered if i == row), row + 2)


def why_unreadable(content: bytes, separator: str, lines_before: int = 0) -> str:
    """Why polars cannot read the file, in terms of its lines; so many were before the rows."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return (
            f"line {content.count(10, 0, error.start) + 1 + lines_before} is not UTF-8 (byte "
            f"0x{content[error.start]:02x}): expected text in UTF-8; is the file binary, or of "
            "another encoding?"
        )
    wanted = 0
    for number, record in records(content, separator):
        line = number + lines_before
        if not record:
            return (
                f"line {line} has a quote that is not closed, or one within a field: expected a "
                "field with quotes to be in quotes as a whole, and those within it twice "
                '("screen 12""")'
            )
        fields = re.sub(rb'"[^"]*"', b"", record) if separator != "\t" else record
        count = fields.count(separator.encode()) + 1
        wanted = wanted or count
        if count > wanted:
            return f"line {line} has {count} fields: expected {wanted}, as in the header line"
    return f"cannot be read: expected lines of {wanted} fields each, as in the header line"
