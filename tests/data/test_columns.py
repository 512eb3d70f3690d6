"""The columns of a table: every kind of table, id and time, and each way one can be wrong."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError
from tests.logs import ITEM, SESSION, SMALL, TIME, assert_is_small_log, small_log

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:.*the time of the event before them")


def table_of(columns: dict[str, Any]) -> Any:
    kinds = {type(column).__module__.partition(".")[0] for column in columns.values()}
    make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
    return make[kinds.difference({"builtins"}).pop()](columns)


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
    sessions = load_sessions(make({**SMALL, "ItemId": ids}))
    assert_is_small_log(sessions)
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


@pytest.mark.parametrize(("name", "make"), INTEGER_IDS)
def test_integer_ids_of_every_width(name: str, make: Callable[[list[int]], Any]) -> None:
    sessions = load_sessions(table_of({**SMALL, "ItemId": make(ITEM), "SessionId": make(SESSION)}))
    assert_is_small_log(sessions)
    assert sessions.itemidmap.index.dtype == np.int64
    assert sessions.itemidmap.index.tolist() == [7, 5, 9, 3]
    assert sessions.session_ids.tolist() == [10, 20, 30]


@pytest.mark.parametrize(("name", "make"), TEXT_IDS)
def test_text_ids_of_every_kind(name: str, make: Callable[[list[str]], Any]) -> None:
    columns = {"ItemId": make([str(i) for i in ITEM]), "SessionId": make([str(s) for s in SESSION])}
    sessions = load_sessions(table_of({**SMALL, **columns}))
    assert_is_small_log(sessions)
    assert sessions.itemidmap.index.tolist() == ["7", "5", "9", "3"]
    assert sessions.session_ids.tolist() == ["10", "20", "30"]


def test_chunked_arrow_tables() -> None:
    whole = pa.table({**SMALL, "ItemId": pa.array(map(str, ITEM)).dictionary_encode()})
    assert_is_small_log(load_sessions(pa.concat_tables([whole.slice(0, 2), whole.slice(2)])))


@pytest.mark.parametrize("extreme", [-(2**63), 2**63 - 1])
def test_integers_at_the_ends_of_int64(extreme: int) -> None:
    sessions = load_sessions(small_log(ItemId=[extreme, 5, 5, 9, extreme, 3]))
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
    assert_is_small_log(load_sessions(table_of({**SMALL, "Time": make(TIME)})))


def test_times_a_nanosecond_or_a_fraction_apart_are_told_apart() -> None:
    start = np.datetime64("2024-01-01T00:00:00", "ns")
    assert_is_small_log(load_sessions(small_log(Time=start + np.array(TIME))))
    assert_is_small_log(load_sessions(small_log(Time=1.7e9 + np.array(TIME) * 1e-6)))


@pytest.mark.parametrize("data", [None, 3, {"a": [1]}, [1, 2], np.zeros((2, 3)), pd.Series([1])])
def test_what_is_no_table_is_refused(data: Any) -> None:
    with pytest.raises(
        DataError,
        match=f"data is of type {type(data).__name__}: expected a pandas, polars or Arrow table",
    ):
        load_sessions(data)


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
    values = [*SMALL[column][:2], None, SMALL[column][3], None, 5]
    message = (
        f"column {column!r}, row 2 (counted from 0) has no value (None or NaN), as have 2 rows in "
        f"all: drop such rows, e.g. data.dropna(subset=[{column!r}]) in pandas"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_sessions(table_of({**SMALL, column: make(values)}))


def test_missing_ids_that_became_floats_are_told_the_way_back() -> None:
    with pytest.raises(DataError, match=r"then data\['ItemId'\]\.astype\('int64'\)"):
        load_sessions(small_log(ItemId=[7, None, 5, 9, 7, 3]))


def test_missing_times_of_dates_are_located() -> None:
    times = pd.to_datetime(["2024-01-01", "NaT", *["2024-01-02"] * 4])
    with pytest.raises(DataError, match="column 'Time', row 1 "):
        load_sessions(small_log(Time=times))


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
        load_sessions(table_of({**SMALL, column: make()}))


WRONG_TIMES: list[tuple[Callable[[], Any], str]] = [
    (lambda: pd.Series([True] * 6), "Boolean"),
    (lambda: pd.Series([[1]] * 6), r"object \(mixed\)"),
    (lambda: pl.Series([[1]] * 6), r"List\(Int64\)"),
]


@pytest.mark.parametrize(("make", "kind"), WRONG_TIMES)
def test_times_of_a_wrong_type_are_refused(make: Callable[[], Any], kind: str) -> None:
    message = (
        rf"column 'Time' is of type {kind}.*: expected times that are integers, floats, dates, "
        r"datetimes or text in ISO 8601; convert it to one of these"
    )
    with pytest.raises(DataError, match=message):
        load_sessions(table_of({**SMALL, "Time": make()}))


def test_durations_are_told_the_way_to_numbers() -> None:
    message = r"type Duration.*: expected times .*data\['Time'\]\.dt\.total_seconds\(\)"
    with pytest.raises(DataError, match=message):
        load_sessions(small_log(Time=pd.to_timedelta(TIME, unit="s")))


@pytest.mark.parametrize("column", ["SessionId", "ItemId"])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_an_empty_text_is_no_id(make: Callable[[Any], Any], column: str) -> None:
    message = (
        f"column {column!r}, row 1 (counted from 0) has no value (an empty text), as have 2 rows "
        f"in all: drop such rows, e.g. data[data[{column!r}] != '']"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_sessions(make({**SMALL, column: ["a", "", "b", "c", "", "d"]}))


def test_an_infinite_time_is_located() -> None:
    with pytest.raises(DataError, match=r"column 'Time', row 3 \(counted from 0\) is infinite"):
        load_sessions(small_log(Time=[1.0, 2, 3, float("inf"), 5, 6]))


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
        load_sessions(table_of({**SMALL, column: make([1, 2**63, 2, 3, 4, 5])}))
