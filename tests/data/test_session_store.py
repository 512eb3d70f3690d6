"""The session store: grouping, order in time, ties, and the errors of bad codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_fast._core import SessionStore

if TYPE_CHECKING:
    from numpy.typing import NDArray


def store_of(
    session: list[int], item: list[int], time: NDArray[Any] | list[float], n_sessions: int
) -> SessionStore:
    times = np.asarray(time)
    return SessionStore(
        np.array(session, dtype=np.int64),
        np.array(item, dtype=np.int32),
        times.astype(np.float64) if times.dtype.kind == "f" else times.astype(np.int64),
        n_sessions,
    )


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[int], list[int], list[int] | list[float]]:
    n = draw(st.integers(1, 8))
    rest = draw(st.lists(st.integers(0, n - 1), max_size=40))
    session = draw(st.permutations([*range(n), *rest]))
    size = len(session)
    item = draw(st.lists(st.integers(0, 2**31 - 1), min_size=size, max_size=size))
    integers = st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)
    floats = st.floats(-3, 3) | st.sampled_from([0.0, -0.0, np.inf, -np.inf])
    times: st.SearchStrategy[Any] = draw(st.sampled_from([integers, floats]))
    return list(session), item, draw(st.lists(times, min_size=size, max_size=size))


@given(logs())
def test_equals_a_stable_sort_by_session_and_time(
    log: tuple[list[int], list[int], list[float]],
) -> None:
    session, item, time = log
    n = max(session) + 1
    store = store_of(session, item, time, n)
    frame = pd.DataFrame({"session": session, "item": item, "time": time})
    frame = frame.sort_values("time", kind="stable").sort_values("session", kind="stable")
    assert store.items.tolist() == frame["item"].tolist()
    assert store.rows.tolist() == frame.index.tolist()
    assert store.offsets.tolist() == [0, *np.bincount(session, minlength=n).cumsum()]
    first = frame.groupby("session")["time"].first()
    assert store.order_by_time().tolist() == first.sort_values(kind="stable").index.tolist()
    assert store.order_by_appearance().tolist() == list(dict.fromkeys(session))


def test_ties_keep_the_input_order() -> None:
    store = store_of([1, 0, 1, 0, 1], [5, 6, 7, 8, 9], [3, 1, 3, 1, 3], 2)
    assert store.items.tolist() == [6, 8, 5, 7, 9]
    assert store.rows.tolist() == [1, 3, 0, 2, 4]


def test_long_unsorted_sessions_keep_ties_in_order() -> None:
    rng = np.random.default_rng(0)
    time = rng.integers(0, 20, 5000)
    store = store_of([0] * 5000, list(range(5000)), time, 1)
    assert store.rows.tolist() == np.argsort(time, kind="stable").tolist()


def test_times_beyond_float64_precision_are_told_apart() -> None:
    store = store_of([0, 0], [1, 2], np.array([2**60 + 1, 2**60]), 1)
    assert store.items.tolist() == [2, 1]


def test_no_events() -> None:
    store = store_of([], [], np.array([], dtype=np.int64), 0)
    assert store.offsets.tolist() == [0]
    assert store.items.size == store.rows.size == store.order_by_time().size == 0


def test_views_are_read_only_and_outlive_the_store() -> None:
    store = store_of([0, 0], [1, 2], [0, 1], 1)
    items = store.items
    del store
    assert items.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        items[0] = 7


def test_the_arguments_are_not_changed() -> None:
    arrays = np.array([1, 0, 1]), np.array([3, 2, 1], dtype=np.int32), np.array([9, 8, 7])
    copies = [array.copy() for array in arrays]
    SessionStore(*arrays, 2)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("session", "item", "time", "n", "message"),
    [
        ([0, 2], [0, 0], [0, 0], 2, r"session code 2 at row 1 is outside 0\.\.1"),
        ([0, -1], [0, 0], [0, 0], 1, r"session code -1 at row 1 is outside 0\.\.0"),
        ([0, 0], [0, 0], [0, 0], 2, r"session code 1 has no event.*renumber"),
        ([0, 0], [4, -1], [0, 0], 1, r"item code -1 at row 1 is negative.*drop unknown"),
        ([0, 0], [4, 1], [0.5, np.nan], 1, r"time is NaN at row 1"),
        ([0, 0], [4], [0, 1], 1, r"lengths 2, 1 and 2"),
        ([0], [4], [0], -1, r"n_sessions is -1"),
        ([0], [4], [0], 2, r"n_sessions is 2"),
    ],
)
def test_errors_name_the_row(
    session: list[int], item: list[int], time: list[float], n: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        store_of(session, item, time, n)


def test_wrong_types_are_not_cast() -> None:
    code, item = np.array([0]), np.array([0], dtype=np.int32)
    with pytest.raises(ValueError, match="item is int64 of shape"):
        SessionStore(code, code, code, 1)
    with pytest.raises(ValueError, match="time is float32"):
        SessionStore(code, item, code.astype(np.float32), 1)  # type: ignore[arg-type]
