"""Popularity against counting by hand, through the same evaluation as the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gru4rec_fast import ParameterError
from gru4rec_fast.baselines.pop import Pop, PopScorer
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.evaluation.evaluate import evaluate
from tests.logs import random_log


def test_ranks_are_those_of_a_sorted_list() -> None:
    train = load_sessions(random_log(n_sessions=60))
    test = load_sessions(random_log(n_sessions=30, seed=1), itemidmap=train.itemidmap)
    support = train.support
    targets = np.delete(test.items, test.offsets[:-1])
    greater = (support[None, :] > support[targets][:, None]).sum(axis=1)
    equal = (support[None, :] == support[targets][:, None]).sum(axis=1)
    assert equal.max() > 1, "no ties to tell the modes apart"
    expected = {
        "standard": 1 + greater,
        "conservative": greater + equal,
        "median": 1 + greater + (equal - 1) / 2,
    }
    for mode, ranks in expected.items():
        for batch_size in (1, 7, 512):
            result = evaluate(
                Pop().fit_sessions(train).scorer(), test, [1, 5], mode=mode, batch_size=batch_size
            )
            assert np.array_equal(result.ranks, ranks)
            assert result.recall[5] == (ranks <= 5).mean()


def test_items_that_were_never_seen_tie_at_the_bottom() -> None:
    greater, equal = PopScorer([3, 0, 5, 0]).rank_counts(torch.empty(3, 0), torch.tensor([2, 0, 3]))
    assert greater.tolist() == [0, 1, 2]
    assert equal.tolist() == [1, 1, 2]


def test_counts_beyond_float32_stay_apart() -> None:
    greater, equal = PopScorer([2**24, 2**24 + 1]).rank_counts(torch.empty(1, 0), torch.tensor([0]))
    assert (greater.item(), equal.item()) == (1, 1)


@pytest.mark.parametrize("support", [[], [[1, 2]], [1.0, np.nan]])
def test_a_support_that_is_no_count_of_items(support: list[float]) -> None:
    with pytest.raises(ParameterError, match=r"support has shape .*Sessions\.support"):
        PopScorer(support)
