"""Filters, splits and recipes: the stores are those of a table filtered by pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gru4rec_fast import DataError, prepare
from gru4rec_fast.data import selection
from gru4rec_fast.data.sessions import load_sessions
from tests.data.test_prepare import a_log, assert_same, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*the time of the event before them")
DAY = 86_400


def by_time(log: pd.DataFrame) -> pd.DataFrame:
    return log.sort_values(["SessionId", "Time"], kind="stable")


def with_gaps(log: pd.DataFrame, gap: float) -> pd.DataFrame:
    """Running numbers as sessions: by user, then time."""
    grouped = by_time(log)
    user, pause = grouped["SessionId"], grouped["Time"].diff()
    grouped["SessionId"] = ((user != user.shift()) | (pause > gap)).cumsum() - 1
    return grouped.sort_index()


def without_repeats(log: pd.DataFrame) -> pd.DataFrame:
    grouped = by_time(log)
    repeated = (grouped[["SessionId", "ItemId"]] == grouped[["SessionId", "ItemId"]].shift()).all(
        axis=1
    )
    return grouped[~repeated].sort_index()


def with_support(log: pd.DataFrame, min_items: int, min_length: int) -> pd.DataFrame:
    while True:
        n = len(log)
        log = log[log.groupby("ItemId")["Time"].transform("size") >= min_items]
        log = log[log.groupby("SessionId")["Time"].transform("size") >= min_length]
        if len(log) == n:
            return log


def split(log: pd.DataFrame, days: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    end = log.groupby("SessionId")["Time"].transform("max")
    late = end >= end.max() - days * DAY
    train, test = log[~late], log[late]
    test = test[test["ItemId"].isin(train["ItemId"])]
    return train, test[test.groupby("SessionId")["Time"].transform("size") >= 2]


def test_each_filter_and_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "PIECE", 50)
    log = a_log(6000)
    log["Time"] = log["Time"] * 200 + 0.25
    log["ItemId"] %= 900
    viewed = log[log["Other"] == "view"]
    prepare(log, tmp_path / "where", where={"Other": ["view"]})
    assert_same(load_sessions(tmp_path / "where"), load_sessions(viewed))
    prepare(write(log, tmp_path / "log.csv"), tmp_path / "gap", session_gap=3000)
    assert_same(load_sessions(tmp_path / "gap"), load_sessions(with_gaps(log, 3000)))
    log["ItemId"] %= 9
    prepare(log, tmp_path / "repeats", remove_repeats=True)
    assert_same(load_sessions(tmp_path / "repeats"), load_sessions(without_repeats(log)))


@pytest.mark.parametrize("text", [False, True])
def test_all_of_it_together(tmp_path: Path, text: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "PIECE", 300)
    log = a_log(8000, text=text)
    log["Time"] *= 300
    if not text:
        log["ItemId"] %= 150
    gap = None if text else 40_000.0
    written = prepare(
        write(log, tmp_path / "log.parquet"),
        tmp_path / "stores",
        where={"Other": ["view", "buy"]},
        session_gap=gap,
        remove_repeats=True,
        min_session_length=3,
        min_item_support=4,
        test_days=2,
        valid_days=1.5,
    )
    expected = log if gap is None else with_gaps(log, gap)
    expected = with_support(without_repeats(expected), 4, 3)
    train, test = split(expected, 2)
    tables = {"train_full": train, "test": test}
    tables["train_tr"], tables["valid"] = split(train, 1.5)
    assert [store.path.name for store in written] == list(tables)
    for store in written:
        found, table = load_sessions(store.path), load_sessions(tables[store.path.name])
        assert_same(found, table)
        assert (store.events, store.sessions, store.items) == (
            table.n_events,
            table.n_sessions,
            table.n_items,
        )
    with pytest.raises(DataError, match="several stores: pass one of test, train_full, train_tr"):
        load_sessions(tmp_path / "stores")


def test_filters_that_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is left with min_session_length=1000"):
        prepare(a_log(), tmp_path / "store", min_session_length=1000)
    with pytest.raises(DataError, match="train_full has no session: 1000 days leave none"):
        prepare(a_log(), tmp_path / "store", test_days=1000)
    assert not list(tmp_path.iterdir())


def a_shop(n: int = 4000) -> pd.DataFrame:
    """Events of 12 days: user, session, item and milliseconds since 1970."""
    random = np.random.default_rng(7)
    start = random.integers(0, 12 * DAY, n // 5)
    visit = random.integers(0, n // 5, n)
    time = 1_569_888_000 + start[visit] + random.integers(0, 1200, n)
    return pd.DataFrame(
        {
            "user": visit % 200,
            "session": visit,
            "item": random.integers(0, 60, n),
            "ms": 1000 * time + random.integers(0, 1000, n),
            "kind": random.choice(["view", "cart", "view"], n),
        }
    )


def check(
    tmp_path: Path, name: str, log: pd.DataFrame, days: float, least: tuple[int, int]
) -> None:
    """The stores of a recipe are those of the log (SessionId, ItemId, Time in s), filtered."""
    log = with_support(log, least[0], least[1])
    train, test = split(log, days)
    tables = {"train_full": train, "test": test}
    tables["train_tr"], tables["valid"] = split(train, days)
    for part, table in tables.items():
        found, expected = load_sessions(tmp_path / name / part), load_sessions(table)
        for field in ("items", "offsets", "order", "support"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
        assert found.itemidmap.index.tolist() == expected.itemidmap.index.tolist()


@pytest.mark.parametrize("name", ["rsc15", "yoochoose"])
def test_recipe_yoochoose(tmp_path: Path, name: str) -> None:
    """yoochoose-clicks.dat has no header line: session, timestamp, item, category."""
    shop = a_shop()
    stamp = pd.to_datetime(shop["ms"], unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] + "Z"
    raw = pd.DataFrame({"s": shop["session"], "t": stamp, "i": shop["item"], "c": "S"})
    raw.to_csv(tmp_path / "yoochoose-clicks.dat", index=False, header=False)
    prepare(tmp_path / "yoochoose-clicks.dat", tmp_path / name, recipe=name)
    log = shop.rename(columns={"session": "SessionId", "item": "ItemId"})
    log["Time"] = log["ms"] / 1000
    check(tmp_path, name, log, 1, (5, 2))


def test_recipe_rees46(tmp_path: Path) -> None:
    shop = a_shop()
    raw = pd.DataFrame(
        {
            "event_time": pd.to_datetime(shop["ms"], unit="ms").dt.strftime(
                "%Y-%m-%d %H:%M:%S UTC"
            ),
            "event_type": shop["kind"],
            "product_id": shop["item"] + 1_000_000,
            "category_id": 2053013552326770905,
            "category_code": "",
            "brand": "creed",
            "price": 1.5,
            "user_id": shop["user"],
            "user_session": "9d0d8-" + shop["session"].astype(str),
        }
    )
    for k, month in enumerate(("2019-Nov.csv.gz", "2019-Oct.csv.gz")):
        raw[k * 2000 : k * 2000 + 2000].to_csv(tmp_path / month, index=False)
    prepare(f"{tmp_path}/2019-*.csv.gz", tmp_path / "rees46", recipe="rees46")
    log = pd.DataFrame(
        {
            "SessionId": raw["user_session"],
            "ItemId": raw["product_id"],
            "Time": shop["ms"] // 1000,
        }
    )[shop["kind"] == "view"]
    check(tmp_path, "rees46", without_repeats(log), 1, (5, 2))


def test_recipe_retailrocket(tmp_path: Path) -> None:
    shop = a_shop(8000)
    raw = pd.DataFrame(
        {
            "timestamp": shop["ms"] + (shop["session"] % 3) * 7 * DAY * 1000,
            "visitorid": shop["user"],
            "event": shop["kind"],
            "itemid": shop["item"],
            "transactionid": np.nan,
        }
    )
    raw.to_csv(tmp_path / "events.csv", index=False)
    prepare(tmp_path / "events.csv", tmp_path / "retailrocket", recipe="retailrocket")
    log = raw.rename(columns={"visitorid": "SessionId", "itemid": "ItemId"})
    log["Time"] = log["timestamp"] / 1000
    log = with_gaps(log[log["event"] == "view"], 1800)
    check(tmp_path, "retailrocket", without_repeats(log), 7, (5, 2))


@pytest.mark.parametrize("form", ["flat", "sequential"])
def test_recipe_yambda(tmp_path: Path, form: str) -> None:
    """A row for each listen, or a row for each user with lists; seconds in steps of five."""
    shop = a_shop().sort_values(["user", "ms"], kind="stable", ignore_index=True)
    raw = pl.DataFrame(
        {
            "uid": shop["user"].astype("uint32"),
            "timestamp": (shop["ms"] // 5000 * 5 - 1_569_888_000).astype("uint32"),
            "item_id": shop["item"].astype("uint32"),
            "is_organic": (shop["item"] % 2).astype("uint8"),
        }
    )
    if form == "sequential":
        raw = raw.group_by("uid", maintain_order=True).agg(pl.all())
        empty = raw[:1].with_columns(
            pl.lit(10**6, pl.UInt32).alias("uid"),
            *(pl.col(c).list.head(0) for c in raw.columns[1:]),
        )
        raw = pl.concat([raw[:3], empty, raw[3:]])
    raw.write_parquet(tmp_path / "listens.parquet")
    prepare(tmp_path / "listens.parquet", tmp_path / "yambda", recipe="yambda")
    log = pd.DataFrame(
        {
            "SessionId": shop["user"],
            "ItemId": shop["item"],
            "Time": shop["ms"] // 5000 * 5 - 1_569_888_000,
        }
    )
    check(tmp_path, "yambda", without_repeats(with_gaps(log, 1800)), 1, (5, 2))
