"""`gru4rec-fast split`: a log's earlier and later sessions as two files, with all columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gru4rec_fast.cli.options import add_keys, keys
from gru4rec_fast.cli.table_file import KINDS, TableFile
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.splitting import hold_out_from, hold_out_last_sessions, hold_out_latest
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = (
        "Split a log into the earlier sessions, to train on, and the later ones, to test on. A "
        "session goes by its first event and is never split. Rows keep their order and columns."
    )
    add = parser.add_argument
    add("log", metavar="LOG", help="TSV, CSV or Parquet file of (session, item, time) events")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--share", type=float, metavar="S", help="the latest share S of the sessions")
    how.add_argument("--last", type=int, metavar="N", help="the latest N sessions")
    how.add_argument(
        "--date",
        metavar="DATE",
        help="the sessions that start at DATE or later: 2024-03-31, '2024-03-31 10:00', or a "
        "number in the unit of the log's times",
    )
    add("--train", metavar="FILE", required=True, help=f"the earlier sessions: {KINDS}")
    add("--test", metavar="FILE", required=True, help="the later sessions, likewise")
    add_keys(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    files = {
        "train": TableFile(options.train, "--train", [options.log, options.test]),
        "test": TableFile(options.test, "--test", [options.log, options.train]),
    }
    reading = keys(options)
    with naming(options.log):
        if options.share is not None:
            parts = hold_out_latest(options.log, options.share, **reading)
        elif options.last is not None:
            parts = hold_out_last_sessions(options.log, options.last, **reading)
        elif reading.get("time_key", "Time") is None:
            raise ParameterError("--date needs a time column: leave out --rows-in-order")
        else:
            parts = hold_out_from(options.log, options.date, **reading)
    session = reading.get("session_key", "SessionId")
    for (name, file), part in zip(files.items(), parts, strict=True):
        file.write(part)
        print(f"{name}: {len(part):,} events in {part[session].nunique():,} sessions, {file.path}")
    return 0
