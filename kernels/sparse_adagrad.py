"""Adagrad with momentum on the touched rows of an item table, in one pass.

    a[i] += g^2;   m[i] = mu m[i] - eta g / sqrt(a[i] + eps);   theta[i] += m[i]        i = rows[u]

`reference.sparse_adagrad` writes the same expression with six temporaries of U x H. Shapes: theta,
a, m (V, H); rows (U,) unique, int64; g (U, H), the gradients already summed over a row's
occurrences, so programs never write the same row and need no atomics. Everything is float32: the
accumulator grows without bound and feeds a square root, which half precision does not bear.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.reference import ADAGRAD_EPSILON


@triton.jit  # type: ignore[untyped-decorator]
def sparse_adagrad_kernel(  # type: ignore[no-untyped-def]
    theta_ptr,
    a_ptr,
    m_ptr,
    rows_ptr,
    g_ptr,
    n_rows,
    learning_rate,
    momentum,
    H: tl.constexpr,
    EPSILON: tl.constexpr,
    HAS_MOMENTUM: tl.constexpr,
    BLOCK_U: tl.constexpr,
    BLOCK_H: tl.constexpr,
) -> None:
    """A program updates BLOCK_U rows; `m_ptr` is not read without momentum."""
    # tile: BLOCK_U gradients, and of their rows the whole width
    u = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    column = tl.arange(0, BLOCK_H)
    mask = (u < n_rows)[:, None] & (column < H)[None, :]

    # load; 64-bit offsets, as V * H passes 2^31 at ten million items
    row = tl.load(rows_ptr + u, mask=u < n_rows, other=0).to(tl.int64)
    at = row[:, None] * H + column[None, :]
    g = tl.load(g_ptr + u.to(tl.int64)[:, None] * H + column[None, :], mask=mask, other=0.0)
    theta = tl.load(theta_ptr + at, mask=mask, other=0.0)
    a = tl.load(a_ptr + at, mask=mask, other=0.0)

    # maths
    a += g * g
    update = -learning_rate * g / tl.sqrt(a + EPSILON)
    if HAS_MOMENTUM:
        update += momentum * tl.load(m_ptr + at, mask=mask, other=0.0)
        tl.store(m_ptr + at, update, mask=mask)
    theta += update

    # store
    tl.store(a_ptr + at, a, mask=mask)
    tl.store(theta_ptr + at, theta, mask=mask)


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
    _check("rows", rows, (n_rows,), torch.int64, theta.device)
    _check("g", g, (n_rows, width), torch.float32, theta.device)
    for name, table in (("theta", theta), ("a", a), ("m", m)):
        if table is not None:
            _check(name, table, tuple(theta.shape), torch.float32, theta.device)
    if n_rows == 0:
        return
    block_h = triton.next_power_of_2(width)
    block_u = max(1, 2048 // block_h)
    sparse_adagrad_kernel[(triton.cdiv(n_rows, block_u),)](
        theta,
        a,
        theta if m is None else m,  # never read without momentum
        rows,
        g,
        n_rows,
        learning_rate,
        momentum,
        H=width,
        EPSILON=ADAGRAD_EPSILON,
        HAS_MOMENTUM=m is not None,
        BLOCK_U=block_u,
        BLOCK_H=block_h,
    )


def _check(
    name: str, x: Tensor, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    if x.shape != shape or x.dtype != dtype or x.device != device or not x.is_contiguous():
        raise ValueError(
            f"{name} is {tuple(x.shape)} {x.dtype} on {x.device}"
            f"{'' if x.is_contiguous() else ', not contiguous'}; expected a contiguous "
            f"{shape} {dtype} on {device}"
        )
