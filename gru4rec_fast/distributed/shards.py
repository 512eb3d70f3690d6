"""What a rank keeps of a model: its rows of the item tables with their optimiser state.

The weights beside the tables are on all ranks; their optimiser state is used on the owner of a row
alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast import _core, reference
from gru4rec_fast.distributed.exchange import Parts
from gru4rec_fast.distributed.owners import weight_shares
from gru4rec_fast.engines.contract import OptimiserState, new_state
from gru4rec_fast.engines.cpu import memory_of, optimiser_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.distributed.held import Held
    from gru4rec_fast.distributed.owners import Share
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec


class Shards:
    """Tables in shards, and weights, of one rank.

    Args:
        ranks: of the training.
        spec: the network.
        held: its parameters before training.
        optimiser: what updates them.
        engine: by which implementation, 'cpu' or 'reference'.
        seed: of the rounding of tables in bfloat16.
    """

    def __init__(
        self,
        ranks: Ranks,
        spec: NetworkSpec,
        held: Held,
        optimiser: Optimiser,
        engine: str,
        seed: int = 0,
    ) -> None:
        self.ranks, self.spec = ranks, spec
        self.p: Parameters = {**held.shards, **held.weights}
        """Tables (V_r, columns), weights whole."""
        self.state: OptimiserState = new_state(optimiser, self.p, side_by_side=engine == "cpu")
        self.shares = weight_shares(
            {name: shape for name, shape in spec.parameters.items() if name not in spec.tables},
            ranks.size,
        )
        """The weights' rows that each rank owns."""
        self.optimiser, self._engine = optimiser, engine
        self._seed = seed
        self.step = 0
        """The number of the step that is trained, through all epochs."""
        self._arrays = {name: memory_of(value) for name, value in self.p.items()}
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
        half = self.p[table].dtype == torch.bfloat16
        if half and self._engine == "cpu":
            self._update_half(table, torch.from_numpy(rows), g)
            return
        if self._engine == "cpu":
            self._update(self._arrays[table], self._state_arrays[table], rows, g)
            return
        state = [tables[table] for tables in self.state.values()]
        found = torch.from_numpy(rows)
        rounded = partial(self._rounded, int(table != "Wy.weight")) if half else None
        reference.update_rows(self.optimiser, self.p[table], state, found, g.total(), rounded)

    def _update_half(self, table: str, rows: Tensor, g: Parts) -> None:
        """`update_rows` of a table in bfloat16: by copies of the rows, which are rounded back."""
        tables = [each[table] for each in self.state.values()]
        state = [each.index_select(0, rows) for each in tables]
        values = self.p[table].index_select(0, rows).float()
        gradients = Parts([g.total().numpy()])
        self._update(values.numpy(), [each.numpy() for each in state], None, gradients)
        for each, updated in zip(tables, state, strict=True):
            each.index_copy_(0, rows, updated)
        _core.round_rows(
            self._arrays[table], self._items(rows).numpy(), values.numpy(), self._seed, self.step,
            int(table != "Wy.weight"), rows.numpy(),
        )  # fmt: skip

    def _rounded(self, table: int, values: Tensor, rows: Tensor) -> Tensor:
        return reference.rounded_rows(values, self._items(rows), self._seed, self.step, table)

    def _items(self, rows: Tensor) -> Tensor:
        """The items of rows of this shard."""
        return rows * self.ranks.size + self.ranks.rank

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
