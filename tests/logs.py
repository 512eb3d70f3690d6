"""The logs that tests use: random ones, listed sessions, and a small one with every case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gru4rec_fast.data.sessions import Sessions

SESSION = [10, 20, 10, 20, 30, 10]
ITEM = [7, 5, 5, 9, 7, 3]
TIME = [50, 1, 50, 2, 60, 40]
SMALL = {"SessionId": SESSION, "ItemId": ITEM, "Time": TIME}
"""Session 20 starts first in time, 10 first in the log; 30 has one event; two events of 10 tie."""

OTHER_NAMES = {"SessionId": "visit", "ItemId": "sku", "Time": "at"}
"""Other names of the columns, for `rename(columns=...)`."""
OTHER_KEYS: dict[str, Any] = {"session_key": "visit", "item_key": "sku", "time_key": "at"}
"""The same, as arguments."""


def random_log(
    n_sessions: int = 40, n_items: int = 30, longest: int = 8, seed: int = 0
) -> pd.DataFrame:
    """Sessions of 1 to `longest` events of popularity-skewed items, shuffled rows."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, n_sessions)
    lengths[:2] = longest  # at least two sessions with pairs
    n_events = int(lengths.sum())
    session = np.repeat(np.arange(n_sessions), lengths)
    log = pd.DataFrame(
        {
            "SessionId": session + 1000,
            "ItemId": 7 * (n_items * rng.random(n_events) ** 2).astype(np.int64),
            "Time": 10_000 * session + rng.integers(0, 5000, n_events),
        }
    )
    return log.sample(frac=1, random_state=seed).reset_index(drop=True)


def log_of(sessions: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Session 0, 1, ... of these items, one event after the other in time."""
    lengths = [len(session) for session in sessions]
    return pd.DataFrame(
        {
            "SessionId": np.repeat(np.arange(len(sessions)), lengths),
            "ItemId": np.concatenate([np.asarray(session) for session in sessions]),
            "Time": np.arange(sum(lengths)),
        }
    )


def small_log(**columns: Any) -> pd.DataFrame:
    """The log SMALL, with some columns replaced or added."""
    frame: pd.DataFrame = pd.DataFrame({**SMALL, **columns})
    return frame


def assert_is_small_log(sessions: Sessions) -> None:
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


def write_log(log: pd.DataFrame, path: Path) -> str:
    """Write a log as .tsv or .csv; returns the path as text."""
    log.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return str(path)


def pairs(log: pd.DataFrame) -> pd.DataFrame:
    """Columns SessionId, ItemId, Next: each event that has a next one."""
    ordered = log.sort_values(["SessionId", "Time"], kind="stable")
    following = ordered.groupby("SessionId")["ItemId"].shift(-1)
    return ordered.assign(Next=following).dropna().astype({"Next": int})
