"""The k best items of each row, without the scores of all.

    s = features W^T + b         the k largest of each row, best first, of equal ones the lower item

`reference.top_k`. Shapes: features (R, H), W (V, H), b (V, 1) -> scores and items (R, k).
A program scores a tile of items for a tile of rows and keeps the tile's k best, found one by one.
A sort then takes the k best of the V / BLOCK_V * k candidates of each row. Only the candidates are
written to memory, a score and a column within the tile: at k = 20 a tenth of the bytes of the
scores. The sort needs some 20 bytes a candidate more, so rows are ranked in groups of at most
CANDIDATES: R = 512 at V = 10^7 takes about 2 GB.

Numerics: products in 'ieee' by default, as in `rank_counts`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import check, width_block
from gru4rec_fast.kernels.score_tile import score_tile

BLOCK_R, BLOCK_V = 16, 256
MOST = 100
"""Largest k: for more items, sorting all scores is faster than finding the best one by one."""
CANDIDATES = 2**26
"""Most candidates that are sorted at a time."""


@triton.jit
def top_k_kernel(
    features_ptr, w_ptr, b_ptr, best_ptr, columns_ptr, n_rows, n_items,
    H: tl.constexpr, N_BEST: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program finds the best of a tile of items for a tile of rows."""
    # tile: BLOCK_R rows, BLOCK_V items
    row_tiles = tl.cdiv(n_rows, BLOCK_R)
    row_tile, tile = tl.program_id(0) % row_tiles, tl.program_id(0) // row_tiles
    row = row_tile.to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_V)
    item = tile.to(tl.int64) * BLOCK_V + column
    in_row, in_item = row < n_rows, item < n_items

    # load and maths
    s = score_tile(
        features_ptr, w_ptr, b_ptr, row, in_row, item, in_item,
        H, PRECISION, BLOCK_R, BLOCK_V, BLOCK_K,
    )  # fmt: skip
    s = tl.where(in_item[None, :], s, float("-inf"))

    # store: the tile's best, one after the other; of equal scores argmax takes the lowest column
    at = (row * tl.cdiv(n_items, BLOCK_V) + tile) * N_BEST
    for place in range(N_BEST):
        best = tl.max(s, axis=1)
        where = tl.argmax(s, axis=1)
        tl.store(best_ptr + at + place, best, mask=in_row)
        tl.store(columns_ptr + at + place, where.to(tl.uint8), mask=in_row)
        s = tl.where(column[None, :] == where[:, None], float("-inf"), s)


def top_k(
    features: Tensor, w: Tensor, b: Tensor, k: int, precision: str = "ieee"
) -> tuple[Tensor, Tensor]:
    """Scores (R, k) float32 and items (R, k) int64 of the best items of each row, best first.

    Args:
        features: (R, H) float32.
        w: (V, H) float32.
        b: (V, 1) float32.
        k: 1..min(V, 100).
        precision: of the product, 'ieee' or 'tf32'.

    Raises:
        ValueError: k out of range; a tensor of another dtype, shape, layout or device than stated.
    """
    (n_rows, width), n_items = features.shape, len(w)
    check("features", features, (n_rows, width), torch.float32, features.device)
    check("w", w, (n_items, width), torch.float32, features.device)
    check("b", b, (n_items, 1), torch.float32, features.device)
    if not 1 <= k <= min(n_items, MOST):
        raise ValueError(
            f"k is {k}; expected 1 to {min(n_items, MOST)}, the items of the model "
            f"and at most {MOST}; the reference takes any"
        )
    if n_rows == 0:
        return features.new_empty((0, k)), features.new_empty((0, k), dtype=torch.int64)
    at_a_time = max(1, CANDIDATES // (triton.cdiv(n_items, BLOCK_V) * k))
    with torch.cuda.device_of(features):
        groups = [_top_k(group, w, b, k, precision) for group in features.split(at_a_time)]
    scores, items = zip(*groups, strict=True)
    return torch.cat(scores), torch.cat(items)


def _top_k(features: Tensor, w: Tensor, b: Tensor, k: int, precision: str) -> tuple[Tensor, Tensor]:
    (n_rows, width), n_items = features.shape, len(w)
    tiles = triton.cdiv(n_items, BLOCK_V)
    best = torch.empty((n_rows, tiles * k), device=features.device)
    columns = torch.empty((n_rows, tiles * k), dtype=torch.uint8, device=features.device)
    # One dimension: the others of a grid end at 65,535. Programs of the same items are neighbours.
    top_k_kernel[(triton.cdiv(n_rows, BLOCK_R) * tiles,)](
        features, w, b, best, columns, n_rows, n_items,
        H=width, N_BEST=k, PRECISION=precision, BLOCK_R=BLOCK_R, BLOCK_V=BLOCK_V,
        BLOCK_K=width_block(width, 32), num_warps=4, num_stages=2,
    )  # fmt: skip
    # Tiles are in the order of the items, so a stable sort puts the lower of equal items first.
    order = torch.sort(best, dim=1, descending=True, stable=True).indices[:, :k]
    return best.gather(1, order), order // k * BLOCK_V + columns.gather(1, order)
