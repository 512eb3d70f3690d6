"""Raw logs -> Sessions: what is built, and the arguments and logs that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_fast.data.sessions import load_sessions, require_pairs
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


@settings(max_examples=60, deadline=None)
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


@pytest.mark.parametrize("keyword", ["item_key", "session_key", "time_key"])
def test_a_key_that_is_no_name_is_refused(keyword: str) -> None:
    keys: dict[str, Any] = {keyword: None}
    with pytest.raises(DataError, match=f"{keyword} is None: expected the name of a column"):
        load_sessions(small_log(), **keys)


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
