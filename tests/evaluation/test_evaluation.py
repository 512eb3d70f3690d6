"""Evaluation against a session-by-session loop in NumPy; batch sizes; ties; tiles."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import DataError, GRU4Rec, ParameterError, batch_eval, reference
from gru4rec_fast.config import Config
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.forward_scorer import ForwardScorer
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from gru4rec_fast.model.network import Network
from tests.evaluation.models import initialised
from tests.logs import random_log

MODES = ("standard", "conservative", "median", "tiebreaking")


@pytest.fixture(scope="module")
def gru() -> GRU4Rec:
    return initialised(random_log(n_sessions=60))


@pytest.fixture(scope="module")
def test_log() -> pd.DataFrame:
    return random_log(n_sessions=50, n_items=35, seed=1)  # five items are unknown to the model


def oracle_scores(gru: GRU4Rec, log: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Scores (predictions, V) and targets, one session after the other."""
    rows, targets = [], []
    known = log[log.ItemId.isin(gru.data_iterator.itemidmap.index)]
    ordered = known.sort_values(["SessionId", "Time"], kind="stable")
    for _, session in ordered.groupby("SessionId"):
        items = torch.tensor(gru.data_iterator.itemidmap[session.ItemId].to_numpy())
        states = [torch.zeros(1, h) for h in gru.layers]
        for item, following in itertools.pairwise(items):
            rows.append(gru.model.forward(item[None], states)[0].numpy())
            targets.append(int(following))
    return np.array(rows), np.array(targets)


@pytest.mark.filterwarnings("ignore:.*events are of items")
def test_recall_and_mrr_are_those_of_a_plain_loop(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    scores, targets = oracle_scores(gru, test_log)
    own = scores[np.arange(len(targets)), targets]
    ranks = 1 + (scores > own[:, None]).sum(axis=1)
    recall, mrr = batch_eval(gru, test_log, cutoff=[1, 5, 20], mode="standard")
    for k in (1, 5, 20):
        assert recall[k] == pytest.approx((ranks <= k).mean(), abs=1e-12)
        assert mrr[k] == pytest.approx(np.where(ranks <= k, 1 / ranks, 0).mean(), abs=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_the_answer_does_not_depend_on_the_batch_size(
    gru: GRU4Rec, test_log: pd.DataFrame, mode: str
) -> None:
    sessions = load_sessions(test_log, itemidmap=gru.data_iterator.itemidmap)
    scorer = NetworkScorer(gru.model)
    first = evaluate(scorer, sessions, (1, 5), batch_size=1, mode=mode)
    for batch_size in (2, 7, 64, 100, 512):
        other = evaluate(scorer, sessions, (1, 5), batch_size=batch_size, mode=mode)
        assert np.array_equal(first.ranks, other.ranks)
        assert (first.recall, first.mrr) == (other.recall, other.mrr)


def test_ties_by_mode(test_log: pd.DataFrame) -> None:
    """All scores equal: the rank is 1, V, the middle, or uniform in between."""
    gru = initialised(test_log)
    for parameter in gru.model.parameters():
        parameter.zero_()
    sessions = load_sessions(test_log, itemidmap=gru.data_iterator.itemidmap)
    n_items = sessions.n_items
    ranks = {mode: evaluate(NetworkScorer(gru.model), sessions, mode=mode).ranks for mode in MODES}
    assert set(ranks["standard"]) == {1}
    assert set(ranks["conservative"]) == {n_items}
    assert set(ranks["median"]) == {(n_items + 1) / 2}
    broken = ranks["tiebreaking"]
    assert broken.min() >= 1
    assert broken.max() <= n_items
    expected_mean, deviation = (n_items + 1) / 2, n_items / 12**0.5
    assert abs(broken.mean() - expected_mean) < 5 * deviation / len(broken) ** 0.5
    again = evaluate(NetworkScorer(gru.model), sessions, mode="tiebreaking").ranks
    assert np.array_equal(broken, again)


@pytest.mark.rounding
def test_items_with_the_same_weights_tie_wherever_they_stand() -> None:
    """Duplicates of the target in other tiles must score exactly as it does."""
    n_items = 9001
    torch.manual_seed(0)
    w, b, h = torch.randn(n_items, 48), torch.randn(n_items, 1), torch.randn(256, 48)
    twins = [3, 4095, 4096, 8999, 9000]
    w[twins], b[twins] = w[3].clone(), b[3].clone()
    targets = torch.tensor(twins * 52)[:256]
    greater, equal = reference.rank_counts(
        h, targets, reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    )
    assert set(equal.tolist()) == {5}
    # In float64, no item may be misplaced that is farther away than float32 products round.
    s = h.double() @ w.double().T + b.double().T
    own = s[:, [3]]
    rounding = 49 * 2**-24 * (h.abs().double() @ w.abs().double().T + b.abs().double().T)
    assert ((s > own + rounding).sum(1) <= greater).all()
    assert ((s > own - rounding).sum(1) - 5 >= greater).all()


def test_the_catalogue_is_scored_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    item_scores = reference.item_scores

    def spy(w: torch.Tensor, b: torch.Tensor) -> reference.ScoreTile:
        tile = item_scores(w, b)

        def measured(h: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
            s = tile(h, items)
            sizes.append(s.numel())
            return s

        return measured

    monkeypatch.setattr(reference, "item_scores", spy)
    network = Network(Config(layers=(12,)), n_items=50_000).double()
    network.initialise()
    NetworkScorer(network).rank_counts(torch.randn(700, 12, dtype=torch.float64), torch.arange(700))
    assert max(sizes) <= 256 * 4096
    assert sum(sizes) >= 700 * 50_000


def test_unknown_items_are_left_out_and_counted(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    known = test_log[test_log.ItemId.isin(gru.data_iterator.itemidmap.index)]
    assert len(known) < len(test_log)
    with pytest.warns(UserWarning, match=f"{len(test_log) - len(known)} of {len(test_log)} events"):
        with_unknown = batch_eval(gru, test_log)
    assert with_unknown == batch_eval(gru, known)


def test_an_evaluation_states_the_events_it_left_out(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    items = gru.data_iterator.itemidmap
    evaluation = evaluate(NetworkScorer(gru.model), load_sessions(test_log, itemidmap=items))
    assert evaluation.dropped_events == (~test_log.ItemId.isin(items.index)).sum() > 0


def test_no_session_is_lost_without_negatives(test_log: pd.DataFrame) -> None:
    gru = initialised(test_log, n_sample=0)
    sessions = load_sessions(test_log, itemidmap=gru.data_iterator.itemidmap)
    for batch_size in (1, 3, 512):
        result = evaluate(NetworkScorer(gru.model), sessions, batch_size=batch_size)
        assert len(result.ranks) == sessions.n_pairs


def test_a_log_of_one_session(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    ids = gru.data_iterator.itemidmap.index
    log = pd.DataFrame({"SessionId": 1, "ItemId": ids[:2], "Time": [1, 2]})
    recall, mrr = batch_eval(gru, log, cutoff=[len(ids)])
    assert recall == {len(ids): 1.0}
    assert 0 < mrr[len(ids)] <= 1


def test_equal_items_of_another_implementation_tie(
    gru: GRU4Rec, test_log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three in four of the items have the row of another, which its forward rounds otherwise."""
    other = GRU4Rec(layers=(16, 12), device="cpu")
    other._data_iterator = gru._data_iterator
    other._network = copy.deepcopy(gru.model)
    kind = torch.arange(other.model.n_items) // 4
    for table in (other.model.Wy.weight, other.model.By.weight):
        table.copy_(table[4 * kind])
    forward = other.model.forward

    def rounded_by_place(*args: Any, **kwargs: Any) -> torch.Tensor:
        scores = forward(*args, **kwargs)
        return scores * (1 + 2.0**-22 * (torch.arange(scores.shape[1]) % 3))

    monkeypatch.setattr(other.model, "forward", rounded_by_place)
    sessions = load_sessions(test_log, itemidmap=gru.data_iterator.itemidmap)
    for batch_size in (1, 3, 7, 50):
        scorer = ForwardScorer(other)
        standard, conservative = (
            evaluate(scorer, sessions, batch_size=batch_size, mode=mode).ranks
            for mode in ("standard", "conservative")
        )
        targets = np.delete(sessions.items, sessions.offsets[:-1])
        ties = np.bincount(kind.numpy())[kind.numpy()[targets]]
        assert np.array_equal(conservative - standard + 1, ties)


@pytest.mark.filterwarnings("ignore:.*events are of items")
def test_a_model_with_only_the_originals_surface_is_evaluated_alike(
    gru: GRU4Rec, test_log: pd.DataFrame
) -> None:
    sessions = load_sessions(test_log, itemidmap=gru.data_iterator.itemidmap)
    ours = evaluate(NetworkScorer(gru.model), sessions, (1, 5, 20))
    theirs = evaluate(ForwardScorer(gru), sessions, (1, 5, 20))
    assert np.array_equal(ours.ranks, theirs.ranks)


def test_bad_requests(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    with pytest.raises(ParameterError, match=r"mode is 'exact'; expected one of standard"):
        batch_eval(gru, test_log, mode="exact")
    for cutoff in ([], [0], [2.5], [-1]):
        with pytest.raises(ParameterError, match="cutoff"):
            batch_eval(gru, test_log, cutoff=cutoff)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="batch_size is 0"):
        batch_eval(gru, test_log, batch_size=0)
    with pytest.raises(DataError, match="known"):
        batch_eval(gru, test_log.assign(ItemId=test_log.ItemId + 1_000_000))
    single = test_log.drop_duplicates("SessionId")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(DataError, match="no next item to predict"),
    ):
        batch_eval(gru, single)


def test_a_model_that_holds_nan_is_refused(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    network = gru.model
    kept = network.By.weight[0].clone()
    network.By.weight.data[0] = torch.nan
    try:
        with pytest.raises(ArithmeticError, match=r"By.weight holds NaN"):
            batch_eval(gru, test_log)
    finally:
        network.By.weight.data[0] = kept
