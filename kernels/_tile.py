"""What the kernels share: the block of a width, tanh, tuples, the checks of arguments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import triton
import triton.language as tl

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LONG_FROM = 2**31
"""Elements of a table from which on offsets need 64 bits."""
LOWEST = tl.constexpr(-1e30)
"""Minus infinity in a running maximum, but finite, so that LOWEST - LOWEST is no NaN."""


def width_block(width: int, most: int) -> int:
    """The largest of 64, 32, 16 up to `most` that pads a width no further than to a multiple of 16.

    100 -> 16 (112 columns of work), 224 and 480 -> 32, 512 -> 64.
    """
    padded = -(-width // 16) * 16
    return next(block for block in (64, 32, 16) if block <= most and padded % block == 0)


def depth_block(width: int, most: int) -> int:
    """How much of a summed dimension is read at a time: 16, 32 or 64, up to `most`.

    Few long slices wait for the memory less often than many short ones, which is worth the columns
    of zeros: 100 -> 64 (128 columns of work), where `most` allows it.
    """
    return min(most, max(16, triton.next_power_of_2(width)))


def long_offsets(table: Tensor) -> bool:
    """Whether elements of a table of items need 64 bits; 32 cost fewer registers."""
    return table.numel() >= LONG_FROM


@triton.jit
def row_offset(item, LONG: tl.constexpr):
    """The items' numbers in the width in which offsets in their table are computed."""
    if LONG:
        return item.to(tl.int64)
    else:  # noqa: RET505 - Triton compiles one of the two branches
        return item


@triton.jit
def tanh(x):
    """Tanh without libdevice, which the interpreter lacks; off by at most about 1e-7."""
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def appended(values, value):
    """The tuple `values` with one more value: a kernel cannot unpack a tuple in a tuple."""
    return values + (value,)  # noqa: RUF005


def check(
    name: str, x: Tensor, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    """Raise ValueError unless x is a contiguous tensor of this shape and dtype on this device."""
    if x.shape != shape or x.dtype != dtype or x.device != device or not x.is_contiguous():
        raise ValueError(
            f"{name} is {tuple(x.shape)} {x.dtype} on {x.device}"
            f"{'' if x.is_contiguous() else ', not contiguous'}; expected a contiguous "
            f"{shape} {dtype} on {device}"
        )


def check_offsets(name: str, *shape: int) -> None:
    """Raise ValueError unless offsets within a tensor of this shape fit in 32 bits.

    Kernels compute offsets in buffers of lanes and rows in 32 bits.
    """
    if math.prod(shape) >= 2**31:
        raise ValueError(
            f"{name} would be {shape}, {math.prod(shape):,} elements; expected less than 2^31: use "
            "fewer lanes or negatives"
        )
