"""How many items score above each row's target, and how many equal it, without the scores.

    s = features W^T + b          greater = sum(s > s_target),  equal = sum(s == s_target)

`reference.rank_counts`. Shapes: features (R, H), W (V, H), b (V, 1), targets (R,) -> two (R,).
Product, bias, comparison and count are fused, so no score is written to memory. A program owns a
tile of rows and a share of the catalogue; the counts of the shares are summed afterwards.

Numerics: products in 'ieee' by default, because rounding could change a rank. The target's own
score is computed once and used in the target's column too, so a target always equals itself. All
products sum in the same order, so equal rows have equal scores.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import check, width_block
from gru4rec_fast.kernels.score_tile import score_tile

BLOCK_R, BLOCK_V = 64, 64
SHARES = 256
"""Most programs that share the catalogue."""


@triton.jit
def rank_counts_kernel(
    features_ptr, w_ptr, b_ptr, targets_ptr, greater_ptr, equal_ptr, n_rows, n_items, share,
    H: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program counts a share of the catalogue for a tile of rows."""
    # tile: BLOCK_R rows, `share` items from `first` on
    row = (tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)).to(tl.int64)
    in_row = row < n_rows
    first = tl.program_id(1).to(tl.int64) * share
    last = tl.minimum(first + share, n_items)

    # load: the targets' own scores are the diagonal of the tile whose items are the targets
    target = tl.load(targets_ptr + row, mask=in_row, other=0)
    s = score_tile(
        features_ptr, w_ptr, b_ptr, row, in_row, target, in_row,
        H, PRECISION, BLOCK_R, BLOCK_R, BLOCK_K,
    )  # fmt: skip
    diagonal = tl.arange(0, BLOCK_R)[:, None] == tl.arange(0, BLOCK_R)[None, :]
    own = tl.sum(tl.where(diagonal, s, 0.0), axis=1)[:, None]

    # maths
    greater = tl.zeros((BLOCK_R,), dtype=tl.int32)
    equal = tl.zeros((BLOCK_R,), dtype=tl.int32)
    for item0 in range(first, last, BLOCK_V):
        item = item0 + tl.arange(0, BLOCK_V)
        in_item = item < last
        s = score_tile(
            features_ptr, w_ptr, b_ptr, row, in_row, item, in_item,
            H, PRECISION, BLOCK_R, BLOCK_V, BLOCK_K,
        )  # fmt: skip
        is_target = item[None, :] == target[:, None]
        above = in_item[None, :] & (s > own) & (is_target == 0)
        level = in_item[None, :] & ((s == own) | is_target)
        greater += tl.sum(above.to(tl.int32), axis=1)
        equal += tl.sum(level.to(tl.int32), axis=1)

    # store
    at = tl.program_id(1).to(tl.int64) * n_rows + row
    tl.store(greater_ptr + at, greater, mask=in_row)
    tl.store(equal_ptr + at, equal, mask=in_row)


def rank_counts(
    features: Tensor, w: Tensor, b: Tensor, targets: Tensor, precision: str = "ieee"
) -> tuple[Tensor, Tensor]:
    """Items that score above each row's target, and that equal it, itself included.

    Args:
        features: (R, H) float32.
        w: (V, H) float32.
        b: (V, 1) float32.
        targets: (R,) int64, each in 0..V-1 (not checked: that would wait for the device).
        precision: of the product, 'ieee' or 'tf32'.

    Returns:
        Two int64 tensors (R,).

    Raises:
        ValueError: a tensor of another dtype, shape, layout or device than stated.
    """
    (n_rows, width), n_items = features.shape, len(w)
    check("features", features, (n_rows, width), torch.float32, features.device)
    check("w", w, (n_items, width), torch.float32, features.device)
    check("b", b, (n_items, 1), torch.float32, features.device)
    check("targets", targets, (n_rows,), torch.int64, features.device)
    if n_rows == 0:
        return torch.zeros_like(targets), torch.zeros_like(targets)
    share = triton.cdiv(triton.cdiv(n_items, SHARES), BLOCK_V) * BLOCK_V
    shares = triton.cdiv(n_items, share)
    counts = torch.empty((2, shares, n_rows), dtype=torch.int32, device=features.device)
    with torch.cuda.device_of(features):
        rank_counts_kernel[(triton.cdiv(n_rows, BLOCK_R), shares)](
            features, w, b, targets, counts[0], counts[1], n_rows, n_items, share,
            H=width, PRECISION=precision, BLOCK_R=BLOCK_R, BLOCK_V=BLOCK_V,
            BLOCK_K=width_block(width, 32), num_warps=8, num_stages=2,
        )  # fmt: skip
    greater, equal = counts.sum(dim=1, dtype=torch.int64)
    return greater, equal
