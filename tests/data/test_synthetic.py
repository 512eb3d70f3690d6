"""The generator obeys its stated distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gru4rec_fast import ParameterError
from gru4rec_fast.data.synthetic import generate
from tests.data.transitions import transition_probabilities
from tests.logs import pairs


def test_equal_arguments_give_equal_logs_and_seeds_matter() -> None:
    one, same, other = (generate(200, 50, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one.log, same.log)
    assert np.array_equal(one.taste, same.taste)
    assert not one.log.equals(other.log)


def test_seeds_do_not_share_successors() -> None:
    """Neighbouring seeds included, whose counters overlap."""
    of_a_seed = [
        generate(1, 1000, loyalty=1, popularity_exponent=0, seed=seed).generator.successor(
            np.arange(4)[:, None, None], np.arange(1000)[:, None], np.arange(4)
        )
        for seed in (0, 1)
    ]
    rows = [set(map(tuple, successors.reshape(-1, 4))) for successors in of_a_seed]
    assert len(rows[0]) == len(rows[1]) == 4000
    assert not rows[0] & rows[1]


def test_sessions_have_the_stated_lengths_and_times() -> None:
    log = generate(4000, 30, mean_length=6, max_length=12, single_share=0.25, seed=3).log
    assert log.dtypes.astype(str).to_dict() == dict.fromkeys(
        ["SessionId", "ItemId", "Time"], "int64"
    )
    assert log.Time.is_monotonic_increasing
    assert (log.sort_values(["SessionId", "Time"]).groupby("SessionId").Time.diff() > 0).sum() == (
        len(log) - 4000
    )
    assert (log.SessionId.diff() < 0).any(), "no two sessions interleave"
    length = log.groupby("SessionId").size()
    assert len(length) == 4000
    assert length.max() == 12
    assert (length == 1).mean() == pytest.approx(0.25, abs=0.03)
    free = np.minimum(1 + np.random.default_rng(0).geometric(1 / 5, 100_000), 12)
    assert length[length > 1].mean() == pytest.approx(free.mean(), abs=0.2)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_next_items_follow_the_stated_law(noise: float) -> None:
    made = generate(12_000, 15, tastes=2, successors=3, noise=noise, seed=4)
    seen = pairs(made.log)
    counts = np.zeros((2, 15, 15))
    np.add.at(counts, (made.taste[seen.SessionId], seen.ItemId, seen.Next), 1)
    expected = transition_probabilities(made.generator) * counts.sum(axis=2, keepdims=True)
    assert (counts[expected == 0] == 0).all()
    common = expected > 5
    statistic = ((counts - expected)[common] ** 2 / expected[common]).sum()
    assert common.sum() > 50
    assert stats.chi2.sf(statistic, common.sum()) > 1e-4


def test_first_items_are_liked_and_noise_is_popular() -> None:
    made = generate(20_000, 12, tastes=3, noise=1.0, loyalty=5, seed=5)
    first = made.log.sort_values(["SessionId", "Time"]).groupby("SessionId").ItemId.first()
    for taste in range(3):
        counts = np.bincount(first[made.taste == taste], minlength=12)
        expected = made.generator.liking[taste] * counts.sum()
        assert stats.chisquare(counts, expected).pvalue > 1e-4
    counts = np.bincount(pairs(made.log).Next, minlength=12)
    assert stats.chisquare(counts, made.generator.popularity * counts.sum()).pvalue > 1e-4


def test_an_argument_out_of_its_range_is_named() -> None:
    for name, value in (("noise", 1.5), ("n_items", 1), ("tastes", 0), ("mean_length", 1.0)):
        with pytest.raises(ParameterError, match=f"{name}={value}: expected"):
            generate(**{"n_sessions": 10, "n_items": 10, name: value})  # type: ignore[arg-type]
