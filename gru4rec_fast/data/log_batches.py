"""A log as batches of columns, in the order of its rows and with bounded memory.

Parquet is read by polars' streaming engine (docs/DATA.md has the comparison). Text is read in
blocks of whole lines: those whose ids are all plain integers by C++, others as `text.read_text`
reads a file, so that both readings mean the same.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast._core import read_integer_fields
from gru4rec_fast.data.files import require_unicode_path
from gru4rec_fast.data.lines import records
from gru4rec_fast.data.log_inputs import compression_of, separator_of
from gru4rec_fast.data.origin import Origin, require_columns
from gru4rec_fast.data.panics import panics_refused
from gru4rec_fast.data.plain_text import HEAD
from gru4rec_fast.data.text import header_of, read_text
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl

BLOCK = 2**25
"""Bytes of text that are parsed at a time."""
ROWS = 2**20
"""Rows of a Parquet batch."""
LISTS = 2**10
"""Rows of a Parquet batch whose columns are lists."""
THREADS = 2
"""Blocks of text that are parsed at a time."""


@dataclass(frozen=True)
class LogFormat:
    """How a log is read."""

    keys: dict[str, str]
    """item_key, session_key and, unless rows are in order, time_key -> name of the column."""
    sep: str | None = None
    """What separates the fields of a text file; None detects it."""
    columns: Sequence[str] | None = None
    """Names of the columns of text files that have no header line."""
    where: Mapping[str, Sequence[str]] | None = None
    """Column -> the values, as text, of the rows that are kept."""
    text_items: bool = False
    """Whether items of digits stay text."""
    text_sessions: bool = False
    """Whether sessions of digits stay text."""

    @property
    def read(self) -> dict[str, str]:
        """`keys`, and the columns of `where`."""
        others = [name for name in self.where or {} if name not in self.keys.values()]
        return self.keys | {f"where[{name!r}]": name for name in others}


@dataclass(frozen=True)
class Batch:
    """Rows of a log: a frame with the columns of `keys`, or their arrays where all are numbers."""

    frame: pl.DataFrame | None
    arrays: list[np.ndarray[Any, Any]]
    """Items, sessions and, if there is a time column, times; empty if `frame` is set."""
    origin: Origin


def batches_of(path: Path, log: LogFormat) -> Iterator[Batch]:
    """The batches of a file.

    Raises:
        DataError: it cannot be read as what its name says, or lacks a column; see `read_text`.
    """
    import polars as pl

    require_unicode_path(path)
    try:
        separator = separator_of(path)
        if separator is None:
            with panics_refused():
                yield from _parquet(path, log)
        else:
            yield from _text(path, log, separator)
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error
    except (pl.exceptions.PolarsError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        reason = error.strerror
        if reason is None:  # of a decompressor
            raise _damaged(path, error) from error
        raise DataError(f"{path}: cannot be read ({reason}): expected a readable file") from error


def kept(frame: pl.DataFrame, log: LogFormat) -> pl.DataFrame:
    """The rows of a frame that `where` keeps, and the columns of `keys`."""
    import polars as pl

    for name, values in (log.where or {}).items():
        frame = frame.filter(pl.col(name).cast(pl.String).is_in(list(values)))
    return frame.select(log.keys.values())


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: cannot be read as {path.suffix}: {str(error).partition(chr(10))[0]}; expected "
        "an intact file of the kind that its name says"
    )


def _parquet(path: Path, log: LogFormat) -> Iterator[Batch]:
    import polars as pl
    import pyarrow.parquet

    scan = pl.scan_parquet(path, glob=False)
    schema = scan.collect_schema()
    require_columns(list(schema), log.read)
    scan = scan.select(log.read.values())
    lists = [name for name in log.read.values() if isinstance(schema[name], pl.List)]
    try:
        expected = pyarrow.parquet.read_metadata(path).num_rows
    except pyarrow.ArrowException as error:
        raise _damaged(path, error) from error
    rows = read = 0
    for frame in scan.collect_batches(
        chunk_size=LISTS if lists else ROWS, maintain_order=True, engine="streaming"
    ):
        read += len(frame)
        if lists:
            # An empty list would become a row without values.
            frame = frame.filter(pl.col(lists[0]).list.len() > 0).explode(lists)
        yield Batch(kept(frame, log), [], Origin(file=True, rows_before=rows))
        rows += len(frame)
    # A panic in a thread of polars ends the batches without an error.
    if read != expected:
        raise DataError(
            f"is damaged: {read} of its {expected} rows can be read; expected an intact file: copy "
            "or write it again"
        )


def _text(path: Path, log: LogFormat, usual: str) -> Iterator[Batch]:
    with _opened(path) as file:
        head = b""
        if log.columns is not None:
            head = ((log.sep or usual).join(log.columns) + "\n").encode()
        first = head + file.read(max(HEAD, BLOCK))
        separator, names = header_of(first[:HEAD], log.sep, usual, log.read)
        start, line = next(records(first[:HEAD], separator))
        header = line if line.endswith(b"\n") else line + b"\n"
        rest = first[first.index(line) + len(line) :]
        lines_before = start - 1 - (log.columns is not None)
        parse = _Parser(log, separator, names, header, usual)
        waiting: deque[Any] = deque()
        with ThreadPoolExecutor(THREADS) as pool:
            for block in _blocks(file, rest, separator):
                waiting.append(pool.submit(parse, block, lines_before))
                lines_before += block.count(b"\n")
                if len(waiting) > THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


class _Parser:
    """Parses blocks of one file; called from several threads."""

    def __init__(
        self, log: LogFormat, separator: str, names: list[str], header: bytes, usual: str
    ) -> None:
        self.log, self.separator, self.header, self.usual = log, separator, header, usual
        keys = log.keys
        self.plain = not (log.text_items or log.text_sessions or log.where) and len(
            set(names)
        ) == len(names)
        if self.plain:
            self.ids = [names.index(keys["item_key"]), names.index(keys["session_key"])]
            self.time = names.index(keys["time_key"]) if "time_key" in keys else -1
            self.n_columns = len(names)

    def __call__(self, block: bytes, lines_before: int) -> Batch:
        """The rows of a block that begins after so many lines and the header line."""
        if self.plain:
            arrays = read_integer_fields(
                np.frombuffer(block, dtype=np.uint8),
                self.separator,
                self.ids,
                self.time,
                self.n_columns,
            )
            if arrays is not None:
                return Batch(None, arrays, Origin(file=True))
        frame, origin = read_text(
            self.header + block,
            self.separator,
            self.usual,
            self.log.read,
            self.log.text_items,
            text_sessions=self.log.text_sessions,
            lines_before=lines_before,
            plain=False,
        )
        return Batch(kept(frame, self.log), [], origin)


def _opened(path: Path) -> Any:
    kind = compression_of(path)
    if kind == "gzip":
        return gzip.open(path)
    if kind == "zstd":
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"), BLOCK)
    return path.open("rb")


def _blocks(file: Any, rest: bytes, separator: str) -> Iterator[bytes]:
    """Blocks of whole records of about `BLOCK` bytes."""
    while True:
        more = file.read(BLOCK)
        if not more:
            if rest:
                yield rest
            return
        rest += more
        end = _end_of_records(rest, separator)
        if end:
            yield rest[:end]
            rest = rest[end:]


def _end_of_records(text: bytes, separator: str) -> int:
    """The end of the last line that ends a record: one with an even number of quotes before it."""
    end = text.rfind(b"\n") + 1
    if separator != "\t" and b'"' in text:
        while end and text.count(b'"', 0, end) % 2:
            end = text.rfind(b"\n", 0, end - 1) + 1
    return end
