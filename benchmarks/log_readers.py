"""What it costs to read a Parquet log in order of its rows, and to sort it: polars and others.

`python -m benchmarks.log_readers`; DuckDB is measured where it is installed. Each reader has a
process of its own. Processor seconds are stated, because they depend little on other work.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.data_log import write_log

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ["SessionId", "ItemId", "Time"]
ROWS = 2**20


def pyarrow(log: str) -> int:
    import pyarrow.parquet as pq

    return sum(len(b) for b in pq.ParquetFile(log).iter_batches(ROWS, columns=COLUMNS))


def polars(log: str) -> int:
    return _polars(log, ordered=False)


def polars_sorted(log: str) -> int:
    return _polars(log, ordered=True)


def _polars(log: str, *, ordered: bool) -> int:
    import polars as pl

    scan = pl.scan_parquet(log).select(COLUMNS)
    if ordered:
        scan = scan.with_row_index("row").sort("SessionId", "Time", "row")
    batches = scan.collect_batches(chunk_size=ROWS, maintain_order=True, engine="streaming")
    return sum(len(batch) for batch in batches)


def duckdb(log: str) -> int:
    return _duckdb(f"select SessionId, ItemId, Time from '{log}'")


def duckdb_sorted(log: str) -> int:
    rows = f"(select *, row_number() over () as row from '{log}')"
    return _duckdb(f"select SessionId, ItemId, Time from {rows} order by SessionId, Time, row")


def _duckdb(query: str) -> int:
    connection: Any = importlib.import_module("duckdb").connect()
    connection.execute("set threads = 2")
    return sum(len(batch) for batch in connection.execute(query).to_arrow_reader(ROWS))


def prepare(log: str) -> int:
    from gru4rec_fast.data.prepare import prepare as prepare_store

    with tempfile.TemporaryDirectory(dir=Path(log).parent) as folder:
        return prepare_store(log, Path(folder) / "store")[0].events


READERS = {
    reader.__name__: reader
    for reader in (pyarrow, polars, duckdb, polars_sorted, duckdb_sorted, prepare)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=float, default=2e7)
    parser.add_argument("--reader", nargs=2, metavar=("NAME", "LOG"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        name, log = options.reader
        started = time.perf_counter()
        rows = READERS[name](log)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"| {name} | {rows:.0e} | {time.process_time():.2f} | "
            f"{time.perf_counter() - started:.2f} | {peak:.2f} |"
        )
        return
    print("| reader | events | processor, s | wall, s | peak memory, GB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.parquet"
        write_log(log, int(options.events), 5_000_000)
        for name in READERS:
            if name.startswith("duckdb") and importlib.util.find_spec("duckdb") is None:
                continue
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.log_readers"]
            subprocess.run([*command, "--reader", name, str(log)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
