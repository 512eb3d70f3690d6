"""The recurrent cells: one step of M lanes from the input's products and the carried state.

Every cell takes wx (M, gates * H), the products of the input with the gates' weights, dense
(W x + b) or the row of a one-hot input's table, and the carried state (M, states * H), whose first
H columns are the hidden state h. It returns the new state. `linear` multiplies, in the precision of
a training step. Papers: "2016" is arXiv:1511.06939.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from gru4rec_fast.activation import Activation
from gru4rec_fast.reference.activations import activate
from gru4rec_fast.reference.products import Linear

TANH = Activation("tanh")


def gru_reset_after(
    wx: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor, linear: Linear = F.linear
) -> Tensor:
    """GRU cell, reset gate after the recurrent product (as torch.nn.GRUCell).

    wx (M, 3H) = W x + b, h (M, H), w_hh (3H, H), b_hh (3H,) -> h' (M, H); gates stacked as (reset,
    update, new).
    """
    r_x, z_x, n_x = wx.chunk(3, dim=1)
    r_h, z_h, n_h = linear(h, w_hh, b_hh).chunk(3, dim=1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


def gru_reset_before(
    wx: Tensor,
    h: Tensor,
    w_rz: Tensor,
    w_h: Tensor,
    b: Tensor,
    act: Activation = TANH,
    linear: Linear = F.linear,
) -> Tensor:
    """GRU cell, reset gate before the recurrent product (2016, equations 2 to 5).

    wx (M, 3H) holds the input products, gates stacked as (new, reset, update); h (M, H) -> h'.
    The update gate weighs the *new* state here, the old one in `gru_reset_after`.
    """
    n_x, r_x, z_x = (wx + b).chunk(3, dim=1)
    r_h, z_h = linear(h, w_rz.T, None).chunk(2, dim=1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = activate(n_x + linear(r * h, w_h.T, None), act)
    return (1 - z) * h + z * n


def lstm(
    wx: Tensor, state: Tensor, w_hh: Tensor, b_hh: Tensor, linear: Linear = F.linear
) -> Tensor:
    """LSTM cell (as torch.nn.LSTMCell); gates stacked as (input, forget, cell, output).

    wx (M, 4H) = W x + b, state (M, 2H) = [h, c] -> [h', c'].
    """
    h, c = state.chunk(2, dim=1)
    i, f, g, o = (wx + linear(h, w_hh, b_hh)).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.cat([torch.sigmoid(o) * torch.tanh(c), c], dim=1)


def rnn(
    wx: Tensor,
    h: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    act: Activation = TANH,
    linear: Linear = F.linear,
) -> Tensor:
    """Plain recurrent cell: h' = act(W x + b + U h + c); wx (M, H), h (M, H) -> h'."""
    return activate(wx + linear(h, w_hh, b_hh), act)


Cell = Callable[[Tensor, Tensor, Mapping[str, Tensor], Activation, Linear], Tensor]

CELLS: dict[str, Cell] = {
    "gru-reset-after": lambda wx, h, w, _, linear: gru_reset_after(
        wx, h, w["weight_hh"], w["bias_hh"], linear
    ),
    "gru-reset-before": lambda wx, h, w, act, linear: gru_reset_before(
        wx, h, w["Wrz0"], w["Wh0"], w["Bh0"], act, linear
    ),
    "lstm": lambda wx, state, w, _, linear: lstm(wx, state, w["weight_hh"], w["bias_hh"], linear),
    "rnn": lambda wx, h, w, act, linear: rnn(wx, h, w["weight_hh"], w["bias_hh"], act, linear),
}
"""By the names of `spec.CELLS`: of wx, the state, the weights by name, the hidden activation, and
what multiplies."""
