"""Adagrad with momentum on the touched rows of an item table, in one pass.

    a[i] += g^2;   m[i] = mu m[i] - eta g / sqrt(a[i] + eps);   theta[i] += m[i]        i = rows[u]

`reference.sparse_adagrad` writes the same expression with six temporaries of U x H. The gradients
of a row that occurs several times are summed first, then squared, and no row is updated by two
programs, so there are no atomics. Three ways lead here:

`sparse_adagrad`    rows (U,) unique, g (U, H) already summed; theta, a, m (V, H).
`update_lane_rows`  the input rows of a planned step, within `cell_update`. The gradients d (B, K)
    come by lane; of the lanes that read a row one owns it, sums over all of them (a product with a
    0/1 matrix, exact in float32), and adds what the row got as a scored one, kept (B, K) by owner.
`adagrad_update`    the elements that another kernel has a gradient of in its registers.

Numerics: float32 throughout: the accumulator grows without bound and feeds a square root, which
half precision does not bear. Offsets are 64-bit, as V * H passes 2^31 at ten million items.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import check
from gru4rec_fast.kernels.step_plan import (
    INPUT_LANE,
    INPUT_ROW,
    ITEM,
    LIVE,
    SCORED,
    lane_field,
    row_field,
)
from gru4rec_fast.reference import ADAGRAD_EPSILON

EPSILON = tl.constexpr(ADAGRAD_EPSILON)


@dataclass(frozen=True)
class Learned:
    """A parameter with its accumulator and, with momentum, its momentum; all of one shape."""

    theta: Tensor
    a: Tensor
    m: Tensor | None = None

    def pointers(self) -> tuple[Tensor, Tensor, Tensor]:
        """The kernels' arguments, in their order."""
        # without momentum the third is never read
        return self.theta, self.a, self.theta if self.m is None else self.m

    def part(self, elements: slice) -> Learned:
        """The parameter's `elements`, sharing its storage."""
        m = None if self.m is None else self.m[elements]
        return Learned(self.theta[elements], self.a[elements], m)


@triton.jit
def adagrad_update(
    theta_ptr, a_ptr, m_ptr, at, theta, g, mask, learning_rate, momentum, HAS_MOMENTUM: tl.constexpr
):
    """Update the elements `at` of a parameter, whose values `theta` the caller has read already."""
    a = tl.load(a_ptr + at, mask=mask, other=0.0) + g * g
    update = -learning_rate * g / tl.sqrt(a + EPSILON)
    if HAS_MOMENTUM:
        update += momentum * tl.load(m_ptr + at, mask=mask, other=0.0)
        tl.store(m_ptr + at, update, mask=mask)
    tl.store(a_ptr + at, a, mask=mask)
    tl.store(theta_ptr + at, theta + update, mask=mask)


@triton.jit
def sparse_adagrad_kernel(
    theta_ptr, a_ptr, m_ptr, rows_ptr, g_ptr, n_rows, learning_rate, momentum,
    H: tl.constexpr, HAS_MOMENTUM: tl.constexpr, BLOCK_U: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """A program updates BLOCK_U rows."""
    # tile: BLOCK_U gradients, and of their rows the whole width
    u = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    column = tl.arange(0, BLOCK_H)
    mask = (u < n_rows)[:, None] & (column < H)[None, :]

    # load
    row = tl.load(rows_ptr + u, mask=u < n_rows, other=0).to(tl.int64)
    at = row[:, None] * H + column[None, :]
    g = tl.load(g_ptr + u.to(tl.int64)[:, None] * H + column[None, :], mask=mask, other=0.0)
    theta = tl.load(theta_ptr + at, mask=mask, other=0.0)

    # maths and store
    adagrad_update(
        theta_ptr, a_ptr, m_ptr, at, theta, g, mask, learning_rate, momentum, HAS_MOMENTUM
    )


@triton.jit
def update_lane_rows(
    tile, record, theta_ptr, a_ptr, m_ptr, d_ptr, kept_ptr, learning_rate, momentum,
    B: tl.constexpr, U: tl.constexpr, K: tl.constexpr,
    SHARED: tl.constexpr, HAS_MOMENTUM: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Update the rows that a tile of lanes owns, in a tile of columns."""
    # tile: BLOCK_B lanes, of which the owners of their row count, BLOCK_K columns
    tiles_k: tl.constexpr = (K + BLOCK_K - 1) // BLOCK_K
    live = tl.load(record + LIVE)
    lane = tile // tiles_k * BLOCK_B + tl.arange(0, BLOCK_B)
    column = tile % tiles_k * BLOCK_K + tl.arange(0, BLOCK_K)
    rows_ptr = lane_field(record, INPUT_ROW, B)
    row = tl.load(rows_ptr + lane, mask=lane < live, other=-1)
    owner = tl.load(row_field(record, INPUT_LANE, B, U) + row, mask=row >= 0, other=-1)
    mask = (owner == lane)[:, None] & (column < K)[None, :]

    # load: the gradient of each row, summed over the lanes that read it
    g = tl.zeros((BLOCK_B, BLOCK_K), dtype=tl.float32)
    for first in range(0, live, BLOCK_B):
        other = first + tl.arange(0, BLOCK_B)
        other_row = tl.load(rows_ptr + other, mask=other < live, other=-2)
        same = (row[:, None] == other_row[None, :]).to(tl.float32)
        inside = (other < live)[:, None] & (column < K)[None, :]
        d = tl.load(d_ptr + other[:, None] * K + column[None, :], mask=inside, other=0.0)
        g = tl.dot(same, d, g, input_precision="ieee")
    if SHARED:
        scored = mask & (row < tl.load(record + SCORED))[:, None]
        g += tl.load(kept_ptr + lane[:, None] * K + column[None, :], mask=scored, other=0.0)
    item = tl.load(lane_field(record, ITEM, B) + lane, mask=lane < live, other=0).to(tl.int64)
    at = item[:, None] * K + column[None, :]
    theta = tl.load(theta_ptr + at, mask=mask, other=0.0)

    # maths and store
    adagrad_update(
        theta_ptr, a_ptr, m_ptr, at, theta, g, mask, learning_rate, momentum, HAS_MOMENTUM
    )


def sparse_adagrad(
    theta: Tensor,
    a: Tensor,
    m: Tensor | None,
    rows: Tensor,
    g: Tensor,
    learning_rate: float,
    momentum: float,
) -> None:
    """Update the given rows of a table in place; see the module's docstring for the shapes.

    Args:
        theta: parameter (V, H), float32, contiguous.
        a: accumulator, like theta.
        m: momentum, like theta, or None for plain Adagrad.
        rows: (U,) int64, unique, each in 0..V-1 (not checked: that would wait for the device).
        g: (U, H) float32 gradients of these rows.
        learning_rate: eta.
        momentum: mu; no part is played by it where m is None.

    Raises:
        ValueError: a tensor of another dtype, shape, layout or device than stated.
    """
    n_rows, width = len(rows), theta.shape[1]
    check("rows", rows, (n_rows,), torch.int64, theta.device)
    check("g", g, (n_rows, width), torch.float32, theta.device)
    for name, table in (("theta", theta), ("a", a), ("m", m)):
        if table is not None:
            check(name, table, tuple(theta.shape), torch.float32, theta.device)
    if n_rows == 0:
        return
    block_h = triton.next_power_of_2(width)
    block_u = max(1, 2048 // block_h)
    with torch.cuda.device_of(theta):
        sparse_adagrad_kernel[(triton.cdiv(n_rows, block_u),)](
            theta, a, theta if m is None else m,  # never read without momentum
            rows, g, n_rows, learning_rate, momentum,
            H=width, HAS_MOMENTUM=m is not None, BLOCK_U=block_u, BLOCK_H=block_h,
        )  # fmt: skip
