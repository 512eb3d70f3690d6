"""The fast reading of plain text files means what the general one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gru4rec_fast.data import plain_text
from gru4rec_fast.data.text import read_text
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"item_key": "ItemId", "session_key": "SessionId", "time_key": "Time"}
INTEGERS = st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(-3, 30).map(str)
ODD = st.sampled_from(
    ["", "-", "-0", "+1", "007", "-00", "1.5", "-0.0", "1.", ".5", "9223372036854775808", "1e3",
     " 1", "x", '"1"', "1\r", "é", "2014-04-07"]
)  # fmt: skip
LINES = st.lists(
    st.tuples(INTEGERS, INTEGERS, INTEGERS | st.just("2.5"), st.sampled_from(["", "view", "a b"])),
    min_size=1,
    max_size=8,
)


def read(text: bytes, sep: str, *, plain: bool = True) -> Any:
    try:
        frame, _ = read_text(text, sep, sep, KEYS, text_items=False, plain=plain)
    except DataError as error:
        return str(error)
    return frame


@given(
    lines=LINES, odd=st.lists(st.tuples(st.integers(0, 31), ODD), max_size=3),
    sep=st.sampled_from("\t,;"), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans(),
    block=st.sampled_from([1, 40, 2**25]),
)  # fmt: skip
@example([("0", "0", "2.5", "")], [(2, "-0")], "\t", "\n", False, 2**25)
@example([("0", "0", "2.5", "")], [(2, "007")], "\t", "\n", False, 2**25)
@example([("0", "0", "2.5", "")] * 2, [(2, "-0")], "\t", "\n", True, 2**25)
@example([("0", "0", "2.5", "")] * 2, [(6, "-0")], "\t", "\n", True, 1)
@example([("0", "0", str(2**53 + 1), "")] * 2, [(6, "-0")], "\t", "\n", True, 2**25)
@example([("0", "0", "2.5", "")] * 2, [(6, "9223372036854775808")], "\t", "\n", True, 1)
def test_both_readings_mean_the_same(
    lines: list[tuple[str, ...]],
    odd: list[tuple[int, str]],
    sep: str,
    end: str,
    last: bool,
    block: int,
) -> None:
    rows = [list(line) for line in lines]
    for at, field in odd:
        rows[at // 4 % len(rows)][at % 4] = field
    text = end.join(sep.join(row) for row in [["ItemId", "SessionId", "Time", "event"], *rows])
    content = (text + end * last).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_text, "BLOCK", block)
        fast, slow = (read(content, sep, plain=plain) for plain in (True, False))
    if isinstance(slow, str):
        assert fast == slow
    else:
        assert fast.schema == slow.schema
        assert fast.equals(slow)


@pytest.mark.parametrize("time", ["-0", "007", "-00"])
def test_a_time_of_any_notation_is_the_integer_that_it_says(time: str) -> None:
    frame = read(f"ItemId\tSessionId\tTime\n1\t2\t{time}\n3\t4\t{2**53 + 1}\n".encode(), "\t")
    assert frame["Time"].to_list() == [int(time), 2**53 + 1]


@pytest.mark.parametrize(
    "rows", ["", "1\t2\t9223372036854775808\n", "1\t2\t-9223372036854775809\n3\t4\t5\n"]
)
def test_what_only_looks_plain_is_left_to_the_general_reading(rows: str) -> None:
    content = ("ItemId\tSessionId\tTime\n" + rows).encode()
    assert plain_text.plain_columns(content, "\t", ["ItemId", "SessionId", "Time"], KEYS) is None


@pytest.mark.parametrize("block", [40, 2**25])
def test_plain_files_are_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(plain_text, "BLOCK", block)
    path = tmp_path / "log.tsv"
    numbers = np.arange(300)
    lines = [f"{n * 7}\t{n // 3}\t{n}" for n in numbers]
    lines[200] += ".5"
    path.write_text("SessionId\tTime\tItemId\n" + "\n".join(lines))
    names = ["SessionId", "Time", "ItemId"]
    assert plain_text.plain_columns(path, "\t", names, KEYS) is None  # an item with decimals
    keys = {**KEYS, "item_key": "Time", "time_key": "ItemId"}
    found = plain_text.plain_columns(path, "\t", names, keys)
    assert found is not None
    assert found["SessionId"].tolist() == (numbers * 7).tolist()
    assert found["Time"].tolist() == (numbers // 3).tolist()
    assert found["ItemId"].dtype == np.float64
    assert found["ItemId"].tolist() == [n + 0.5 * (n == 200) for n in range(300)]


def test_one_odd_line_anywhere_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "BLOCK", 40)
    path = tmp_path / "log.tsv"
    names = ["SessionId", "Time", "ItemId"]
    for odd in (0, 150, 299):
        lines = [f"{n}\t{n}\t{'0' * (n == odd)}{n + 1}" for n in range(300)]
        path.write_text("SessionId\tTime\tItemId\n" + "\n".join(lines))
        assert plain_text.plain_columns(path, "\t", names, KEYS) is None
