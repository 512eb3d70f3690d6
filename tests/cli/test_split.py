"""`split` writes the earlier and the later sessions, with every column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from gru4rec_fast import DataError, ParameterError
from gru4rec_fast.data.splitting import hold_out_from, hold_out_last_sessions
from tests.cli.commands import error_of, run
from tests.logs import random_log

LOG = random_log().assign(price=lambda log: ["1.50"] * len(log), note="ä")
START = LOG.groupby("SessionId").Time.min()


def later_sessions(parts: tuple[pd.DataFrame, pd.DataFrame]) -> set[int]:
    earlier, later = parts
    pd.testing.assert_frame_equal(pd.concat([earlier, later]).sort_index(), LOG)
    assert not set(earlier.SessionId) & set(later.SessionId)
    return set(later.SessionId)


def test_the_last_sessions() -> None:
    expected = set(START.sort_values().index[-7:])
    assert later_sessions(hold_out_last_sessions(LOG, 7)) == expected
    with pytest.raises(ParameterError, match="n_sessions is 40, but the log has 40 sessions"):
        hold_out_last_sessions(LOG, 40)
    with pytest.raises(ParameterError, match="n_sessions is 0"):
        hold_out_last_sessions(LOG, 0)


def test_sessions_that_start_at_a_number_or_later() -> None:
    at = int(START.sort_values().iloc[20])
    assert later_sessions(hold_out_from(LOG, str(at))) == set(START.index[at <= START])
    assert later_sessions(hold_out_from(LOG, str(at + 0.5))) == set(START.index[at + 0.5 <= START])
    # 100,000 seconds after 1970 began is 1970-01-02 03:46:40.
    expected = set(START.index[START >= 100_000])
    assert 0 < len(expected) < 40
    assert later_sessions(hold_out_from(LOG, "1970-01-02 03:46:40")) == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "text", "zone", "date"])
def test_sessions_that_start_on_a_date(unit: Any) -> None:
    days = pd.to_datetime("2024-03-01") + pd.to_timedelta(range(5), unit="D")
    times = pd.Series(days.repeat(2)).sample(frac=1, random_state=0, ignore_index=True)
    log = pd.DataFrame({"SessionId": times.dt.day, "ItemId": 1, "Time": times})
    if unit == "text":
        log["Time"] = log.Time.dt.strftime("%Y/%m/%d 00:00:00")
    elif unit == "zone":
        log["Time"] = log.Time.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    elif unit == "date":
        log["Time"] = log.Time.dt.date
    else:
        log["Time"] = log.Time.dt.as_unit(unit)
    for date, first in (("2024-03-04", 4), ("2024-03-03 00:00:01", 4), ("2024-03-02T24:00", 0)):
        if first:
            _, later = hold_out_from(log, date)
            assert set(later.SessionId) == {day for day in range(1, 6) if day >= first}
        else:
            with pytest.raises(ParameterError, match="expected a number in the unit"):
                hold_out_from(log, date)


def test_dates_that_split_nothing() -> None:
    for date, side in (("1971-01-01", "before"), ("0", "after")):
        with pytest.raises(ParameterError, match=rf"all 40 sessions start {side} it"):
            hold_out_from(LOG, date)
    dated = LOG.assign(Time=pd.to_datetime(LOG.Time, unit="s"))
    with pytest.raises(ParameterError, match="the log's times are dates as 1970"):
        hold_out_from(dated, "5")
    with pytest.raises(ParameterError, match="which are no seconds since 1970"):
        hold_out_from(LOG.assign(Time=LOG.Time * 10**9), "1970-01-02")
    with pytest.raises(DataError, match="holds one session"):
        hold_out_from(LOG.assign(SessionId=1), "5")


@pytest.mark.parametrize("kind", ["tsv", "csv", "parquet", "tsv.gz"])
def test_the_command_keeps_columns_and_rows(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "parquet":
        LOG.to_parquet("log.parquet")
    else:
        LOG.to_csv(f"log.{kind}", sep="," if kind == "csv" else "\t", index=False)
    files = (f"train.{kind}", f"test.{kind}")
    assert (
        run("split", f"log.{kind}", "--share", "0.25", "--train", files[0], "--test", files[1]) == 0
    )
    assert "test: " in capsys.readouterr().out
    parts = [
        pd.read_parquet(file)
        if kind == "parquet"
        else pd.read_csv(file, sep="," if kind == "csv" else "\t", dtype={"price": str})
        for file in files
    ]
    assert set(parts[1].SessionId) == set(START.sort_values().index[-10:])
    is_later = LOG.SessionId.isin(parts[1].SessionId)
    for part, rows in zip(parts, (LOG[~is_later], LOG[is_later]), strict=True):
        pd.testing.assert_frame_equal(part, rows.reset_index(drop=True), check_dtype=False)


def test_what_the_command_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pl.from_pandas(LOG).write_csv("log.csv")
    files = ("--train", "a.csv", "--test", "b.csv")
    for arguments, message in (
        (("log.csv", *files), "one of the arguments --share --last --date is required"),
        (("log.csv", "--share", "2", *files), "share=2.0: expected a number between 0 and 1"),
        (("log.csv", "--last", "5", "--train", "log.csv", "--test", "b.csv"), "another file"),
        (("log.csv", "--last", "5", "--train", "a.csv", "--test", "a.csv"), "another file"),
        (("log.csv", "--last", "5", "--train", "a.xls", "--test", "a.csv"), "unknown kind of file"),
        (("log.csv", "--last", "5", "--train", "no/a.csv", "--test", "a.csv"), "existing folder"),
        (("none.csv", "--last", "5", *files), "none.csv: no such file"),
        (("log.csv", "--date", "5", "--rows-in-order", *files), "--date needs a time column"),
        (("log.csv", "--dat", "soon", *files), "date is 'soon'; expected a number"),
    ):
        assert message in error_of(capsys, "split", *arguments), message
    assert [path.name for path in Path().iterdir()] == ["log.csv"]
