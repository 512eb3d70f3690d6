"""The optimiser's update of some rows of a table, as one kernel.

    theta[i], state[i] <- update(theta[i], state[i], g[u])           i = rows[u]

`reference.sparse_adagrad` writes the same expression with temporaries of the gradient's shape. A
training step does not use this kernel: there `row_gradients` and `cell_update` apply each gradient
where they compute it. It serves the update of rows on its own.

Numerics: float32. Offsets are 64-bit, as V * H passes 2^31 at ten million items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import check

if TYPE_CHECKING:
    from gru4rec_fast.kernels.optimisers import Update
    from gru4rec_fast.kernels.parameter import Parameter


@triton.jit
def update_rows_kernel(
    parameter, rows_ptr, g_ptr, n_rows, update_options,
    H: tl.constexpr, UPDATE: tl.constexpr, BLOCK_U: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """A program updates BLOCK_U rows."""
    # tile: BLOCK_U gradients, and the whole width of their rows
    u = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    column = tl.arange(0, BLOCK_H)
    mask = (u < n_rows)[:, None] & (column < H)[None, :]

    # load
    row = tl.load(rows_ptr + u, mask=u < n_rows, other=0).to(tl.int64)
    at = row[:, None] * H + column[None, :]
    g = tl.load(g_ptr + u.to(tl.int64)[:, None] * H + column[None, :], mask=mask, other=0.0)
    theta = tl.load(parameter.theta + at, mask=mask, other=0.0)

    # maths and store
    UPDATE(parameter, at, theta, g, mask, update_options)


def update_rows(table: Parameter, rows: Tensor, g: Tensor, update: Update) -> None:
    """Update the given rows of a table (V, H) and of its state in place.

    Args:
        table: values and state tables, each (V, H), float32, contiguous.
        rows: (U,) int64, unique, each in 0..V-1 (not checked: that would wait for the device).
        g: (U, H) float32, the gradients of these rows, each summed over the row's occurrences.
        update: the optimiser with its options.

    Raises:
        ValueError: a tensor has another dtype, shape, layout or device.
    """
    theta = table.theta
    n_rows, width = len(rows), theta.shape[1]
    check("rows", rows, (n_rows,), torch.int64, theta.device)
    check("g", g, (n_rows, width), torch.float32, theta.device)
    check("theta", theta, tuple(theta.shape), torch.float32, theta.device)
    for i, state in enumerate(table.state):
        check(f"state[{i}]", state, tuple(theta.shape), torch.float32, theta.device)
    if n_rows == 0:
        return
    block_h = triton.next_power_of_2(width)
    block_u = max(1, 2048 // block_h)
    with torch.cuda.device_of(theta):
        update_rows_kernel[(triton.cdiv(n_rows, block_u),)](
            table, rows, g, n_rows, update.options,
            H=width, UPDATE=update.function, BLOCK_U=block_u, BLOCK_H=block_h,
        )  # fmt: skip
