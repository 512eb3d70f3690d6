"""The folder in which a store is prepared: beside its target, locked, and renamed when complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from gru4rec_fast.data.flush import flush
from gru4rec_fast.data.store import MANIFEST
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


REPLACED = "replaced"
"""Name in the work folder of the store that was there before."""


@contextlib.contextmanager
def prepared_aside(target: Path, overwrite: bool) -> Iterator[tuple[Path, Path]]:
    """Two empty folders, for results and for work; the first becomes `target` after the block.

    Both are in `.NAME.preparing` beside the target, which is deleted at the end. What a killed
    process left there is deleted by the next one. The operating system frees the lock when a
    process ends, however it ends.

    Raises:
        DataError: the target is there already (with `overwrite`: and is no store), another process
            prepares it, or the folder cannot be written.
    """
    if target.name in ("", ".."):
        raise DataError(f"out is {os.fspath(target)!r}: expected the path of a new folder")
    _require_free(target, overwrite)
    aside = target.with_name(f".{target.name}.preparing")
    try:
        aside.mkdir(parents=True, exist_ok=True)
        with (aside / "lock").open("a+", encoding="utf-8") as lock:
            _take(lock.fileno(), aside, target)
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            result, work = aside / "result", aside / "work"
            _put_back(work / REPLACED, target)  # of a process that was killed
            _require_free(target, overwrite)
            try:
                for folder in (result, work):
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir()
                yield result, work
                _flush(result)
                _require_free(target, overwrite)
                if target.exists():
                    target.rename(work / REPLACED)
                result.rename(target)
                if os.name == "posix":
                    flush(target.parent)
            finally:
                _put_back(work / REPLACED, target)
                shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{target}: the store cannot be written ({error.strerror or error}); nothing was "
            "changed. Free space on the disk, or choose another folder"
        ) from error


def _put_back(replaced: Path, target: Path) -> None:
    """Give the store that was to be replaced its name again, unless the new one has it."""
    if replaced.exists() and not target.exists():
        replaced.rename(target)


def _require_free(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    is_store = target.is_dir() and (
        (target / MANIFEST).exists() or any(target.glob(f"*/{MANIFEST}"))
    )
    if not overwrite or not is_store:
        kind = "store" if is_store else "file or folder, which is no store,"
        remedy = "pass overwrite=True (--overwrite) to replace it, or " if is_store else ""
        raise DataError(f"{target}: there is a {kind} already: {remedy}choose another path")


def _take(descriptor: int, aside: Path, target: Path) -> None:
    import fcntl  # Not on Windows.

    lock = aside / "lock"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process before may have deleted the folder in between.
        held = os.path.samestat(os.fstat(descriptor), lock.stat())
    except (BlockingIOError, FileNotFoundError):
        held = False
    if not held:
        process = lock.read_text(encoding="utf-8").strip() if lock.exists() else ""
        raise DataError(
            f"{target} is being prepared by another process{f' ({process})' if process else ''}: "
            "wait for its end, or choose another folder"
        )


def _flush(folder: Path) -> None:
    """Wait until all files of a folder, and their names, are on the disk."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file() or os.name == "posix":
            flush(path)
