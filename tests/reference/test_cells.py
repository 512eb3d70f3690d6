"""The cells: against torch's own and the paper's equations, and gradcheck."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from gru4rec_fast import reference
from gru4rec_fast.activation import Activation
from tests.tensors import EXACT, random


def test_gru_reset_after_is_torchs_cell() -> None:
    cell = nn.GRUCell(5, 7).double()
    x, h = random(3, 5), random(3, 7, seed=1)
    wx = F.linear(x, cell.weight_ih, cell.bias_ih)
    ours = reference.gru_reset_after(wx, h, cell.weight_hh, cell.bias_hh)
    torch.testing.assert_close(ours, cell(x, h), **EXACT)


def test_lstm_is_torchs_cell() -> None:
    cell = nn.LSTMCell(5, 7).double()
    x, h, c = random(3, 5), random(3, 7, seed=1), random(3, 7, seed=2)
    wx = F.linear(x, cell.weight_ih, cell.bias_ih)
    ours = reference.lstm(wx, torch.cat([h, c], dim=1), cell.weight_hh, cell.bias_hh)
    torch.testing.assert_close(ours, torch.cat(cell(x, (h, c)), dim=1), **EXACT)


@pytest.mark.parametrize("act", ["tanh", "relu"])
def test_rnn_is_torchs_cell(act: str) -> None:
    cell = nn.RNNCell(5, 7, nonlinearity=act).double()
    x, h = random(3, 5), random(3, 7, seed=1)
    wx = F.linear(x, cell.weight_ih, cell.bias_ih)
    ours = reference.rnn(wx, h, cell.weight_hh, cell.bias_hh, Activation.parse(act))
    torch.testing.assert_close(ours, cell(x, h), **EXACT)


@pytest.mark.parametrize("act", ["tanh", "leaky-0.2"])
def test_gru_reset_before_follows_the_papers_equations(act: str) -> None:
    units = 4
    wx, h, b = random(3, 3 * units), random(3, units, seed=1), random(3 * units, seed=2)
    w_rz, w_h = random(units, 2 * units, seed=3), random(units, units, seed=4)
    ours = reference.gru_reset_before(wx, h, w_rz, w_h, b, Activation.parse(act))

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    for lane in range(3):
        rz = [[float(h[lane] @ w_rz[:, gate * units + j]) for j in range(units)] for gate in (0, 1)]
        r = [sigma(float(wx[lane, units + j] + b[units + j]) + rz[0][j]) for j in range(units)]
        z = [
            sigma(float(wx[lane, 2 * units + j] + b[2 * units + j]) + rz[1][j])
            for j in range(units)
        ]
        for j in range(units):
            recurrent = sum(r[i] * float(h[lane, i]) * float(w_h[i, j]) for i in range(units))
            total = float(wx[lane, j] + b[j]) + recurrent
            n = math.tanh(total) if act == "tanh" else total if total >= 0 else 0.2 * total
            expected = (1 - z[j]) * float(h[lane, j]) + z[j] * n
            assert float(ours[lane, j]) == pytest.approx(expected, rel=1e-12)


def test_cells_have_the_gradients_of_their_values() -> None:
    """float64 gradients against finite differences."""

    def leaves(*shapes: tuple[int, ...]) -> list[Tensor]:
        return [random(*s, seed=i).requires_grad_() for i, s in enumerate(shapes)]

    H = 3
    check = torch.autograd.gradcheck
    assert check(reference.gru_reset_after, leaves((2, 3 * H), (2, H), (3 * H, H), (3 * H,)))
    assert check(reference.gru_reset_before, leaves((2, 3 * H), (2, H), (H, 2 * H), (H, H), (9,)))
    assert check(reference.lstm, leaves((2, 4 * H), (2, 2 * H), (4 * H, H), (4 * H,)))
    assert check(reference.rnn, leaves((2, H), (2, H), (H, H), (H,)))
