"""`gru4rec-fast prepare`: a log of any size -> a prepared store, which opens at once."""

from __future__ import annotations

import argparse
from typing import Any

from gru4rec_fast.cli.options import add_keys, keys
from gru4rec_fast.data.prepare import prepare
from gru4rec_fast.data.recipes import RECIPES
from gru4rec_fast.data.store import verify
from gru4rec_fast.errors import ParameterError

FLAGS: dict[str, dict[str, Any]] = {
    "recipe": {"choices": sorted(RECIPES), "help": "a public log: its format and usual options"},
    "columns": {
        "metavar": "NAMES",
        "type": lambda text: text.split(","),
        "help": "names of all columns, by commas, of text files without a header line",
    },
    "time-unit": {"metavar": "UNIT", "help": "of times that are numbers: s (default), ms, us, ns"},
    "session-gap": {
        "metavar": "SECONDS",
        "type": float,
        "help": "a longer pause begins a new session; --session-key then names the user",
    },
    "remove-repeats": {
        "action": "store_true",
        "help": "leave out an event with the item of the event before it",
    },
    "min-session-length": {
        "metavar": "N",
        "type": int,
        "help": "leave out shorter sessions (with the next one again and again)",
    },
    "min-item-support": {"metavar": "N", "type": int, "help": "leave out items of fewer events"},
    "test-days": {
        "metavar": "DAYS",
        "type": float,
        "help": "split: sessions that end in the last days go to STORE/test, others to train_full",
    },
    "valid-days": {
        "metavar": "DAYS",
        "type": float,
        "help": "split train_full again, into train_tr and valid",
    },
    "memory": {
        "metavar": "SIZE",
        "help": "events kept in memory, as 512M or 4G (default: 1G); more go to the disk",
    },
}
"""Flags whose names are those of options of `prepare`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = (
        "Prepare a log once, so that train and evaluate open it at once and in little memory. "
        "They take the path of the store as that of a log."
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="IN",
        help="log files (TSV, CSV, Parquet; .gz, .zst), folders or patterns; with --verify stores",
    )
    parser.add_argument("-o", "--out", metavar="STORE", help="the folder of the store")
    parser.add_argument("--overwrite", action="store_true", help="replace a store that is there")
    parser.add_argument(
        "--verify", action="store_true", help="compare stores with their checksums instead"
    )
    parser.add_argument(
        "--where",
        metavar="COLUMN=VALUE[,VALUE]",
        action="append",
        help="keep only events with one of these values; several flags must all hold",
    )
    for name, how in FLAGS.items():
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, **how)
    add_keys(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    if options.verify:
        for path in options.inputs:
            print(f"{path}: intact, {verify(path).n_events:,} events")
        return 0
    if options.out is None:
        raise ParameterError("prepare needs -o STORE, the folder of the store (or --verify)")
    names = [name.replace("-", "_") for name in FLAGS]
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    if options.where:
        given["where"] = _where(options.where)
    for store in prepare(
        options.inputs, options.out, overwrite=options.overwrite, **given, **keys(options)
    ):
        print(store)
    return 0


def _where(filters: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in filters:
        column, equals, values = text.partition("=")
        if not (column and equals):
            raise ParameterError(f"--where {text}: expected COLUMN=VALUE, as event_type=view")
        found.setdefault(column, []).extend(values.split(","))
    return found
