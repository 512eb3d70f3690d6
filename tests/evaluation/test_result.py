"""Results: what they state, JSON and tables, differences."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import DataError, GRU4Rec, ParameterError
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.metrics import METRICS
from gru4rec_fast.evaluation.result import Evaluation
from tests.evaluation.models import Table, initialised
from tests.logs import random_log


@pytest.fixture(scope="module")
def gru() -> GRU4Rec:
    return initialised(random_log(n_sessions=60))


@pytest.fixture(scope="module")
def other(gru: GRU4Rec) -> Table:
    items = gru.data_iterator.itemidmap
    return Table(items, np.random.default_rng(0).random((len(items), len(items))))


@pytest.fixture(scope="module")
def test_log() -> pd.DataFrame:
    return random_log(n_sessions=80, n_items=40, seed=1)


@pytest.fixture(scope="module")
def result(gru: GRU4Rec, test_log: pd.DataFrame) -> Evaluation:
    support = random_log(n_sessions=60).ItemId.value_counts()
    return evaluate(gru, test_log, (1, 20), unknown="miss", support=support)


def test_json_and_back(gru: GRU4Rec, result: Evaluation, test_log: pd.DataFrame) -> None:
    for written in (result, evaluate(gru, test_log, n_bootstrap=0, groups={}, lists=False)):
        read = Evaluation.from_json(written.to_json())
        assert read == written
        assert str(read) == str(written)
        assert read.to_frame().equals(written.to_frame())
    assert json.loads(result.to_json())["unknown"] == "miss"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "gru4rec-fast evaluation 1"}'])
def test_other_text_is_no_evaluation(text: str) -> None:
    with pytest.raises(DataError, match=r"no evaluation .*Evaluation\.to_json"):
        Evaluation.from_json(text)


def test_the_text_states_how_it_counts(result: Evaluation) -> None:
    text = str(result)
    for statement in (
        f"{result.n_predictions} predictions in {result.n_sessions} sessions",
        "targets: next; ties: conservative; unknown items: counted as misses "
        f"({result.dropped_events} events, {result.misses} misses)",
        "95% bootstrap intervals over sessions (1,000 resamples, seed 42)",
        f"{result.recall[20]:.4f} [{result.intervals['recall'][20][0]:.4f}, ",
        "support unknown",
    ):
        assert statement in text


def test_the_frame_holds_every_figure(result: Evaluation) -> None:
    frame = result.to_frame()
    whole = frame[frame.group == "all"]
    for metric, by_k in result.values.items():
        for k, value in by_k.items():
            row = whole[(whole.metric == metric) & (whole.cutoff == k)].iloc[0]
            assert row["value"] == value
            assert pd.isna(row["low"]) == (metric not in METRICS)
    assert set(frame.group) == {"all", "position", "length", "support"}
    assert len(frame) == 2 * (8 + 5 * len(result.groups))


def test_intervals_hold_the_value_and_follow_the_seed(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    first, again, other = (evaluate(gru, test_log, (1, 20), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.intervals != other.intervals
    assert first.values == other.values
    for metric, by_k in first.intervals.items():
        for k, (low, high) in by_k.items():
            assert low <= first.values[metric][k] <= high


def test_a_difference_is_that_of_the_figures(
    result: Evaluation, other: Table, test_log: pd.DataFrame
) -> None:
    theirs = evaluate(other, test_log, (20, 5), unknown="miss")
    difference = result.compare(theirs)
    assert list(difference.values["recall"]) == [20]
    for metric in METRICS:
        expected = result.values[metric][20] - theirs.values[metric][20]
        assert difference.values[metric][20] == pytest.approx(expected, abs=1e-12)
        low, high = difference.intervals[metric][20]
        assert low < expected < high
    opposite = theirs.compare(result)
    low, high = difference.intervals["mrr"][20]
    assert opposite.intervals["mrr"][20] == pytest.approx((-high, -low))
    assert len(difference.to_frame()) == 5
    assert "paired bootstrap intervals" in str(difference)
    itself = result.compare(result)
    assert itself.intervals["recall"][20] == (0, 0)


def test_a_paired_interval_is_narrower_than_that_of_two_samples(
    gru: GRU4Rec, test_log: pd.DataFrame
) -> None:
    """Two models that differ in a few items alone."""
    model = initialised(random_log(n_sessions=60))
    model.model.By.weight[:3] += 1
    a, b = evaluate(gru, test_log), evaluate(model, test_log)
    assert a.recall != b.recall
    low, high = a.compare(b).intervals["recall"][20]
    of_each = [np.diff(x.intervals["recall"][20])[0] for x in (a, b)]
    assert high - low < 0.7 * np.hypot(*of_each)


def test_results_that_do_not_compare(
    gru: GRU4Rec, result: Evaluation, test_log: pd.DataFrame
) -> None:
    with pytest.raises(ParameterError, match=r"unknown='miss', the other unknown='drop'"):
        result.compare(evaluate(gru, test_log))
    with pytest.raises(ParameterError, match="the same mode"):
        result.compare(evaluate(gru, test_log, unknown="miss", mode="standard"))
    with pytest.raises(ParameterError, match="the same targets"):
        result.compare(evaluate(gru, test_log, unknown="miss", targets="all"))
    with pytest.raises(ParameterError, match=r"have cut-offs \[1, 20\] and \[7\]"):
        result.compare(evaluate(gru, test_log, 7, unknown="miss"))
    with pytest.raises(ParameterError, match="read from JSON"):
        result.compare(Evaluation.from_json(result.to_json()))
    with pytest.raises(ParameterError, match="n_bootstrap is -1"):
        result.compare(result, n_bootstrap=-1)
    # As many predictions, and another item in one of them.
    changed = test_log.copy()
    changed.loc[0, "ItemId"] = changed.ItemId[changed.ItemId != changed.ItemId[0]].iloc[0]
    with pytest.raises(ParameterError, match=r"different events .*same log.*unknown='miss'"):
        result.compare(evaluate(gru, changed, unknown="miss"))


def test_the_order_of_the_rows_is_not_compared(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    log = test_log.drop_duplicates(["SessionId", "Time"])
    a, b = evaluate(gru, log), evaluate(gru, log[::-1])
    assert a.compare(b).values["recall"][20] == 0


def test_models_that_know_other_items_compare_with_misses(
    gru: GRU4Rec, test_log: pd.DataFrame
) -> None:
    train = random_log(n_sessions=60)
    smaller = initialised(train[train.ItemId > 14])
    a, b = evaluate(gru, test_log), evaluate(smaller, test_log)
    assert a.dropped_events < b.dropped_events
    with pytest.raises(ParameterError, match="do not know the same items"):
        a.compare(b)
    a, b = (evaluate(model, test_log, unknown="miss") for model in (gru, smaller))
    assert a.n_predictions == b.n_predictions
    assert a.compare(b).intervals


def test_one_session_has_no_interval(gru: GRU4Rec) -> None:
    ids = gru.data_iterator.itemidmap.index
    log = pd.DataFrame({"SessionId": 1, "ItemId": ids[:4], "Time": range(4)})
    result = evaluate(gru, log)
    assert result.intervals == {}
    assert "no intervals" in str(result)
