"""A training by several ranks in a checkpoint folder: rank 0 writes one ordinary state for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.training.report import NonFiniteWeightsError
from gru4rec_fast.training.resume import TrainingSaver

if TYPE_CHECKING:
    from gru4rec_fast.data.data_iterator import DataIterator
    from gru4rec_fast.distributed.trainer import SharedTrainer
    from gru4rec_fast.distributed.whole import WholeModel
    from gru4rec_fast.training.checkpoint_folder import CheckpointFolder
    from gru4rec_fast.training.early_stopping import EarlyStopping
    from gru4rec_fast.training.progress import Progress
    from gru4rec_fast.training.resume import Interval


class SharedSaver:
    """`progress.Saver` for all ranks at once.

    The state is that of a training in one process, so any number of ranks goes on from it.
    """

    def __init__(
        self,
        trainer: SharedTrainer,
        whole: WholeModel,
        folder: CheckpointFolder | None,
        interval: Interval,
        items: DataIterator,
        stopping: EarlyStopping | None,
        identity: dict[str, Any],
    ) -> None:
        self._ranks, self._trainer, self._whole = trainer.ranks, trainer, whole
        self._stopping = stopping
        self._inner: TrainingSaver | None = None
        whole.follow(stopping)
        if folder is not None:
            self._inner = TrainingSaver(folder, interval, whole, items, stopping, identity)

    def is_due(self, step: int) -> bool:
        """`progress.Saver.is_due`, as rank 0 says."""
        return self._ranks.on_first(lambda: self._first.is_due(step))

    def save(self, progress: Progress) -> None:
        """`progress.Saver.save`.

        Raises:
            NonFiniteWeightsError: as `TrainingSaver.save`, on all ranks alike, so that all end the
                training in the same way.
        """
        self._whole.prepare_save()
        largest = self._whole.not_finite()
        if largest is not None:
            kept = self._ranks.on_first(lambda: self._first.last_good)
            step = progress.first_step + progress.steps
            raise NonFiniteWeightsError(progress.epoch, step, largest, kept)
        self._whole.call(lambda: self._first.save(progress))

    def restore(self, start: Progress) -> Progress:
        """`TrainingSaver.restore`."""
        stopping = self._stopping
        if stopping is not None and stopping.restore_best:
            # Room for what the state may hold.
            own = self._trainer.shards.p.items()
            stopping.best_weights = {name: torch.empty_like(value) for name, value in own}
        position = self._whole.call(lambda: self._first.restore(start))
        if position.steps > 0:
            self._whole.give_states()
        if stopping is not None:
            self._follow_first(stopping)
        return position

    def _follow_first(self, stopping: EarlyStopping) -> None:
        """Give the early stopping of all ranks the state of rank 0's."""
        followed = self._ranks.on_first(
            lambda: (stopping.to_json(), stopping.best is not None and bool(stopping.best_weights))
        )
        stopping.load(followed[0], stopping.best_weights if followed[1] else {})

    @property
    def _first(self) -> TrainingSaver:
        if self._inner is None:
            raise RuntimeError("only rank 0 has a saver")
        return self._inner
