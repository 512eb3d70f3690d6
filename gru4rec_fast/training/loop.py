"""The training loop: epochs of planned blocks, progress, and the check that losses stay finite.

Nothing here knows a loss, a cell, an optimiser or a device.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.autograd.graph import increment_version
from tqdm.auto import tqdm

from gru4rec_fast.errors import DataError
from gru4rec_fast.model.finite import largest
from gru4rec_fast.plan.epoch import epoch_order, plan_epoch
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS
from gru4rec_fast.training.pending_losses import PendingLosses
from gru4rec_fast.training.progress import Hooks, Progress, asks_to_stop
from gru4rec_fast.training.report import BlockReport, EpochReport, NonFiniteLossError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.plan.epoch import EpochPlan
    from gru4rec_fast.plan.negatives import Negatives
    from gru4rec_fast.training.schedule import Schedule

logger = logging.getLogger(__name__)
_Started = tuple["StepBlock", float, PendingLosses]

BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}"
"""tqdm's own bar without the counts, which would leave it no room on a line of 80 columns."""


def train(
    trainer: Trainer,
    weights: Mapping[str, Tensor],
    config: Config,
    sessions: Sessions,
    sampler: Negatives,
    schedule: Schedule,
    progress: Progress,
    hooks: Hooks,
    *,
    last_epoch: int,
    block_steps: int = DEFAULT_BLOCK_STEPS,
    show_bar: bool = True,
) -> None:
    """Train from where `progress` stands to the end of `last_epoch`, and keep `progress` true.

    Step t, counted through all epochs, takes the draw and the dropout masks number t, so that a run
    depends on the seed alone, whatever the block length and wherever it was resumed. A `progress`
    within an epoch needs a trainer with the states of that place.

    A callback that stops the training leaves `progress` where it stopped, not finished. The
    weights are those after the last step; the caller restores the best ones.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite; the block after it may be trained already.
        DataError: no mini-batch can be formed.
    """
    if progress.finished:
        return
    while not progress.finished:
        if progress.steps == 0:
            trainer.start_epoch()
        plan = plan_epoch(
            sessions,
            sampler,
            batch_size=config.batch_size,
            n_sample=config.n_sample,
            seed=config.seed,
            first_step=progress.first_step,
            order=epoch_order(sessions, config.train_random_order, config.seed, progress.epoch),
            block_steps=block_steps,
            skip_steps=progress.steps,
            threads=trainer.planning_threads,
        )
        bar: tqdm[Any] = tqdm(
            total=sessions.n_pairs,
            initial=progress.events,
            desc=f"Epoch {progress.epoch}/{last_epoch}",
            unit=" e",  # events
            unit_scale=True,
            bar_format=BAR,
            disable=not show_bar,
        )
        with plan, bar:
            run = _EpochRun(trainer, weights, schedule, progress, hooks, bar)
            stopped = run.train(plan)
        if stopped:
            break
        if progress.events == 0:
            raise DataError(
                f"{sessions.n_sessions} session(s) form no mini-batch with n_sample="
                f"{config.n_sample} and batch_size={config.batch_size}: without sampled negatives "
                "a step needs two live sessions. Set n_sample > 0, or give more sessions and lanes"
            )
        if _end_epoch(progress, hooks, weights, last_epoch):
            break
        if (
            hooks.saver is not None
            and not progress.finished
            and hooks.saver.is_due(progress.first_step)
        ):
            hooks.saver.save(progress)
    if hooks.saver is not None:
        hooks.saver.save(progress)


class _EpochRun:
    """Trains the blocks of one epoch and adds up what they did."""

    def __init__(
        self,
        trainer: Trainer,
        weights: Mapping[str, Tensor],
        schedule: Schedule,
        progress: Progress,
        hooks: Hooks,
        bar: tqdm[Any],
    ) -> None:
        self.trainer, self.weights, self.schedule = trainer, weights, schedule
        self.progress, self.hooks, self.bar = progress, hooks, bar
        self.events = progress.events  # of all started blocks
        self.started = time.perf_counter()

    def train(self, plan: EpochPlan) -> bool:
        """Train all blocks; returns True if `on_block` stopped the training.

        The losses of a block are copied behind it and read after the next one was started: a GPU
        trains on meanwhile.
        """
        saver, stop = self.hooks.saver, False
        started: list[_Started] = []
        step = self.progress.first_step + self.progress.steps
        for block in plan:
            started.append(self._start(block))
            step += len(block)
            if len(started) > 1:
                stop = self._finish(*started.pop(0))
            if stop or (saver is not None and saver.is_due(step)):
                # The trainer stands after the block that was started last: so must the sums.
                stop = self._finish(*started.pop()) or stop
                if saver is not None and not stop:
                    self._count_seconds()
                    saver.save(self.progress)
                    self.started = time.perf_counter()
            if stop:
                break
        for each in started:
            stop = self._finish(*each)
        return stop

    def _start(self, block: StepBlock) -> _Started:
        """Start a block; returns it, its last learning rate, and its losses to come."""
        if self.schedule.is_constant:
            losses, last = self.trainer.train_block(block), self.schedule.base
        else:
            rates = self.schedule.rates(self.progress.epoch, self.events, block.live)
            losses, last = self.trainer.train_block(block, rates), float(rates[-1])
        # Engines write past PyTorch's own count, by which others see that weights changed.
        for weight in self.weights.values():
            increment_version(weight)
        self.events += int(block.live.sum())
        return block, last, PendingLosses(losses)

    def _finish(self, block: StepBlock, learning_rate: float, losses: PendingLosses) -> bool:
        """Read a block's losses and report it; returns True if `on_block` stops the training."""
        progress = self.progress
        step_losses = losses.numpy()
        bad = np.flatnonzero(~np.isfinite(step_losses))
        if len(bad):
            minibatch = progress.steps + int(bad[0]) + 1
            raise NonFiniteLossError(
                progress.epoch,
                minibatch,
                float(step_losses[bad[0]]),
                step=progress.first_step + minibatch,
                lanes=int(block.live[bad[0]]),
                largest=largest(self.weights),
            )
        events = int(block.live.sum())
        progress.loss_sum += float(step_losses @ block.live)
        progress.steps += len(block)
        progress.learning_rate = learning_rate
        progress.events += events
        self._count_seconds()
        loss = progress.loss_sum / progress.events
        self.bar.set_postfix_str(
            f"loss {loss:.4f}, {progress.steps / progress.seconds:.0f} steps/s", refresh=False
        )
        self.bar.update(events)
        report = BlockReport(
            progress.epoch,
            loss,
            progress.seconds,
            progress.steps,
            progress.events,
            progress.first_step + progress.steps,
            learning_rate,
        )
        return asks_to_stop(self.hooks.on_block, report)

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.progress.seconds += now - self.started
        self.started = now


def _end_epoch(
    progress: Progress, hooks: Hooks, weights: Mapping[str, Tensor], last_epoch: int
) -> bool:
    """Validate, report, and go on to the next epoch; returns True if `on_epoch` stops it."""
    report = EpochReport(
        progress.epoch,
        progress.loss_sum / progress.events,
        progress.seconds,
        progress.steps,
        progress.events,
        hooks.validate() if hooks.validate is not None else {},
        progress.learning_rate,
    )
    progress.next_epoch(report)
    logger.info("%s", report)
    ended = hooks.stopping is not None and hooks.stopping.update(report, weights)
    progress.finished = ended or report.epoch >= last_epoch
    return asks_to_stop(hooks.on_epoch, report)
