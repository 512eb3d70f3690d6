"""The files of a log that is spread over several: paths, folders and glob patterns, by name."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = {".tsv": "\t", ".txt": "\t", ".csv": ",", ".dat": ","}
"""Ending of a text file -> its usual separator."""
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
KINDS = ".tsv, .txt, .csv or .dat, each also as .gz or .zst, and .parquet"


def is_folder(data: Any) -> bool:
    """Whether data is the path of a folder: as a log, it can only be a prepared store."""
    return isinstance(data, str | os.PathLike) and bool(data) and os.path.isdir(data)  # noqa: PTH112


def separator_of(path: Path) -> str | None:
    """The usual separator of a text file; None for Parquet.

    Raises:
        DataError: neither, by its name.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    elif suffixes[-1:] == [".parquet"]:
        return None
    if not suffixes or suffixes[-1] not in TEXT:
        raise DataError(f"{path}: unknown kind of file: expected {KINDS}")
    return TEXT[suffixes[-1]]


def compression_of(path: Path) -> str | None:
    """'gzip' or 'zstd'; None for a plain file."""
    return COMPRESSED.get(path.suffix.lower())


def files_of(inputs: Any) -> list[Path]:
    """The files that inputs name, in their order; those of a folder or a pattern by name.

    Args:
        inputs: a path or pattern, or several. A folder means its files of a known kind, also in
            folders below it; names that begin with a dot or an underscore are passed over.

    Raises:
        DataError: nothing there, no path, or a file of an unknown kind.
    """
    several: Sequence[Any] = inputs if isinstance(inputs, list | tuple) else [inputs]
    if not several:
        raise DataError("no input: expected the paths of a session log")
    files: list[Path] = []
    for one in several:
        if not isinstance(one, str | os.PathLike):
            raise DataError(
                f"an input is of type {type(one).__name__}: expected paths, folders or patterns"
            )
        path = Path(one)
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.is_file() and _is_log(p, path))
        elif path.exists():
            found = [path]
        else:
            found = [Path(name) for name in sorted(glob.glob(os.fspath(one), recursive=True))]  # noqa: PTH207
            found = [p for p in found if p.is_file()]
        if not found:
            raise DataError(f"{os.fspath(one)}: no such file: expected a log, {KINDS}")
        files += found
    for path in files:
        separator_of(path)
    return files


def _is_log(path: Path, folder: Path) -> bool:
    if any(part[0] in "._" for part in path.relative_to(folder).parts):
        return False
    try:
        separator_of(path)
    except DataError:
        return False
    return True
