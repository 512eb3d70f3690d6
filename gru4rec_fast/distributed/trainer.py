"""Training steps of several ranks: rows out, gradients back (SPEC section 11).

A step has two exchanges. In the first one each owner sends the rows that others need, and its share
of the weights, which the step before has updated. Then every rank computes the gradients of its
lanes by its engine. In the second exchange they go back to the owners, who add them up in the order
of the ranks and update. So the result is the same in each run with that many ranks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import torch

from gru4rec_fast.distributed.gradient_cap import cap_over_ranks
from gru4rec_fast.distributed.mailbox import mailbox
from gru4rec_fast.distributed.shards import Shards
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.engines.gradients import GradientStep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.exchange import SharedBlock
    from gru4rec_fast.distributed.mailbox import Piece
    from gru4rec_fast.distributed.owners import Share
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.engines.contract import OptimiserState
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec

T = TypeVar("T")


class SharedTrainer:
    """`contract.Trainer` of the steps of all ranks, which call it together.

    Args:
        ranks: of the training.
        engine: what computes, 'cpu' or 'reference'.
        spec: the whole network.
        p: its parameters: of tables this rank's rows, which are trained; the weights are copied.
        optimiser: what updates them.
        config: the whole batch, with the seed of this rank's dropout masks.
        own: the configuration of this rank (`deal.config_of`), for its seed.
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
        most_samples = -(-config.n_sample // ranks.size)
        rows = min(2 * self.most_lanes + most_samples, spec.n_items)
        self.grad_cap = config.grad_cap
        dtype = p["By.weight"].dtype  # item tables may be bfloat16
        # The cap is on the sum over the ranks, and owners round: neither is for one rank's step.
        alone = config.replace(seed=own.seed, grad_cap=0.0, table_dtype="float32")
        self._step = GradientStep(ENGINES[engine], alone, rows, dtype)
        self._tables = list(spec.tables)
        self._weights = {n: w for n, w in self._step.p.items() if n not in spec.tables}
        for name, weight in self._weights.items():
            weight.copy_(p[name])
        self.shards = Shards(ranks, spec, {**p, **self._weights}, optimiser, engine, config.seed)
        self._support = support if config.logq > 0 else None
        self._mailbox = mailbox(ranks, dtype, self._longest_message(rows))
        # Of the gradients of all rows that this rank owns and a step touches.
        self._totals = {
            n: torch.empty(min(ranks.size * rows, len(p[n])), p[n].shape[1], dtype=dtype)
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
        """`contract.Trainer.train_block`; the losses (T,) are those of all ranks together.

        `learning_rates` (T,) has the rate of each step, None where it is always the same.
        """
        losses = self._step.p["Wy.weight"].new_zeros(len(block))
        for t in range(len(block)):
            self.shards.step = block.first_step + t
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

    def _longest_message(self, rows: int) -> int:
        """Elements of the longest message between two ranks: all rows of a step, and a share."""
        columns = sum(self._step.p[n].shape[1] for n in self._tables)
        shapes = [self._shapes(shares) for shares in self.shards.shares]
        return rows * columns + max(sum(map(math.prod, each)) for each in shapes)

    def _fetch(self, block: SharedBlock, t: int) -> None:
        """Fill the step's tables and all weights from the owners."""
        shards, step, own = self.shards, self._step, self.ranks.rank
        wanted, owned = block.wanted, block.owned
        received = self._mailbox.exchange(
            self._others(
                lambda r: [
                    *(shards.piece(n, owned[n].asked[t][r]) for n in self._tables),
                    *((shards.p[n][first:end], None) for n, first, end in shards.shares[own]),
                ]
            ),
            self._others(
                lambda r: [
                    *((len(wanted[n].places[t][r]), step.p[n].shape[1]) for n in self._tables),
                    *self._shapes(shards.shares[r]),
                ]
            ),
        )
        for r, parts in enumerate(received):
            if r == own:
                tables = [shards.rows(n, owned[n].asked[t][r]) for n in self._tables]
            else:
                tables = parts[: len(self._tables)]
                self._take_weights(r, parts[len(self._tables) :])
            for n, rows in zip(self._tables, tables, strict=True):
                step.p[n].index_copy_(0, wanted[n].places[t][r], rows)
        if self._support is not None and block.compact is not None and t < block.own_steps:
            items = torch.from_numpy(block.rows[t, : block.compact.touched[t]]).long()
            step.support[: len(items)] = self._support[items]

    def _update(self, block: SharedBlock, t: int) -> None:
        """Give the gradients to the owners, and update the rows and weights that this rank owns."""
        shards, g, own = self.shards, self._step.gradients, self.ranks.rank
        wanted, owned, shares = block.wanted, block.owned, self.shards.shares[self.ranks.rank]
        received = self._mailbox.exchange(
            self._others(
                lambda r: [
                    *((g[n], wanted[n].places[t][r]) for n in self._tables),
                    *((g[n][first:end], None) for n, first, end in shards.shares[r]),
                ]
            ),
            self._others(
                lambda r: [
                    *((len(owned[n].asked[t][r]), g[n].shape[1]) for n in self._tables),
                    *self._shapes(shares),
                ]
            ),
        )
        received[own] = [
            *(g[n].index_select(0, wanted[n].places[t][own]) for n in self._tables),
            *(g[n][first:end] for n, first, end in shares),
        ]
        totals: list[Tensor] = []
        for k, n in enumerate(self._tables):
            total = self._totals[n][: len(owned[n].rows[t])].zero_()
            for r, parts in enumerate(received):
                total.index_add_(0, owned[n].place[t][r], parts[k])
            totals.append(total)
        for k in range(len(self._tables), len(self._tables) + len(shares)):
            # In place: a message is its receiver's.
            total = received[0][k]
            for parts in received[1:]:
                total += parts[k]
            totals.append(total)
        if self.grad_cap > 0:
            cap_over_ranks(self.ranks, totals, self.grad_cap)
        for n, total in zip(self._tables, totals, strict=False):
            shards.update_rows(n, owned[n].rows[t], total)
        for share, total in zip(shares, totals[len(self._tables) :], strict=True):
            shards.update_weight(*share, total)

    def _fetch_weights(self) -> None:
        """Make the weights of all ranks those after the last update."""
        shares = self.shards.shares
        own: list[Piece] = [
            (self._weights[n][first:end], None) for n, first, end in shares[self.ranks.rank]
        ]
        received = self._mailbox.exchange(
            self._others(lambda _: own), self._others(lambda r: self._shapes(shares[r]))
        )
        for r, parts in enumerate(received):
            if r != self.ranks.rank:
                self._take_weights(r, parts)

    def _take_weights(self, rank: int, parts: Sequence[Tensor]) -> None:
        for (n, first, end), rows in zip(self.shards.shares[rank], parts, strict=True):
            self._weights[n][first:end] = rows

    def _others(self, of_rank: Callable[[int], list[T]]) -> list[list[T]]:
        """By rank, what is sent to it or comes from it; nothing for this rank itself."""
        return [of_rank(r) if r != self.ranks.rank else [] for r in range(self.ranks.size)]

    def _shapes(self, shares: Sequence[Share]) -> list[tuple[int, ...]]:
        return [(end - first, *self._weights[n].shape[1:]) for n, first, end in shares]
