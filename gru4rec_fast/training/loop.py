"""The training loop: epochs of planned blocks, progress, and the check that losses stay finite.

Nothing here knows a loss, a cell, an optimiser or a device.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from tqdm.auto import tqdm

from gru4rec_fast.errors import DataError
from gru4rec_fast.plan.epoch import epoch_order, plan_epoch
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS
from gru4rec_fast.training.report import EpochReport, NonFiniteLossError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.plan.negatives import Negatives

logger = logging.getLogger(__name__)

T = TypeVar("T")

BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}"
"""tqdm's own bar without the counts, which would leave it no room on a line of 80 columns."""


def train(
    trainer: Trainer,
    config: Config,
    sessions: Sessions,
    sampler: Negatives,
    *,
    block_steps: int = DEFAULT_BLOCK_STEPS,
    on_epoch: Callable[[EpochReport], None] | None = None,
    progress: bool = True,
) -> list[EpochReport]:
    """Train for `config.n_epochs` epochs.

    Step t, counted through all epochs, takes the draw and the dropout masks number t, so that a run
    depends on the seed alone, whatever the block length.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite; the block after it may be trained already.
        DataError: no mini-batch can be formed.
    """
    reports: list[EpochReport] = []
    step = 0
    for epoch in range(1, config.n_epochs + 1):
        trainer.start_epoch()
        started = time.perf_counter()
        first_step = step
        events, loss_sum = 0, 0.0
        plan = plan_epoch(
            sessions,
            sampler,
            batch_size=config.batch_size,
            n_sample=config.n_sample,
            seed=config.seed,
            first_step=first_step,
            order=epoch_order(sessions, config.train_random_order, config.seed, epoch),
            block_steps=block_steps,
        )
        bar = tqdm(
            total=sessions.n_pairs,
            desc=f"Epoch {epoch}/{config.n_epochs}",
            unit=" e",  # events
            unit_scale=True,
            bar_format=BAR,
            disable=not progress,
        )
        with plan as blocks, bar:
            trained = ((block, trainer.train_block(block)) for block in blocks)
            for block, losses in _one_behind(trained):
                step_losses = losses.double().cpu().numpy()
                _require_finite(step_losses, epoch, step - first_step)
                loss_sum += float(step_losses @ block.live)
                step += len(block)
                events += int(block.live.sum())
                bar.set_postfix_str(
                    f"loss {loss_sum / events:.4f}, "
                    f"{(step - first_step) / (time.perf_counter() - started):.0f} steps/s",
                    refresh=False,
                )
                bar.update(int(block.live.sum()))
        if events == 0:
            raise DataError(
                f"{sessions.n_sessions} session(s) form no mini-batch with n_sample="
                f"{config.n_sample} and batch_size={config.batch_size}: without sampled negatives "
                "a step needs two live sessions. Set n_sample > 0, or give more sessions and lanes"
            )
        seconds = time.perf_counter() - started
        report = EpochReport(epoch, loss_sum / events, seconds, step - first_step, events)
        reports.append(report)
        logger.info("%s", report)
        if on_epoch is not None:
            on_epoch(report)
    return reports


def _one_behind(results: Iterable[T]) -> Iterator[T]:
    """Yield a result after the next was started: a GPU trains on while the losses are read."""
    last: list[T] = []
    for result in results:
        yield from last
        last = [result]
    yield from last


def _require_finite(losses: NDArray[np.float64], epoch: int, steps_before: int) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise NonFiniteLossError(epoch, steps_before + int(bad[0]) + 1, float(losses[bad[0]]))
