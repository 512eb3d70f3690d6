"""Scalars of a training for TensorBoard, by its own writer in PyTorch.

The x axis is the number of steps through all epochs. The tags are `train/loss` (the mean over the
epoch so far), `train/learning_rate` and `train/events_per_second` after each block, `epoch/loss`
and `epoch/number` after each epoch, and `validation/recall@20` and the like.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from gru4rec_fast.training.progress import asks_to_stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast.training.progress import Hooks, Progress
    from gru4rec_fast.training.report import BlockReport, EpochReport


@contextmanager
def writing(
    folder: str | os.PathLike[str] | None, hooks: Hooks, position: Progress
) -> Iterator[Hooks]:
    """A block with hooks that write to `folder` too, before they call back.

    Args:
        folder: of the event files; made if it is not there. With None nothing is written.
        hooks: of the training.
        position: where the training starts. What an interrupted run wrote of later steps is hidden.

    Raises:
        ImportError: the package tensorboard is not installed.
    """
    if folder is None:
        yield hooks
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "tensorboard=... needs TensorBoard: pip install 'gru4rec-fast[tensorboard]'"
        ) from error
    step = position.first_step + position.steps
    with SummaryWriter(os.fspath(folder), purge_step=step + 1 if step else None) as writer:

        def on_block(report: BlockReport) -> bool:
            nonlocal step
            step = report.step
            writer.add_scalar("train/loss", report.loss, step)
            writer.add_scalar("train/learning_rate", report.learning_rate, step)
            writer.add_scalar("train/events_per_second", report.events / report.seconds, step)
            return asks_to_stop(hooks.on_block, report)

        def on_epoch(report: EpochReport) -> bool:
            writer.add_scalar("epoch/loss", report.loss, step)
            writer.add_scalar("epoch/number", report.epoch, step)
            for name, value in report.validation.items():
                writer.add_scalar(f"validation/{name}", value, step)
            writer.flush()
            return asks_to_stop(hooks.on_epoch, report)

        yield replace(hooks, on_block=on_block, on_epoch=on_epoch)
