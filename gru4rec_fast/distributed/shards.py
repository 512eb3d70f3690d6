"""What a rank keeps of a model: its rows of the item tables with their optimiser state.

The weights beside the tables are on all ranks; their optimiser state is used on the owner of a row
alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast import _core, reference
from gru4rec_fast.distributed.owners import shard_rows, weight_shares
from gru4rec_fast.engines.contract import OptimiserState, new_state
from gru4rec_fast.engines.cpu import optimiser_options
from gru4rec_fast.model.initial import EveryNth, draw_parameters

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.config import Config
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
    """

    def __init__(
        self, ranks: Ranks, spec: NetworkSpec, p: Parameters, optimiser: Optimiser, engine: str
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
        self._arrays = {name: value.numpy() for name, value in self.p.items()}
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
        if self._engine != "cpu":
            state = [tables[table] for tables in self.state.values()]
            reference.update_rows(self.optimiser, self.p[table], state, rows, g)
            return
        _core.update_rows(
            self.optimiser.name, optimiser_options(self.optimiser), self._arrays[table],
            self._state_arrays[table], rows.numpy(), g.numpy(),
        )  # fmt: skip

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
    p = {
        name: torch.zeros((rows, *shape[1:]) if name in spec.tables else shape)
        for name, shape in spec.parameters.items()
    }
    kept = EveryNth(spec.n_items, ranks.rank, ranks.size)
    draw_parameters(spec, config, p, compatibility_mode, kept)
    return p
