"""Raw logs -> Sessions: every kind of table, id and time, and every way a log can be wrong."""

from __future__ import annotations

import gzip
import re
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_fast.data.sessions import Sessions, load_sessions, require_pairs
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Session 20 starts first in time, 10 first in the log; 30 has one event; two events of 10 tie.
SESSION = [10, 20, 10, 20, 30, 10]
ITEM = [7, 5, 5, 9, 7, 3]
TIME = [50, 1, 50, 2, 60, 40]
LOG = {"SessionId": SESSION, "ItemId": ITEM, "Time": TIME}


def log(**columns: Any) -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame({**LOG, **columns})
    return frame


def assert_is_the_log(sessions: Sessions) -> None:
    """Items 7, 5, 9, 3 are 0..3 by first appearance; sessions 10, 20, 30."""
    assert sessions.items.tolist() == [3, 0, 1, 1, 2, 0]
    assert sessions.offsets.tolist() == [0, 3, 5, 6]
    assert sessions.order.tolist() == [1, 0, 2]
    assert sessions.support.tolist() == [2, 2, 1, 1]
    assert sessions.rows.tolist() == [5, 0, 2, 1, 3, 4]
    assert sessions.itemidmap.tolist() == [0, 1, 2, 3]
    assert sessions.items.dtype == np.int32
    for indices in (sessions.offsets, sessions.order, sessions.support, sessions.rows):
        assert indices.dtype == np.int64
    assert sessions.itemidmap.dtype == np.int64


# -- What is built -----------------------------------------------------------------------------


def test_a_log_becomes_sessions() -> None:
    sessions = load_sessions(log())
    assert_is_the_log(sessions)
    assert sessions.itemidmap.index.tolist() == [7, 5, 9, 3]
    assert sessions.itemidmap.index.name == "ItemId"
    assert sessions.session_ids.tolist() == [10, 20, 30]
    assert (sessions.n_sessions, sessions.n_events, sessions.n_items) == (3, 6, 4)
    assert (sessions.n_pairs, sessions.n_single, sessions.dropped_events) == (3, 1, 0)


def test_sessions_can_go_by_appearance() -> None:
    assert load_sessions(log(), time_sort=False).order.tolist() == [0, 1, 2]
    turned = log().iloc[::-1]
    assert load_sessions(turned, time_sort=False).order.tolist() == [0, 2, 1]


def test_columns_can_have_other_names() -> None:
    renamed = log().rename(columns={"SessionId": "user", "ItemId": "sku", "Time": "at"})
    sessions = load_sessions(renamed, session_key="user", item_key="sku", time_key="at")
    assert_is_the_log(sessions)
    assert sessions.itemidmap.index.name == "sku"
    assert sessions.session_ids.name == "user"


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
    table, twin = make(LOG), make(LOG)
    load_sessions(table)
    assert table.equals(twin)


def test_read_only_memory_is_accepted() -> None:
    columns = {name: np.array(values) for name, values in LOG.items()}
    for column in columns.values():
        column.flags.writeable = False
    assert_is_the_log(load_sessions(pd.DataFrame(columns, copy=False)))


# -- Every kind of table, id and time ----------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        pd.DataFrame,
        pl.DataFrame,
        pl.LazyFrame,
        pa.table,
        lambda columns: pd.DataFrame(columns, index=[5, 5, 1, 0, 0, 2]),
        lambda columns: pd.DataFrame(columns).convert_dtypes(),
        lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
        lambda columns: pd.DataFrame(columns).assign(
            other=np.array([[1], None, {}, "x", 2.0, b""], dtype=object)
        ),
        lambda columns: pd.DataFrame({**columns, 5: 1}),
    ],
)
@pytest.mark.parametrize("text", [False, True])
def test_every_kind_of_table(make: Callable[[Any], Any], text: bool) -> None:
    ids = [f"i{item}" for item in ITEM] if text else ITEM
    sessions = load_sessions(make({**LOG, "ItemId": ids}))
    assert_is_the_log(sessions)
    assert sessions.itemidmap.index.tolist() == list(dict.fromkeys(ids))


INTEGER_IDS: list[tuple[str, Callable[[Any], Any]]] = [
    *((name, lambda v, n=name: pd.Series(v, dtype=n))
      for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
                   "Int32", "UInt64", "int64[pyarrow]", "uint8[pyarrow]", "object", "category")),
    ("polars Int8", lambda v: pl.Series(v, dtype=pl.Int8)),
    ("polars UInt64", lambda v: pl.Series(v, dtype=pl.UInt64)),
    ("polars Int128", lambda v: pl.Series(v, dtype=pl.Int128)),
    ("arrow uint16", lambda v: pa.array(v, pa.uint16())),
    ("arrow dictionary", lambda v: pa.array(v).dictionary_encode()),
]  # fmt: skip
TEXT_IDS: list[tuple[str, Callable[[Any], Any]]] = [
    *((name, lambda v, n=name: pd.Series(v, dtype=n))
      for name in ("object", "string", "string[python]", "string[pyarrow]", "category")),
    ("ordered", lambda v: pd.Series(pd.Categorical(v, sorted(set(v))[::-1], ordered=True))),
    ("polars String", lambda v: pl.Series(v, dtype=pl.String)),
    ("polars Categorical", lambda v: pl.Series(v, dtype=pl.Categorical)),
    ("polars Enum", lambda v: pl.Series(v, dtype=pl.Enum(sorted(set(v))))),
    ("arrow string", lambda v: pa.array(v, pa.string())),
    ("arrow large string", lambda v: pa.array(v, pa.large_string())),
    ("arrow dictionary", lambda v: pa.array(v).dictionary_encode()),
]  # fmt: skip


def table_of(columns: dict[str, Any]) -> Any:
    kinds = {type(column).__module__.partition(".")[0] for column in columns.values()}
    make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
    return make[kinds.difference({"builtins"}).pop()](columns)


@pytest.mark.parametrize(("name", "make"), INTEGER_IDS)
def test_integer_ids_of_every_width(name: str, make: Callable[[list[int]], Any]) -> None:
    sessions = load_sessions(table_of({**LOG, "ItemId": make(ITEM), "SessionId": make(SESSION)}))
    assert_is_the_log(sessions)
    assert sessions.itemidmap.index.dtype == np.int64
    assert sessions.itemidmap.index.tolist() == [7, 5, 9, 3]
    assert sessions.session_ids.tolist() == [10, 20, 30]


@pytest.mark.parametrize(("name", "make"), TEXT_IDS)
def test_text_ids_of_every_kind(name: str, make: Callable[[list[str]], Any]) -> None:
    columns = {"ItemId": make([str(i) for i in ITEM]), "SessionId": make([str(s) for s in SESSION])}
    sessions = load_sessions(table_of({**LOG, **columns}))
    assert_is_the_log(sessions)
    assert sessions.itemidmap.index.tolist() == ["7", "5", "9", "3"]
    assert sessions.session_ids.tolist() == ["10", "20", "30"]


def test_chunked_arrow_tables() -> None:
    whole = pa.table({**LOG, "ItemId": pa.array(map(str, ITEM)).dictionary_encode()})
    assert_is_the_log(load_sessions(pa.concat_tables([whole.slice(0, 2), whole.slice(2)])))


@pytest.mark.parametrize("extreme", [-(2**63), 2**63 - 1])
def test_integers_at_the_ends_of_int64(extreme: int) -> None:
    sessions = load_sessions(log(ItemId=[extreme, 5, 5, 9, extreme, 3]))
    assert sessions.itemidmap.index[0] == extreme


EPOCH = datetime(2024, 2, 29)
TIMES: list[tuple[str, Callable[[Any], Any]]] = [
    *((name, lambda v, n=name: pd.Series(v, dtype=n))
      for name in ("int8", "uint64", "float32", "float64", "Float64", "double[pyarrow]", "object",
                   "category", "datetime64[s]", "datetime64[ms]", "datetime64[us]",
                   "datetime64[ns]", "datetime64[ns, Europe/Budapest]", "timestamp[s][pyarrow]",
                   "timestamp[ns][pyarrow]", "date32[day][pyarrow]")),
    ("object floats", lambda v: pd.Series([t / 7 for t in v], dtype=object)),
    ("object dates", lambda v: pd.Series([date(2024, 1, 1) + timedelta(t) for t in v])),
    ("object datetimes", lambda v: pd.Series([EPOCH + timedelta(0, t) for t in v], dtype=object)),
    ("polars dates", lambda v: pl.Series([date(2024, 1, 1) + timedelta(t) for t in v])),
    ("polars us", lambda v: pl.Series([EPOCH + timedelta(microseconds=t) for t in v])),
    ("polars UTC", lambda v: pl.Series([EPOCH.replace(tzinfo=timezone.utc) + timedelta(t)
                                        for t in v])),
    ("polars ns", lambda v: pl.Series(v).cast(pl.Datetime("ns"))),
    ("polars Float32", lambda v: pl.Series(v, dtype=pl.Float32)),
    ("arrow seconds", lambda v: pa.array(v, pa.timestamp("s"))),
    ("arrow ns", lambda v: pa.array(v, pa.timestamp("ns"))),
    ("arrow dates", lambda v: pa.array(v, pa.date32())),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make"), TIMES)
def test_times_of_every_kind(name: str, make: Callable[[list[int]], Any]) -> None:
    assert_is_the_log(load_sessions(table_of({**LOG, "Time": make(TIME)})))


def test_times_a_nanosecond_or_a_fraction_apart_are_told_apart() -> None:
    start = np.datetime64("2024-01-01T00:00:00", "ns")
    assert_is_the_log(load_sessions(log(Time=start + np.array(TIME))))
    assert_is_the_log(load_sessions(log(Time=1.7e9 + np.array(TIME) * 1e-6)))


# -- Files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tsv", "txt", "csv", "tsv.gz", "txt.gz", "csv.gz", "TSV"])
@pytest.mark.parametrize("text", [False, True])
def test_text_files(tmp_path: Path, kind: str, text: bool) -> None:
    frame = log(other="x y", ItemId=[f"i{i}" for i in ITEM] if text else ITEM)
    path = tmp_path / f"my.log.{kind}"
    separator = "," if "csv" in kind else "\t"
    content = frame.to_csv(sep=separator, index=False, lineterminator="\n")
    path.write_bytes(gzip.compress(content.encode()) if kind.endswith("gz") else content.encode())
    for given_path in (path, str(path)):
        sessions = load_sessions(given_path)
        assert_is_the_log(sessions)
        assert sessions.itemidmap.index.tolist() == list(dict.fromkeys(frame["ItemId"]))


def test_parquet_files(tmp_path: Path) -> None:
    log(ItemId=[f"i{i}" for i in ITEM], other=1).to_parquet(tmp_path / "log.parquet")
    assert_is_the_log(load_sessions(tmp_path / "log.parquet"))


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
    known = load_sessions(log(ItemId=["7", "a", "a", "b", "7", "007"])).itemidmap
    assert load_sessions(path, itemidmap=known).items.tolist() == [3, 0]


@pytest.mark.parametrize(
    "notation", ["2014-04-07T10:51:{:02}.277Z", "2014-04-07 10:51:{:02}", "2014-04-{:02}"]
)
def test_iso_times_in_a_text_file(tmp_path: Path, notation: str) -> None:
    ranks = [4, 1, 4, 2, 5, 3]
    log(Time=[notation.format(r) for r in ranks]).to_csv(tmp_path / "log.csv", index=False)
    assert_is_the_log(load_sessions(tmp_path / "log.csv"))


def refused_file(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"(?s){re.escape(name)}: .*{message}"):
        load_sessions(tmp_path / name)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    header = b"SessionId,ItemId,Time\n"
    refused_file(
        tmp_path, "log.pickle", b"", r"unknown kind of file: expected \.tsv or \.txt .*\.parquet"
    )
    refused_file(tmp_path, "log", b"", "unknown kind of file: expected")
    refused_file(tmp_path, "log.parquet.gz", b"", "unknown kind of file: expected")
    refused_file(tmp_path, "empty.csv", b"", "the file is empty: expected a header line")
    refused_file(tmp_path, "header.csv", header, "the log has no rows")
    refused_file(tmp_path, "blank.csv", b"\n\n", "the file is empty: expected a header line")
    bad = header + b"1,2,3\n1,\xff\xfe,2\n"
    refused_file(tmp_path, "bytes.csv", bad, r"line 3 is not UTF-8 \(byte 0xff\): expected text in")
    packed = gzip.compress(header + b"1,2,3\n")
    for torn in (packed[:-9], packed[:9], packed[:12] + b"\xff" + packed[13:], header):
        refused_file(tmp_path, "torn.csv.gz", torn, r"cannot be read as \.gz")
    refused_file(tmp_path, "torn.parquet", b"PAR1", r"cannot be read as \.parquet")


TAB_HEADER, COMMA_HEADER = b"SessionId\tItemId\tTime\n", b"SessionId,ItemId,Time\n"
WRONG_LINES: list[tuple[str, bytes, str]] = [
    ("gap.csv", b"1,2,3\n1,,4\n", "column 'ItemId', line 3 has no value, as have 1 rows in all"),
    ("short.tsv", b"1\t2\t3\n1\t2\n", "column 'Time', line 3 has no value"),
    ("quotes.csv", b'1,"x\ny",3\n1,,4\n', "column 'ItemId', line 4 has no value"),
    ("empty.csv", b'1,2,3\n1,"",4\n', r"'ItemId', line 3 has no value \(an empty text\).*the file"),
    ("word.tsv", b"1\t2\t3\n1\t2\tabc\n1\t2\t4\n", "'Time', line 3 holds 'abc', which is no time"),
    ("mixed.csv", b"1,2,2014-04-07\n1,2,soon\n", "'Time', line 3 holds 'soon', which is no time"),
    ("dmy.csv", b"1,2,07/04/2014\n", "'Time', line 2 holds '07/04/2014'.*times in ISO 8601"),
    ("inf.csv", b"1,2,3\n1,2,inf\n", "'Time', line 3 is infinite"),
    ("huge.csv", b"1,2,9223372036854775808\n", "9223372036854775808: .*a coarser unit of time"),
    ("ragged.csv", b"1,2,3\n1,2,3,4,5\n", "line 3 has 5 fields: expected 3, as in the header line"),
    ("ragged.tsv", b"1\t2\t3\n1\t2\t3\t4\n", "line 3 has 4 fields: expected 3"),
    ("comma.csv", b'1,"2,5",3\n1,2,5,3\n', "line 3 has 4 fields: expected 3"),
    ("inches.csv", b'1,2,3\n1,screen 12",3\n', "line 3 has a quote that is not closed, or one"),
    ("open.csv", b'1,"x\ny",3\n1,"z,3\n1,2,3\n', "line 4 has a quote that is not closed"),
    ("whole.csv", b"1,2.0,3\n", "type Float64: .*the file into a table and convert it to int"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "lines", "message"), WRONG_LINES)
def test_a_wrong_line_of_a_file_is_named(
    tmp_path: Path, name: str, lines: bytes, message: str
) -> None:
    header = TAB_HEADER if name.endswith("tsv") else COMMA_HEADER
    refused_file(tmp_path, name, header + lines, message)
    with pytest.raises(DataError) as raised:
        load_sessions(tmp_path / name)
    assert not re.search(r"data\[|truncate_ragged|infer_schema|malformed", str(raised.value))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", COMMA_HEADER, "looks separated by commas .*name that ends with .csv"),
        ("a.csv", TAB_HEADER, "looks separated by tabs .*name that ends with .tsv"),
        ("a.csv", b"SessionId;ItemId;Time\n", "looks separated by semicolons .*write it with"),
        ("a.tsv", b"1\tx\t3\n1\ty\t4\n", "begins with what looks like data .*expected a header"),
        ("a.tsv", TAB_HEADER[:-1] + b"\tItemId\n1\t2\t3\t4\n", "two columns of one name: 'ItemId'"),
        ("a.tsv", bytes(range(256)), "is a binary file, or text in UTF-16: expected text in UTF-8"),
        ("a.tsv", "SessionId\tItemId".encode("utf-16"), "is a binary file, or text in UTF-16"),
        ("a.tsv", b"\x1b[31m\n", r"columns there: \\x1b\[31m;"),
    ],
)  # fmt: skip
def test_a_wrong_header_is_explained(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    refused_file(tmp_path, name, content, message)


def test_a_parquet_file_is_spoken_of_in_words(tmp_path: Path) -> None:
    log(ItemId=[7, None, 5, 9, 7, 3]).to_parquet(tmp_path / "log.parquet")
    message = r"row 1 \(counted from 0\) has no value .*delete such rows from the file"
    with pytest.raises(DataError, match=message):
        load_sessions(tmp_path / "log.parquet")


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


def test_a_path_that_is_no_readable_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"absent\.tsv: no such file"):
        load_sessions(tmp_path / "absent.tsv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv: is a folder: expected a file"):
        load_sessions(tmp_path / "folder.csv")
    with pytest.raises(DataError, match="data is an empty path"):
        load_sessions("")
    with pytest.raises(DataError, match=r"cannot be read \(.*null"):
        load_sessions("a\0.tsv")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.stat", refuse)
    with pytest.raises(DataError, match=r"a\.tsv: cannot be read \(Permission denied\): expected"):
        load_sessions("a.tsv")


# -- A map of known items (evaluation) -----------------------------------------------------------


def test_unknown_items_are_dropped_and_counted() -> None:
    known = pd.Series([2, 0, 1], index=pd.Index([3, 7, 8], name="ItemId"))
    sessions = load_sessions(log(), itemidmap=known)
    assert sessions.items.tolist() == [2, 0, 0]
    assert sessions.offsets.tolist() == [0, 2, 3]
    assert sessions.session_ids.tolist() == [10, 30]
    assert sessions.rows.tolist() == [5, 0, 4]
    assert sessions.support.tolist() == [2, 0, 1]
    assert (sessions.dropped_events, sessions.n_items) == (3, 3)
    assert sessions.itemidmap is known


def test_a_map_that_knows_all_changes_only_the_indices() -> None:
    known = load_sessions(log()).itemidmap
    assert_is_the_log(load_sessions(log(), itemidmap=known))
    shuffled = load_sessions(log().iloc[::-1].reset_index(drop=True), itemidmap=known)
    assert shuffled.support.tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint64", "Int64"])
def test_the_map_may_be_of_another_integer_type(dtype: str) -> None:
    known = pd.Series(range(4), index=pd.Index([7, 5, 9, 3], dtype=dtype))
    assert_is_the_log(load_sessions(log(ItemId=np.array(ITEM, dtype=np.int16)), itemidmap=known))


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_the_map_may_be_of_another_text_type(dtype: str) -> None:
    known = pd.Series(range(4), index=pd.Index(["7", "5", "9", "3"], dtype=dtype))
    frame = pl.DataFrame({**LOG, "ItemId": [str(item) for item in ITEM]})
    assert_is_the_log(load_sessions(frame, itemidmap=known))


def test_ids_of_another_kind_than_the_models_are_refused() -> None:
    integers = load_sessions(log()).itemidmap
    text = load_sessions(log(ItemId=[str(item) for item in ITEM])).itemidmap
    with pytest.raises(
        DataError,
        match=r"column 'ItemId' holds text but .* of the model are integers.*astype\('int64'\)",
    ):
        load_sessions(log(ItemId=[str(item) for item in ITEM]), itemidmap=integers)
    with pytest.raises(
        DataError,
        match=r"column 'ItemId' holds integers but the items of the model are text.*astype\(str\)",
    ):
        load_sessions(log(), itemidmap=text)


def test_a_log_without_a_known_item_is_refused() -> None:
    known = pd.Series([0, 1], index=[100, 101])
    message = (
        r"none of the 4 items in column 'ItemId' \(the first: 7\) is known to the model, which "
        r"holds 2 items \(the first: 100\)"
    )
    with pytest.raises(DataError, match=message):
        load_sessions(log(), itemidmap=known)


@pytest.mark.parametrize(
    ("values", "index"), [([0, 2], [7, 5]), ([0, 0], [7, 5]), ([0, 1], [7, 7])]
)
def test_a_map_that_is_no_numbering_is_refused(values: list[int], index: list[int]) -> None:
    with pytest.raises(DataError, match=r"itemidmap: expected each item id once.*0\.\.1"):
        load_sessions(log(), itemidmap=pd.Series(values, index=index))


# -- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_a_missing_column_is_answered_with_those_there(make: Callable[[Any], Any]) -> None:
    table = make({"SessionId": SESSION, "item_id": ITEM, "Time": TIME})
    message = (
        "no column 'ItemId': did you mean 'item_id'?; columns there: SessionId, item_id, Time; "
        "if it has another name, pass item_key=..."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_sessions(table)
    with pytest.raises(DataError, match=re.escape("no column 'when'; columns there")):
        load_sessions(table, item_key="item_id", time_key="when")


def test_a_column_in_the_index_is_pointed_out() -> None:
    with pytest.raises(DataError, match=r"'SessionId' is the index.*call data\.reset_index\(\)"):
        load_sessions(log().set_index("SessionId"))


def test_one_column_for_two_purposes_is_refused() -> None:
    with pytest.raises(
        DataError, match="item_key='Time', session_key='SessionId', time_key='Time': expected three"
    ):
        load_sessions(log(), item_key="Time")


@pytest.mark.parametrize("keyword", ["item_key", "session_key", "time_key"])
def test_a_key_that_is_no_name_is_refused(keyword: str) -> None:
    keys: dict[str, Any] = {keyword: None}
    with pytest.raises(DataError, match=f"{keyword} is None: expected the name of a column"):
        load_sessions(log(), **keys)


def test_two_columns_of_one_name_are_refused() -> None:
    twice = pd.concat([log(), log()[["ItemId"]]], axis=1)
    with pytest.raises(DataError, match=r"two columns of one name: (?s:.)*ItemId"):
        load_sessions(twice)


@pytest.mark.parametrize("data", [None, 3, {"a": [1]}, [1, 2], np.zeros((2, 3)), pd.Series([1])])
def test_what_is_no_table_is_refused(data: Any) -> None:
    with pytest.raises(
        DataError,
        match=f"data is of type {type(data).__name__}: expected a pandas, polars or Arrow table",
    ):
        load_sessions(data)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_an_empty_log_is_refused(make: Callable[[Any], Any]) -> None:
    with pytest.raises(DataError, match="the log has no rows: expected at least one session"):
        load_sessions(make({"SessionId": [], "ItemId": [], "Time": []}))


def test_sessions_without_a_pair_are_refused_for_training() -> None:
    single = load_sessions(log(SessionId=range(6)))
    assert (single.n_pairs, single.n_single) == (0, 6)
    with pytest.raises(DataError, match=r"all 6 sessions have a single event.*session_key=\.\.\."):
        require_pairs(single)
    require_pairs(load_sessions(log()))


@pytest.mark.parametrize("column", ["SessionId", "ItemId", "Time"])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("pandas float", lambda v: pd.Series(v, dtype="float64")),
        ("pandas nullable", lambda v: pd.Series(v, dtype="Int64")),
        ("pandas object", lambda v: pd.Series(v, dtype="object")),
        ("pandas text", lambda v: pd.Series([x and str(x) for x in v], dtype="string")),
        ("pandas arrow", lambda v: pd.Series(v, dtype="int64[pyarrow]")),
        ("pandas category", lambda v: pd.Series(v, dtype="category")),
        ("polars", pl.Series),
        ("polars NaN", lambda v: pl.Series([float("nan") if x is None else float(x) for x in v])),
        ("arrow", pa.array),
        ("arrow NaN", lambda v: pa.array([float("nan") if x is None else float(x) for x in v])),
    ],
)
def test_a_missing_value_is_located(column: str, name: str, make: Callable[[Any], Any]) -> None:
    values = [*LOG[column][:2], None, LOG[column][3], None, 5]
    message = (
        f"column {column!r}, row 2 (counted from 0) has no value (None or NaN), as have 2 rows in "
        f"all: drop such rows, e.g. data.dropna(subset=[{column!r}]) in pandas"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_sessions(table_of({**LOG, column: make(values)}))


def test_missing_ids_that_became_floats_are_told_the_way_back() -> None:
    with pytest.raises(DataError, match=r"then data\['ItemId'\]\.astype\('int64'\)"):
        load_sessions(log(ItemId=[7, None, 5, 9, 7, 3]))


def test_missing_times_of_dates_are_located() -> None:
    times = pd.to_datetime(["2024-01-01", "NaT", *["2024-01-02"] * 4])
    with pytest.raises(DataError, match="column 'Time', row 1 "):
        load_sessions(log(Time=times))


WRONG_IDS: list[tuple[Callable[[], Any], str]] = [
    (lambda: pd.Series(ITEM, dtype="float64"), r"Float64: .*astype\('int64'\).*cast\(pl\.Int64\)"),
    (lambda: pl.Series(ITEM, dtype=pl.Float32), r"Float32: .*astype\('int64'\)"),
    (lambda: pd.Series([1.2, 1.7, 2, 3, 4, 5]), r"Float64: .*astype\(str\)"),
    (lambda: pd.Series([True] * 6), r"Boolean: .*astype\(str\)"),
    (lambda: pd.Series([[i] for i in ITEM]), r"object \(mixed\): .*astype\(str\)"),
    (lambda: pd.Series([1, "a", 2, "b", 3, "c"]), r"object \(mixed-integer\): .*astype\(str\)"),
    (lambda: pd.Series([b"a"] * 6), r"object \(bytes\): .*astype\(str\)"),
    (lambda: pl.Series([[i] for i in ITEM]), r"List\(Int64\): .*cast\(pl\.String\)"),
    (lambda: pl.Series([date(2024, 1, 1)] * 6), r"Date: .*astype\(str\)"),
    (lambda: pa.array([b"a"] * 6), r"Binary: .*astype\(str\)"),
]


@pytest.mark.parametrize(("make", "message"), WRONG_IDS)
@pytest.mark.parametrize("column", ["SessionId", "ItemId"])
def test_ids_of_a_wrong_type_are_refused(
    make: Callable[[], Any], message: str, column: str
) -> None:
    message = f"column {column!r} is of type " + message.replace(
        ": .*", ": expected ids that are integers or text; convert it, .*"
    )
    with pytest.raises(DataError, match=message):
        load_sessions(table_of({**LOG, column: make()}))


WRONG_TIMES: list[tuple[Callable[[], Any], str]] = [
    (lambda: pd.Series([str(time) for time in TIME]), "String"),
    (lambda: pl.Series([str(time) for time in TIME]), "String"),
    (lambda: pd.Series([str(time) for time in TIME], dtype="category"), "String"),
    (lambda: pd.Series([True] * 6), "Boolean"),
    (lambda: pd.Series([[1]] * 6), r"object \(mixed\)"),
    (lambda: pl.Series([[1]] * 6), r"List\(Int64\)"),
]


@pytest.mark.parametrize(("make", "kind"), WRONG_TIMES)
def test_times_of_a_wrong_type_are_refused(make: Callable[[], Any], kind: str) -> None:
    message = (
        rf"column 'Time' is of type {kind}.*: expected times that are integers, floats, dates or "
        r"datetimes; convert text with pd\.to_datetime\(data\['Time'\]\)"
    )
    with pytest.raises(DataError, match=message):
        load_sessions(table_of({**LOG, "Time": make()}))


def test_durations_are_told_the_way_to_numbers() -> None:
    message = r"type Duration.*: expected times .*data\['Time'\]\.dt\.total_seconds\(\)"
    with pytest.raises(DataError, match=message):
        load_sessions(log(Time=pd.to_timedelta(TIME, unit="s")))


@pytest.mark.parametrize("column", ["SessionId", "ItemId"])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_an_empty_text_is_no_id(make: Callable[[Any], Any], column: str) -> None:
    message = (
        f"column {column!r}, row 1 (counted from 0) has no value (an empty text), as have 2 rows "
        f"in all: drop such rows, e.g. data[data[{column!r}] != '']"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_sessions(make({**LOG, column: ["a", "", "b", "c", "", "d"]}))


def test_an_infinite_time_is_located() -> None:
    with pytest.raises(DataError, match=r"column 'Time', row 3 \(counted from 0\) is infinite"):
        load_sessions(log(Time=[1.0, 2, 3, float("inf"), 5, 6]))


@pytest.mark.parametrize("column", ["SessionId", "ItemId", "Time"])
@pytest.mark.parametrize(
    "make",
    [
        lambda v: pd.Series(v, dtype="uint64"),
        lambda v: pd.Series(v, dtype="UInt64"),
        lambda v: pd.Series(v, dtype="object"),
        lambda v: pl.Series(v, dtype=pl.UInt64),
        lambda v: pl.Series(v, dtype=pl.Int128),
        lambda v: pa.array(v, pa.uint64()),
    ],
)
def test_integers_beyond_int64_are_refused(column: str, make: Callable[[Any], Any]) -> None:
    message = (
        f"column '{column}' holds 9223372036854775808: expected integers from "
        r"-9223372036854775808 to 9223372036854775807 \(int64\); "
        + ("count in a coarser unit of time" if column == "Time" else r"larger ids .*astype\(str\)")
    )
    with pytest.raises(DataError, match=message):
        load_sessions(table_of({**LOG, column: make([1, 2**63, 2, 3, 4, 5])}))


@pytest.mark.parametrize("column", ["SessionId", "ItemId"])
@pytest.mark.parametrize("known", [None, pd.Series([0], index=["b"])])
def test_ids_that_are_not_unicode_are_located(column: str, known: pd.Series[int] | None) -> None:
    """Row 0 is of an unknown item, which an evaluation leaves out; rows count it all the same."""
    table = log(SessionId=["x"] * 6, ItemId=["c", *"bbbbb"])
    table[column] = table[column].astype(object)
    table.loc[4, column] = "a\ud800"
    message = rf"column '{column}', row 4 \(counted from 0\) holds 'a\\ud800', which is not valid"
    with pytest.raises(DataError, match=message):
        load_sessions(table, itemidmap=known)
    escaped = table[column].str.encode("utf-8", "backslashreplace").str.decode("utf-8")
    load_sessions(table.assign(**{column: escaped}), itemidmap=known)
