"""The map of a model's items: unknown items are dropped, and what is no such map is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError
from tests.logs import ITEM, SMALL, assert_is_small_log, small_log


def test_unknown_items_are_dropped_and_counted() -> None:
    known = pd.Series([2, 0, 1], index=pd.Index([3, 7, 8], name="ItemId"))
    sessions = load_sessions(small_log(), itemidmap=known)
    assert sessions.items.tolist() == [2, 0, 0]
    assert sessions.offsets.tolist() == [0, 2, 3]
    assert sessions.session_ids.tolist() == [10, 30]
    assert sessions.rows.tolist() == [5, 0, 4]
    assert sessions.support.tolist() == [2, 0, 1]
    assert (sessions.dropped_events, sessions.n_items) == (3, 3)
    assert sessions.itemidmap is known


def test_a_map_that_knows_all_changes_only_the_indices() -> None:
    known = load_sessions(small_log()).itemidmap
    assert_is_small_log(load_sessions(small_log(), itemidmap=known))
    shuffled = load_sessions(small_log().iloc[::-1].reset_index(drop=True), itemidmap=known)
    assert shuffled.support.tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint64", "Int64"])
def test_the_map_may_be_of_another_integer_type(dtype: str) -> None:
    known = pd.Series(range(4), index=pd.Index([7, 5, 9, 3], dtype=dtype))
    assert_is_small_log(
        load_sessions(small_log(ItemId=np.array(ITEM, dtype=np.int16)), itemidmap=known)
    )


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_the_map_may_be_of_another_text_type(dtype: str) -> None:
    known = pd.Series(range(4), index=pd.Index(["7", "5", "9", "3"], dtype=dtype))
    frame = pl.DataFrame({**SMALL, "ItemId": [str(item) for item in ITEM]})
    assert_is_small_log(load_sessions(frame, itemidmap=known))


def test_ids_of_another_kind_than_the_models_are_refused() -> None:
    integers = load_sessions(small_log()).itemidmap
    text = load_sessions(small_log(ItemId=[str(item) for item in ITEM])).itemidmap
    with pytest.raises(
        DataError,
        match=r"column 'ItemId' holds text but .* of the model are integers.*astype\('int64'\)",
    ):
        load_sessions(small_log(ItemId=[str(item) for item in ITEM]), itemidmap=integers)
    with pytest.raises(
        DataError,
        match=r"column 'ItemId' holds integers but the items of the model are text.*astype\(str\)",
    ):
        load_sessions(small_log(), itemidmap=text)


def test_a_log_without_a_known_item_is_refused() -> None:
    known = pd.Series([0, 1], index=[100, 101])
    message = (
        r"none of the 4 items in column 'ItemId' \(the first: 7\) is known to the model, which "
        r"holds 2 items \(the first: 100\)"
    )
    with pytest.raises(DataError, match=message):
        load_sessions(small_log(), itemidmap=known)


@pytest.mark.parametrize(
    ("values", "index"), [([0, 2], [7, 5]), ([0, 0], [7, 5]), ([0, 1], [7, 7])]
)
def test_a_map_that_is_no_numbering_is_refused(values: list[int], index: list[int]) -> None:
    with pytest.raises(DataError, match=r"itemidmap: expected each item id once.*0\.\.1"):
        load_sessions(small_log(), itemidmap=pd.Series(values, index=index))


@pytest.mark.parametrize("column", ["SessionId", "ItemId"])
@pytest.mark.parametrize("known", [None, pd.Series([0], index=["b"])])
def test_ids_that_are_not_unicode_are_located(column: str, known: pd.Series[int] | None) -> None:
    """Row 0 is of an unknown item, which an evaluation leaves out; rows count it all the same."""
    table = small_log(SessionId=["x"] * 6, ItemId=["c", *"bbbbb"])
    table[column] = table[column].astype(object)
    table.loc[4, column] = "a\ud800"
    message = rf"column '{column}', row 4 \(counted from 0\) holds 'a\\ud800', which is not valid"
    with pytest.raises(DataError, match=message):
        load_sessions(table, itemidmap=known)
    escaped = table[column].str.encode("utf-8", "backslashreplace").str.decode("utf-8")
    load_sessions(table.assign(**{column: escaped}), itemidmap=known)
