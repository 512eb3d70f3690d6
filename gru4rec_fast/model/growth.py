"""Item tables that gain and lose rows: new items come, vanished ones go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gru4rec_fast.model.initial import Drawer
from gru4rec_fast.model.network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config


def resized(
    network: Network, config: Config, kept: NDArray[np.int64], n_new: int, items_ever: int
) -> Network:
    """A network of the kept items, in this order, and `n_new` further ones; on the CPU.

    The rows of new items are distributed as at initialisation, in a table of the new size. They
    depend on `config.seed` and `items_ever`, the number of items that had a row before. All other
    values are those of `network`.
    """
    grown = Network(config, len(kept) + n_new)
    spec, parameters = grown.spec, grown.parameter_dict()
    with torch.no_grad():
        for name, old in network.parameter_dict().items():
            rows = resized_rows(old, kept, n_new) if name in spec.tables else old
            parameters[name].copy_(rows)
        seed = [config.seed & 0xFFFFFFFF, config.seed >> 32, items_ever]
        draw = Drawer(np.random.RandomState(seed), config)
        if not spec.shared:
            gates = spec.layers[0].kind.gates if spec.one_hot else 1
            new = parameters[spec.input_table][len(kept) :]
            draw.fill(new.chunk(gates, dim=1), grown.n_items)
        draw.fill([parameters["Wy.weight"][len(kept) :]], grown.n_items)
    return grown


def resized_rows(table: Tensor, kept: NDArray[np.int64], n_new: int) -> Tensor:
    """The kept rows of a table (V, ...), then `n_new` rows of zeros; a copy."""
    rows = table.detach()[torch.from_numpy(kept).to(table.device)]
    return torch.cat([rows, rows.new_zeros(n_new, *rows.shape[1:])])
