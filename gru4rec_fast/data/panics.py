"""Panics of polars, which is written in Rust: no Exception, and a backtrace on the standard error.

A damaged Parquet file can cause one. Rust prints it from the thread in which it occurs, before
Python knows of it, so the standard error is filtered while polars reads.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

PANIC = re.compile(rb"thread '.*' .*panicked at ")
BEGINNING = b"thread '"
STDERR = 2
JOIN_SECONDS = 1.0


@contextmanager
def panics_refused() -> Iterator[None]:
    """Turn a panic of polars within the block into a DataError, and keep it off standard error.

    What others write to the standard error meanwhile is passed on at once.

    Raises:
        DataError: polars panicked; the message has its first line.
    """
    from polars.exceptions import PanicException

    with _FILTER:
        try:
            yield
        except PanicException as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"is damaged, and polars cannot read it ({reason}); expected an intact file: copy "
                "or write it again"
            ) from None


class PanicLines:
    """Drops from a stream of bytes what Rust prints at a panic."""

    def __init__(self) -> None:
        self._held = b""
        self._panics = self._within_line = False

    def passed(self, data: bytes) -> bytes:
        """What goes on of these bytes and of those that were held back before."""
        lines = (self._held + data).splitlines(keepends=True)
        self._held = b""
        out = []
        for number, line in enumerate(lines):
            last, whole = number == len(lines) - 1, line.endswith(b"\n")
            if self._within_line:
                out.append(line)
            elif self._panics:
                if whole:
                    self._panics = not line.startswith(b"note: ")
                else:
                    self._held = line
                continue
            elif PANIC.match(line):
                self._panics = True
                if out[-1:] == [b"\n"]:
                    del out[-1]
                continue
            elif last and (line == b"\n" or _may_begin(line)):
                self._held = line
                # An empty line belongs to the panic that may follow.
                if not whole and out[-1:] == [b"\n"]:
                    self._held = out.pop() + line
                continue
            else:
                out.append(line)
            self._within_line = not whole
        return b"".join(out)

    def rest(self) -> bytes:
        """What is still held back at the end of the stream."""
        return b"" if self._panics else self._held


def _may_begin(line: bytes) -> bool:
    """Whether an unfinished line can become the first one of a panic."""
    n = len(BEGINNING)
    return not line.endswith(b"\n") and line[:n] == BEGINNING[: len(line)]


class _Filter:
    """Standard error through a pipe whose other end drops panics; for several blocks at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0

    def __enter__(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks > 1:
                return
            try:
                self._real = os.dup(STDERR)
            except OSError:  # It is closed.
                self._real = -1
                return
            reader, writer = os.pipe()
            os.dup2(writer, STDERR)
            os.close(writer)
            self._thread = threading.Thread(
                target=_forward, args=(reader, self._real), name="panics", daemon=True
            )
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks or self._real < 0:
                return
            os.dup2(self._real, STDERR)
            # A process forked meanwhile may hold the pipe open; the thread then goes on.
            self._thread.join(JOIN_SECONDS)


def _forward(reader: int, writer: int) -> None:
    lines = PanicLines()
    with suppress(OSError):
        while data := os.read(reader, 2**16):
            _write(writer, lines.passed(data))
        _write(writer, lines.rest())
    os.close(reader)
    os.close(writer)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


_FILTER = _Filter()
