"""A training by several ranks in a checkpoint folder: rank 0 writes one ordinary state for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        self._inner: TrainingSaver | None = None
        if folder is not None and whole.network is not None:
            self._inner = TrainingSaver(
                folder, interval, whole.network, whole, items, stopping, identity
            )

    def is_due(self, step: int) -> bool:
        """`progress.Saver.is_due`, as rank 0 says."""
        return self._ranks.on_first(lambda: self._first.is_due(step))

    def save(self, progress: Progress) -> None:
        """`progress.Saver.save`."""
        self._whole.gather()
        self._ranks.on_first(lambda: self._first.save(progress))

    def restore(self, start: Progress) -> Progress:
        """`TrainingSaver.restore`."""
        self._whole.prepare()
        position = self._ranks.on_first(lambda: self._first.restore(start))
        if position.first_step + position.steps > 0:
            self._whole.scatter(lanes=position.steps > 0)
        return position

    @property
    def _first(self) -> TrainingSaver:
        if self._inner is None:
            raise RuntimeError("only rank 0 has a saver")
        return self._inner
