"""Training steps of several ranks: rows out, gradients back (SPEC section 11).

A step has two exchanges. In the first one each owner sends the rows that others need, and its share
of the weights, which the step before has updated. Then every rank computes the gradients of its
lanes by its engine. In the second exchange they go back to the owners, who add them up in the order
of the ranks and update. So the result is the same in each run with that many ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast.distributed.mailbox import mailbox
from gru4rec_fast.distributed.shards import Shards
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.engines.gradients import GradientStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.exchange import SharedBlock
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.engines.contract import OptimiserState
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec


class SharedTrainer:
    """`contract.Trainer` of the steps of all ranks, which call it together.

    Args:
        ranks: of the training.
        engine: what computes, 'cpu' or 'reference'.
        spec: the whole network.
        p: its parameters, the same on all ranks; they are copied, of tables a rank's rows alone.
        optimiser: what updates them.
        config: the whole batch, with the seed of this rank's dropout masks.
        own: this rank's lanes and negatives (`deal.config_of`).
        support: (V,) events of each item.
    """

    def __init__(
        self,
        ranks: Ranks,
        engine: str,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        own: Config,
        support: Tensor,
    ) -> None:
        self.ranks = ranks
        self.most_lanes = -(-config.batch_size // ranks.size)
        """Lanes of the rank that has the most of them."""
        rows = min(2 * own.batch_size + own.n_sample, spec.n_items)
        config = config.replace(seed=own.seed)
        self._step = GradientStep(ENGINES[engine], config, rows, p["Wy.weight"].dtype)
        self._tables = list(spec.tables)
        self._weights = {n: w for n, w in self._step.p.items() if n not in spec.tables}
        for name, weight in self._weights.items():
            weight.copy_(p[name])
        self.shards = Shards(ranks, spec, {**p, **self._weights}, optimiser, engine)
        self._support = support if config.logq > 0 else None
        self._own_shares = self.shards.shares[ranks.rank]
        self._mailbox = mailbox(ranks, p["Wy.weight"].dtype, self._longest_message(config))
        # Of the gradients of all rows that this rank owns and a step touches.
        self._totals = {
            n: p[n].new_empty(min(ranks.size * rows, len(self.shards.p[n])), p[n].shape[1])
            for n in self._tables
        }

    @property
    def optimiser_state(self) -> OptimiserState:
        """`contract.Trainer.optimiser_state`, of this rank's rows."""
        return self.shards.state

    @property
    def states(self) -> list[Tensor]:
        """`contract.Trainer.states`, of this rank's lanes."""
        return self._step.trainer.states

    @states.setter
    def states(self, states: list[Tensor]) -> None:
        self._step.trainer.states = states

    def start_epoch(self) -> None:
        """`contract.Trainer.start_epoch`."""
        self._step.trainer.start_epoch()

    def train_block(
        self, block: SharedBlock, learning_rates: NDArray[np.float64] | None = None
    ) -> Tensor:
        """`contract.Trainer.train_block`; the losses (T,) are those of all ranks together."""
        losses = self._step.p["Wy.weight"].new_zeros(len(block))
        for t in range(len(block)):
            if learning_rates is not None:
                self.shards.set_learning_rate(float(learning_rates[t]))
            self._fetch(block, t)
            if t < block.own_steps and block.compact is not None:
                losses[t] = self._step.compute(block.compact, t)[0]
            else:
                for name in self._weights:
                    self._step.gradients[name].zero_()
            self._update(block, t)
        self._fetch_weights()
        total = torch.zeros_like(losses)
        for each in self.ranks.all_gather(losses):
            total += each
        return total

    def _longest_message(self, config: Config) -> int:
        """Elements of the longest message between two ranks: all rows of a step, and a share."""
        size, step = self.ranks.size, self._step
        rows = 2 * self.most_lanes - (-config.n_sample // size)
        columns = sum(step.p[n].shape[1] for n in self._tables)
        shares = [
            sum(step.p[n][first:end].numel() for n, first, end in of_rank)
            for of_rank in self.shards.shares
        ]
        return rows * columns + max(shares)

    def _fetch(self, block: SharedBlock, t: int) -> None:
        """Fill the step's tables and all weights from the owners."""
        shards, step = self.shards, self._step
        wanted, owned = block.wanted, block.owned
        received = self._mailbox.exchange(
            [
                [
                    *((shards.p[n], owned[n].asked[t][r]) for n in self._tables),
                    *((shards.p[n][first:end], None) for n, first, end in self._own_shares),
                ]
                if r != self.ranks.rank
                else []
                for r in range(self.ranks.size)
            ],
            [
                [
                    *((len(wanted[n].places[t][r]), step.p[n].shape[1]) for n in self._tables),
                    *((end - first, *step.p[n].shape[1:]) for n, first, end in shards.shares[r]),
                ]
                if r != self.ranks.rank
                else []
                for r in range(self.ranks.size)
            ],
        )
        for r, parts in enumerate(received):
            if r == self.ranks.rank:
                parts = [shards.p[n].index_select(0, owned[n].asked[t][r]) for n in self._tables]
            for n, rows in zip(self._tables, parts, strict=False):
                step.p[n].index_copy_(0, wanted[n].places[t][r], rows)
            if r != self.ranks.rank:
                self._take_weights(r, parts[len(self._tables) :])
        if self._support is not None and block.compact is not None and t < block.own_steps:
            rows = torch.from_numpy(block.rows[t, : block.compact.touched[t]]).long()
            step.support[: len(rows)] = self._support[rows]

    def _update(self, block: SharedBlock, t: int) -> None:
        """Give the gradients to the owners, and update the rows and weights that this rank owns."""
        shards, g = self.shards, self._step.gradients
        wanted, owned = block.wanted, block.owned
        received = self._mailbox.exchange(
            [
                [
                    *((g[n], wanted[n].places[t][r]) for n in self._tables),
                    *((g[n][first:end], None) for n, first, end in shards.shares[r]),
                ]
                if r != self.ranks.rank
                else []
                for r in range(self.ranks.size)
            ],
            [
                [
                    *((len(owned[n].asked[t][r]), g[n].shape[1]) for n in self._tables),
                    *((end - first, *g[n].shape[1:]) for n, first, end in self._own_shares),
                ]
                if r != self.ranks.rank
                else []
                for r in range(self.ranks.size)
            ],
        )
        own = self.ranks.rank
        received[own] = [
            *(g[n].index_select(0, wanted[n].places[t][own]) for n in self._tables),
            *(g[n][first:end] for n, first, end in self._own_shares),
        ]
        for k, n in enumerate(self._tables):
            total = self._totals[n][: len(owned[n].rows[t])].zero_()
            for r, parts in enumerate(received):
                total.index_add_(0, owned[n].place[t][r], parts[k])
            shards.update_rows(n, owned[n].rows[t], total)
        for k, (n, first, end) in enumerate(self._own_shares, start=len(self._tables)):
            total = received[0][k]
            for parts in received[1:]:
                total += parts[k]
            shards.update_weight(n, first, end, total)

    def _fetch_weights(self) -> None:
        """Make the weights of all ranks those after the last update."""
        others = [r != self.ranks.rank for r in range(self.ranks.size)]
        own = [(self._weights[n][first:end], None) for n, first, end in self._own_shares]
        received = self._mailbox.exchange(
            [own if other else [] for other in others],
            [
                [(end - first, *self._weights[n].shape[1:]) for n, first, end in shares]
                if other
                else []
                for shares, other in zip(self.shards.shares, others, strict=True)
            ],
        )
        for r, parts in enumerate(received):
            if others[r]:
                self._take_weights(r, parts)

    def _take_weights(self, rank: int, parts: Sequence[Tensor]) -> None:
        for (n, first, end), rows in zip(self.shards.shares[rank], parts, strict=True):
            self._weights[n][first:end] = rows
