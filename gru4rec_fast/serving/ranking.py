"""The best items of feature rows: all items or candidates, without those that were seen.

Letters: R rows, F features, C candidates, L seen items of a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from gru4rec_fast.checks import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    Best = tuple[NDArray[np.floating], NDArray[np.int64]]
    """Scores, of the ranker's type, and items (R, k), best first; -inf and -1 where a row has fewer
    items."""

SCORES_AT_ONCE = 2**24
"""Scores of candidates that are held at a time."""


class ItemRanker(Protocol):
    """What ranks items: a scorer."""

    n_items: int
    """V."""
    device: torch.device

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) of the items (n,) int64."""


def best_items(
    ranker: ItemRanker,
    features: Tensor,
    k: int,
    seen: list[NDArray[np.int64]] | None = None,
    candidates: NDArray[np.int64] | None = None,
) -> Best:
    """The k best items of each row (R, F); a row does not depend on the others.

    Args:
        ranker: what ranks.
        features: (R, F).
        k: how many.
        seen: (L,) unique items of each row that are left out; None leaves none out.
        candidates: (C,) the only items to rank, unique and ascending; None ranks all.
    """
    k = whole_number("k", k)
    if seen is None:
        return _widened(_ranked(ranker, features, k, candidates), k)
    scores = np.full((len(features), k), -np.inf, dtype=np.float32)
    items = np.full((len(features), k), -1, dtype=np.int64)
    for rows, longest in _alike([len(row) for row in seen]):
        left_out = np.full((len(rows), max(1, longest)), -1, dtype=np.int64)
        for row, number in zip(left_out, rows, strict=True):
            row[: len(seen[number])] = seen[number]
        # Rows are taken by NumPy: see engines.cpu.CpuForward about PyTorch's own threads.
        chosen = features if len(rows) == len(features) else _rows(features, rows)
        found = _without(_ranked(ranker, chosen, k + longest, candidates), left_out, k)
        scores = scores.astype(found[0].dtype, copy=False)  # baselines score in float64
        scores[rows], items[rows] = _widened(found, k)
    return scores, items


def _ranked(
    ranker: ItemRanker, features: Tensor, k: int, candidates: NDArray[np.int64] | None
) -> Best:
    """Scores and items (R, min(k, V or C)), best first; equal ones by ascending index."""
    if candidates is None:
        best, found = ranker.top_k(features, min(k, ranker.n_items))
        return best.cpu().numpy(), found.cpu().numpy()
    wanted = torch.from_numpy(candidates).to(ranker.device)
    k = min(k, len(candidates))
    parts = []
    rows = max(1, SCORES_AT_ONCE // len(candidates))
    for first in range(0, len(features), rows):
        scores = ranker.scores(features[first : first + rows], wanted).cpu().numpy()
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        parts.append((np.take_along_axis(scores, order, axis=1), candidates[order]))
    if not parts:
        return np.empty((0, k), dtype=np.float32), np.empty((0, k), dtype=np.int64)
    return np.concatenate([s for s, _ in parts]), np.concatenate([i for _, i in parts])


def _without(found: Best, left_out: NDArray[np.int64], k: int) -> Best:
    """The first k of each row that are not left out; -inf and -1 where fewer are left."""
    scores, items = found
    out = np.zeros(items.shape, dtype=bool)
    if left_out.shape[1] <= 64:
        for column in left_out.T:
            out |= items == column[:, None]
    else:
        for row, mine, theirs in zip(out, items, left_out, strict=True):
            row[:] = np.isin(mine, theirs)
    order = np.argsort(out, axis=1, kind="stable")[:, :k]
    gone = np.take_along_axis(out, order, axis=1)
    kept = np.take_along_axis(scores, order, axis=1), np.take_along_axis(items, order, axis=1)
    return np.where(gone, -np.inf, kept[0]), np.where(gone, -1, kept[1])


def _widened(found: Best, k: int) -> Best:
    """Columns of -inf and -1 added up to k."""
    if found[1].shape[1] == k:
        return found
    missing = [(0, 0), (0, k - found[1].shape[1])]
    scores = np.pad(found[0], missing, constant_values=-np.inf)
    return scores, np.pad(found[1], missing, constant_values=-1)


def _alike(lengths: list[int]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Rows of similar lengths, and their longest: one long row must not widen all others."""
    counts = np.asarray(lengths, dtype=np.int64)
    sizes = np.ceil(np.log2(np.maximum(counts, 64)))
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        yield rows, int(counts[rows].max())


def _rows(features: Tensor, rows: NDArray[np.int64]) -> Tensor:
    if features.device.type != "cpu":
        return features[torch.from_numpy(rows).to(features.device)]
    return torch.from_numpy(features.detach().numpy()[rows])
