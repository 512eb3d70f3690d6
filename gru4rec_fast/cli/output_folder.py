"""The demo's output folder: a demo replaces only files that a demo wrote.

A hidden file in the folder records which they are, and when each was last changed.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gru4rec_fast.errors import ParameterError
from gru4rec_fast.model.atomic_file import written_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RECORD = ".written-by-demo.json"
"""Name of each file that the demo wrote -> when it was last changed (ns since 1970)."""


def prepare(out: str | os.PathLike[str], names: Sequence[str]) -> Path:
    """The folder, made if it is not there.

    Raises:
        ParameterError: it cannot be written, or a file of one of these names is not an earlier
            demo's.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _written(folder)
        for file in (folder / name for name in names):
            if file.exists() and file.stat().st_mtime_ns != written.get(file.name):
                raise ParameterError(
                    f"out={os.fspath(out)!r} holds {file.name}, which is not as a demo wrote it "
                    "and would be lost: choose another folder, or move that file"
                )
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ParameterError(
            f"out={os.fspath(out)!r} cannot be written ({error.strerror}); expected a folder: "
            "choose another one"
        ) from error


def write(path: Path, write_to: Callable[[Path], object]) -> None:
    """Write a file of the demo: `write_to` gets the path of a new file, which replaces `path`."""
    with written_aside(path) as aside:
        write_to(aside)
    if path.name != RECORD:
        record(path)


def record(file: Path) -> None:
    """Note that a file is the demo's, as it is now."""
    written = json.dumps(_written(file.parent) | {file.name: file.stat().st_mtime_ns})
    write(file.with_name(RECORD), lambda aside: aside.write_text(written))


def _written(folder: Path) -> dict[str, int]:
    """Name of each file that a demo wrote there -> the time of its last change (ns)."""
    try:
        written: dict[str, int] = json.loads((folder / RECORD).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return written
