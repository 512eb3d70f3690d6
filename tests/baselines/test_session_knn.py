"""Nearest sessions of logs with a known answer, and the arguments of the C++ class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gru4rec_fast._core import SessionKnn
from gru4rec_fast.baselines.session_knn import SKNN, VMISKNN, VSKNN
from tests.logs import log_of

ALL = pytest.mark.parametrize("model", [SKNN, VSKNN, VMISKNN])


def after(model: SKNN, session: list[int], items: list[int]) -> list[float]:
    for item in session:
        scores = model.predict_next(tuple(session), item, items)
    return scores.tolist()


@ALL
def test_the_session_that_shares_items_is_found(model: type[SKNN]) -> None:
    random = np.random.default_rng(0)
    log = [random.choice(np.arange(5 * s, 5 * s + 5), 5, replace=False).tolist() for s in range(30)]
    fitted = model().fit(log_of(log))
    for session in log:
        rest = fitted.recommend(session[:2], k=3, exclude_seen=True)
        assert set(rest["ItemId"]) == set(session[2:])


def test_sknn_is_a_sum_of_cosines() -> None:
    model = SKNN().fit(log_of([[1, 2, 3], [1, 4], [5, 6]]))
    near, far = 2 / math.sqrt(2 * 3), 1 / math.sqrt(2 * 2)
    expected = [near + far, near, near, far, 0, 0]
    assert after(model, [1, 2], [1, 2, 3, 4, 5, 6]) == pytest.approx(expected, abs=1e-7)


def test_vsknn_weighs_recent_events_more() -> None:
    model = VSKNN().fit(log_of([[1, 7], [2, 8], [3, 9], [1, 3, 6]]))
    # Positions of 1, 2, 3 are 4, 2, 3 of 4 events: item 1 occurs twice.
    expected = [4 / 4, 2 / 4, 3 / 4, 7 / 4]
    assert after(model, [1, 2, 3, 1], [7, 8, 9, 6]) == pytest.approx(expected)


def test_vmis_knn_weighs_by_the_latest_match_and_the_items_rarity() -> None:
    model = VMISKNN().fit(log_of([[1, 7], [2, 8], [3, 8], [5, 6]]))
    # Item 3 is the last event, item 2 the second last, item 1 the third last.
    expected = [
        0.7 * 1 / 3 * math.log(4),
        (0.8 * 2 / 3 + 0.9 * 3 / 3) * math.log(4 / 2),
        0,
    ]
    assert after(model, [1, 2, 3], [7, 8, 6]) == pytest.approx(expected)


def test_a_match_at_the_tenth_last_event_counts_nothing() -> None:
    model = VMISKNN().fit(log_of([[1, 7], [2, 8], [3, 4]]))
    assert after(model, [1, *[2] * 8], [7])[0] == pytest.approx(0.1 * 1 / 9 * math.log(3))
    assert after(model, [1, *[2] * 9], [7]) == [0.0]


@ALL
def test_neighbours_come_from_the_most_recent_sessions(model: type[SKNN]) -> None:
    log = log_of([[1, 2, 10], [1, 11], [1, 12], [3, 4], [5, 1]])
    # The oldest session is the most similar one, but not among the most recent.
    assert after(model(k=3, m=3).fit(log), [2, 1], [10, 11, 12])[0] == 0
    assert after(model(k=3, m=4).fit(log), [2, 1], [10, 11, 12])[0] > 0


@ALL
def test_of_equally_similar_sessions_the_more_recent_one_is_a_neighbour(model: type[SKNN]) -> None:
    log = log_of([[1, 10], [1, 11], [1, 12], [3, 4]])
    log.loc[log["SessionId"].isin([1, 2]), "Time"] = 2  # these two begin at the same time
    scores = after(model(k=1, m=3).fit(log), [1], [10, 11, 12])
    assert [score > 0 for score in scores] == [False, False, True]
    log["Time"] = log["Time"].max() - log["Time"]
    log.loc[log["SessionId"] == 0, "Time"] += 10
    scores = after(model(k=1, m=3).fit(log), [1], [10, 11, 12])
    assert [score > 0 for score in scores] == [True, False, False]


def knn(**changes: Any) -> SessionKnn:
    options: dict[str, Any] = {"similarity": "cosine", "match_weight": False, "idf": False}
    arrays: dict[str, Any] = {
        "items": np.array([0, 1, 1, 2], np.int32),
        "offsets": np.array([0, 2, 4]),
        "order": np.array([0, 1]),
        "n_items": 3,
    }
    return SessionKnn(**{**arrays, **options, "k": 2, "m": 2, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"similarity": "dot"}, "similarity is 'dot'; expected 'cosine' or 'decay'"),
        ({"k": 0}, "k is 0; expected"),
        ({"m": 0}, "most_recent is 0; expected"),
        ({"n_items": 2}, r"items holds 2; expected 0\.\.1"),
        ({"order": np.array([0, 0])}, "order holds session 0, out of range or twice"),
        ({"order": np.array([0])}, "order names 1 sessions; expected all 2"),
        ({"offsets": np.array([0, 2, 5])}, "offsets must ascend from 0 to the number of events, 4"),
    ],
)
def test_arguments_of_the_class(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        knn(**changes)


def test_arguments_of_its_functions() -> None:
    rows = np.array([[1, -1], [2, 0]], np.int32)
    with pytest.raises(ValueError, match="targets has 1 entries; expected one for each of the 2"):
        knn().rank_counts(rows, np.array([1]))
    with pytest.raises(ValueError, match=r"targets holds 3; expected item indices 0\.\.2"):
        knn().rank_counts(rows, np.array([1, 3]))
    with pytest.raises(ValueError, match=r"sessions holds 7; expected item indices 0\.\.2"):
        knn().top_k(np.array([[7]], np.int32), 2)
    with pytest.raises(ValueError, match=r"items holds -1; expected item indices 0\.\.2"):
        knn().item_scores(rows, np.array([-1]))
    scores, items = knn().top_k(np.full((1, 4), -1, np.int32), 5)
    assert (scores.tolist(), items.tolist()) == ([[0, 0, 0]], [[0, 1, 2]])
