"""The differentiable GRU step against torch's cell in float64, and the dropout stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from gru4rec_fast import _core
from gru4rec_fast.kernels.dropout import Dropout, dropout_factor
from gru4rec_fast.kernels.functional import gru_step


@pytest.mark.parametrize(
    ("lanes", "inputs", "units"), [(1, 1, 1), (5, 20, 20), (7, 13, 33), (70, 48, 17)]
)
def test_step_and_every_gradient(lanes: int, inputs: int, units: int, device: torch.device) -> None:
    torch.manual_seed(0)
    cell = torch.nn.GRUCell(inputs, units).double()
    x = torch.randn(lanes, inputs, dtype=torch.float64, requires_grad=True)
    h = torch.randn(lanes, units, dtype=torch.float64, requires_grad=True)
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
    truth = [x, h, *weights]
    expected = cell(x, h)
    d = torch.randn_like(expected)
    gradients = torch.autograd.grad(expected, truth, d)

    ours = [t.detach().float().to(device).requires_grad_() for t in truth]
    new = gru_step(*ours, precision="ieee")
    torch.testing.assert_close(new.cpu().double(), expected, rtol=0, atol=1e-6)
    computed = torch.autograd.grad(new, ours, d.float().to(device))
    for got, want in zip(computed, gradients, strict=True):
        torch.testing.assert_close(got.cpu().double(), want, rtol=1e-5, atol=2e-5)


def test_a_tensor_of_another_shape_is_named(device: torch.device) -> None:
    w = torch.zeros(9, 4, device=device)
    b = torch.zeros(9, device=device)
    x, h = torch.zeros(2, 4, device=device), torch.zeros(2, 3, device=device)
    with pytest.raises(ValueError, match=r"w_hh is \(9, 4\) .* expected a contiguous \(9, 3\)"):
        gru_step(x, h, w, w, b, b)


@triton.jit
def _mask_kernel(
    out_ptr, step_ptr, seed, rows,
    COLUMNS: tl.constexpr, SITE: tl.constexpr, THRESHOLD: tl.constexpr, SCALE: tl.constexpr,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.arange(0, BLOCK)
    for first in range(0, COLUMNS, WIDTH):
        column = first + tl.arange(0, WIDTH)
        factor = dropout_factor(
            seed, tl.load(step_ptr), row, first, COLUMNS, SITE, THRESHOLD, SCALE, BLOCK, WIDTH
        )
        mask = (row < rows)[:, None] & (column < COLUMNS)[None, :]
        tl.store(out_ptr + row[:, None] * COLUMNS + column[None, :], factor, mask=mask)


@pytest.mark.parametrize("columns", [1, 7, 20, 32, 102])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("seed", "step"), [(42, 0), (2**62 + 11, 2**40 + 5)])
def test_masks_are_those_of_the_cpp_engine(
    columns: int, p: float, seed: int, step: int, device: torch.device
) -> None:
    rows, site = 9, 2
    out = torch.full((rows, columns), torch.nan, device=device)
    drop = Dropout(site, p)
    _mask_kernel[(1,)](
        out, torch.tensor(step, device=device), seed, rows,
        COLUMNS=columns, SITE=site, THRESHOLD=drop.threshold, SCALE=drop.scale, BLOCK=16, WIDTH=16,
    )  # fmt: skip
    expected = _core.dropout_mask(seed, step, site, rows, columns, p)
    np.testing.assert_array_equal(out.cpu().numpy(), expected)
