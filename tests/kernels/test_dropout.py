"""The dropout factors of the kernels are those of the C++ engine, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from gru4rec_fast import _core
from gru4rec_fast.kernels.dropout import dropout_constants, dropout_factor
from gru4rec_fast.spec import DropoutSite


@triton.jit
def _mask_kernel(
    out_ptr, step_ptr, seed, rows,
    COLUMNS: tl.constexpr,
    SITE_X: tl.constexpr, THRESHOLD_X: tl.constexpr, SCALE_X: tl.constexpr,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.arange(0, BLOCK)
    for first in range(0, COLUMNS, WIDTH):
        column = first + tl.arange(0, WIDTH)
        factor = dropout_factor(
            seed, tl.load(step_ptr), row, first, COLUMNS, SITE_X, THRESHOLD_X, SCALE_X,
            BLOCK, WIDTH,
        )  # fmt: skip
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
    constants = dropout_constants(DropoutSite(site, p), "X")
    _mask_kernel[(1,)](
        out, torch.tensor(step, device=device), seed, rows,
        COLUMNS=columns, BLOCK=16, WIDTH=16, **constants,
    )  # fmt: skip
    expected = _core.dropout_mask(seed, step, site, rows, columns, p)
    np.testing.assert_array_equal(out.cpu().numpy(), expected)
