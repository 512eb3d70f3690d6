"""The network: its parameters, their initialisation, and the scores of a mini-batch.

The modules only hold parameters, under the names that saved GRU4Rec models use; what is computed
with them stands in `reference.py`, and which implementation computes it in `ops.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gru4rec_fast import reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.config import Config

COMPATIBILITY_SEED = 42


class OneHotGRU(nn.Module):
    """First cell of the one-hot mode: an item selects a row of the (V, 3H) input weights."""

    def __init__(self, n_items: int, units: int) -> None:
        super().__init__()
        self.Wx0 = nn.Embedding(n_items, 3 * units)
        self.Wrz0 = nn.Parameter(torch.empty(units, 2 * units))
        self.Wh0 = nn.Parameter(torch.empty(units, units))
        self.Bh0 = nn.Parameter(torch.empty(3 * units))


class Network(nn.Module):
    """Parameters of GRU4Rec for a catalogue of V items.

    `forward` is the surface that evaluation scripts of the original call; training goes through
    `ops.train_block` instead.
    """

    def __init__(self, config: Config, n_items: int) -> None:
        super().__init__()
        self.config = config
        self.n_items = n_items
        layers = config.layers
        widths = [config.embedding or layers[-1], *layers]
        # Not drawn here: `initialise` or a checkpoint fills them, and torch's generator stays as it
        # was.
        with torch.device("meta"):
            self.Wy = nn.Embedding(n_items, layers[-1])
            self.By = nn.Embedding(n_items, 1)
            first = 0
            if config.embedding:
                self.E = nn.Embedding(n_items, config.embedding)
            elif not config.constrained_embedding:
                self.GE = OneHotGRU(n_items, layers[0])
                first = 1
            self.G = nn.ModuleList(
                nn.GRUCell(widths[i], layers[i]) for i in range(first, len(layers))
            )
        self.to_empty(device="cpu")
        self.requires_grad_(False)

    def parameter_dict(self) -> reference.Parameters:
        """Name -> tensor, sharing the storage of the modules."""
        return dict(self.named_parameters())

    def initialise(self, compatibility_mode: bool = True) -> None:
        """Draw the weights, uniform in +-sqrt(6 / (rows + columns)) of each gate's own matrix.

        `compatibility_mode` draws by NumPy's legacy generator, seed 42, in the order in which the
        original fills its matrices (spec section 7), otherwise by one seeded with `config.seed`.
        `sigma` and `init_as_normal` of the config override the width and the distribution.
        """
        seed = COMPATIBILITY_SEED if compatibility_mode else self.config.seed
        draw = _Drawer(np.random.RandomState(seed), self.config)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            if hasattr(self, "E"):
                draw.fill([self.E.weight])
            if hasattr(self, "GE"):
                weights = self.GE.state_dict()
                draw.fill(weights["Wx0.weight"].chunk(3, dim=1))
                draw.fill(weights["Wrz0"].chunk(2, dim=1))
                draw.fill([weights["Wh0"]])
            for cell in self.G:
                weights = cell.state_dict()
                draw.fill(weights["weight_ih"].chunk(3))
                draw.fill(weights["weight_hh"].chunk(3))
            draw.fill([self.Wy.weight])

    def forward(
        self,
        in_idx: Tensor,
        H: list[Tensor],
        out_idx: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        """Scores (M, len(out_idx)) of the given items, or (M, V) of all, after one event a lane.

        in_idx (M,) and out_idx int64 items; H a list of states (M, H_l) by layer, replaced in the
        list. `training` applies dropout from torch's generator.
        """
        p = self.parameter_dict()
        x = p[reference.input_table(p)][in_idx]
        masks: list[Tensor | None] = [None] * (len(H) + 1)
        if training:
            masks = [
                nn.functional.dropout(torch.ones(len(in_idx), width, device=x.device), rate)
                if rate > 0
                else None
                for width, rate in reference.dropout_sites(p, self.config)
            ]
        H[:] = reference.advance(p, x, H, masks)
        if out_idx is None:
            return reference.scores(H[-1], self.Wy.weight, self.By.weight)
        return reference.scores(H[-1], self.Wy.weight[out_idx], self.By.weight[out_idx])


class _Drawer:
    """Fills matrices one after the other, row by row, from one generator.

    In shares of some rows: a large table is never held in float64, and the numbers are the same.
    """

    NUMBERS_AT_ONCE = 2**22

    def __init__(self, generator: np.random.RandomState, config: Config) -> None:
        self.generator = generator
        self.config = config

    def fill(self, matrices: tuple[Tensor, ...] | list[Tensor]) -> None:
        for matrix in matrices:
            rows, columns = matrix.shape
            sigma = self.config.sigma or math.sqrt(6.0 / (rows + columns))
            at_once = max(1, self.NUMBERS_AT_ONCE // columns)
            for first in range(0, rows, at_once):
                share = matrix[first : first + at_once]
                share.copy_(torch.from_numpy(self._draw(len(share), columns, sigma)))

    def _draw(self, rows: int, columns: int, sigma: float) -> NDArray[np.float32]:
        if self.config.init_as_normal:
            return self.generator.randn(rows, columns).astype(np.float32) * np.float32(sigma)
        values: NDArray[np.float32] = self.generator.rand(rows, columns).astype(np.float32)
        return values * np.float32(2 * sigma) - np.float32(sigma)
