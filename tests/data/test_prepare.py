"""A prepared store holds what `load_sessions` makes of the same log, bit for bit."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru4rec_fast import DataError, ParameterError, prepare
from gru4rec_fast._core import EventPartitions, TextNumbering
from gru4rec_fast.data import log_batches
from gru4rec_fast.data.event_codes import text_buffers
from gru4rec_fast.data.sessions import Sessions, load_sessions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.filterwarnings("ignore:.*the time of the event before them")


def a_log(n: int = 3000, *, seed: int = 0, text: bool = False) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    log = pd.DataFrame(
        {
            "Time": random.integers(0, n // 4, n),
            "SessionId": random.integers(-n // 20, n // 10, n),
            "Other": random.choice(["view", "buy"], n),
            "ItemId": (n * random.random(n) ** 3).astype(np.int64),
        }
    )
    if text:
        log["SessionId"] = "s é" + log["SessionId"].astype(str)
        log["ItemId"] = log["ItemId"].astype(str) + "ß"
    return log


def assert_same(store: Sessions, log: Sessions, *, but: str = "") -> None:
    for name in ("items", "offsets", "order", "support"):
        if name != but:
            np.testing.assert_array_equal(getattr(store, name), getattr(log, name), name)
    pd.testing.assert_series_equal(store.itemidmap, log.itemidmap, check_index_type=False)
    assert store.session_ids.tolist() == log.session_ids.tolist()
    assert (store.n_sessions, store.n_single) == (log.n_sessions, log.n_single)


def write(log: pd.DataFrame, path: Path) -> Path:
    name = path.name
    if name.endswith(".parquet"):
        log.to_parquet(path)
        return path
    text = log.to_csv(index=False, sep="\t" if ".tsv" in name else ",").encode()
    if name.endswith(".gz"):
        text = gzip.compress(text)
    if name.endswith(".zst"):
        text = pa.compress(text, codec="zstd", asbytes=True)
    path.write_bytes(text)
    return path


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("kind", ["tsv", "csv", "csv.gz", "tsv.zst", "parquet", "table"])
def test_every_kind_of_log(
    tmp_path: Path, kind: str, text: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_batches, "BLOCK", 1000)
    monkeypatch.setattr(log_batches, "HEAD", 200)
    monkeypatch.setattr(log_batches, "ROWS", 70)
    log = a_log(text=text)
    source: Any = log if kind == "table" else write(log, tmp_path / f"log.{kind}")
    (written,) = prepare(source, tmp_path / "store")
    assert (written.events, written.sessions) == (3000, log["SessionId"].nunique())
    for time_sort in (True, False):
        assert_same(
            load_sessions(tmp_path / "store", time_sort=time_sort),
            load_sessions(log, time_sort=time_sort),
        )


def test_in_the_numbering_of_a_model(tmp_path: Path) -> None:
    log = a_log()
    prepare(log, tmp_path / "store")
    known = load_sessions(a_log(800, seed=1)).itemidmap
    store = load_sessions(tmp_path / "store", itemidmap=known)
    table = load_sessions(log, itemidmap=known)
    assert store.dropped_events == table.dropped_events > 0
    # Sessions may have lost their first event: the order of an evaluation does not matter.
    assert_same(store, table, but="order")
    assert sorted(store.order) == list(range(store.n_sessions))


def test_files_of_a_folder_are_one_log_in_order_of_their_names(tmp_path: Path) -> None:
    log = a_log()
    pieces = {"b.csv": log[:900], "a/2.tsv.gz": log[900:1700], "c.parquet": log[1700:]}
    (tmp_path / "in" / "a").mkdir(parents=True)
    for name, piece in pieces.items():
        write(piece, tmp_path / "in" / name)
    (tmp_path / "in" / "_SUCCESS.csv").write_text("")
    (tmp_path / "in" / "notes.md").write_text("not a log")
    prepare(tmp_path / "in", tmp_path / "store")
    one = pd.concat([pieces[name] for name in sorted(pieces)], ignore_index=True)
    assert_same(load_sessions(tmp_path / "store"), load_sessions(one))
    prepare([f"{tmp_path}/in/[bc].*", tmp_path / "in/a/2.tsv.gz"], tmp_path / "other")
    two = pd.concat([pieces[name] for name in ("b.csv", "c.parquet", "a/2.tsv.gz")])
    assert_same(load_sessions(tmp_path / "other"), load_sessions(two.reset_index(drop=True)))


@given(st.data())
@settings(max_examples=settings().max_examples // 4)
def test_events_beyond_the_memory_go_through_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any budget and any order of sessions gives the events in the order of a stable sort."""
    n = data.draw(st.integers(1, 400))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    spread = data.draw(st.sampled_from([1, 5, 10**6]))
    session = random.integers(-spread, spread, n)
    if data.draw(st.booleans()):
        session.sort()
    item, time = random.integers(0, 2**31, n).astype(np.int32), random.integers(-3, 3, n)
    label: NDArray[np.int64] | None = None
    if data.draw(st.booleans()):
        session = np.unique(session, return_inverse=True)[1].astype(np.int64)
        label = random.permutation(int(session.max()) + 1).astype(np.int64)
    folder = tmp_path_factory.mktemp("work")
    parts = EventPartitions(str(folder), data.draw(st.sampled_from([1, 500, 10**7])))
    for start in range(0, n, 37):
        rows = slice(start, start + 37)
        parts.add(session[rows], item[rows], time[rows])
    if label is not None:
        parts.relabel(label)
        session = label[session]
    found, last = [], -(2**63)
    while len((part := parts.next())[0]):
        assert part[0][0] > last
        last = int(part[0][-1])
        found.append(part)
    order = np.lexsort((time, session))
    for k, expected in enumerate((session[order], item[order], time[order], order)):
        np.testing.assert_array_equal(np.concatenate([part[k] for part in found]), expected)
    assert not list(folder.iterdir())


def test_a_small_budget_gives_the_same_store(tmp_path: Path) -> None:
    log = a_log(800_000)[["SessionId", "ItemId", "Time"]]
    prepare(log, tmp_path / "store", memory="16M")
    assert_same(load_sessions(tmp_path / "store"), load_sessions(log))


def test_columns_that_change_their_kind_within_the_log(tmp_path: Path) -> None:
    """What a later file shows decides for the whole log, as it does within one file."""
    first = "SessionId,ItemId,Time\n1,10,5\n2,7,3\n10,7,-4\n"
    for number, more in enumerate(
        ("1,x,6\n", "a,10,6\n", "2,7,2.5\n3,9,-1.25\n2,9,0\n", "007,01,6\n")
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "1.csv").write_text(first)
        (folder / "2.csv").write_text("SessionId,ItemId,Time\n" + more)
        (tmp_path / f"{number}.csv").write_text(first + more)
        prepare(folder, tmp_path / f"store{number}")
        assert_same(
            load_sessions(tmp_path / f"store{number}"), load_sessions(tmp_path / f"{number}.csv")
        )


def test_datetimes_of_unequal_precision(tmp_path: Path) -> None:
    times = ["2014-04-07T10:51:09.277Z", "2014-04-07T10:51:09.277000001Z", "2014-04-07 10:50Z"]
    log = pd.DataFrame({"SessionId": [1, 1, 1], "ItemId": [3, 4, 5], "Time": times})
    for k in range(3):
        log[k : k + 1].to_csv(tmp_path / f"{k}.csv", index=False)
    prepare([tmp_path / f"{k}.csv" for k in range(3)], tmp_path / "store")
    assert_same(load_sessions(tmp_path / "store"), load_sessions(log))
    (tmp_path / "3.csv").write_text("SessionId,ItemId,Time\n1,2,2014-04-07\n")
    with pytest.raises(DataError, match=r"with a time zone, and then datetimes without"):
        prepare([tmp_path / "0.csv", tmp_path / "3.csv"], tmp_path / "other")
    (tmp_path / "4.csv").write_text("SessionId,ItemId,Time\n1,2,17\n")
    with pytest.raises(DataError, match=r"'Time' holds datetimes .*, and then numbers"):
        prepare([tmp_path / "0.csv", tmp_path / "4.csv"], tmp_path / "other")


def test_rows_in_order_and_columns_of_other_names(tmp_path: Path) -> None:
    log = a_log().rename(columns={"SessionId": "s", "ItemId": "i"})
    keys: dict[str, Any] = {"session_key": "s", "item_key": "i", "time_key": None}
    prepare(write(log, tmp_path / "log.csv"), tmp_path / "store", **keys)
    store, table = load_sessions(tmp_path / "store"), load_sessions(log, **keys)
    assert_same(store, table)
    assert store.columns == table.columns


def test_quoted_fields_that_go_over_lines_and_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_batches, "BLOCK", 64)
    monkeypatch.setattr(log_batches, "HEAD", 64)
    log = a_log(400)
    log["Other"] = np.where(log.index % 3 == 0, 'two\n"lines",\n', "plain")
    prepare(write(log, tmp_path / "log.csv"), tmp_path / "store")
    assert_same(load_sessions(tmp_path / "store"), load_sessions(log))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n4,,6\n", r"'ItemId', line 103 has no value"),
        ("1,2,3\n4,5,6,7\n", r"line 103 has 4 fields: expected 3"),
        ("1,2,x\n", r"'Time', line 102 holds 'x', which is no time"),
        ("1,2\n", r"'Time', line 102 has no value"),
        ("1,2,inf\n", r"'Time', row \d+|line 102 is infinite"),
    ],
)
def test_errors_name_the_line_of_the_file(
    tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_batches, "BLOCK", 100)
    monkeypatch.setattr(log_batches, "HEAD", 30)
    path = tmp_path / "log.csv"
    path.write_text("SessionId,ItemId,Time\n" + "10,20,30\n" * 100 + text)
    with pytest.raises(DataError, match=rf"log\.csv: .*{message}"):
        prepare(path, tmp_path / "store")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.csv"]


def test_what_cannot_be_prepared_is_refused(tmp_path: Path) -> None:
    log = a_log(50)
    write(log, tmp_path / "log.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    (tmp_path / "log.xls").write_text("")
    cases: list[tuple[Any, str]] = [
        (tmp_path / "absent.csv", "absent.csv: no such file"),
        (f"{tmp_path}/*.tsv", r"no such file"),
        (tmp_path / "bad.parquet", r"bad\.parquet: cannot be read as \.parquet"),
        (tmp_path / "log.xls", "unknown kind of file"),
        (log[:0], "the log has no rows"),
        ([], "no input"),
        ([3], "an input is of type int"),
    ]
    for source, message in cases:
        with pytest.raises(DataError, match=message):
            prepare(source, tmp_path / "store")
    options: list[tuple[dict[str, Any], str]] = [
        ({"recipe": "rsc51"}, r"recipe is 'rsc51'; .*: did you mean 'rsc15'"),
        ({"min_sesion_length": 2}, "no option 'min_sesion_length'"),
        ({"memory": "1T"}, "memory is '1T'"),
        ({"test_days": 0}, "test_days is 0"),
        ({"valid_days": 1}, "without test_days"),
        ({"session_gap": 1, "time_key": None}, "session_gap=1 needs times"),
        ({"where": {"Other": "view"}}, r"where\['Other'\] is 'view'"),
        ({"time_unit": "m"}, "time_unit is 'm'"),
    ]
    for given_options, message in options:
        with pytest.raises(ParameterError, match=message):
            prepare(log, tmp_path / "store", **given_options)
    with pytest.raises(DataError, match=r"has no rows with Other of sell"):
        prepare(log, tmp_path / "store", where={"Other": ["sell"]})
    assert not (tmp_path / "store").exists()


def test_text_is_numbered_and_sorted_by_code_points() -> None:
    numbering = TextNumbering()
    words = ["b", "", "é", "a", "b", "aa", "\U0001f600", "\ufffd"] * 300
    first = list(dict.fromkeys(words))

    found = numbering.number(*text_buffers(pl.Series(words)))
    assert found.tolist() == [first.index(word) for word in words]
    assert [first[k] for k in numbering.sorted()] == sorted(first)
    with pytest.raises(ValueError, match="expected them to ascend"):
        numbering.number(np.array([0, 5]), np.zeros(3, dtype=np.uint8))
