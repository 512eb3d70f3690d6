"""What a training leaves behind so that a later one, on newer sessions, can go on from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.engines.contract import OptimiserState, SavedTrainer
    from gru4rec_fast.training.progress import Progress

OPTIMISER, SUPPORT, LAST_EVENT = "optimiser.", "update.support", "update.last_event"
"""Names of its tensors in a model file: a prefix, and two whole names."""

UPDATE_EPOCHS = 3
"""Passes over the new log, the best of 1, 3 and 10 in docs/DAILY_UPDATE.md."""
SESSIONS_AT_ONCE = 2**18


@dataclass
class TrainingState:
    """The state after a training. Letters: V items, E events."""

    optimiser: OptimiserState
    """Of the last step, also where the weights are those of an earlier, better epoch."""
    epochs: int
    """Trained so far; the next one is one more. The order of `train_random_order` depends on it."""
    steps: int
    """Trained so far; negatives and dropout masks depend on their number."""
    support: NDArray[np.int64]
    """(V,) what negatives were drawn by."""
    last: NDArray[np.int64] | Sessions
    """`last_event`, or the store that it is counted from when it is asked for."""
    n_events: int
    """E, of all logs so far, each counted once."""
    items_ever: int
    """Items that have ever had a row, the forgotten ones included."""

    @classmethod
    def start(cls, sessions: Sessions) -> TrainingState:
        """Before a training on `sessions` from new weights, with the log counted in."""
        # A pass over a store can take minutes, and only an update needs it.
        last = last_events(sessions) if sessions.in_memory else sessions
        items = sessions.n_items
        return cls({}, 0, 0, sessions.support, last, sessions.n_events, items)

    @property
    def last_event(self) -> NDArray[np.int64]:
        """(V,) number of the item's last event, counted through all logs in order of training."""
        if not isinstance(self.last, np.ndarray):
            self.last = last_events(self.last)
        return self.last

    def __getstate__(self) -> dict[str, Any]:
        """A copy holds no store."""
        return self.__dict__ | {"last": self.last_event}

    def after(self, trainer: SavedTrainer, position: Progress) -> TrainingState:
        """After a training that ended at `position`. An epoch that was stopped counts as one."""
        return replace(
            self,
            optimiser=trainer.optimiser_state,
            epochs=position.epoch - 1 + (position.steps > 0),
            steps=position.first_step + position.steps,
        )

    def tensors(self) -> dict[str, Tensor]:
        """What a model file keeps as tensors."""
        return {
            **optimiser_tensors(self.optimiser),
            SUPPORT: torch.from_numpy(self.support),
            LAST_EVENT: torch.from_numpy(self.last_event),
        }

    def to_json(self) -> dict[str, int]:
        """The rest of it, as JSON values."""
        return {
            "epochs": self.epochs,
            "steps": self.steps,
            "n_events": self.n_events,
            "items_ever": self.items_ever,
        }

    @classmethod
    def from_file(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> TrainingState:
        """The state of `tensors` and `to_json`.

        Raises:
            CheckpointError: a part is missing.
        """
        optimiser: OptimiserState = {}
        for full, value in tensors.items():
            if full.startswith(OPTIMISER):
                kind, _, name = full.removeprefix(OPTIMISER).partition(".")
                # Copies: the file may be replaced while the model is in use.
                optimiser.setdefault(kind, {})[name] = value.clone()
        try:
            support, last_event = (tensors[n].numpy().copy() for n in (SUPPORT, LAST_EVENT))
            return cls(optimiser, support=support, last=last_event, **values)
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"the training state is incomplete ({error}): save the model again with "
                "training_state=True"
            ) from error


def optimiser_tensors(state: OptimiserState) -> dict[str, Tensor]:
    """The tables of an optimiser's state, by their names in a file."""
    return {
        f"{OPTIMISER}{kind}.{name}": value
        for kind, table in state.items()
        for name, value in table.items()
    }


def last_events(sessions: Sessions) -> NDArray[np.int64]:
    """(V,) number of each item's last event, counted from 0 in order of training; -1 for none."""
    last = np.full(sessions.n_items, -1, dtype=np.int64)
    number = 0
    # Some sessions at a time: they may be memory maps that are larger than the memory.
    for start in range(0, sessions.n_sessions, SESSIONS_AT_ONCE):
        taken = sessions.order[start : start + SESSIONS_AT_ONCE]
        first = sessions.offsets[taken]
        lengths = sessions.offsets[taken + 1] - first
        before = np.cumsum(lengths) - lengths
        numbers = np.arange(int(lengths.sum()))
        items = sessions.items[np.repeat(first - before, lengths) + numbers]
        np.maximum.at(last, items, number + numbers)
        number += len(numbers)
    return last
