"""The latest sessions are held out whole, from any log, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gru4rec_fast import DataError, ParameterError
from gru4rec_fast.data.session_split import split_latest
from gru4rec_fast.data.sessions import load_sessions
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
    assert [*earlier.columns] == [*log.columns]
    # The log's own rows, in its order: times and index stay.
    pd.testing.assert_frame_equal(pd.concat([earlier, later]).sort_index(), log)
    assert earlier.index.is_monotonic_increasing
    assert later.index.is_monotonic_increasing


@pytest.mark.parametrize("kind", ["pandas", "polars", "lazy", "arrow", "csv", "tsv", "parquet"])
def test_rows_come_back_whole_from_every_kind_of_log(tmp_path: Path, kind: str) -> None:
    log = pd.DataFrame({
        "shop": ["007", "7", "007", "", "1.50"], "SessionId": [2, 1, 2, 3, 1],
        "ItemId": ["a", "b", "c", "0a", "e"], "Time": pd.to_datetime(["2024-03-01", "2024-02-29",
        "2024-03-02", "2024-02-28", "2024-02-29"]) + pd.Timedelta("1ms"),
    })  # fmt: skip
    log.to_csv(tmp_path / "log.csv", index=False, sep=";")
    log.to_csv(tmp_path / "log.tsv", index=False, sep="\t")
    log.to_parquet(tmp_path / "log.parquet")
    tables: dict[str, Any] = {
        "pandas": log, "polars": pl.from_pandas(log), "lazy": pl.from_pandas(log).lazy(),
        "arrow": pa.Table.from_pandas(log),
    }  # fmt: skip
    earlier, later = hold_out_latest(tables.get(kind, tmp_path / f"log.{kind}"), 0.4)
    expected = {"polars": pl.DataFrame, "lazy": pl.DataFrame, "arrow": pa.Table}
    for part, rows in ((earlier, [1, 3, 4]), (later, [0, 2])):
        assert type(part) is expected.get(kind, pd.DataFrame)
        frame = part if isinstance(part, pd.DataFrame) else part.to_pandas()
        frame = frame.reset_index(drop=True).fillna({"shop": ""})
        wanted = log.iloc[rows].reset_index(drop=True)
        pd.testing.assert_frame_equal(frame, wanted, check_dtype=False)


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
    assert later["at"].tolist() == [3, 4, 5]


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


@pytest.mark.parametrize("time_sort", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_sessions_are_split_as_their_log_is(time_sort: bool, share: float) -> None:
    log = random_log(n_sessions=60).sample(frac=1, random_state=3)
    rare = log.assign(ItemId=log.ItemId.where(log.index % 9 != 0, log.index + 1000))  # in one part
    found = split_latest(load_sessions(rare, time_sort=time_sort), share)
    parts = hold_out_latest(rare, share, time_sort=time_sort)
    earlier = load_sessions(parts[0], time_sort=time_sort)
    later = load_sessions(parts[1], itemidmap=earlier.itemidmap, time_sort=time_sort)
    for mine, expected, part in zip(found, (earlier, later), parts, strict=True):
        for name in ("items", "offsets", "support"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(expected, name), name)
            assert getattr(mine, name).dtype == getattr(expected, name).dtype
        pd.testing.assert_series_equal(mine.itemidmap, expected.itemidmap)
        assert mine.session_ids.tolist() == expected.session_ids.tolist()
        rows = rare.index[mine.rows].tolist()
        assert rows == part.index[expected.rows].tolist()
        assert mine.dropped_events > 0 or mine is found[0]
    np.testing.assert_array_equal(found[0].order, earlier.order)


def test_latest_sessions_of_unknown_items_are_refused() -> None:
    sessions = load_sessions(pd.DataFrame({"SessionId": [1, 1, 2, 2], "ItemId": [1, 2, 3, 4],
                                           "Time": [1, 2, 3, 4]}))  # fmt: skip
    with pytest.raises(DataError, match="none of the items of the latest 1 sessions occurs in the"):
        split_latest(sessions, 0.5)
