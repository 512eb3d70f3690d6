"""Scores of a tile of items for a tile of rows, for kernels that go through the whole catalogue.

    s = features W^T + b

Numerics: every tile sums in the same order, so equal rows of W have equal scores.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def score_tile(
    features_ptr, w_ptr, b_ptr, row, in_row, item, in_item,
    H: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Scores (BLOCK_R, BLOCK_V) of the items for the rows; both are masked."""
    b = tl.load(b_ptr + item, mask=in_item, other=0.0)
    s = tl.zeros((BLOCK_R, BLOCK_V), dtype=tl.float32) + b[None, :]
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        mask = in_row[:, None] & (k < H)[None, :]
        features = tl.load(features_ptr + row[:, None] * H + k[None, :], mask=mask, other=0.0)
        mask = in_item[:, None] & (k < H)[None, :]
        w = tl.load(w_ptr + item[:, None] * H + k[None, :], mask=mask, other=0.0)
        s = tl.dot(features, tl.trans(w), s, input_precision=PRECISION)
    return s
