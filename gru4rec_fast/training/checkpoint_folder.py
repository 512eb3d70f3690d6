"""A folder with the last two states of one training, and a lock that keeps a second one out.

A state is a model file (`gru4rec_fast.model.checkpoint`) named `state-<number>.safetensors`. A new
one is complete on the disk before the second last is deleted, so a killed process leaves at least
one good state.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gru4rec_fast.config import Config
    from gru4rec_fast.data.data_iterator import DataIterator
    from gru4rec_fast.model.tensor_file import Rows

GENERATIONS = 2
STATE = re.compile(r"state-(\d+)\.safetensors")


class CheckpointFolder:
    """The states of a training; made by `locked_folder` alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        numbers = {int(m[1]): f for f in path.iterdir() if (m := STATE.fullmatch(f.name))}
        self._states = [numbers[n] for n in sorted(numbers)]
        self._next = max(numbers, default=0) + 1
        self._good: list[Path] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is no state, good or damaged."""
        return not self._states

    @property
    def last_good(self) -> str:
        """In words, the last intact state, from which a training can go on."""
        if not self._good:
            return f"no state was saved in {self.path} before it"
        return f"the last good state is {self._good[-1]}: resume=True (--resume) goes on from there"

    def newest(self) -> checkpoint.Checkpoint | None:
        """The newest state that is intact, None if there is no state.

        A warning names each newer one that is damaged.

        Raises:
            CheckpointError: no state is intact; the message names the newest.
        """
        problems: list[CheckpointError] = []
        for file in reversed(self._states):
            try:
                state = checkpoint.load(file)
                if not state.verified:
                    raise CheckpointError(f"{file}: is truncated or damaged (no checksum)")
            except CheckpointError as error:
                problems.append(error)
                continue
            self._good = [file]
            for problem in problems:
                warnings.warn(f"{problem}; training goes on from {file.name}", stacklevel=5)
            return state
        if problems:
            raise CheckpointError(
                f"{problems[0]}. No other state in {self.path} is intact: delete the folder to "
                "start anew"
            )
        return None

    def save(
        self,
        tensors: Mapping[str, Rows],
        config: Config,
        items: DataIterator,
        extra: Mapping[str, Any],
    ) -> None:
        """Write a new state, then delete all but the last two good ones.

        Raises:
            CheckpointError: it cannot be written; the states before it stay.
        """
        file = self.path / f"state-{self._next:06}.safetensors"
        try:
            checkpoint.save(file, tensors, config, items.itemidmap, extra, columns=items.columns)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {self.last_good}") from error
        self._next += 1
        self._states.append(file)
        self._good = [*self._good, file][-GENERATIONS:]
        for old in self._states:
            if old not in self._good:
                old.unlink(missing_ok=True)
        self._states = list(self._good)


@contextlib.contextmanager
def locked_folder(
    path: str | os.PathLike[str] | None, resume: bool
) -> Iterator[CheckpointFolder | None]:
    """The folder of a training, made if need be, and locked within the block; None for no path.

    The operating system frees the lock when the process ends, however it ends.

    Raises:
        CheckpointError: the folder is used by another training, cannot be made, or holds a
            training and `resume` is False.
    """
    if path is None:
        if resume:
            raise CheckpointError(
                "resume=True (--resume) needs a folder: pass checkpoint= (--checkpoint)"
            )
        yield None
        return
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(
            f"checkpoint={os.fspath(path)!r}: cannot be used ({error.strerror}); expected a "
            "folder that this user may write to"
        ) from error
    with lock:
        _take(lock.fileno(), folder)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        for left in (*folder.glob(".state-*.tmp"), *folder.glob(".tmp*")):
            left.unlink(missing_ok=True)  # of a process that was killed while it saved
        states = CheckpointFolder(folder)
        if not resume and not states.is_empty:
            raise CheckpointError(
                f"checkpoint={os.fspath(path)!r} holds a training already: pass resume=True "
                "(--resume) to go on with it, or choose another folder"
            )
        yield states


def _take(descriptor: int, folder: Path) -> None:
    import fcntl  # Not on Windows.

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        process = (folder / "lock").read_text(encoding="utf-8").strip()
        raise CheckpointError(
            f"{folder} is used by another training{f' (process {process})' if process else ''}: "
            "wait for its end, or choose another folder"
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be locked ({error.strerror}): choose a folder on a file system that "
            "has locks"
        ) from error
