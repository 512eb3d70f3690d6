"""What a rank keeps of a model: its rows of the item tables with their optimiser state.

The weights beside the tables are on all ranks; their optimiser state is used on the owner of a row
alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast import _core, reference
from gru4rec_fast.distributed.owners import shard_rows, weight_shares
from gru4rec_fast.engines.contract import OptimiserState, new_state
from gru4rec_fast.engines.cpu import optimiser_options
from gru4rec_fast.model.initial import EveryNth, draw_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.mailbox import Piece
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec


class Shards:
    """Tables in shards, and weights, of one rank.

    Args:
        ranks: of the training.
        spec: the network.
        p: its parameters before training, which are trained: of tables this rank's rows
            (V_r, columns), the weights whole.
        optimiser: what updates them.
        engine: by which implementation, 'cpu' or 'reference'.
        seed: of the rounding of tables in bfloat16.
    """

    def __init__(
        self,
        ranks: Ranks,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        engine: str,
        seed: int = 0,
    ) -> None:
        self.ranks, self.spec = ranks, spec
        self.p = p
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
        self._arrays = {name: _array(value) for name, value in self.p.items()}
        self._state_arrays = {
            name: [tables[name].numpy() for tables in self.state.values()] for name in self.p
        }

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the updates that follow."""
        self.optimiser.learning_rate = rate

    def update_rows(self, table: str, rows: Tensor, g: Tensor) -> None:
        """Update unique rows (U,) of a shard by their summed gradients g (U, columns)."""
        if len(rows) == 0:
            return
        half = self.p[table].dtype == torch.bfloat16
        if self._engine != "cpu":
            state = [tables[table] for tables in self.state.values()]
            rounded = partial(self._rounded, int(table != "Wy.weight")) if half else None
            reference.update_rows(self.optimiser, self.p[table], state, rows, g, rounded)
            return
        if half:
            self._update_half(table, rows, g)
            return
        _core.update_rows(
            self.optimiser.name, optimiser_options(self.optimiser), self._arrays[table],
            self._state_arrays[table], rows.numpy(), g.numpy(),
        )  # fmt: skip

    def rows(self, table: str, rows: Tensor) -> Tensor:
        """Rows (U,) of a shard as a step computes with them."""
        return self.p[table].index_select(0, rows).to(self.p["By.weight"].dtype)

    def piece(self, table: str, rows: Tensor) -> Piece:
        """The same as a part of a message."""
        if self.p[table].dtype == torch.bfloat16:
            return self.rows(table, rows), None
        return self.p[table], rows

    def _update_half(self, table: str, rows: Tensor, g: Tensor) -> None:
        """`update_rows` of a table in bfloat16: by copies of the rows, which are rounded back."""
        tables = [each[table] for each in self.state.values()]
        values, state = self.rows(table, rows), [each.index_select(0, rows) for each in tables]
        _core.update_rows(
            self.optimiser.name, optimiser_options(self.optimiser), values.numpy(),
            [each.numpy() for each in state], None, g.numpy(),
        )  # fmt: skip
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

    def update_weight(self, name: str, first: int, end: int, g: Tensor) -> None:
        """Update rows first .. end - 1 of a weight by their summed gradients."""
        if self._engine != "cpu":
            rows = slice(first, end)
            state = [tables[name][rows] for tables in self.state.values()]
            self.optimiser.update(self.p[name][rows], state, g)
            return
        _core.update_rows(
            self.optimiser.name, optimiser_options(self.optimiser), self._arrays[name][first:end],
            [array[first:end] for array in self._state_arrays[name]], None, g.numpy(),
        )  # fmt: skip


def initial_parameters(
    ranks: Ranks, spec: NetworkSpec, config: Config, compatibility_mode: bool = True
) -> Parameters:
    """The parameters before training: of tables this rank's rows, as they are in whole ones.

    All rows are drawn, some at a time, and the others are not kept.
    """
    rows = shard_rows(spec.n_items, ranks.rank, ranks.size)
    half = {"Wy.weight", spec.input_table} if config.table_dtype == "bfloat16" else set()
    p = {
        name: torch.zeros(
            (rows, *shape[1:]) if name in spec.tables else shape,
            dtype=torch.bfloat16 if name in half else torch.float32,
        )
        for name, shape in spec.parameters.items()
    }
    kept = EveryNth(spec.n_items, ranks.rank, ranks.size)
    draw_parameters(spec, config, p, compatibility_mode, kept)
    return p


def _array(value: Tensor) -> NDArray[Any]:
    """The memory of a tensor; bfloat16, which NumPy lacks, as uint16."""
    if value.dtype == torch.bfloat16:
        return value.view(torch.int16).numpy().view(np.uint16)
    return value.numpy()
