"""Each baseline against its formula written in plain Python: scores, ranks and best items."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast.baselines import BASELINES
from gru4rec_fast.baselines.event_window import EVENTS
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.evaluation.evaluate import evaluate
from tests.baselines import twins
from tests.logs import log_of, random_log

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from gru4rec_fast.serving.session_predictor import ItemScorer
    from tests.baselines.twins import Session

CASES: list[tuple[str, Callable[..., list[float]], dict[str, Any]]] = [
    ("pop", twins.pop, {}),
    ("session-pop", twins.session_pop, {}),
    ("markov", twins.markov, {}),
    ("item-knn", twins.item_knn, {}),
    ("item-knn", twins.item_knn, {"n_sims": 3, "lmbd": 0, "alpha": 0.8}),
    ("item-knn", twins.item_knn, {"n_sims": 2, "lmbd": 2.5, "alpha": 0}),
    *(
        (name, twin, options)
        for name, twin in (
            ("sknn", twins.sknn),
            ("vsknn", twins.vsknn),
            ("vmis-knn", twins.vmis_knn),
        )
        for options in ({}, {"k": 4, "m": 12}, {"k": 7, "m": 7}, {"k": 1, "m": 30})
    ),
]

ROUNDING = 1e-7
"""SKNN rounds scores down to multiples of 2^-24 / sqrt(items of the session), so that sums tie."""


def with_ties(log: pd.DataFrame) -> pd.DataFrame:
    """A log in which every five sessions begin at the same time."""
    return log.assign(Time=log["Time"] // 50_000)


def scores_of(scorer: ItemScorer, session: Session) -> torch.Tensor:
    """Features (1, F) after a session."""
    state, lane = scorer.start(1), torch.zeros(1, dtype=torch.int64)
    for item in session:
        features = scorer.step(state, torch.tensor([item]), torch.tensor([False]), lane)
    return features


@pytest.mark.parametrize("ties", [False, True], ids=["", "ties"])
@pytest.mark.parametrize(
    ("name", "twin", "options"), CASES, ids=[f"{name} {options}" for name, _, options in CASES]
)
def test_scores_ranks_and_best_items(
    name: str, twin: Callable[..., list[float]], options: dict[str, Any], ties: bool
) -> None:
    log = random_log(n_sessions=70, n_items=25, longest=9)
    log = with_ties(log) if ties else log
    model = BASELINES[name](**options).fit(log)
    itemidmap = model.data_iterator.itemidmap
    training, V = twins.sessions_of(log, itemidmap), len(itemidmap)
    scores = partial(twin, training, V, **options)
    test_log = random_log(n_sessions=25, n_items=25, longest=16, seed=1)
    test_log = test_log[test_log["ItemId"].isin(itemidmap.index)]
    test = load_sessions(test_log, itemidmap=itemidmap)
    scorer = model.scorer()
    expected, every = [], torch.arange(V)
    for s in range(test.n_sessions):
        session = test.items[test.offsets[s] : test.offsets[s + 1]].tolist()
        for end in range(1, len(session)):
            by_hand = scores(session[:end])
            expected.append(twins.counts(by_hand, session[end]))
        features = scores_of(scorer, session)
        by_hand = scores(session)
        assert scorer.scores(features, every)[0].numpy() == pytest.approx(
            by_hand, rel=1e-9, abs=ROUNDING
        )
        values, items = scorer.top_k(features, 10)
        assert items[0].tolist() == twins.best_items(by_hand, 10)
        assert values[0].numpy() == pytest.approx(
            [by_hand[i] for i in items[0]], rel=1e-9, abs=ROUNDING
        )
    above, same = np.array(expected).T
    for mode, ranks in (("standard", 1 + above), ("conservative", above + same)):
        for batch_size in (3, 512):
            result = evaluate(scorer, test, mode=mode, batch_size=batch_size)
            assert np.array_equal(result.ranks, ranks)


@pytest.mark.parametrize("name", ["session-pop", "sknn", "vsknn", "vmis-knn"])
def test_a_long_session_is_its_last_events(name: str) -> None:
    log = random_log(n_sessions=70, n_items=25, longest=9)
    model = BASELINES[name]().fit(log)
    training = twins.sessions_of(log, model.data_iterator.itemidmap)
    V = len(model.data_iterator.itemidmap)
    rare, others = V - 1, list(range(V - 1))
    random = np.random.default_rng(0)
    session = [rare, *random.choice(others, EVENTS + 50).tolist()]
    scorer = model.scorer()
    found = scorer.scores(scores_of(scorer, session), torch.arange(V))[0].numpy()
    twin = {"session-pop": twins.session_pop, "sknn": twins.sknn, "vsknn": twins.vsknn}
    by_hand = twin.get(name, twins.vmis_knn)(training, V, session[-EVENTS:])
    assert found == pytest.approx(by_hand, rel=1e-9, abs=ROUNDING)


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in ("random", "bpr-mf")])
def test_items_without_a_score_are_equal(name: str) -> None:
    """Sessions 4-5 and 6-7 share no item with 0-1-2-3, and all items are equally popular."""
    model = BASELINES[name]().fit(log_of([[0, 1, 2, 3], [4, 5], [6, 7]]))
    greater, equal = model.scorer().rank_counts(
        scores_of(model.scorer(), [0]).expand(4, -1).contiguous(), torch.tensor([4, 5, 6, 7])
    )
    assert len(set(greater.tolist())) == 1
    assert (equal >= 4).all()
    assert greater[0] + equal[0] == 8
