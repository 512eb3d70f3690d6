"""Popularity in a session, by hand."""

from __future__ import annotations

from gru4rec_fast.baselines.session_pop import SessionPop
from tests.logs import log_of


def test_counts_first_then_support_then_index() -> None:
    # Supports: item 1 four, item 2 three, items 3 and 4 one.
    model = SessionPop().fit(log_of([[1, 1, 2], [1, 2, 3], [1, 2, 4]]))
    best = model.recommend([4, 3, 3, 4, 2], k=4)
    assert best["ItemId"].tolist() == [3, 4, 2, 1]
    assert best["Score"].tolist() == [2.2, 2.2, 1.6, 0.8]
