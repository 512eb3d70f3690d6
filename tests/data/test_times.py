"""Times in text, read by the same rules from a file and from a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gru4rec_fast.data.origin import Origin
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.data.times import parsed_times
from gru4rec_fast.errors import DataError
from tests.logs import TIME, assert_is_small_log, small_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[[list[str]], Sessions]

pytestmark = pytest.mark.filterwarnings("ignore:.*the time of the event before them")


def nanoseconds(times: list[str]) -> list[int]:
    parsed = parsed_times(pl.Series("Time", times), Origin())
    return parsed.dt.timestamp("ns").to_list()


@pytest.fixture(params=["csv", "pandas", "category", "polars", "arrow"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Read:
    """Loads the small log with these times, as a file or a table."""

    def loaded(times: list[str]) -> Sessions:
        log = small_log(Time=times)
        data: Any = {
            "csv": tmp_path / "log.csv",
            "pandas": log,
            "category": log.astype({"Time": "category"}),
            "polars": pl.from_pandas(log),
            "arrow": pa.Table.from_pandas(log),
        }[request.param]
        log.to_csv(tmp_path / "log.csv", index=False)
        return load_sessions(data)

    return loaded


@pytest.mark.parametrize(
    "notation",
    [
        "{:d}", " {:d}.5", "2014-04-{:02d}", "2024/03/{:02d}", "2024-03-31 10:{:02d}",
        "2024-03-31 10:51:{:02d}", "2014-04-07T10:51:{:02d}.277", "2024-03-31 10:00:{:02d} UTC",
        "2014-04-07T10:51:{:02d}.277Z", "2024/03/31 10:00:{:02d}+02:00",
        "2024-03-31T10:00:{:02d} -0330", "2024-03-31 10:00:{:02d},5+01",
        "2024-03-31 10:51:09.0000000{:02d}",
    ],
)  # fmt: skip
def test_every_notation_in_a_file_and_in_a_table(read: Read, notation: str) -> None:
    ranks = {time: rank for rank, time in enumerate(sorted(set(TIME)), 1)}
    assert_is_small_log(read([notation.format(ranks[time]) for time in TIME]))


@pytest.mark.parametrize(
    "text",
    [
        "07/04/2014", "2014-7-4", "2014-02-30", "2014-04-07 24:00", "2014-04-07 10:60",
        "2014-04-07 10:51:60", "2014-04-07 10", "2014-04-07 10:51 CET", "2014-04-07Z", "soon", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", ["5", "2014-04-07"])
def test_what_is_no_time_is_refused(read: Read, text: str, first: str) -> None:
    times = [first] * 3 + [text, first, first]
    with pytest.raises(DataError, match=f"column 'Time', .*(holds '{re.escape(text)}'|no value)"):
        read(times)


def test_times_with_a_zone_are_converted_to_utc() -> None:
    noon = pd.Timestamp("2024-03-31 12:00", tz="UTC").value
    same = ["2024-03-31 12:00Z", "2024/03/31T12:00:00.000 UTC", "2024-03-31 14:00+02:00",
            "2024-03-31 08:30-0330", "2024-04-01 00:00:00+12"]  # fmt: skip
    assert nanoseconds(same) == [noon] * 5
    assert nanoseconds(["2024-03-31 12:00", "2024-03-31"]) == [noon, noon - 12 * 3600 * 10**9]
    assert nanoseconds(["2024-03-31 12:00:00.000000001Z"]) == [noon + 1]
    assert nanoseconds(["1969-12-31 23:59:59.5"]) == [-5 * 10**8]


def test_times_with_a_zone_beside_times_without_are_refused(read: Read) -> None:
    message = (
        r"'2014-04-07' without a time zone, but .*'2014-04-07 10:51Z' with one: expected a zone "
        "for all times or for none"
    )
    with pytest.raises(DataError, match=message):
        read(["2014-04-07"] * 5 + ["2014-04-07 10:51Z"])
