"""The initial weights (SPEC section 7), of a whole network or of one rank's rows of its tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.spec import NetworkSpec

COMPATIBILITY_SEED = 42


class EveryNth(NamedTuple):
    """Rows first, first + step, ... of the tables of `rows` rows."""

    rows: int
    first: int
    step: int


def draw_parameters(
    spec: NetworkSpec,
    config: Config,
    p: Parameters,
    compatibility_mode: bool = True,
    kept: EveryNth | None = None,
) -> None:
    """Draw the weights, uniform in +-sqrt(6 / (rows + columns)) of each gate's own matrix.

    `compatibility_mode` draws by NumPy's legacy generator, seed 42, in the order in which the
    original fills its matrices (SPEC section 7), otherwise by one seeded with `config.seed`.
    `sigma` and `init_as_normal` of the config override the width and the distribution.

    With `kept` the tables of p have only these rows, with the numbers that they have in the whole.
    """
    seed = COMPATIBILITY_SEED if compatibility_mode else config.seed
    draw = Drawer(np.random.RandomState(seed), config)
    with torch.no_grad():
        for parameter in p.values():
            parameter.zero_()
        if spec.one_hot:
            draw.fill(p[spec.input_table].chunk(spec.layers[0].kind.gates, dim=1), kept=kept)
        elif not spec.shared:
            draw.fill([p[spec.input_table]], kept=kept)
        for layer in spec.layers:
            for name, shape in layer.weights.items():
                if len(shape) == 2:
                    n, axis = layer.kind.blocks.get(name.removeprefix(layer.prefix), (1, 0))
                    draw.fill(p[name].chunk(n, dim=axis))
        for dense in spec.feed_forward:
            draw.fill([p[dense.prefix + "weight"]])
        draw.fill([p["Wy.weight"]], kept=kept)


class Drawer:
    """Fills matrices one after the other, row by row, from one generator.

    In shares of some rows: a large table is never held in float64, and the numbers are the same.
    """

    NUMBERS_AT_ONCE = 2**22

    def __init__(self, generator: np.random.RandomState, config: Config) -> None:
        self.generator = generator
        self.config = config

    def fill(
        self,
        matrices: tuple[Tensor, ...] | list[Tensor],
        of_rows: int | None = None,
        kept: EveryNth | None = None,
    ) -> None:
        """Fill the matrices; `of_rows` are those of the table that they are a part of.

        With `kept`, all rows are drawn, and the matrices have only those.
        """
        for matrix in matrices:
            rows, own, step = kept or EveryNth(len(matrix), 0, 1)
            columns = matrix.shape[1]
            sigma = self.config.sigma or math.sqrt(6.0 / ((of_rows or rows) + columns))
            at_once = max(1, self.NUMBERS_AT_ONCE // columns)
            for first in range(0, rows, at_once):
                drawn = self._draw(min(at_once, rows - first), columns, sigma)
                share = torch.from_numpy(drawn[(own - first) % step :: step])
                begin = max(0, -(-(first - own) // step))
                matrix[begin : begin + len(share)] = share

    def _draw(self, rows: int, columns: int, sigma: float) -> NDArray[np.float32]:
        if self.config.init_as_normal:
            return self.generator.randn(rows, columns).astype(np.float32) * np.float32(sigma)
        values: NDArray[np.float32] = self.generator.rand(rows, columns).astype(np.float32)
        return values * np.float32(2 * sigma) - np.float32(sigma)
