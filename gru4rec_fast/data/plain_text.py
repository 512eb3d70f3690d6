"""The columns of a text file whose ids are all plain integers, which is what most logs hold.

C++ reads blocks of whole lines, two at a time. Any other file is for `text.read_text` to read; both
readings mean the same.
"""

from __future__ import annotations

import contextlib
import mmap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast._core import read_integer_fields
from gru4rec_fast.data.lines import records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK = 2**25
"""Bytes that are read at a time."""
THREADS = 2
"""Threads that read blocks of a file at a time."""
HEAD = 2**20
"""Bytes of a file in which its header line ends."""


def plain_columns(
    source: Path | bytes, separator: str, names: list[str], keys: dict[str, str]
) -> dict[str, NDArray[Any]] | None:
    """Name -> values of the columns of `keys`: int64, or float64 for times with decimals.

    Args:
        source: the file, or its content.
        separator: what separates the fields of a line.
        names: of all columns, as in the header line.
        keys: item_key, session_key and, unless rows are in order, time_key -> name of the column.

    Returns:
        None for a file with anything else: ids that are no integers in their one notation, times
        such as -0 or 007, quotes, characters beyond ASCII, lines of other lengths, no rows.
    """
    if len(set(names)) < len(names):
        return None
    used = [key for key in ("item_key", "session_key", "time_key") if key in keys]
    places = [names.index(keys[key]) for key in used]
    time = places[2] if len(used) == 3 else -1
    with _content(source) as content:
        head = content[:HEAD]
        line = next(records(head, separator))[1]
        first = head.index(line) + len(line)
        if not line.endswith(b"\n") or first == len(content):
            return None

        def read(block: tuple[int, int]) -> list[NDArray[Any]] | None:
            begin, end = block
            text = np.frombuffer(content, dtype=np.uint8, count=end - begin, offset=begin)
            return read_integer_fields(text, separator, places[:2], time, len(names))

        parts: list[list[NDArray[Any]]] = []
        pool = ThreadPoolExecutor(THREADS)
        try:
            for part in pool.map(read, _blocks(content, first)):
                if part is None:
                    return None
                parts.append(part)
        finally:
            pool.shutdown(cancel_futures=True)
    arrays = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return {keys[key]: values for key, values in zip(used, arrays, strict=True)}


@contextlib.contextmanager
def _content(source: Path | bytes) -> Iterator[bytes | mmap.mmap]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _blocks(content: bytes | mmap.mmap, first: int) -> list[tuple[int, int]]:
    """Where blocks of whole lines begin and end."""
    blocks = []
    while first < len(content):
        end = content.rfind(b"\n", first, first + BLOCK) + 1
        if end <= first or first + BLOCK >= len(content):
            end = len(content)
        blocks.append((first, end))
        first = end
    return blocks
