"""Arrays and numbers from outside are compared with their ranges before C++ uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gru4rec_fast import _core

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = np.frombuffer(b"1,2\r", dtype=np.uint8)


def test_an_epoch_that_failed_stays_failed() -> None:
    """Its lanes stand at the ends of their sessions: planning on would read beyond them."""
    items = np.arange(4, dtype=np.int32)
    offsets = np.array([0, 2, 9, 4])
    scheduler = _core.LaneScheduler(items, offsets, np.array([0, 1]), 1)
    with pytest.raises(ValueError, match="offsets go from 2 to 9 at session 1"):
        scheduler.plan(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="an earlier block of this epoch could not be planned"):
            scheduler.plan(1)


@pytest.mark.parametrize("column", [1, 10**9, -2, -(2**63)])
def test_columns_of_a_text_are_in_its_lines(column: int) -> None:
    for ids, time in (([], column), ([0, column], -1), ([0], column)):
        with pytest.raises(ValueError, match=r"a column is outside the line; expected 0\.\.0"):
            _core.read_integer_fields(DIGITS, ",", ids, time, 1)


@pytest.mark.parametrize("separator", ["\r", "\n", '"', "\0", "", ",,", "é"])
def test_a_separator_separates_fields(separator: str) -> None:
    with pytest.raises(ValueError, match="separator is '"):
        _core.read_integer_fields(DIGITS, separator, [0, 1], -1, 2)


def test_sessions_as_far_apart_as_int64_allows(tmp_path: Path) -> None:
    partitions = _core.EventPartitions(str(tmp_path), 2**10)
    sessions = np.array([5] * 30 + [2**63 - 1, -(2**63), 0])
    zeros = np.zeros(len(sessions), dtype=np.int64)
    partitions.add(sessions, zeros.astype(np.int32), zeros)
    found = []
    while len(part := partitions.next()[0]):
        found += part.tolist()
    assert found == sorted(sessions.tolist())


def knn() -> _core.SessionKnn:
    items, offsets = np.array([0, 1, 1, 2], dtype=np.int32), np.array([0, 2, 4])
    return _core.SessionKnn(
        items, offsets, np.array([0, 1]), 3,
        similarity="cosine", match_weight=False, idf=False, k=2, m=2,
    )  # fmt: skip


def test_neighbours_of_rows_without_columns_and_a_negative_k() -> None:
    none, one = np.empty((3, 0), dtype=np.int32), np.zeros((1, 1), dtype=np.int32)
    for call in (
        lambda: knn().top_k(none, 2),
        lambda: knn().item_scores(none, np.array([0])),
        lambda: knn().rank_counts(none, np.zeros(3, dtype=np.int64)),
    ):
        with pytest.raises(ValueError, match=r"int32 of shape \(3, 0\); expected at least one"):
            call()
    with pytest.raises(ValueError, match="k is -1; expected at least 0"):
        knn().top_k(one, -1)


def test_factors_are_aligned_and_epochs_not_negative() -> None:
    items, offsets = np.array([0, 1], dtype=np.int32), np.array([0, 2])
    arrays: dict[str, Any] = {"session_factors": np.zeros((1, 4), dtype=np.float32)}
    arrays["item_factors"] = np.zeros((3, 4), dtype=np.float32)
    settings: dict[str, Any] = {
        "n_epochs": 1, "learning_rate": 0.1, "regularization": 0.0, "seed": 0
    }  # fmt: skip
    with pytest.raises(ValueError, match="n_epochs is -1; expected at least 0"):
        _core.train_bpr_mf(items, offsets, **arrays, **(settings | {"n_epochs": -1}))
    arrays["item_factors"] = unaligned((3, 4))
    with pytest.raises(ValueError, match="item_factors is float32"):
        _core.train_bpr_mf(items, offsets, **arrays, **settings)


def test_parameters_and_state_are_aligned() -> None:
    theta, g = np.zeros((3, 4), dtype=np.float32), np.ones((3, 4), dtype=np.float32)
    for value, state in ((unaligned((3, 4)), theta), (theta, unaligned((3, 4)))):
        with pytest.raises(ValueError, match="updated in place"):
            _core.update_rows(
                "adagrad",
                {"learning_rate": 0.1, "momentum": 0.0, "lmbd": 0.0},
                value, [state], None, [g],
            )  # fmt: skip


def unaligned(shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """float32 zeros whose addresses are no multiples of 4."""
    n = 4 * shape[0] * shape[1]
    return np.zeros(n + 1, dtype=np.uint8)[1:].view(np.float32).reshape(shape)


def test_advice_on_memory_is_for_contiguous_arrays() -> None:
    with pytest.raises(ValueError, match="expected it contiguous"):
        _core.advise_huge_pages(np.broadcast_to(np.float32(1), (10**9,)))


def test_scores_that_are_nan_have_no_best_items() -> None:
    """Finite weights of a model file can be so large that a state is infinite."""
    features = np.array([[np.inf, 1]], dtype=np.float32)
    w, b = np.zeros((20, 2), dtype=np.float32), np.zeros((20, 1), dtype=np.float32)
    with pytest.raises(OverflowError, match="a score is NaN"):
        _core.top_k(features, w, b, 3, 1)
    with pytest.raises(OverflowError, match="a score is NaN"):
        _core.BoundedItems(w, b, threads=1).top_k(features, 3, 1)
