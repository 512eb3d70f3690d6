"""Nothing is better than the predictor that knows the distribution, and its figures are exact."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from gru4rec_fast import DataError, ParameterError
from gru4rec_fast.data.bayes_optimal import best_reachable, expected_reachable
from gru4rec_fast.data.synthetic import SyntheticLog, generate
from tests.data.transitions import transition_probabilities
from tests.logs import pairs

CUTOFFS = (1, 2, 5, 20)


@pytest.mark.parametrize(
    "options",
    [{}, {"noise": 0.0}, {"noise": 0.5, "loyalty": 1}, {"noise": 1.0, "popularity_exponent": 0}],
)
def test_best_reachable_against_bayes_rule_spelled_out(options: dict[str, Any]) -> None:
    """Each prediction from the whole session so far, with nothing carried from step to step."""
    made = generate(150, 12, **({"tastes": 3, "successors": 2, "seed": 6} | options))
    p, start = transition_probabilities(made.generator), made.generator.liking
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
    monkeypatch.setattr("gru4rec_fast.data.bayes_optimal.PROBABILITIES_IN_MEMORY", 4 * 40 * 7)
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
    oracle = recall_of(
        transition_probabilities(made.generator)[made.taste[seen.SessionId], item], target, k
    )
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
