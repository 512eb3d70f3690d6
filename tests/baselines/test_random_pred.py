"""Random orders are orders, uniform, and functions of seed and session."""

from __future__ import annotations

import pytest
import torch

from gru4rec_fast.baselines.random_pred import RandomPred, RandomScorer
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.evaluation.evaluate import evaluate
from tests.logs import random_log


@pytest.mark.parametrize("n_items", [1, 2, 3, 4, 5, 16, 17, 1000])
def test_places_are_an_order_of_all_items(n_items: int) -> None:
    scorer = RandomScorer(n_items, seed=1)
    for event in torch.tensor([[0], [7], [2**62]]):
        places, equal = scorer.rank_counts(event.expand(n_items, 1), torch.arange(n_items))
        assert sorted(places.tolist()) == list(range(n_items))
        assert (equal == 1).all()
        _, items = scorer.top_k(event[None], n_items)
        assert places[items[0]].tolist() == list(range(n_items))


def test_targets_rank_uniformly() -> None:
    log = random_log(n_sessions=3000, n_items=40)
    sessions = load_sessions(log)
    result = evaluate(RandomPred().fit(log).scorer(), sessions, [1, 5, 20])
    V = sessions.n_items
    for k, recall in result.recall.items():
        assert recall == pytest.approx(k / V, abs=0.015)
    assert result.ranks.mean() == pytest.approx((V + 1) / 2, abs=0.4)


def test_the_order_depends_on_the_whole_session_and_the_seed() -> None:
    def best(session: list[int], seed: int = 1) -> list[int]:
        model = RandomPred(seed).fit(random_log())
        ids = model.data_iterator.itemidmap.index
        return model.recommend(ids[session].tolist(), k=10)["ItemId"].tolist()

    assert best([1, 2]) == best([1, 2])
    different = [best([1, 2]), best([2, 1]), best([2]), best([1, 2], seed=2)]
    assert len({tuple(items) for items in different}) == 4
