"""The training loop: epochs of planned blocks, progress, and the check that losses stay finite.

Nothing here knows a loss, a cell, an optimiser or a device.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from tqdm.auto import tqdm

from gru4rec_fast import ops
from gru4rec_fast.batching import DEFAULT_BLOCK_STEPS
from gru4rec_fast.errors import DataError
from gru4rec_fast.planning import plan_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from gru4rec_fast.model import Network
    from gru4rec_fast.optim import Adagrad
    from gru4rec_fast.sampling import Negatives
    from gru4rec_fast.sessions import Sessions

logger = logging.getLogger(__name__)

T = TypeVar("T")

BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}"
"""tqdm's own bar without the counts, which would leave it no room on a line of 80 columns."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did; `loss` is the mean of the step losses weighted by their live lanes."""

    epoch: int
    loss: float
    seconds: float
    minibatches: int
    events: int

    def __str__(self) -> str:
        """The line that scripts around GRU4Rec parse."""
        return (
            f"Epoch{self.epoch} --> loss: {self.loss:.6f} \t({self.seconds:.2f}s) "
            f"\t[{self.minibatches / self.seconds:.2f} mb/s | {self.events / self.seconds:.0f} e/s]"
        )


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; training stopped within the block that showed it."""

    def __init__(self, epoch: int, minibatch: int, loss: float) -> None:
        self.epoch = epoch
        self.minibatch = minibatch
        super().__init__(
            f"the loss is {loss} at mini-batch {minibatch} of epoch {epoch}: training stopped. "
            "Lower learning_rate or momentum, or, with bpr-max, raise bpreg"
        )


def train(
    network: Network,
    optimiser: Adagrad,
    sessions: Sessions,
    sampler: Negatives,
    *,
    block_steps: int = DEFAULT_BLOCK_STEPS,
    on_epoch: Callable[[EpochReport], None] | None = None,
    progress: bool = True,
) -> list[EpochReport]:
    """Train the network in place for `config.n_epochs` epochs.

    Step t, counted through all epochs, takes the draw and the dropout masks number t, so that a run
    depends on the seed alone, whatever the block length.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite; the block after it may be trained already.
        DataError: no mini-batch can be formed.
    """
    config = network.config
    p = network.parameter_dict()
    device = network.Wy.weight.device
    support = torch.from_numpy(sessions.support).to(device)
    reports: list[EpochReport] = []
    step = 0
    for epoch in range(1, config.n_epochs + 1):
        states = [torch.zeros(config.batch_size, h, device=device) for h in config.layers]
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
            trained = (
                (block, ops.train_block(p, optimiser, states, block, support, config))
                for block in blocks
            )
            for block, losses in _one_behind(trained):
                step_losses = losses.double().cpu().numpy()
                _require_finite(step_losses, epoch, step - first_step)
                loss_sum += float(step_losses @ block.live)
                step += len(block)
                events += int(block.live.sum())
                bar.set_postfix_str(
                    f"loss {loss_sum / events:.4f}, "
                    f"{(step - first_step) / (time.perf_counter() - started):.0f} mb/s",
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


def epoch_order(sessions: Sessions, shuffle: bool, seed: int, epoch: int) -> NDArray[np.int64]:
    """Order in which the lanes take the sessions; a shuffle depends on seed and epoch alone."""
    if not shuffle:
        return sessions.order
    return np.random.default_rng([seed, epoch]).permutation(sessions.order)


def _one_behind(results: Iterable[T]) -> Iterator[T]:
    """Each result once the next is under way: a GPU trains on while the losses are read."""
    last: list[T] = []
    for result in results:
        yield from last
        last = [result]
    yield from last


def _require_finite(losses: NDArray[np.float64], epoch: int, steps_before: int) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise NonFiniteLossError(epoch, steps_before + int(bad[0]) + 1, float(losses[bad[0]]))
