"""Stochastic rounding of item rows to bfloat16, and Philox 4x32-10, from which it draws.

A number between two numbers of bfloat16 becomes one of them, each with the probability of its
nearness (Gupta, Agrawal, Gopalakrishnan and Narayanan 2015): the mean of a rounded number is the
number itself, so that updates smaller than the distance of the two have their effect on average.
Every bit is defined, by the seed, the step, the table, the row and the column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

STREAM = 0x80000000
"""Word 3 of the counter, plus 2^30 for the input's own table, plus the block's high bits."""
OF_BLOCK = 8
"""Random halves of 16 bits in a Philox block."""
_LOW = 0xFFFFFFFF


def philox4x32(key: int, counter: Sequence[Tensor]) -> list[Tensor]:
    """The four words of each block, int64 of 0..2^32-1, for a 64-bit key.

    counter: four int64 tensors of one shape, or that broadcast, each 0..2^32-1. Salmon, Moraes,
    Dror and Shaw, SC 2011.
    """
    x0, x1, x2, x3 = counter
    key0, key1 = key & _LOW, key >> 32
    for _ in range(10):
        # Products wrap modulo 2^64, which are just the bits wanted.
        product0, product1 = x0 * 0xD2511F53, x2 * 0xCD9E8D57
        x0 = (product1 >> 32 & _LOW) ^ x1 ^ key0
        x1 = product1 & _LOW
        x2 = (product0 >> 32 & _LOW) ^ x3 ^ key1
        x3 = product0 & _LOW
        key0, key1 = key0 + 0x9E3779B9 & _LOW, key1 + 0xBB67AE85 & _LOW
    return [x0, x1, x2, x3]


def rounded_rows(values: Tensor, rows: Tensor, seed: int, step: int, table: int) -> Tensor:
    """Values (U, K) float32 of the `rows` (U,) int64 of a table, rounded to bfloat16.

    Infinity and NaN stay. The largest numbers can become infinite.

    Args:
        values: float32.
        rows: item indices.
        seed: `Config.seed`.
        step: number of the step through all epochs.
        table: 0 for Wy, 1 for another table of the input.
    """
    columns = values.shape[1]
    n_blocks = -(-columns // OF_BLOCK)
    block = rows[:, None] * n_blocks + torch.arange(n_blocks, device=rows.device)
    none = torch.zeros_like(block)
    word3 = STREAM + (table << 30) + (block >> 32)
    words = philox4x32(seed, [block & _LOW, none + (step & _LOW), none + (step >> 32), word3])
    halves = [half for word in words for half in (word & 0xFFFF, word >> 16)]
    random = torch.stack(halves, dim=2).flatten(1)[:, :columns].int()
    bits = values.contiguous().view(torch.int32)
    added = torch.where(torch.isfinite(values), random, torch.zeros_like(random))
    quiet = torch.where(torch.isnan(values), bits | 0x400000, bits)
    return ((quiet + added) >> 16).to(torch.int16).view(torch.bfloat16)
