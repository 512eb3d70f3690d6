"""Evaluation loops as users of session-rec and of the Theano version have them, on our models.

Such a script asks the model for scores after each event and ranks the next item itself. It must
find what `evaluate` finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gru4rec_fast import GRU4Rec
from gru4rec_fast.baselines import VMISKNN, VSKNN
from gru4rec_fast.evaluation.evaluate import evaluate
from tests.logs import random_log

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

CUTOFF = 5
MODELS: dict[str, Callable[[], Any]] = {
    "gru4rec": lambda: GRU4Rec(layers=(8,), batch_size=8, n_sample=16, n_epochs=1, device="cpu"),
    "vsknn": VSKNN,
    "vmis-knn": VMISKNN,
}


@pytest.fixture(scope="module")
def logs() -> tuple[pd.DataFrame, pd.DataFrame]:
    log = random_log(seed=3).sort_values(["SessionId", "Time"])
    ids = log["SessionId"].unique()
    test = log["SessionId"].isin(ids[-12:])
    train = log[~test]
    return train, log[test & log["ItemId"].isin(train["ItemId"])]


def rank(scores: pd.Series[float], item: Any) -> int:
    """Of an item, the worst among those that tie with it."""
    return int((scores >= scores[item]).sum())


def expected(model: Any, test: pd.DataFrame) -> tuple[float, float]:
    found = evaluate(model, test, [CUTOFF])
    return found.recall[CUTOFF], found.mrr[CUTOFF]


def result(ranks: list[int]) -> tuple[float, float]:
    """Recall and MRR at CUTOFF."""
    hits = [1 / r for r in ranks if r <= CUTOFF]
    return len(hits) / len(ranks), sum(hits) / len(ranks)


@pytest.mark.parametrize("name", MODELS)
def test_a_session_rec_loop(name: str, logs: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    train, test = logs
    model = MODELS[name]().fit(train)
    items_to_predict = train["ItemId"].unique()
    ranks = []
    previous_session = previous_item = None
    columns = [test[name].to_numpy() for name in ("SessionId", "ItemId", "Time")]
    for session, item, time in zip(*columns, strict=True):
        if session == previous_session:
            scores = model.predict_next(session, previous_item, items_to_predict, timestamp=time)
            scores[np.isnan(scores)] = 0
            scores.sort_values(ascending=False, inplace=True)
            ranks.append(rank(scores, item))
        previous_session, previous_item = session, item
    assert result(ranks) == pytest.approx(expected(model, test))


def test_skipped_events_and_those_that_are_no_views(
    logs: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    train, _ = logs
    model: Any = VSKNN().fit(train)
    a, b, c = train["ItemId"].unique()[:3]
    wanted = train["ItemId"].unique()
    assert model.predict_next(1, a, None, skip=True).empty
    after_both = model.predict_next(1, b, wanted)
    model.predict_next(2, a, wanted)
    model.predict_next(2, c, wanted, type="purchase")
    assert model.predict_next(2, b, wanted, input_user_id=7).equals(after_both)


def test_a_loop_over_batches_of_the_theano_version(
    logs: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    train, test = logs
    model = MODELS["gru4rec"]().fit(train)
    model.predict = None
    items = test["ItemId"].to_numpy()
    starts = np.flatnonzero(~test["SessionId"].duplicated().to_numpy())
    ends = np.append(starts[1:], len(items))
    batch = 4
    sessions, following = np.arange(batch), batch
    at = starts[:batch].copy()
    ranks = []
    while (valid := sessions >= 0).any():
        scores = model.predict_next_batch(sessions, items[at], None, batch)
        scores.fillna(0, inplace=True)
        for lane, column in scores.loc[:, valid].items():
            ranks.append(rank(column, items[at[lane] + 1]))
        at[valid] += 1
        for lane in np.flatnonzero(valid & (ends[sessions] - at <= 1)):
            sessions[lane] = following if following < len(starts) else -1
            if sessions[lane] >= 0:
                at[lane] = starts[following]
            following += 1
    assert result(ranks) == pytest.approx(expected(model, test))
