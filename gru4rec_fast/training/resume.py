"""Saving a training between two blocks, and going on from there with the same bits."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from gru4rec_fast.checks import whole_number
from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError, ParameterError
from gru4rec_fast.training.identity import differences
from gru4rec_fast.training.progress import Progress
from gru4rec_fast.training.report import NonFiniteWeightsError

if TYPE_CHECKING:
    from gru4rec_fast.data.data_iterator import DataIterator
    from gru4rec_fast.training.checkpoint_folder import CheckpointFolder
    from gru4rec_fast.training.early_stopping import EarlyStopping
    from gru4rec_fast.training.saved import SavedTraining

SECONDS = {"s": 1, "m": 60, "h": 3600}
LANES, BEST = "lanes.", "best."
"""What the names of a state's tensors begin with, beside the model's and the optimiser's own."""


class Interval:
    """When to save: after so many steps, or so much time since the last save.

    Args:
        every: a number of steps, or a time as '30s', '5m', '1h'.

    Raises:
        ParameterError: it is neither.
    """

    def __init__(self, every: int | str) -> None:
        self._seconds, self._steps = float("inf"), float("inf")
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", every) if isinstance(every, str) else None
        if match is not None and float(match[1]) > 0:
            self._seconds = float(match[1]) * SECONDS[match[2]]
        elif isinstance(every, str) and not re.fullmatch("0*[1-9][0-9]*", every):
            raise ParameterError(
                f"checkpoint_every is {every!r}; expected a time as '30s', '5m' or '1h', or a "
                "number of steps"
            )
        else:
            steps = int(every) if isinstance(every, str) else every
            self._steps = whole_number("checkpoint_every", steps)
        self.restart(0)

    def restart(self, step: int) -> None:
        """Count from this step and this moment."""
        self._last_step, self._last_time = step, time.monotonic()

    def is_over(self, step: int) -> bool:
        """Whether the interval ends at this step or before."""
        return (
            step - self._last_step >= self._steps
            or time.monotonic() - self._last_time >= self._seconds
        )


class TrainingSaver:
    """`progress.Saver` of one training in a folder."""

    def __init__(
        self,
        folder: CheckpointFolder,
        interval: Interval,
        training: SavedTraining,
        items: DataIterator,
        stopping: EarlyStopping | None,
        identity: dict[str, Any],
    ) -> None:
        self._folder, self._interval = folder, interval
        self._training, self._items = training, items
        self._stopping, self._identity = stopping, identity

    @property
    def last_good(self) -> str:
        """`CheckpointFolder.last_good`."""
        return self._folder.last_good

    def is_due(self, step: int) -> bool:
        """`progress.Saver.is_due`."""
        return self._interval.is_over(step)

    def save(self, progress: Progress) -> None:
        """`progress.Saver.save`.

        Raises:
            CheckpointError: the state cannot be written.
            NonFiniteWeightsError: a parameter is NaN or infinite; the states before it stay.
        """
        largest = self._training.not_finite()
        if largest is not None:
            raise NonFiniteWeightsError(
                progress.epoch,
                progress.first_step + progress.steps,
                largest,
                self.last_good,
            )
        tensors = dict(self._training.tensors())
        if progress.steps > 0:
            for layer, lanes in enumerate(self._training.states):
                tensors[f"{LANES}{layer}"] = lanes
        training: dict[str, Any] = {"progress": progress.to_json(), "identity": self._identity}
        if self._stopping is not None:
            training["stopping"] = self._stopping.to_json()
            best = self._training.best()
            tensors |= {BEST + name: value for name, value in best.items()}
        extra = {"history": progress.history.to_json(), "training": training}
        self._folder.save(tensors, self._training.config, self._items, extra)
        self._interval.restart(progress.first_step + progress.steps)

    def restore(self, start: Progress) -> Progress:
        """Go back to the newest state of the folder; `start` where it holds none.

        Raises:
            CheckpointError: the state is of another training, or none is intact.
        """
        state = self._folder.newest()
        if state is None:
            return start
        training = state.extra.get("training")
        if training is None:
            raise CheckpointError(
                f"{self._folder.path} holds a model without a training state: choose another folder"
            )
        # What a state of an older version does not know had the value that is the default now.
        there = {**Config().to_dict(), **training["identity"]}
        difference = differences(there, self._identity)
        if difference:
            raise CheckpointError(
                f"{self._folder.path} holds another training: {difference}. Take the values from "
                "there, or choose another folder"
            )
        self._training.restore(state.tensors)
        progress = Progress.from_json(training["progress"])
        if progress.steps > 0:
            layers = len(self._training.config.layers)
            lanes = [state.tensors[f"{LANES}{n}"] for n in range(layers)]
            self._training.states = lanes
        if self._stopping is not None:
            best = {
                name.removeprefix(BEST): value
                for name, value in state.tensors.items()
                if name.startswith(BEST)
            }
            self._stopping.load(training["stopping"], self._training.restored_best(best))
        self._interval.restart(progress.first_step + progress.steps)
        return progress
