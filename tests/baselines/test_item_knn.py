"""Co-occurrence of logs with a known answer, and the arguments of the C++ function."""

from __future__ import annotations

import numpy as np
import pytest

from gru4rec_fast._core import similar_items
from gru4rec_fast.baselines.item_knn import ItemKNN
from tests.logs import log_of


def test_pairs_that_occur_together_are_found() -> None:
    random = np.random.default_rng(0)
    # Items 2 p and 2 p + 1 occur together, in either order, beside a random third one.
    log = [
        [*random.permutation([2 * p, 2 * p + 1]).tolist(), int(random.integers(40))]
        for p in random.integers(0, 20, 400)
    ]
    model = ItemKNN().fit(log_of(log))
    for item in range(40):
        assert model.recommend([item], k=1).iloc[0, 0] == item ^ 1


def test_the_formula() -> None:
    # Items 1 and 2 share two sessions; 1 is in three, 2 in four. Repeats count once.
    log = log_of([[1, 2, 2, 1], [2, 1], [1, 3], [2, 3], [2, 2]])
    scores = ItemKNN(lmbd=4, alpha=0.25).fit(log).predict_next("s", 1, [1, 2, 3])
    expected = [0, 2 / (7**0.25 * 8**0.75), 1 / (7**0.25 * 6**0.75)]
    assert scores.tolist() == pytest.approx(expected)


def test_the_most_similar_items_alone_are_kept() -> None:
    model = ItemKNN(n_sims=2).fit(log_of([[1, 2], [1, 2], [1, 4], [1, 3], [3, 4]]))
    # Items 4 and 3 are equally similar to 1; item 4 appears first in the log.
    assert model.predict_next("s", 1, [2, 4, 3]).gt(0).tolist() == [True, True, False]


def test_arguments_of_the_function() -> None:
    items, offsets = np.array([0, 1], np.int32), np.array([0, 2])
    with pytest.raises(ValueError, match=r"items holds 1; expected 0\.\.0"):
        similar_items(items, offsets, 1, 1, 0.0, 0.5)
    with pytest.raises(ValueError, match="n_sims is 0; expected"):
        similar_items(items, offsets, 2, 0, 0.0, 0.5)
    with pytest.raises(ValueError, match="offsets must ascend"):
        similar_items(items, np.array([0, 3]), 2, 1, 0.0, 0.5)
    with pytest.raises(ValueError, match=r"items is int64.*expected int32"):
        similar_items(items.astype(np.int64), offsets, 2, 1, 0.0, 0.5)
