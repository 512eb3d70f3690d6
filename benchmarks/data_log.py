"""Generated logs of any size for `make bench-data`: rows in random order, items by a power law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

ROWS = 10**7
"""Events that are generated at a time."""
EVENTS_OF_A_SESSION = 10
SECONDS = 180 * 86_400


def pieces(n_events: int, n_items: int) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Columns of `ROWS` events at a time; the sessions of an event are drawn independently."""
    random = np.random.default_rng(1)
    n_sessions = max(1, n_events // EVENTS_OF_A_SESSION)
    for start in range(0, n_events, ROWS):
        n = min(ROWS, n_events - start)
        session = random.integers(0, n_sessions, n)
        item = (n_items * random.random(n) ** 3).astype(np.int64)
        begin = session.astype(np.uint64) * np.uint64(11400714819323198485) >> np.uint64(40)
        time = 1_600_000_000 + begin.astype(np.int64) % SECONDS + random.integers(0, 3600, n)
        yield {"SessionId": session, "ItemId": item, "Time": time}


def write_log(path: Path, n_events: int, n_items: int) -> None:
    """Write a log as .tsv or .parquet."""
    if path.suffix == ".tsv":
        with path.open("wb") as file:
            for k, columns in enumerate(pieces(n_events, n_items)):
                pl.DataFrame(columns).write_csv(file, separator="\t", include_header=k == 0)
        return
    writer = None
    for columns in pieces(n_events, n_items):
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=10**6)
    if writer is not None:
        writer.close()
