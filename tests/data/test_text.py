"""Text files: ids stay as they are written, times are ISO 8601, and a wrong header is explained."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError
from tests.data.conftest import TAB_HEADER, Refuse
from tests.logs import assert_is_small_log, small_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*the time of the event before them")


def test_a_late_text_id_makes_the_whole_column_text(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    lines = [f"{row // 2}\t0{row % 50:02}\t{row}" for row in range(12_000)]
    path.write_text("SessionId\tItemId\tTime\n" + "\n".join([*lines, "6000\tlast\t1"]) + "\n")
    ids = load_sessions(path).itemidmap.index
    assert ids[:2].tolist() == ["000", "001"]
    assert ids[-1] == "last"


def test_text_items_of_a_model_are_met_by_digits_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("SessionId,ItemId,Time\n1,007,1\n1,7,2\n")
    known = load_sessions(small_log(ItemId=["7", "a", "a", "b", "7", "007"])).itemidmap
    assert load_sessions(path, itemidmap=known).items.tolist() == [3, 0]


@pytest.mark.parametrize(
    "notation", ["2014-04-07T10:51:{:02}.277Z", "2014-04-07 10:51:{:02}", "2014-04-{:02}"]
)
def test_iso_times_in_a_text_file(tmp_path: Path, notation: str) -> None:
    ranks = [4, 1, 4, 2, 5, 3]
    small_log(Time=[notation.format(r) for r in ranks]).to_csv(tmp_path / "log.csv", index=False)
    assert_is_small_log(load_sessions(tmp_path / "log.csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"visit;sku;at\n", "columns there: visit, sku, at; if it has another name"),
        ("a.tsv", b"visit,sku\n", "columns there: visit, sku; if it has another name"),
        ("a.tsv", b"1\tx\t3\n1\ty\t4\n", "begins with what looks like data .*expected a header"),
        ("a.tsv", TAB_HEADER[:-1] + b"\tItemId\n1\t2\t3\t4\n", "2 columns of one name, 'ItemId'"),
        ("a.tsv", bytes(range(256)), "is a binary file, or text in UTF-16: expected text in UTF-8"),
        ("a.tsv", "SessionId\tItemId".encode("utf-16"), "is a binary file, or text in UTF-16"),
        ("a.tsv", b"\x1b[31m\n", r"columns there: \\x1b\[31m;"),
    ],
)  # fmt: skip
def test_a_wrong_header_is_explained(
    refuse: Refuse, name: str, content: bytes, message: str
) -> None:
    refuse(name, content, message)


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.txt.gz"])
@pytest.mark.parametrize("separator", ["\t", ",", ";", "|", " "])
def test_the_separator_is_detected_from_the_header_line_or_said(
    tmp_path: Path, name: str, separator: str
) -> None:
    path = tmp_path / name
    # A column of another name has the other separators in it.
    table = small_log(**{"a,b;c": "x;y,z"})[["a,b;c", "SessionId", "ItemId", "Time"]]
    table.to_csv(path, sep=separator, index=False, quoting=csv.QUOTE_ALL)
    for sep in {separator, None} if separator in "\t,;" else {separator}:
        assert_is_small_log(load_sessions(path, sep=sep))


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_a_quoted_header_after_a_byte_order_mark(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "log.csv"
    small_log().to_csv(
        path, sep=separator, index=False, quoting=csv.QUOTE_ALL, encoding="utf-8-sig"
    )
    assert_is_small_log(load_sessions(path))


def test_a_separator_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("SessionId;ItemId;Time\n1;2;3\n")
    message = r"has no ',' in its header line \(SessionId;ItemId;Time\), but sep=',': expected"
    with pytest.raises(DataError, match=message):
        load_sessions(path, sep=",")
    path.write_text('SessionId;ItemId;Time\n1;"2;\n5";3\n1;2;5;3\n')
    with pytest.raises(DataError, match="line 4 has 4 fields: expected 3"):
        load_sessions(path)
    wrong: Any
    for wrong in ("", ";;", '"', "\n", "§", 3):
        with pytest.raises(DataError, match=r"sep is .*: expected one ASCII character"):
            load_sessions(path, sep=wrong)


@pytest.mark.parametrize(("column", "other"), [("ItemId", "SessionId"), ("SessionId", "ItemId")])
def test_leading_zeros_are_kept(tmp_path: Path, column: str, other: str) -> None:
    path = tmp_path / "log.tsv"
    path.write_text(f"{column}\t{other}\tTime\n00123\t0\t1\n123\t-5\t2\n0\t10\t3\n")
    sessions = load_sessions(path)
    ids = {"ItemId": sessions.itemidmap.index.tolist(), "SessionId": sessions.session_ids.tolist()}
    assert set(ids[column]) == {"00123", "123", "0"}
    assert set(ids[other]) == {0, -5, 10}


def test_ids_beyond_int64_and_decimals_are_text_in_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("SessionId,ItemId,Time\n9223372036854775808,1.10,1\n1,1.1, 2\n")
    sessions = load_sessions(path)
    assert sessions.itemidmap.index.tolist() == ["1.10", "1.1"]
    assert sessions.session_ids.tolist() == ["1", "9223372036854775808"]


def test_quotes_in_a_tsv_are_characters_unless_they_hold_the_whole_field(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_text('"SessionId"\tItemId\tTime\n"1"\tscreen 12"\t1\n2\t"open\t2\n2\t"a ""b"""\t3\n')
    sessions = load_sessions(path)
    assert sessions.itemidmap.index.tolist() == ['screen 12"', '"open', 'a "b"']
    assert sessions.session_ids.tolist() == [1, 2]


def test_a_byte_order_mark_and_signs_of_patterns_in_a_name_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log[1]*.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + TAB_HEADER.replace(b"\n", b"\r\n") + b"1\t2\t3\r\n")
    assert load_sessions(path).itemidmap.index.tolist() == [2]
