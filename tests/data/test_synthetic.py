"""The generator obeys its stated law, and nothing beats the predictor that knows the law."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gru4rec_fast import DataError, ParameterError
from gru4rec_fast.data.synthetic import (
    Generator,
    SyntheticLog,
    best_reachable,
    expected_reachable,
    generate,
)

CUTOFFS = (1, 2, 5, 20)


def law(generator: Generator) -> np.ndarray:
    """P(next | taste, current) as the module's docstring states it, (K, V, V), by plain loops."""
    v = generator.n_items
    p = np.zeros((generator.tastes, v, v))
    for k, i in itertools.product(range(generator.tastes), range(v)):
        p[k, i] += generator.noise * generator.popularity
        for j, weight in enumerate(generator.weights):
            p[k, i, generator.successor(np.array(k), np.array(i), np.array(j))] += (
                1 - generator.noise
            ) * weight
    return p


def pairs(log: pd.DataFrame) -> pd.DataFrame:
    """Columns SessionId, ItemId, Next: each event that has a next one."""
    ordered = log.sort_values(["SessionId", "Time"])
    following = ordered.groupby("SessionId")["ItemId"].shift(-1)
    return ordered.assign(Next=following).dropna().astype({"Next": int})


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
    expected = law(made.generator) * counts.sum(axis=2, keepdims=True)
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


@pytest.mark.parametrize(
    "options",
    [{}, {"noise": 0.0}, {"noise": 0.5, "loyalty": 1}, {"noise": 1.0, "popularity_exponent": 0}],
)
def test_best_reachable_against_bayes_rule_spelled_out(options: dict[str, Any]) -> None:
    """Each prediction from the whole session so far, with nothing carried from step to step."""
    made = generate(150, 12, **({"tastes": 3, "successors": 2, "seed": 6} | options))
    p, start = law(made.generator), made.generator.liking
    recall, mrr = dict.fromkeys(CUTOFFS, 0.0), dict.fromkeys(CUTOFFS, 0.0)
    expected, expected_mrr = dict.fromkeys(CUTOFFS, 0.0), dict.fromkeys(CUTOFFS, 0.0)
    predictions = 0
    for _, session in made.log.sort_values("Time").groupby("SessionId"):
        items = session.ItemId.tolist()
        for seen, target in enumerate(items[1:], start=1):
            passed = list(itertools.pairwise(items[:seen]))
            belief = np.array(
                [start[k, items[0]] * np.prod([p[k, a, b] for a, b in passed]) for k in range(3)]
            )
            chance = (belief / belief.sum()) @ p[:, items[seen - 1]]
            ranks = [
                1 + int((chance > chance[target] + 1e-12).sum()) + place
                for place in range(int((np.abs(chance - chance[target]) <= 1e-12).sum()))
            ]
            best = np.sort(chance)[::-1]
            for k in CUTOFFS:
                recall[k] += float(np.mean([rank <= k for rank in ranks]))
                mrr[k] += float(np.mean([(rank <= k) / rank for rank in ranks]))
                expected[k] += best[:k].sum()
                expected_mrr[k] += (best[:k] / np.arange(1, len(best[:k]) + 1)).sum()
            predictions += 1
    for got, sums in (
        (best_reachable(made, made.log, CUTOFFS), (recall, mrr)),
        (expected_reachable(made, made.log, CUTOFFS), (expected, expected_mrr)),
    ):
        for figures, total in zip(got, sums, strict=True):
            assert figures == pytest.approx({k: total[k] / predictions for k in CUTOFFS}, abs=1e-9)


def test_the_answer_does_not_depend_on_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    made = generate(100, 40, seed=7)
    whole = best_reachable(made, made.log, CUTOFFS)
    monkeypatch.setattr("gru4rec_fast.data.synthetic.PROBABILITIES_IN_MEMORY", 4 * 40 * 7)
    for figures, again in zip(whole, best_reachable(made, made.log, CUTOFFS), strict=True):
        assert figures == pytest.approx(again, rel=1e-12)


@pytest.fixture(scope="module")
def made() -> SyntheticLog:
    return generate(6000, 80, tastes=3, successors=3, seed=8)


def recall_of(scores: np.ndarray, target: np.ndarray, k: int) -> float:
    own = scores[np.arange(len(target)), target]
    return float(((scores >= own[:, None]).sum(axis=1) <= k).mean())


@pytest.mark.parametrize("k", [1, 5])
def test_no_rival_is_better_and_knowing_the_taste_is(made: SyntheticLog, k: int) -> None:
    seen = pairs(made.log)
    item, target = seen.ItemId.to_numpy(), seen.Next.to_numpy()
    reachable = best_reachable(made, made.log, [k])[0][k]
    transitions = np.zeros((80, 80))
    np.add.at(transitions, (item, target), 1)
    # Counted on the very log that it is tested on: the best that the last item alone can tell.
    last_item = recall_of(transitions[item], target, k)
    popular = recall_of(np.tile(made.generator.popularity, (len(item), 1)), target, k)
    oracle = recall_of(law(made.generator)[made.taste[seen.SessionId], item], target, k)
    assert popular + 0.1 < last_item
    assert last_item + 0.03 < reachable
    assert reachable + 0.005 < oracle


def test_the_measured_and_the_expected_figure_differ_by_luck_only(made: SyntheticLog) -> None:
    n = len(pairs(made.log))
    for measured, expected in zip(
        best_reachable(made, made.log, CUTOFFS), expected_reachable(made, made.log, CUTOFFS),
        strict=True,
    ):  # fmt: skip
        for k in CUTOFFS:
            assert abs(measured[k] - expected[k]) < 4 * 0.5 / n**0.5


def test_noise_alone_leaves_popularity(made: SyntheticLog) -> None:
    noise = generate(3000, 80, noise=1.0, seed=9)
    recall, _ = expected_reachable(noise, noise.log, CUTOFFS)
    for k in CUTOFFS:
        assert recall[k] == pytest.approx(noise.generator.popularity[:k].sum(), abs=1e-12)


def test_a_catalogue_of_a_million_items() -> None:
    made = generate(2000, 1_000_000, tastes=2, seed=10)
    assert made.log.ItemId.between(0, 999_999).all()
    assert made.log.ItemId.max() > 900_000
    few = made.log[made.log.SessionId < 2]
    recall, _ = best_reachable(made, few, [20])
    assert recall[20] > 0.5


def test_errors_name_the_value_and_the_remedy(made: SyntheticLog) -> None:
    for name, value in (("noise", 1.5), ("n_items", 1), ("tastes", 0), ("mean_length", 1.0)):
        with pytest.raises(ParameterError, match=f"{name}={value}: expected"):
            generate(**{"n_sessions": 10, "n_items": 10, name: value})  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"cutoffs=\[0\]"):
        best_reachable(made, made.log, [0])
    foreign = made.log.assign(ItemId=made.log.ItemId + 80)
    with pytest.raises(DataError, match=r"'ItemId' holds \d+: expected .* 0\.\.79"):
        best_reachable(made, foreign)
    with pytest.raises(DataError, match="no session has two events"):
        best_reachable(made, made.log.drop_duplicates("SessionId"))
    certain = generate(200, 30, noise=0.0, seed=11)
    reversed_time = certain.log.assign(Time=-certain.log.Time)
    with pytest.raises(DataError, match=r"session \d+: item \d+ cannot follow item \d+"):
        best_reachable(certain, reversed_time)
