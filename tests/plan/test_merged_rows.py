"""A step's columns and inputs as unique rows, against NumPy's unique."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_fast._core import merge_rows

if TYPE_CHECKING:
    from gru4rec_fast._core import Int32


ONES = 2**32 - 1


@st.composite
def steps_to_merge(draw: st.DrawFn) -> tuple[Int32, Int32, Int32, Int32]:
    T, B, S = draw(st.integers(0, 4)), draw(st.integers(1, 9)), draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    # Few items repeat much; multiples of 2^20 would collide in a table that masks low bits.
    n_items = draw(st.integers(1, 40))
    catalogue = np.arange(n_items, dtype=np.int32) * draw(st.sampled_from([1, 2**20]))
    inputs, targets, negatives = (
        rng.choice(catalogue, (T, columns)).astype(np.int32) for columns in (B, B, S)
    )
    return inputs, targets, rng.integers(0, B + 1, T).astype(np.int32), negatives


@given(steps_to_merge())
def test_merged_rows_equal_numpys_unique(step: tuple[Int32, Int32, Int32, Int32]) -> None:
    inputs, targets, live, negatives = step
    merged = merge_rows(*step)
    width = merged.rows.shape[1]
    assert width == max(merged.touched, default=0)
    for t, M in enumerate(live):
        columns = np.concatenate([targets[t, :M], negatives[t]])
        scored_rows, first = np.unique(columns, return_index=True)
        scored_rows = scored_rows[np.argsort(first)]
        inputs_only = [i for i in dict.fromkeys(inputs[t, :M].tolist()) if i not in columns]
        expected = [*scored_rows.tolist(), *inputs_only]
        rows, touched = merged.rows[t], merged.touched[t]
        assert rows[:touched].tolist() == expected
        assert merged.scored[t] == len(scored_rows)

        def counts(items: Int32, rows: Int32 = rows[:touched]) -> list[int]:
            return [int(np.count_nonzero(items == row)) for row in rows]

        assert merged.target_count[t, :touched].tolist() == counts(targets[t, :M])
        assert merged.sample_count[t, :touched].tolist() == counts(negatives[t])
        np.testing.assert_array_equal(rows[merged.target_row[t, :M]], targets[t, :M])
        np.testing.assert_array_equal(rows[merged.input_row[t, :M]], inputs[t, :M])
        for padding in (rows, merged.target_count[t], merged.sample_count[t]):
            assert not padding[touched:].any()
        assert np.all(merged.target_row[t, M:] == -1)
        assert np.all(merged.input_row[t, M:] == -1)


def test_merged_rows_at_full_size() -> None:
    rng = np.random.default_rng(0)
    T, B, S = 8, 240, 2048
    inputs, targets, negatives = (rng.integers(0, 3000, (T, n)).astype(np.int32) for n in (B, B, S))
    merged = merge_rows(inputs, targets, np.full(T, B, dtype=np.int32), negatives)
    for t in range(T):
        columns = np.concatenate([targets[t], negatives[t]])
        rows = merged.rows[t, : merged.scored[t]]
        expected, times = np.unique(columns, return_counts=True)
        order = np.argsort(rows)
        np.testing.assert_array_equal(rows[order], expected)
        counts = (merged.target_count + merged.sample_count)[t, : merged.scored[t]]
        np.testing.assert_array_equal(counts[order], times)


def test_merge_of_nothing() -> None:
    empty = np.zeros((0, 4), dtype=np.int32)
    merged = merge_rows(empty, empty, np.zeros(0, dtype=np.int32), np.zeros((0, 0), dtype=np.int32))
    assert merged.rows.shape == (0, 0)
    assert merged.input_row.shape == (0, 4)


def block(*rows: list[int]) -> Int32:
    return np.array(rows, dtype=np.int32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": block([1, 2, 3])}, "targets has 3 elements; expected 1 steps of 2"),
        ({"negatives": block([1], [2])}, "negatives has 2 elements"),
        ({"live": np.array([3], dtype=np.int32)}, r"live\[0\] is 3; expected 0\.\.2"),
        ({"live": np.array([-1], dtype=np.int32)}, r"live\[0\] is -1"),
        ({"inputs": block([1, -7])}, "inputs hold item -7"),
        ({"targets": block([-1, 7])}, "targets hold item -1"),
        ({"negatives": block([-2])}, "negatives hold item -2"),
        ({"negatives": np.zeros((1, 1))}, "negatives is float64"),
        ({"inputs": np.zeros(2, dtype=np.int32)}, r"inputs is int32 of shape \(2,\)"),
    ],
)
def test_merge_errors(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "inputs": block([1, 2]),
        "targets": block([3, 4]),
        "live": np.array([2], dtype=np.int32),
        "negatives": block([5]),
    }
    with pytest.raises(ValueError, match=message):
        merge_rows(**(arguments | change))
