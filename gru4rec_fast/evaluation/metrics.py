"""The figures of an evaluation, from ranks and lists (SPEC section 8).

Letters: P predictions, K a cut-off, V items.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS = ("recall", "mrr", "ndcg", "map", "precision")
"""Figures that are a mean over predictions."""


def by_rank(metric: str, ranks: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """A metric at K of each prediction with one relevant item, from its rank (P,).

    The rank of a miss is infinite. Half ranks (tie mode 'median') enter the same formulas.
    """
    hit = ranks <= k
    if metric == "recall":
        gain = np.ones_like(ranks)
    elif metric == "precision":
        gain = np.full_like(ranks, 1 / k)
    elif metric == "ndcg":
        gain = 1 / np.log2(1 + ranks)
    else:  # with one relevant item, average precision is the reciprocal rank
        gain = 1 / ranks
    return np.where(hit, gain, 0.0)


def by_list(
    metric: str, hits: NDArray[np.int32], n_relevant: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """A metric at K of each prediction with several relevant items.

    Args:
        metric: one of METRICS.
        hits: (P, n) the ranks of the relevant items in the list, in ascending order; 0 elsewhere.
        n_relevant: (P,) relevant items of each prediction, in the list or not.
        k: the cut-off, at most n.
    """
    found = (hits > 0) & (hits <= k)
    ranks = np.where(found, hits, 1)
    number = found.sum(axis=1)
    most = np.minimum(n_relevant, k)
    if metric == "recall":
        return np.asarray(number / n_relevant)
    if metric == "precision":
        return np.asarray(number / k)
    if metric == "mrr":
        return np.asarray(np.max(found / ranks, axis=1))
    if metric == "map":
        return np.asarray((np.cumsum(found, axis=1) * found / ranks).sum(axis=1) / most)
    ideal = np.cumsum(1 / np.log2(1 + np.arange(1, k + 1)))[most - 1]
    return np.asarray((found / np.log2(1 + ranks)).sum(axis=1) / ideal)


def coverage(recommended: NDArray[np.int64]) -> float:
    """Share of the catalogue that is in any list, from the number of lists (V,) of each item."""
    return float(np.mean(recommended > 0))


def gini(recommended: NDArray[np.int64]) -> float:
    """Gini index of the number of lists (V,) of each item: 0 equal, (V-1)/V one item only."""
    count = np.sort(recommended).astype(np.float64)
    n_items = len(count)
    place = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(place @ count / (n_items * count.sum()))


def popularity(recommended: NDArray[np.int64], support: NDArray[np.int64], usual: float) -> float:
    """Mean training support of the list entries, in units of `usual`."""
    return float(recommended.astype(np.float64) @ support / recommended.sum() / usual)


def check_cutoffs(cutoffs: Iterable[int] | int) -> list[int]:
    """The cut-offs as a list.

    Raises:
        ParameterError: there is none, or one is not a whole number of at least 1.
    """
    given: object = cutoffs
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [whole_number("cutoff", given)]
    checked = [whole_number("cutoff", k) for k in given]
    if not checked:
        raise ParameterError("cutoff is empty; expected one or more whole numbers, as [1, 20]")
    return checked
