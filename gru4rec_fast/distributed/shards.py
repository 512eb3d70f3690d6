"""What a rank keeps of a model: its rows of the item tables with their optimiser state.

The weights beside the tables are on all ranks; their optimiser state is used on the owner of a row
alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast import _core, reference
from gru4rec_fast.distributed.exchange import Parts
from gru4rec_fast.distributed.owners import weight_shares
from gru4rec_fast.distributed.ranks import FIRST
from gru4rec_fast.engines.contract import OptimiserState, new_state
from gru4rec_fast.engines.cpu import optimiser_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.distributed.held import Held
    from gru4rec_fast.distributed.owners import Share
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec

ROWS_AT_ONCE = 2**18
"""Rows of a table that are sent to rank 0, or from it, at a time."""


class Shards:
    """Tables in shards, and weights, of one rank; `gather` and `scatter` are for all ranks at once.

    Args:
        ranks: of the training.
        spec: the network.
        held: what takes its parameters.
        p: those before training, the same on all ranks.
        optimiser: what updates them.
        engine: by which implementation, 'cpu' or 'reference'.
    """

    def __init__(
        self,
        ranks: Ranks,
        spec: NetworkSpec,
        held: Held,
        p: Parameters,
        optimiser: Optimiser,
        engine: str,
    ) -> None:
        self.ranks, self.spec = ranks, spec
        self.p = {**held.shards, **held.weights}
        """Tables (V_r, columns), weights whole."""
        for name, value in self.p.items():
            value.copy_(p[name][ranks.rank :: ranks.size] if name in spec.tables else p[name])
        self.state: OptimiserState = new_state(optimiser, self.p, side_by_side=engine == "cpu")
        self.shares = weight_shares(
            {name: shape for name, shape in spec.parameters.items() if name not in spec.tables},
            ranks.size,
        )
        """The weights' rows that each rank owns."""
        self.optimiser, self._engine = optimiser, engine
        self._arrays = {name: value.numpy() for name, value in self.p.items()}
        self._state_arrays = {
            name: [tables[name].numpy() for tables in self.state.values()] for name in self.p
        }

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the updates that follow."""
        self.optimiser.learning_rate = rate

    def update_rows(self, table: str, rows: NDArray[np.int64], g: Parts) -> None:
        """Update unique rows (n,) of a shard by their gradients (n, columns)."""
        if len(rows) == 0:
            return
        if self._engine == "cpu":
            self._update(self._arrays[table], self._state_arrays[table], rows, g)
            return
        state = [tables[table] for tables in self.state.values()]
        found = torch.from_numpy(rows)
        reference.update_rows(self.optimiser, self.p[table], state, found, g.total())

    def update_weight(self, share: Share, g: Parts) -> None:
        """Update a share of a weight by its gradient (1, elements)."""
        name, first, end = share
        rows = slice(first, end)
        theta = self.p[name][rows]
        if self._engine == "cpu":
            state_arrays = [array[rows] for array in self._state_arrays[name]]
            parts = [part.reshape(theta.shape) for part in g.arrays]
            self._update(self._arrays[name][rows], state_arrays, None, Parts(parts))
            return
        state = [tables[name][rows] for tables in self.state.values()]
        self.optimiser.update(theta, state, g.total().view_as(theta))

    def _update(
        self,
        theta: NDArray[Any],
        state: list[NDArray[Any]],
        rows: NDArray[np.int64] | None,
        g: Parts,
    ) -> None:
        _core.update_rows(
            self.optimiser.name, optimiser_options(self.optimiser), theta, state, rows, g.arrays,
            g.places,
        )  # fmt: skip

    def gather(self, own: Sequence[Parameters], whole: Sequence[Parameters] | None) -> None:
        """Fill rank 0's `whole` tensors from the ranks' own ones; `whole` is None elsewhere.

        Each dictionary has tensors by the names of parameters, as `p` and each table of `state`.
        """
        for k, tensors in enumerate(own):
            for name, tensor in tensors.items():
                self._gather(name, tensor, None if whole is None else whole[k][name])

    def scatter(self, own: Sequence[Parameters], whole: Sequence[Parameters] | None) -> None:
        """The opposite of `gather`; weights go to all ranks whole."""
        for k, tensors in enumerate(own):
            for name, tensor in tensors.items():
                self._scatter(name, tensor, None if whole is None else whole[k][name])

    def _gather(self, name: str, own: Tensor, whole: Tensor | None) -> None:
        if whole is None:
            for part in self._own(name, own):
                for rows in torch.split(part, ROWS_AT_ONCE):
                    self.ranks.send(rows, FIRST)
            return
        for target, part in zip(
            self._owned_by(FIRST, name, whole), self._own(name, own), strict=True
        ):
            target.copy_(part)
        for rank in range(1, self.ranks.size):
            for target in self._owned_by(rank, name, whole):
                for rows in torch.split(target, ROWS_AT_ONCE):
                    rows.copy_(self.ranks.receive(rows, rank))

    def _scatter(self, name: str, own: Tensor, whole: Tensor | None) -> None:
        if whole is None:
            for rows in torch.split(own, ROWS_AT_ONCE):
                rows.copy_(self.ranks.receive(rows, FIRST))
            return
        for rank in range(self.ranks.size):
            part = whole[rank :: self.ranks.size] if name in self.spec.tables else whole
            if rank == FIRST:
                own.copy_(part)
                continue
            for rows in torch.split(part, ROWS_AT_ONCE):
                self.ranks.send(rows, rank)

    def _own(self, name: str, tensor: Tensor) -> list[Tensor]:
        """The parts of this rank's tensor whose rows it owns."""
        if name in self.spec.tables:
            return [tensor]
        return self._owned_by(self.ranks.rank, name, tensor)

    def _owned_by(self, rank: int, name: str, whole: Tensor) -> list[Tensor]:
        """Views of the parts of a whole tensor whose rows a rank owns."""
        if name in self.spec.tables:
            return [whole[rank :: self.ranks.size]]
        return [whole[first:end] for n, first, end in self.shares[rank] if n == name]
