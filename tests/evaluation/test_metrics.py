"""Each formula by hand and against plain loops over ranked lists."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from gru4rec_fast.evaluation import metrics
from gru4rec_fast.evaluation.metrics import METRICS, by_list, by_rank
from gru4rec_fast.evaluation.predictions import list_ranks


def loop(metric: str, relevant_at: list[int], n_relevant: int, k: int) -> float:
    """One prediction by the textbook: relevant items at these places (from 1) of a list."""
    found = [place in relevant_at for place in range(1, k + 1)]
    if metric == "recall":
        return sum(found) / n_relevant
    if metric == "precision":
        return sum(found) / k
    if metric == "mrr":
        return next((1 / (i + 1) for i in range(k) if found[i]), 0.0)
    if metric == "map":
        precisions = [sum(found[: i + 1]) / (i + 1) for i in range(k) if found[i]]
        return sum(precisions) / min(n_relevant, k)
    dcg = sum(1 / log2(i + 2) for i in range(k) if found[i])
    return dcg / sum(1 / log2(i + 2) for i in range(min(n_relevant, k)))


def test_one_relevant_item_at_rank_three() -> None:
    ranks = np.array([3.0])
    assert {name: by_rank(name, ranks, 5)[0] for name in METRICS} == pytest.approx(
        {"recall": 1, "mrr": 1 / 3, "ndcg": 0.5, "map": 1 / 3, "precision": 0.2}
    )
    assert all(by_rank(name, ranks, 2)[0] == 0 for name in METRICS)
    assert all(by_rank(name, np.array([np.inf]), 5)[0] == 0 for name in METRICS)


def test_three_relevant_items_of_which_two_are_in_the_list() -> None:
    hits = np.array([[0, 2, 0, 4, 0]], dtype=np.int32)
    found = {name: by_list(name, hits, np.array([3]), 5)[0] for name in METRICS}
    ideal = 1 + 1 / log2(3) + 1 / 2
    assert found == pytest.approx(
        {
            "recall": 2 / 3,
            "mrr": 1 / 2,
            "ndcg": (1 / log2(3) + 1 / log2(5)) / ideal,
            "map": (1 / 2 + 2 / 4) / 3,
            "precision": 2 / 5,
        }
    )


def test_a_perfect_list_has_ones() -> None:
    hits = np.array([[1, 2, 3]], dtype=np.int32)
    for k in (1, 2, 3):
        for name in ("ndcg", "map", "precision", "mrr"):
            assert by_list(name, hits, np.array([7]), k)[0] == pytest.approx(1)


@pytest.mark.parametrize("metric", METRICS)
def test_lists_are_those_of_a_loop(metric: str) -> None:
    rng = np.random.default_rng(3)
    relevant = rng.random((200, 10)) < 0.3
    n_relevant = relevant.sum(axis=1) + rng.integers(0, 4, 200)
    relevant, n_relevant = relevant[n_relevant > 0], n_relevant[n_relevant > 0]
    hits = np.where(relevant, np.arange(1, 11), 0).astype(np.int32)
    for k in (1, 3, 10):
        expected = [
            loop(metric, (np.flatnonzero(row) + 1).tolist(), int(n), k)
            for row, n in zip(relevant, n_relevant, strict=True)
        ]
        assert by_list(metric, hits, n_relevant, k) == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_one_relevant_item_is_the_same_by_rank_and_by_list(metric: str) -> None:
    ranks = np.arange(1, 8)
    hits = np.where(np.arange(1, 8) == ranks[:, None], ranks[:, None], 0).astype(np.int32)
    for k in (1, 4, 7):
        one = by_list(metric, hits, np.ones(7, dtype=np.int64), k)
        assert by_rank(metric, ranks.astype(float), k) == pytest.approx(one)
        expected = [loop(metric, [int(rank)], 1, k) for rank in ranks]
        assert one == pytest.approx(expected)


def test_entries_of_equal_score_share_their_last_rank() -> None:
    scores = np.array([[9.0, 7, 7, 7, 2], [5, 5, 4, 3, 3], [1, 1, 1, 1, 1]])
    assert list_ranks(scores).tolist() == [[1, 4, 4, 4, 5], [2, 2, 3, 5, 5], [5] * 5]


def test_coverage_gini_and_popularity_by_hand() -> None:
    recommended = np.array([3, 0, 1, 0])
    assert metrics.coverage(recommended) == 0.5
    # The mean absolute difference of all pairs over twice the mean.
    pairs = np.abs(recommended[:, None] - recommended).mean()
    assert metrics.gini(recommended) == pytest.approx(pairs / (2 * recommended.mean()))
    assert metrics.gini(np.array([2, 2, 2])) == 0
    assert metrics.gini(np.array([0, 0, 9])) == pytest.approx(2 / 3)
    support = np.array([10, 50, 2, 8])
    assert metrics.popularity(recommended, support, 4.0) == (3 * 10 + 2) / 4 / 4.0
