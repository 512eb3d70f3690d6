"""The model file of a command: saved after each epoch, in the place of a model or of no file."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import CheckpointError, ParameterError
from gru4rec_fast.model import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gru4rec_fast.training.report import EpochReport


class ModelFile:
    """Where a command saves its model, after each epoch.

    Args:
        path: the file; None to save nothing.
        flag: the command's flag for it, for messages.
        logs: files that it must not be.

    Raises:
        ParameterError: the file is one of the logs, or there already and no model.
        CheckpointError: it cannot be written.
    """

    def __init__(self, path: str | None, flag: str, logs: Sequence[str]) -> None:
        self._path = path
        self._epoch = 0
        if path is None:
            return
        file = Path(path)
        for log in map(Path, logs):
            if file.exists() and log.exists() and file.samefile(log):
                raise ParameterError(f"{flag} {path} is the log {log}: choose another file")
        checkpoint.require_writable(path)
        if file.is_file() and file.stat().st_size > 0:
            try:
                checkpoint.load(path)
            except CheckpointError as error:
                raise ParameterError(
                    f"{flag} would replace a file that is no model: {error}. Choose another file, "
                    "or delete that one"
                ) from error

    def save(self, gru: Any, report: EpochReport) -> None:
        """Save the model as it is after an epoch."""
        if self._path is not None:
            gru.savemodel(self._path)
            self._epoch = report.epoch

    def finish(self, gru: Any, *, training_state: bool = False, changed: bool = False) -> None:
        """Save the model unless that of the last epoch is complete, and print the path.

        Args:
            gru: the trained model.
            training_state: whether the file has what an update goes on from.
            changed: whether the model may be that of an earlier epoch.
        """
        if self._path is not None:
            if training_state or changed or not self._epoch:
                gru.savemodel(self._path, training_state=training_state)
            print(f"Saved {self._path}")

    @property
    def kept(self) -> str:
        """What was saved of a training that ended early, in words."""
        if self._epoch:
            return f"the model of epoch {self._epoch} is in {self._path}"
        return "nothing was saved"

    @contextmanager
    def training(self) -> Iterator[None]:
        """A block that trains: the error of an interrupt says what was saved."""
        try:
            yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self.kept) from None


def shows_progress() -> bool:
    """Whether standard error is a terminal, on which a progress bar can be seen."""
    return sys.stderr.isatty()
