"""How errors speak of a log: the columns there, the rows, and the words for a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError
from tests.logs import ITEM, SESSION, TIME, small_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_a_missing_column_is_answered_with_those_there(make: Callable[[Any], Any]) -> None:
    table = make({"SessionId": SESSION, "item_id": ITEM, "Time": TIME})
    message = (
        "no column 'ItemId': did you mean 'item_id'?; columns there: SessionId, item_id, Time; "
        "if it has another name, pass item_key=..."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_sessions(table)
    message = (
        "no column 'when'; columns there: SessionId, item_id, Time; if it has another name, pass "
        "time_key=..., or time_key=None where the rows are in the order of time"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load_sessions(table, item_key="item_id", time_key="when")


def test_a_column_in_the_index_is_pointed_out() -> None:
    with pytest.raises(DataError, match=r"'SessionId' is the index.*call data\.reset_index\(\)"):
        load_sessions(small_log().set_index("SessionId"))


@pytest.mark.parametrize("name", ["ItemId", "other"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    message = (
        f"the table has 2 columns of one name, {name!r}: expected different names; rename or drop "
        "all but one"
    )
    columns = [pa.array(values) for values in (SESSION, ITEM, TIME, ITEM, ITEM)]
    arrow = pa.Table.from_arrays(columns, ["SessionId", "ItemId", "Time", "other", name])
    pyarrow.parquet.write_table(arrow, tmp_path / "log.parquet")
    pandas = small_log(other=ITEM, last=ITEM).rename(columns={"last": name})
    for table, start in ((pandas, ""), (arrow, ""), (tmp_path / "log.parquet", "log.parquet: ")):
        with pytest.raises(DataError, match=f"(^|/){start}{re.escape(message)}$"):
            load_sessions(table)


def test_a_parquet_file_is_spoken_of_in_words(tmp_path: Path) -> None:
    small_log(ItemId=[7, None, 5, 9, 7, 3]).to_parquet(tmp_path / "log.parquet")
    message = r"row 1 \(counted from 0\) has no value .*delete such rows from the file"
    with pytest.raises(DataError, match=message):
        load_sessions(tmp_path / "log.parquet")
