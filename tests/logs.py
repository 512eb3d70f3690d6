"""The logs that tests use: random ones, and sessions as they are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence


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
