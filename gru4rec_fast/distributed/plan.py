"""An epoch of several ranks: each plans its own sessions, and they exchange what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.distributed.deal import sessions_of
from gru4rec_fast.distributed.exchange import shared_blocks
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.plan.epoch import SHUFFLED_IN_MEMORY, plan_epoch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.exchange import SharedBlock
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.plan.epoch import EpochPlan
    from gru4rec_fast.plan.lanes import GroupedEvents
    from gru4rec_fast.plan.negatives import Negatives
    from gru4rec_fast.spec import NetworkSpec
    from gru4rec_fast.training.progress import Progress


class SharedPlans:
    """The plans of the epochs of a training.

    Args:
        ranks: of the training.
        own: this rank's lanes, negatives and seed (`deal.config_of`).
        seed: of the training, by which all ranks shuffle the sessions alike.
        sessions: all of them.
        sampler: of the negatives.
        spec: the network.
        block_steps: most steps of a block, the same on all ranks.

    Raises:
        ParameterError: more sessions than are shuffled in memory.
    """

    def __init__(
        self,
        ranks: Ranks,
        own: Config,
        seed: int,
        sessions: GroupedEvents,
        sampler: Negatives,
        spec: NetworkSpec,
        block_steps: int,
    ) -> None:
        if own.train_random_order and len(sessions.order) > SHUFFLED_IN_MEMORY:
            raise ParameterError(
                f"train_random_order=True with {len(sessions.order)} sessions: several ranks "
                f"shuffle at most {SHUFFLED_IN_MEMORY}. Set train_random_order=False"
            )
        self._ranks, self._own, self._seed = ranks, own, seed
        self._sessions, self._sampler = sessions, sampler
        self._spec, self._block_steps = spec, block_steps

    def __call__(self, progress: Progress) -> SharedEpoch:
        """The rest of the epoch that `progress` stands in."""
        own, ranks = self._own, self._ranks
        order = self._sessions.order
        if own.train_random_order:
            order = np.random.default_rng([self._seed, progress.epoch]).permutation(order)
        plan = plan_epoch(
            self._sessions,
            self._sampler,
            batch_size=own.batch_size,
            n_sample=own.n_sample,
            seed=own.seed,
            first_step=progress.first_step,
            order=sessions_of(order, ranks.rank, ranks.size),
            block_steps=self._block_steps,
            skip_steps=progress.steps,
        )
        first_step = progress.first_step + progress.steps
        blocks = shared_blocks(ranks, plan, self._spec, self._block_steps, first_step)
        return SharedEpoch(plan, blocks)


class SharedEpoch:
    """The blocks of all ranks in an epoch; a context manager and an iterator, as `EpochPlan`."""

    def __init__(self, plan: EpochPlan, blocks: Iterator[SharedBlock]) -> None:
        self._plan: AbstractContextManager[object] = plan
        self._blocks = blocks

    def __iter__(self) -> Iterator[SharedBlock]:
        return self._blocks

    def __next__(self) -> SharedBlock:
        return next(self._blocks)

    def __enter__(self) -> SharedEpoch:
        return self

    def __exit__(self, *error: object) -> None:
        self._plan.__exit__(None, None, None)
