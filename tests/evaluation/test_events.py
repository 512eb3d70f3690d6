"""Unknown items and several relevant items, against loops over the sessions of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import DataError, ParameterError
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.events import predicted_events
from gru4rec_fast.evaluation.metrics import METRICS
from tests.evaluation.models import Table, initialised
from tests.evaluation.test_metrics import loop
from tests.logs import log_of, random_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast.evaluation.result import Evaluation

CUTOFFS = (1, 3, 10, 50)


@pytest.fixture(scope="module")
def test_log() -> pd.DataFrame:
    return random_log(n_sessions=60, n_items=45, seed=1)  # a third of the items are unknown


@pytest.fixture(scope="module")
def table() -> Table:
    """Scores of few different values, so that many items tie."""
    items = load_sessions(random_log(n_sessions=60)).itemidmap
    rng = np.random.default_rng(0)
    return Table(items, rng.integers(0, 6, (len(items), len(items))).astype(np.float64))


def each_prediction(
    table: Table, log: pd.DataFrame, unknown: str
) -> Iterator[tuple[dict[int, float] | None, list[int]]]:
    """Conservative ranks of all items (None without a known input), and the items that follow."""
    items = table.data_iterator.itemidmap
    if unknown == "drop":
        log = log[log.ItemId.isin(items.index)]
    for _, session in log.sort_values(["SessionId", "Time"], kind="stable").groupby("SessionId"):
        ids = session.ItemId.tolist()
        for i in range(len(ids) - 1):
            known = [item for item in ids[: i + 1] if item in items.index]
            ranks = None
            if known:
                s = table.scores[items[known[-1]]].numpy()
                ranks = {item: float((s >= s[items[item]]).sum()) for item in items.index}
            yield ranks, ids[i + 1 :]


@pytest.mark.parametrize("unknown", ["drop", "miss"])
def test_the_next_item_against_a_loop(table: Table, test_log: pd.DataFrame, unknown: str) -> None:
    result = evaluate(table, test_log, CUTOFFS, unknown=unknown)
    ranks = [
        ranks.get(rest[0], np.inf) if ranks else np.inf
        for ranks, rest in each_prediction(table, test_log, unknown)
    ]
    assert result.ranks.tolist() == ranks
    assert result.n_predictions == len(ranks)
    assert result.misses == np.isinf(ranks).sum()
    assert (result.misses > 0) == (unknown == "miss")
    for k in CUTOFFS:
        for metric in METRICS:
            expected = np.mean([loop(metric, [int(r)] if r <= k else [], 1, k) for r in ranks])
            assert result.values[metric][k] == pytest.approx(expected)


@pytest.mark.parametrize("unknown", ["drop", "miss"])
@pytest.mark.parametrize("cutoffs", [(1,), (1, 3), CUTOFFS])
def test_all_remaining_items_against_a_loop(
    table: Table, test_log: pd.DataFrame, unknown: str, cutoffs: tuple[int, ...]
) -> None:
    """The longest list ends within tied items, or holds the whole catalogue."""
    result = evaluate(table, test_log, cutoffs, targets="all", unknown=unknown, batch_size=7)
    predictions = list(each_prediction(table, test_log, unknown))
    assert result.n_predictions == len(predictions)
    impossible = [r is None or not set(rest) & set(r) for r, rest in predictions]
    assert result.misses == sum(impossible)
    for k in cutoffs:
        of_metric: dict[str, list[float]] = {metric: [] for metric in METRICS}
        for ranks, rest in predictions:
            relevant = set(rest)  # an item that comes twice counts once
            found = sorted(ranks.get(item, np.inf) for item in relevant) if ranks else []
            found = [rank for rank in found if rank <= k]
            most = min(len(relevant), k)
            ideal = sum(1 / np.log2(1 + i) for i in range(1, most + 1))
            of_metric["recall"].append(len(found) / len(relevant))
            of_metric["precision"].append(len(found) / k)
            of_metric["mrr"].append(1 / found[0] if found else 0)
            of_metric["map"].append(sum((j + 1) / r for j, r in enumerate(found)) / most)
            of_metric["ndcg"].append(sum(1 / np.log2(1 + r) for r in found) / ideal)
        for metric in METRICS:
            assert result.values[metric][k] == pytest.approx(np.mean(of_metric[metric])), metric


def test_with_one_item_left_ranks_and_lists_agree(table: Table) -> None:
    """In sessions of two events the next item is all that remains."""
    train = random_log(n_sessions=60)
    items = train.ItemId.unique()
    rng = np.random.default_rng(5)
    pairs = log_of(rng.choice(items, (300, 2)).tolist())
    for model in (table, initialised(train)):
        by_rank, by_list = (
            evaluate(model, pairs, (1, 4, 20), targets=targets) for targets in ("next", "all")
        )
        assert by_rank.values == by_list.values
        assert by_rank.recall[20] > 0


def test_misses_divide_by_all_predictions(table: Table, test_log: pd.DataFrame) -> None:
    """With 'miss', the hits stay and only the number of predictions grows."""
    support = random_log(n_sessions=60).ItemId.value_counts()
    drop, miss = (
        evaluate(table, test_log, 5, unknown=unknown, support=support)
        for unknown in ("drop", "miss")
    )
    assert miss.dropped_events == drop.dropped_events > 0
    assert miss.n_predictions == len(test_log) - test_log.SessionId.nunique()
    assert miss.n_predictions - miss.misses == drop.n_predictions
    for metric in METRICS:
        assert miss.values[metric][5] == pytest.approx(
            drop.values[metric][5] * drop.n_predictions / miss.n_predictions
        )
    for figure in ("coverage", "gini", "popularity"):
        assert miss.values[figure] == drop.values[figure]
    assert "counted as misses" in str(miss)
    assert "left out" in str(drop)


def test_a_session_with_unknown_items() -> None:
    """Items 10, 20, 30 are known. Unknown inputs are passed over and the session goes on."""
    whole = load_sessions(log_of([[99, 10, 98, 20, 20, 97], [96, 95], [30]]))
    items = pd.Series([0, 1, 2], index=pd.Index([10, 20, 30], name="ItemId"))
    known = load_sessions(log_of([[99, 10, 98, 20, 20, 97], [96, 95], [30]]), itemidmap=items)
    events = predicted_events(known, whole, "next")
    assert events.inputs.tolist() == [-1, 0, 0, 1, 2, -1]
    assert events.targets.tolist() == [0, -1, 1, 1, -1, -1]
    assert events.possible.tolist() == [False, False, True, True, False, False]
    assert events.session.tolist() == [0, 0, 0, 0, 0, 1]
    assert events.position.tolist() == [1, 2, 3, 4, 5, 1]
    assert events.length.tolist() == [6] * 5 + [2]
    rest = predicted_events(known, whole, "all")
    assert rest.n_relevant.tolist() == [4, 3, 2, 2, 1, 1]
    assert rest.possible.tolist() == [False, True, True, True, False, False]
    dropped = predicted_events(known, known, "next")
    assert dropped.inputs.tolist() == [0, 1]
    assert dropped.position.tolist() == [1, 2]
    assert dropped.possible.all()


def test_a_log_without_a_known_pair_is_all_misses(table: Table) -> None:
    known = int(table.data_iterator.itemidmap.index[0])
    log = log_of([[known, 10**6], [10**6, 10**6 + 1]])
    with pytest.raises(DataError, match="no next item to predict"):
        evaluate(table, log)
    for targets in ("next", "all"):
        result = evaluate(table, log, unknown="miss", targets=targets)
        assert (result.n_predictions, result.misses) == (2, 2)
        assert set(result.recall.values()) == {0.0}
        assert result.coverage is None


def test_a_log_of_known_items_has_no_misses(table: Table, test_log: pd.DataFrame) -> None:
    log = test_log[test_log.ItemId.isin(table.data_iterator.itemidmap.index)]
    drop, miss = (evaluate(table, log, unknown=unknown) for unknown in ("drop", "miss"))
    assert drop.values == miss.values
    assert drop.digest == miss.digest


def test_text_ids_with_unknown_items(test_log: pd.DataFrame) -> None:
    train = random_log(n_sessions=60)
    gru = initialised(train.assign(ItemId="0" + train.ItemId.astype(str)))
    by_text = evaluate(
        gru, test_log.assign(ItemId="0" + test_log.ItemId.astype(str)), unknown="miss"
    )
    by_number = evaluate(initialised(train), test_log, unknown="miss")
    assert by_text.values == by_number.values


@pytest.mark.rounding
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("targets", ["next", "all"])
def test_nothing_depends_on_the_batch_size(
    test_log: pd.DataFrame, targets: str, dtype: torch.dtype
) -> None:
    gru = initialised(random_log(n_sessions=60))
    gru.model.to(dtype)
    results: list[Evaluation] = [
        evaluate(gru, test_log, CUTOFFS, targets=targets, unknown="miss", batch_size=batch_size)
        for batch_size in (1, 2, 7, 512)
    ]
    assert all(result == results[0] for result in results)


def test_coverage_gini_and_popularity_of_popular_items(test_log: pd.DataFrame) -> None:
    train = load_sessions(random_log(n_sessions=60))
    test = load_sessions(test_log, itemidmap=train.itemidmap)
    by_support = Table(train.itemidmap, np.tile(train.support, (train.n_items, 1)))
    result = evaluate(by_support, test, CUTOFFS, support=train.support)
    best = np.sort(train.support)[::-1]
    usual = train.support[np.delete(test.items, test.offsets[:-1])].mean()
    n_items = train.n_items
    assert result.coverage == {k: min(k / n_items, 1) for k in CUTOFFS}
    assert result.gini == pytest.approx({k: max(1 - k / n_items, 0) for k in CUTOFFS})
    assert result.popularity == pytest.approx({k: best[:k].mean() / usual for k in CUTOFFS})


def test_lists_are_counted_as_a_loop_counts_them(table: Table, test_log: pd.DataFrame) -> None:
    test = load_sessions(test_log, itemidmap=table.data_iterator.itemidmap)
    result = evaluate(table, test, 3)
    n_lists = np.zeros(test.n_items)
    for item in np.delete(test.items, test.offsets[1:] - 1):
        n_lists[np.argsort(-table.scores[item].numpy(), kind="stable")[:3]] += 1
    ordered = np.sort(n_lists)
    place = np.arange(1, len(ordered) + 1)
    assert result.coverage == {3: (n_lists > 0).mean()}
    lorenz = 2 * (place * ordered).sum() / (len(ordered) * ordered.sum())
    assert result.gini == pytest.approx({3: lorenz - (len(ordered) + 1) / len(ordered)})


def test_the_popularity_is_absent_without_a_support(table: Table, test_log: pd.DataFrame) -> None:
    result = evaluate(table, test_log)
    assert result.popularity is None
    assert "no popularity: the training support is not known" in str(result)
    counts = random_log(n_sessions=60).ItemId.value_counts()
    by_id = evaluate(table, test_log, support=counts)
    by_index = evaluate(
        table, test_log, support=counts[table.data_iterator.itemidmap.index].to_numpy()
    )
    assert by_id.popularity == by_index.popularity is not None
    table_with = Table(table.data_iterator.itemidmap, table.scores.numpy())
    table_with.support = counts  # type: ignore[attr-defined]
    assert evaluate(table_with, test_log) == by_id


def test_without_lists(table: Table, test_log: pd.DataFrame) -> None:
    result, whole = (evaluate(table, test_log, lists=lists) for lists in (False, True))
    assert result.coverage is result.gini is result.popularity is None
    assert "no lists were made" in str(result)
    assert result.recall == whole.recall


def test_bad_requests(table: Table, test_log: pd.DataFrame) -> None:
    items = table.data_iterator.itemidmap
    sessions = load_sessions(test_log, itemidmap=items)
    with pytest.raises(ParameterError, match=r"mode is 'standart'; .*did you mean 'standard'"):
        evaluate(table, test_log, mode="standart")
    with pytest.raises(ParameterError, match=r"unknown is 'keep'; expected one of drop, miss"):
        evaluate(table, test_log, unknown="keep")
    with pytest.raises(ParameterError, match=r"targets is 'last'; expected one of next, all"):
        evaluate(table, test_log, targets="last")
    with pytest.raises(ParameterError, match=r"targets='all' with mode='median'"):
        evaluate(table, test_log, targets="all", mode="median")
    with pytest.raises(ParameterError, match=r"targets='all' with .*lists=False"):
        evaluate(table, test_log, targets="all", lists=False)
    with pytest.raises(ParameterError, match=r"'miss' needs the \d+ events .*pass the log itself"):
        evaluate(table, sessions, unknown="miss")
    with pytest.raises(ParameterError, match=r"NetworkScorer is a scorer and does not know the"):
        evaluate(initialised(test_log).scorer(), test_log)
    with pytest.raises(ParameterError, match=r"the model is of type str; expected a trained"):
        evaluate("model.safetensors", test_log)
    with pytest.raises(DataError, match=r"the sessions number other items than the model"):
        evaluate(table, load_sessions(test_log))
    for support in ([1, 2], np.full(len(items), -1), np.full(len(items), 0.5), ["a"] * len(items)):
        with pytest.raises(ParameterError, match=r"support has shape .*value_counts"):
            evaluate(table, test_log, support=support)
    with pytest.raises(ParameterError, match="seed is -1"):
        evaluate(table, test_log, seed=-1)
