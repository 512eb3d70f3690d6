"""Recommendations for many sessions in one pass: `recommend`, session by session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gru4rec_fast import DataError, GRU4Rec, ParameterError
from tests.serving.models import small_model

if TYPE_CHECKING:
    from gru4rec_fast.serving.recommendations import Recommendations


def random_sessions(gru: GRU4Rec, n: int, longest: int = 9, seed: int = 0) -> list[list[Any]]:
    ids, rng = gru.data_iterator.itemidmap.index, np.random.default_rng(seed)
    return [ids[rng.integers(0, len(ids), rng.integers(1, longest + 1))].tolist() for _ in range(n)]


def require_row(found: Recommendations, row: int, expected: pd.DataFrame) -> None:
    """A row has exactly the expected items and scores, then padding."""
    n = len(expected)
    assert found.ids[row, :n].tolist() == expected.iloc[:, 0].tolist()
    assert np.array_equal(found.scores[row, :n], expected.iloc[:, 1].to_numpy(dtype=np.float32))
    assert (found.scores[row, n:] == -np.inf).all()


@pytest.mark.rounding
@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("some", [False, True])
def test_every_row_is_what_recommend_gives(gru: GRU4Rec, exclude_seen: bool, some: bool) -> None:
    sessions = [*random_sessions(gru, 130), random_sessions(gru, 1, longest=400)[0]]
    ids = gru.data_iterator.itemidmap.index
    options: dict[str, Any] = {"exclude_seen": exclude_seen}
    if some:
        options["candidates"] = [*ids[[4, 9, 5, 2, 4]], -5]
    found = gru.recommend_batch(sessions, 8, **options)
    assert found.ids.shape == found.scores.shape == (131, 8)
    for row in (*range(20), 64, 128, 130):
        require_row(found, row, gru.recommend(sessions[row], 8, **options))


def test_candidates_are_the_only_items(plain: GRU4Rec) -> None:
    ids = plain.data_iterator.itemidmap.index
    wanted = ids[[7, 3, 5, 4]].tolist()
    best = plain.recommend([ids[0]], k=10, candidates=wanted)
    everything = plain.recommend([ids[0]], k=len(ids))
    assert best.equals(everything[everything.ItemId.isin(wanted)].reset_index(drop=True))
    tied = best.ItemId.tolist().index(ids[4])
    assert best.ItemId[tied + 1] == ids[5]  # equal scores: the lower index first
    with pytest.raises(DataError, match=r"candidates is \[-1\], of which the model knows no item"):
        plain.recommend([ids[0]], candidates=[-1])
    with pytest.raises(DataError, match="candidates is 'abc'; expected a list"):
        plain.recommend([ids[0]], candidates="abc")


def test_unknown_items_are_passed_over_and_counted(plain: GRU4Rec) -> None:
    a, b = plain.data_iterator.itemidmap.index[:2]
    found = plain.recommend_batch([[a, -5, b], [-5, -6, a], [b, None, "x", 2.5, True]], 3)
    assert found.unknown.tolist() == [1, 2, 4]
    assert not found.cold.any()
    for row, session in enumerate(([a, b], [a], [b])):
        require_row(found, row, plain.recommend(session, 3))


def test_cold_sessions(plain: GRU4Rec) -> None:
    items = plain.data_iterator
    a = items.itemidmap.index[0]
    sessions = [[], [a], [-1]]
    with pytest.warns(UserWarning, match=r"2 of 3 sessions \(the first: 0\) have no event of an"):
        found = plain.recommend_batch(sessions, 3)
    assert found.cold.tolist() == [True, False, True]
    assert (found.scores[[0, 2]] == -np.inf).all()
    assert (found.ids[[0, 2]] == -1).all()
    found = plain.recommend_batch(sessions, 3, cold="popularity")
    assert items.support is not None
    popular = np.argsort(-items.support, kind="stable")[:3]
    assert found.ids[2].tolist() == items.itemidmap.index[popular].tolist()
    np.testing.assert_allclose(found.scores[2], items.support[popular] / items.support.sum())
    candidates = items.itemidmap.index[[8, 2]].tolist()
    found = plain.recommend_batch([[]], 3, cold="popularity", candidates=candidates)
    assert set(found.ids[0, :2]) == set(candidates)
    assert found.scores[0, 2] == -np.inf
    with pytest.raises(DataError, match="leave them out, or pass cold="):
        plain.recommend_batch(sessions, 3, cold="raise")
    with pytest.raises(ParameterError, match="cold is 'x'; expected one of none, popularity"):
        plain.recommend_batch(sessions, 3, cold="x")


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame])
def test_a_table_of_events(plain: GRU4Rec, table: Any) -> None:
    a, b, c = plain.data_iterator.itemidmap.index[:3].tolist()
    log = table({"SessionId": [9, 4, 9, 9], "ItemId": [a, b, -3, c]})
    found = plain.recommend_batch(log, 4)
    assert found.sessions == [9, 4]
    require_row(found, 0, plain.recommend([a, c], 4))
    require_row(found, 1, plain.recommend([b], 4))
    frame = found.to_frame()
    assert frame.columns.tolist() == ["Session", "Rank", "ItemId", "Score"]
    assert frame.Session.tolist() == [9] * 4 + [4] * 4
    assert frame.Rank.tolist() == [1, 2, 3, 4] * 2
    assert frame.ItemId.tolist() == found.ids.reshape(-1).tolist()
    with pytest.raises(DataError, match="no column 'SessionId'"):
        plain.recommend_batch(table({"visit": [1], "ItemId": [a]}))


def test_text_ids() -> None:
    gru = small_model(text_ids=True)
    ids = gru.data_iterator.itemidmap.index
    sessions = [ids[:3].tolist(), [*ids[3:25], 7]]
    found = gru.recommend_batch(sessions, 3)
    require_row(found, 0, gru.recommend(sessions[0], 3))
    require_row(found, 1, gru.recommend(sessions[1][:-1], 3))
    assert found.unknown.tolist() == [0, 1]
    with pytest.warns(UserWarning, match="have no event"):
        assert gru.recommend_batch([["?"]], 2).ids.tolist() == [[None, None]]


def test_bad_batches(plain: GRU4Rec) -> None:
    a = plain.data_iterator.itemidmap.index[0]
    with pytest.raises(DataError, match=r"sessions\[1\] is 5; expected a list of item ids"):
        plain.recommend_batch([[a], 5])
    with pytest.raises(DataError, match=r"sessions\[0\] is 'abc'"):
        plain.recommend_batch(["abc"])
    with pytest.raises(DataError, match=r"an item is .*; expected an id of the training log"):
        plain.recommend_batch([[a, [a]]])
    for bad in (5, "log.csv", {"a": [a]}):
        with pytest.raises(DataError, match=r"sessions is of type .*; expected a list of lists"):
            plain.recommend_batch(bad)
    with pytest.raises(ParameterError, match="k is 0"):
        plain.recommend_batch([[a]], 0)
    assert plain.recommend_batch([], 3).ids.shape == (0, 3)
