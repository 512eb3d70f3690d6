"""The recurrent cells: one step of M lanes from the input and the carried state.

A cell of CELLS takes x (M, K), its state (M, states * H) with the hidden state h first, and its
weights in the order of `spec.CellKind.weights`, and returns the new state. A one-hot input is
already a row of the input weights, which holds the products of all gates, K = gates * H.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

Cell = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]


def gru_reset_after(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """GRU cell, reset gate after the recurrent product (as torch.nn.GRUCell).

    x (M, K), h (M, H) -> h' (M, H); gates stacked as (reset, update, new).
    """
    r_x, z_x, n_x = F.linear(x, w_ih, b_ih).chunk(3, dim=1)
    r_h, z_h, n_h = F.linear(h, w_hh, b_hh).chunk(3, dim=1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


def gru_reset_before(wx: Tensor, h: Tensor, w_rz: Tensor, w_h: Tensor, b: Tensor) -> Tensor:
    """GRU cell, reset gate before the recurrent product (2016, equations 2 to 5).

    wx (M, 3H) holds the input products, gates stacked as (new, reset, update); h (M, H) -> h'.
    The update gate weighs the *new* state here, the old one in `gru_reset_after`.
    """
    n_x, r_x, z_x = (wx + b).chunk(3, dim=1)
    r_h, z_h = (h @ w_rz).chunk(2, dim=1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + (r * h) @ w_h)
    return (1 - z) * h + z * n


CELLS: dict[str, Cell] = {
    "gru-reset-after": lambda x, h, weights: gru_reset_after(x, h, *weights),
    "gru-reset-before": lambda x, h, weights: gru_reset_before(x, h, *weights),
}
"""By the names of `spec.CELLS`."""
