"""The cells: against torch's own and the paper's equations, and gradcheck."""

from __future__ import annotations

import math

import pytest
import torch

from gru4rec_fast import reference
from tests.tensors import EXACT, random


def test_gru_reset_after_is_torchs_cell() -> None:
    cell = torch.nn.GRUCell(5, 7).double()
    x, h = random(3, 5), random(3, 7, seed=1)
    ours = reference.gru_reset_after(
        x, h, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    )
    torch.testing.assert_close(ours, cell(x, h), **EXACT)


def test_gru_reset_before_follows_the_papers_equations() -> None:
    units = 4
    wx, h, b = random(3, 3 * units), random(3, units, seed=1), random(3 * units, seed=2)
    w_rz, w_h = random(units, 2 * units, seed=3), random(units, units, seed=4)
    ours = reference.gru_reset_before(wx, h, w_rz, w_h, b)

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
            n = math.tanh(float(wx[lane, j] + b[j]) + recurrent)
            expected = (1 - z[j]) * float(h[lane, j]) + z[j] * n
            assert float(ours[lane, j]) == pytest.approx(expected, rel=1e-12)


def test_cells_have_the_gradients_of_their_values() -> None:
    """float64 gradients against finite differences."""
    units, width = 3, 2
    after = [
        t.requires_grad_()
        for t in (
            random(2, width),
            random(2, units, seed=1),
            random(3 * units, width, seed=2),
            random(3 * units, units, seed=3),
            random(3 * units, seed=4),
            random(3 * units, seed=5),
        )
    ]
    before = [
        t.requires_grad_()
        for t in (
            random(2, 3 * units),
            random(2, units, seed=1),
            random(units, 2 * units, seed=2),
            random(units, units, seed=3),
            random(3 * units, seed=4),
        )
    ]
    assert torch.autograd.gradcheck(reference.gru_reset_after, after)
    assert torch.autograd.gradcheck(reference.gru_reset_before, before)
