"""Training steps of several ranks: rows out, gradients back (SPEC section 11).

All ranks plan the same steps, and each computes its lanes of them. A step has two exchanges. In the
first one every rank gets the rows of the step from their owners, and the weights, which the step
before has updated. Then it computes the gradients of its lanes by its engine. In the second
exchange the owners add them up in the order of the ranks, and update. So the result is the same in
each run with that many ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast.distributed.exchange import Exchange, MemoryExchange, MessageExchange, Parts
from gru4rec_fast.distributed.gradient_cap import cap_over_ranks
from gru4rec_fast.distributed.held import held_by
from gru4rec_fast.distributed.lanes import lanes_of, most_lanes, part_of_step
from gru4rec_fast.distributed.rows import BlockRows
from gru4rec_fast.distributed.shards import Shards
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.engines.gradients import GradientStep
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.engines.contract import OptimiserState
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.reference import Optimiser, Parameters


class SharedTrainer:
    """`contract.Trainer` by all ranks, which call it together with the same blocks.

    Args:
        ranks: of the training.
        engine: what computes, 'cpu' or 'reference'.
        spec: the network.
        fill: writes the parameters before training into tensors: of tables this rank's rows.
        optimiser: what updates them.
        config: its options.
        support: (V,) events of each item.
        by_memory: whether ranks of one machine exchange rows by memory; False is for tests and
            measurements.
        dtype: of a step; the tables may be in bfloat16.
    """

    planning_threads = 1

    def __init__(
        self,
        ranks: Ranks,
        engine: str,
        spec: NetworkSpec,
        fill: Callable[[Parameters], None],
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
        by_memory: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.ranks = ranks
        rows = min(2 * config.batch_size + config.n_sample, spec.n_items)
        of_step = NetworkSpec.of(config, rows)
        half = {"Wy.weight", spec.input_table} if config.table_dtype == "bfloat16" else set()
        held, memory = held_by(ranks, spec, of_step, dtype, by_memory, half)
        own = held[ranks.rank if memory is not None else 0]
        fill({**own.shards, **own.weights})
        self.grad_cap = config.grad_cap
        # The cap is on the sum over the ranks, and owners round: neither is for one rank's step.
        alone = config.replace(grad_cap=0.0, table_dtype="float32")
        self._step = GradientStep(ENGINES[engine], alone, of_step, own.weights, own.gradients)
        self.shards = Shards(ranks, spec, own, optimiser, engine, config.seed)
        shares = self.shards.shares
        self.by_memory = memory is not None
        """Whether they do."""
        self.exchange: Exchange = (
            MessageExchange(ranks, own, self._step.tables, shares)
            if memory is None
            else MemoryExchange(memory, held, self._step.tables, shares[ranks.rank], ranks.rank)
        )
        ranks.wait()  # until all have written the weights
        self._config = config
        self._reads_columns = engine == "reference"
        self._support = support if config.logq > 0 else None
        self._live = config.batch_size
        """Lanes of the last step, of all ranks."""

    @property
    def optimiser_state(self) -> OptimiserState:
        """`contract.Trainer.optimiser_state`, of this rank's rows."""
        return self.shards.state

    @property
    def states(self) -> list[Tensor]:
        """`contract.Trainer.states`, those of all ranks; for all ranks at once."""
        size, live = self.ranks.size, self._live
        most = most_lanes(self._config.batch_size, size)
        found = []
        for own in self._step.trainer.states:
            padded = own.new_zeros(most, own.shape[1])
            n = len(self._lanes(live))
            padded[:n] = own[:n]
            lanes = self.ranks.all_gather(padded)
            found.append(torch.cat([lanes[r, : len(lanes_of(live, r, size))] for r in range(size)]))
        return found

    @states.setter
    def states(self, states: list[Tensor]) -> None:
        self._live = len(states[0])
        lanes = self._lanes(self._live)
        self._step.trainer.states = [h[lanes.start : lanes.stop].clone() for h in states]

    def _lanes(self, live: int) -> range:
        return lanes_of(live, self.ranks.rank, self.ranks.size)

    def start_epoch(self) -> None:
        """`contract.Trainer.start_epoch`."""
        self._step.trainer.start_epoch()
        self._live = self._config.batch_size

    def train_block(
        self, block: StepBlock, learning_rates: NDArray[np.float64] | None = None
    ) -> Tensor:
        """`contract.Trainer.train_block`; the losses (T,) are those of all lanes."""
        rows = BlockRows(block, self.shards.spec, self.ranks.size)
        losses = self._step.tables["Wy.weight"].new_zeros(len(block))
        for t in range(len(block)):
            self.shards.step = block.first_step + t
            if learning_rates is not None:
                self.shards.set_learning_rate(float(learning_rates[t]))
            self.exchange.fetch(rows, t)
            losses[t] = self._compute(block, rows, t)
            self.update(rows, t)
        self.exchange.fetch_weights()
        total = torch.zeros_like(losses)
        for each in self.ranks.all_gather(losses):
            total += each
        return total

    def _compute(self, block: StepBlock, rows: BlockRows, t: int) -> Tensor | float:
        """The gradients of this rank's lanes in step t; returns their part of the loss."""
        before, live = self._live, int(block.live[t])
        if before != live and not block.restarts[t, :live].all():
            self._move_lanes(block, t)
        self._live = live
        step, scored, touched = self._step, int(block.scored[t]), int(block.touched[t])
        rank, size, reads = self.ranks.rank, self.ranks.size, self._reads_columns
        part = part_of_step(block, t, rank, size, before, reads)
        if part is None:
            for name, g in step.gradients.items():
                g[: touched if name in step.tables else None].zero_()
            return 0.0
        # An engine writes no gradient of a row that is an input of other ranks alone.
        spec = self.shards.spec
        read, first = part.input_row[0, : int(part.live[0])], scored if spec.shared else 0
        others = torch.from_numpy(rows.not_of(spec.input_table, t, read, first))
        step.gradients[spec.input_table].index_fill_(0, others, 0)
        if self._support is not None:
            step.support[:touched] = self._support[torch.from_numpy(block.rows[t, :touched]).long()]
        return step.compute(part)[0]

    def _move_lanes(self, block: StepBlock, t: int) -> None:
        """Bring the states that this rank's lanes of step t go on from, in the lanes' order."""
        states = self.states
        lanes = self._lanes(int(block.live[t]))
        if len(lanes):
            source = torch.from_numpy(block.source[t, lanes.start : lanes.stop]).long()
            self._step.trainer.states = [h[source] for h in states]

    def update(self, rows: BlockRows, t: int) -> None:
        """Update the rows and weights that this rank owns by the gradients of all ranks."""
        shards, own = self.shards, self.ranks.rank
        parts = self.exchange.gradients(rows, t)
        if self.grad_cap > 0:
            totals = [each.total() for each in parts]
            cap_over_ranks(self.ranks, totals, self.grad_cap)
            parts = [Parts([total.numpy()]) for total in totals]
        gradients = iter(parts)
        for name in self._step.tables:
            shards.update_rows(name, rows.of(name, t, own).rows, next(gradients))
        for share in shards.shares[own]:
            shards.update_weight(share, next(gradients))
