"""Raw logs -> Sessions: what is built, and the arguments and logs that are refused."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_fast.data.sessions import load_sessions, require_pairs, warn_once
from gru4rec_fast.errors import DataError
from tests.logs import (
    OTHER_KEYS,
    OTHER_NAMES,
    SMALL,
    assert_is_small_log,
    small_log,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*the time of the event before them")


def test_a_log_becomes_sessions() -> None:
    sessions = load_sessions(small_log())
    assert_is_small_log(sessions)
    assert sessions.itemidmap.index.tolist() == [7, 5, 9, 3]
    assert sessions.itemidmap.index.name == "ItemId"
    assert sessions.session_ids.tolist() == [10, 20, 30]
    assert (sessions.n_sessions, sessions.n_events, sessions.n_items) == (3, 6, 4)
    assert (sessions.n_pairs, sessions.n_single, sessions.dropped_events) == (3, 1, 0)


def test_sessions_can_go_by_appearance() -> None:
    assert load_sessions(small_log(), time_sort=False).order.tolist() == [0, 1, 2]
    turned = small_log().iloc[::-1]
    assert load_sessions(turned, time_sort=False).order.tolist() == [0, 2, 1]


def test_columns_can_have_other_names() -> None:
    sessions = load_sessions(small_log().rename(columns=OTHER_NAMES), **OTHER_KEYS)
    assert_is_small_log(sessions)
    assert sessions.itemidmap.index.name == "sku"
    assert sessions.session_ids.name == "visit"


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(-3, 9), st.integers(0, 4)), min_size=1, max_size=40
    )
)
def test_sessions_are_a_stable_sort_of_the_log(events: list[tuple[int, int, int]]) -> None:
    frame = pd.DataFrame(events, columns=["SessionId", "ItemId", "Time"])
    sessions = load_sessions(frame)
    expected = frame.sort_values(["SessionId", "Time"], kind="stable")
    ids = sessions.itemidmap.index.to_numpy()
    assert ids.tolist() == list(dict.fromkeys(frame["ItemId"]))
    assert ids[sessions.items].tolist() == expected["ItemId"].tolist()
    assert sessions.rows.tolist() == expected.index.tolist()
    lengths = expected.groupby("SessionId").size()
    assert np.diff(sessions.offsets).tolist() == lengths.tolist()
    assert sessions.session_ids.tolist() == lengths.index.tolist()
    starts = expected.groupby("SessionId")["Time"].min().sort_values(kind="stable")
    assert sessions.session_ids[sessions.order].tolist() == starts.index.tolist()
    assert sessions.support.sum() == len(frame)
    assert sessions.n_pairs == len(frame) - len(lengths)
    assert sessions.n_single == (lengths == 1).sum()


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_the_callers_table_is_not_changed(make: Callable[[Any], Any]) -> None:
    table, twin = make(SMALL), make(SMALL)
    load_sessions(table)
    assert table.equals(twin)


def test_read_only_memory_is_accepted() -> None:
    columns = {name: np.array(values) for name, values in SMALL.items()}
    for column in columns.values():
        column.flags.writeable = False
    assert_is_small_log(load_sessions(pd.DataFrame(columns, copy=False)))


def test_one_column_for_two_purposes_is_refused() -> None:
    with pytest.raises(
        DataError, match="item_key='Time', session_key='SessionId', time_key='Time': expected three"
    ):
        load_sessions(small_log(), item_key="Time")


@pytest.mark.parametrize(
    ("keyword", "name"), [("item_key", None), ("session_key", None), ("time_key", 3)]
)
def test_a_key_that_is_no_name_is_refused(keyword: str, name: Any) -> None:
    keys: dict[str, Any] = {keyword: name}
    with pytest.raises(DataError, match=f"{keyword} is {name}: expected the name of a column"):
        load_sessions(small_log(), **keys)


@pytest.mark.parametrize("kind", ["table", "csv", "parquet"])
def test_without_a_time_column_rows_are_in_order(tmp_path: Path, kind: str) -> None:
    log = small_log().drop(columns="Time")
    log.to_csv(tmp_path / "log.csv", index=False)
    log.to_parquet(tmp_path / "log.parquet")
    data: Any = log if kind == "table" else tmp_path / f"log.{kind}"
    sessions = load_sessions(data, time_key=None)
    assert sessions.rows.tolist() == [0, 2, 5, 1, 3, 4]
    assert sessions.order.tolist() == [0, 1, 2]
    known = load_sessions(data, time_key=None, itemidmap=pd.Series([0, 1], index=[7, 9]))
    assert known.rows.tolist() == [0, 3, 4]


def warnings_of(log: pd.DataFrame, **keys: Any) -> list[str]:
    warn_once.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_sessions(log, **keys)
    return [str(warning.message) for warning in caught]


def test_ties_whose_order_is_that_of_the_rows_alone_are_counted() -> None:
    (warning,) = warnings_of(small_log())
    assert warning.startswith(
        "1 of 6 events have the time of the event before them in their session ('Time'), and the "
        "log is not sorted by session and time: only the order of its rows says which came first"
    )
    assert "pass time_key=None" in warning
    (warning,) = warnings_of(small_log(Time=[5] * 6))
    assert warning.startswith("3 of 6 events")
    ordered = small_log().sort_values(["SessionId", "Time"], kind="stable")
    turned = ordered.iloc[::-1].sort_values("SessionId", kind="stable", ascending=False)
    for silent, keys in (
        (ordered, {}),
        (small_log(), {"time_key": None}),
        (small_log(Time=range(6)), {}),
        (small_log(ItemId=[5] * 6), {}),  # Which of two equal events came first does not matter.
    ):
        assert warnings_of(silent, **keys) == []
    assert len(warnings_of(turned)) == 1, "grouped by session, but in reverse"


def test_the_warning_of_ties_names_the_file_and_comes_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    small_log().to_csv(path, index=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            load_sessions(path)
    assert [str(warning.message).startswith(f"{path}: 1 of 6") for warning in caught] == [True]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_an_empty_log_is_refused(make: Callable[[Any], Any]) -> None:
    with pytest.raises(DataError, match="the log has no rows: expected at least one session"):
        load_sessions(make({"SessionId": [], "ItemId": [], "Time": []}))


def test_sessions_without_a_pair_are_refused_for_training() -> None:
    single = load_sessions(small_log(SessionId=range(6)))
    assert (single.n_pairs, single.n_single) == (0, 6)
    with pytest.raises(DataError, match=r"all 6 sessions have a single event.*session_key=\.\.\."):
        require_pairs(single)
    require_pairs(load_sessions(small_log()))
