"""The latest sessions are held out whole, from any log, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from gru4rec_fast import DataError, ParameterError
from gru4rec_fast.data.splitting import hold_out_latest
from tests.logs import random_log

if TYPE_CHECKING:
    from pathlib import Path


def events(log: pd.DataFrame) -> dict[Any, list[int]]:
    ordered = log.sort_values("Time", kind="stable")
    return {s: rows.ItemId.tolist() for s, rows in ordered.groupby("SessionId")}


def test_the_latest_sessions_are_held_out_whole() -> None:
    log = random_log(n_sessions=40)
    before = log.copy()
    earlier, later = hold_out_latest(log, 0.25)
    pd.testing.assert_frame_equal(log, before)
    assert later.SessionId.nunique() == 10
    assert events(earlier) | events(later) == events(log)
    start = log.groupby("SessionId").Time.min()
    assert start[earlier.SessionId.unique()].max() < start[later.SessionId.unique()].min()
    assert earlier.Time.max() < later.Time.min()
    assert earlier.drop_duplicates("SessionId").SessionId.tolist() == [
        s for s in start.sort_values().index if s in set(earlier.SessionId)
    ]


def test_any_column_names_and_text_ids_from_a_file(tmp_path: Path) -> None:
    log = pd.DataFrame(
        {"visit": ["b", "b", "a", "a", "c"], "sku": list("xyzxy"), "at": [3, 4, 1, 2, 5]}
    )
    path = tmp_path / "log.csv"
    log.to_csv(path, index=False)
    earlier, later = hold_out_latest(path, 0.5, item_key="sku", session_key="visit", time_key="at")
    assert list(earlier.columns) == ["visit", "sku", "at"]
    assert earlier.visit.tolist() == ["a"] * 2
    assert earlier.sku.tolist() == ["z", "x"]
    assert later.sku.tolist() == ["x", "y", "y"]


def test_at_least_one_session_goes_to_each_side() -> None:
    log = random_log(n_sessions=3)
    for share, sizes in ((0.001, (2, 1)), (0.999, (1, 2))):
        split = hold_out_latest(log, share)
        assert tuple(part.SessionId.nunique() for part in split) == sizes


def test_errors() -> None:
    log = random_log()
    with pytest.raises(ParameterError, match="share=1: expected a number between 0 and 1"):
        hold_out_latest(log, 1)
    with pytest.raises(DataError, match="'SessionId' holds one session"):
        hold_out_latest(log.assign(SessionId=1))
    with pytest.raises(DataError, match="no column 'Time'"):
        hold_out_latest(log.drop(columns="Time"))
