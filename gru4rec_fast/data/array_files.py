"""Arrays in .npy files that are written a piece at a time, checked by SHA-256, and memory-mapped.

The header of a file follows from its type and length alone, and always takes 128 bytes.
"""

from __future__ import annotations

import hashlib
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = 128
"""Bytes."""
BLOCK = 2**24
"""Bytes that are hashed at a time."""


def header(dtype: np.dtype[Any], length: int) -> bytes:
    """The header of a vector's .npy file, version 1.0."""
    described = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    text = str(described).encode("latin1")
    padded = text + b" " * (HEADER - 10 - 1 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


class ArrayWriter:
    """A vector that is written to a file in pieces; a context manager that closes the file."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self.path, self.dtype, self.length = path, np.dtype(dtype), 0
        self._digest = hashlib.sha256()
        self._file = path.open("wb")
        self._file.write(bytes(HEADER))

    def append(self, values: NDArray[Any]) -> None:
        """Add values, which are cast to the file's type."""
        data = np.ascontiguousarray(values, dtype=self.dtype)
        self._file.write(data.data)
        self._digest.update(data.data)
        self.length += len(data)

    def finish(self) -> dict[str, Any]:
        """Complete the file; what a manifest says of it."""
        self._file.seek(0)
        self._file.write(header(self.dtype, self.length))
        self._file.close()
        return {
            "dtype": self.dtype.str,
            "length": self.length,
            "sha256": self._digest.hexdigest(),
        }

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_array(path: Path, values: NDArray[Any]) -> dict[str, Any]:
    """Write a vector; what a manifest says of it."""
    with ArrayWriter(path, values.dtype) as writer:
        for start in range(0, max(1, len(values)), BLOCK):
            writer.append(values[start : start + BLOCK])
        return writer.finish()


def open_array(path: Path, dtype: str, length: int, *, private: bool = False) -> NDArray[Any]:
    """The vector of a file as a memory map: read-only, or `private`, where writes are copies.

    Raises:
        DataError: no such file, or its size or header is not that of the vector.
    """
    kind = np.dtype(dtype)
    size = HEADER + length * kind.itemsize
    try:
        with path.open("rb") as file:
            found = file.seek(0, 2)
            file.seek(0)
            begin = file.read(HEADER)
            if found == size and begin == header(kind, length):
                mapped = mmap.mmap(
                    file.fileno(), 0, access=mmap.ACCESS_COPY if private else mmap.ACCESS_READ
                )
                return np.frombuffer(mapped, dtype=kind, offset=HEADER)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); make it readable, or prepare the store "
            "again"
        ) from error
    raise DataError(
        f"{path}: has {found} bytes"
        + (f": expected {size}" if found != size else " and a header that is not that of its array")
        + "; the store is torn or damaged"
    )


def digest(array: NDArray[Any]) -> str:
    """The SHA-256 of a vector's bytes."""
    sha = hashlib.sha256()
    data = np.ascontiguousarray(array).view(np.uint8).data
    for start in range(0, len(data), BLOCK):
        sha.update(data[start : start + BLOCK])
    return sha.hexdigest()
