"""Recommendations and the batch predictor, against the network's own forward."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import DataError, GRU4Rec, ParameterError
from tests.logs import random_log


@pytest.fixture(scope="module")
def trained() -> GRU4Rec:
    model = GRU4Rec(layers=(16,), batch_size=8, n_sample=16, n_epochs=2, device="cpu")
    return model.fit(random_log(n_sessions=60), progress=False)


@pytest.fixture
def gru(trained: GRU4Rec) -> GRU4Rec:
    """Without the sessions of other tests, which would go on where the ids are the same."""
    return copy.deepcopy(trained)


def forward(gru: GRU4Rec, session: list[int]) -> pd.Series[float]:
    """Scores of all items after the session, by item id."""
    states = [torch.zeros(1, h) for h in gru.layers]
    for item in session:
        scores = gru.model.forward(torch.tensor([int(gru.data_iterator.itemidmap[item])]), states)
    return pd.Series(scores[0].numpy(), index=gru.data_iterator.itemidmap.index)


def test_recommend_is_the_head_of_the_scores(gru: GRU4Rec) -> None:
    session = list(gru.data_iterator.itemidmap.index[[3, 1, 3]])
    best = gru.recommend(session, k=5)
    expected = forward(gru, session).sort_values(ascending=False).head(5)
    assert best.columns.tolist() == ["ItemId", "Score"]
    assert best.ItemId.tolist() == expected.index.tolist()
    np.testing.assert_allclose(best.Score, expected, rtol=1e-5)


def test_recommend_can_leave_out_what_was_seen(gru: GRU4Rec) -> None:
    ids = gru.data_iterator.itemidmap.index
    session = list(ids[:4])
    best = gru.recommend(session, k=6, exclude_seen=True)
    assert len(best) == 6
    assert not set(best.ItemId) & set(session)
    everything = gru.recommend(session, k=10_000)
    assert set(everything.ItemId) == set(ids)
    kept = everything[~everything.ItemId.isin(session)].head(6)
    assert best.ItemId.tolist() == kept.ItemId.tolist()


def test_recommend_passes_over_unknown_items(gru: GRU4Rec) -> None:
    known = gru.data_iterator.itemidmap.index[0]
    assert gru.recommend([-5, known], k=3).equals(gru.recommend([known], k=3))


def test_recommend_on_text_ids() -> None:
    log = random_log()
    log["ItemId"] = "item-" + log["ItemId"].astype(str)
    gru = GRU4Rec(layers=(4,), n_epochs=1, n_sample=4, device="cpu").fit(log, progress=False)
    best = gru.recommend([log["ItemId"][0]], k=2)
    assert best.ItemId.str.startswith("item-").all()


def test_bad_sessions(gru: GRU4Rec) -> None:
    with pytest.raises(DataError, match=r"session_items is \[\]; expected a non-empty list"):
        gru.recommend([])
    with pytest.raises(DataError, match="expected a list of ids"):
        gru.recommend("abc")
    with pytest.raises(DataError, match="the model knows no item"):
        gru.recommend([-1, -2])
    with pytest.raises(ParameterError, match="k is 0"):
        gru.recommend([gru.data_iterator.itemidmap.index[0]], k=0)


def test_predict_next_batch_goes_on_within_a_session_and_resets_with_a_new_one(
    gru: GRU4Rec,
) -> None:
    a, b, c = gru.data_iterator.itemidmap.index[:3]
    first = gru.predict_next_batch([1, 2], [a, b], batch=2)
    assert first.shape == (gru.data_iterator.n_items, 2)
    second = gru.predict_next_batch([1, 3], [c, c], batch=2)
    for column, session in (
        (first[0], [a]),
        (first[1], [b]),
        (second[0], [a, c]),
        (second[1], [c]),
    ):
        np.testing.assert_allclose(
            column, forward(gru, session)[column.index], rtol=1e-4, atol=1e-6
        )


def test_predict_next_batch_for_chosen_items(gru: GRU4Rec) -> None:
    ids = gru.data_iterator.itemidmap.index
    wanted = [ids[5], ids[2]]
    scores = gru.predict_next_batch(["x"], [ids[0]], wanted, batch=1)
    assert scores.index.tolist() == wanted
    expected = forward(gru, [ids[0]])[wanted]
    np.testing.assert_allclose(scores[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.rounding
def test_predict_next_batch_scores_as_recommend_does_whatever_is_asked(gru: GRU4Rec) -> None:
    ids = gru.data_iterator.itemidmap.index
    best = gru.recommend([ids[3]], k=len(ids)).set_index("ItemId").Score
    for n in (*range(1, 10), len(ids)):
        scores = gru.predict_next_batch([f"lane of {n}"], [ids[3]], list(ids[:n]), batch=1)[0]
        assert np.array_equal(scores, best[ids[:n]].astype(np.float32))


def test_bad_batches(gru: GRU4Rec) -> None:
    known = gru.data_iterator.itemidmap.index[0]
    with pytest.raises(DataError, match=r"session_ids has 1 entries; expected .*batch=100"):
        gru.predict_next_batch([1], [known])
    with pytest.raises(DataError, match="input_item_ids holds -9"):
        gru.predict_next_batch([1], [-9], batch=1)
    with pytest.raises(DataError, match="predict_for_item_ids holds -9"):
        gru.predict_next_batch([1], [known], [-9], batch=1)
    with pytest.raises(ParameterError, match="batch is 0"):
        gru.predict_next_batch([], [], batch=0)


def test_predict_next_batch_after_another_fit_asks_the_new_model() -> None:
    log = random_log()
    gru = GRU4Rec(layers=(4,), batch_size=8, n_sample=4, n_epochs=1, device="cpu")
    item = log.ItemId[0]
    before = gru.fit(log, progress=False).predict_next_batch([1], [item], batch=1)
    gru.set_params(n_epochs=2)
    after = gru.fit(log, progress=False).predict_next_batch([1], [item], batch=1)
    assert not after.equals(before)
    np.testing.assert_allclose(after[0], forward(gru, [item])[after.index], rtol=1e-4, atol=1e-6)


def test_an_array_of_session_ids_may_be_changed_in_place(gru: GRU4Rec) -> None:
    a, b = gru.data_iterator.itemidmap.index[:2]
    sessions: Any = np.array([1, 2, 3])
    gru.predict_next_batch(sessions, [a, a, a], batch=3)
    sessions[1] = 4
    scores = gru.predict_next_batch(sessions, [b, b, b], batch=3)
    for lane, session in enumerate(([a, b], [b], [a, b])):
        np.testing.assert_allclose(
            scores[lane], forward(gru, session)[scores.index], rtol=1e-4, atol=1e-6
        )


def test_predict_next_goes_through_a_session_as_session_rec_does(gru: GRU4Rec) -> None:
    ids = gru.data_iterator.itemidmap.index
    wanted = list(ids[[5, 2, 9]])
    for session in ([ids[1], ids[4]], [ids[7], ids[1], ids[3]]):
        name = f"session of {len(session)}"
        for n, item in enumerate(session, 1):
            scores = gru.predict_next(name, item, wanted)
            assert scores.index.tolist() == wanted
            expected = forward(gru, session[:n])[wanted]
            np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
    unchanged = gru.predict_next(name, -5, wanted)
    assert unchanged.equals(scores)
    assert (gru.predict_next("another", -5, wanted) == 0).all()
    with pytest.raises(DataError, match="predict_for_item_ids holds -9"):
        gru.predict_next("another", ids[0], [-9])


def test_lanes_go_on_when_the_batch_changes(gru: GRU4Rec) -> None:
    a, b, c = gru.data_iterator.itemidmap.index[:3]
    gru.predict_next_batch(["p", "q", "r"], [a, b, c], batch=3)
    gru.predict_next_batch(["p"], [b], batch=1)
    scores = gru.predict_next_batch(["p", "q", "s", "t"], [c, c, c, a], batch=4)
    for lane, session in enumerate(([a, b, c], [b, c], [c], [a])):
        np.testing.assert_allclose(
            scores[lane], forward(gru, session)[scores.index], rtol=1e-4, atol=1e-6
        )


def test_unknown_items_of_a_batch_can_be_nan(gru: GRU4Rec) -> None:
    a, b = gru.data_iterator.itemidmap.index[:2]
    ask: dict[str, Any] = {"batch": 3, "unknown": "nan", "session_columns": True}
    first = gru.predict_next_batch(["x", "y", "z"], [a, -9, -9], [a, -1, b], **ask)
    assert first.columns.tolist() == ["x", "y", "z"]
    assert first.isna().to_numpy().tolist() == [
        [False, True, True],
        [True, True, True],
        [False, True, True],
    ]
    second = gru.predict_next_batch(["x", "y", "new"], [-9, b, b], [a, b], **ask)
    assert second["x"].isna().all()
    third = gru.predict_next_batch(["x", "y", "z"], [b, a, a], [a, b], **ask)
    # Unknown events changed no state; z starts anew, as its lane had another session meanwhile.
    for column, session in (
        (first["x"].iloc[[0, 2]], [a]),
        (second["y"], [b]),
        (second["new"], [b]),
        (third["x"], [a, b]),
        (third["y"], [b, a]),
        (third["z"], [a]),
    ):
        np.testing.assert_allclose(column, forward(gru, session)[[a, b]], rtol=1e-4, atol=1e-6)
    with pytest.raises(ParameterError, match="unknown='skip': expected 'raise' or 'nan'"):
        gru.predict_next_batch(["x"], [a], batch=1, unknown="skip")
