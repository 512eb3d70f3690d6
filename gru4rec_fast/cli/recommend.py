"""`gru4rec-fast recommend`: the best next items of a session, or of all sessions of a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gru4rec_fast.cli.options import add_device, add_keys, keys
from gru4rec_fast.cli.table_file import KINDS, TableFile
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.serving.recommend import id_list

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = (
        "The best next items of one session, given by its items, or of each session of a log."
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model")
    parser.add_argument("items", nargs="*", metavar="ITEM", help="the session, oldest item first")
    parser.add_argument(
        "--sessions", metavar="LOG", help="a log: recommend for each of its sessions, into --out"
    )
    parser.add_argument(
        "--out", metavar="FILE", help=f"table of session, rank, item and score: {KINDS}"
    )
    parser.add_argument("-k", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--exclude-seen", action="store_true", help="leave the session's items out")
    add_device(parser)
    add_keys(parser, of_model=True)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        DataError: an item that is no integer where the model's are, or the model knows none.
        ParameterError: items and --sessions, or --sessions without --out, or the reverse.
    """
    if bool(options.items) == bool(options.sessions):
        raise ParameterError(
            "expected either the items of one session, or --sessions LOG --out FILE; found "
            + ("both" if options.items else "neither")
        )
    if bool(options.sessions) != bool(options.out):
        raise ParameterError("--sessions LOG and --out FILE belong together; add the other")
    if options.sessions:
        return _all_sessions(options)
    gru = GRU4Rec.loadmodel(options.model, options.device)
    ids = gru.data_iterator.itemidmap.index
    items: list[Any] = options.items
    if ids.inferred_type == "integer":
        for item in items:
            if not item.removeprefix("-").isdecimal():
                raise DataError(
                    f"ITEM {item}: expected integers, as the model's item ids are, for instance "
                    f"{ids[0]}"
                )
        items = [int(item) for item in items]
    known = id_list(items, "ITEM").isin(ids)
    unknown = [str(item) for item, is_known in zip(items, known, strict=True) if not is_known]
    if unknown and known.any():
        print(
            f"gru4rec-fast: note: the model does not know {', '.join(unknown)}: passed over",
            file=sys.stderr,
        )
    best = gru.recommend(items, options.k, exclude_seen=options.exclude_seen)
    print(best.to_string(index=False))
    return 0


def _all_sessions(options: argparse.Namespace) -> int:
    # Of one session's items no log is read, and what reads tables takes long to import.
    from gru4rec_fast.cli.session_table import recommend_sessions

    file = TableFile(options.out, "--out", [options.model, options.sessions])
    gru = GRU4Rec.loadmodel(options.model, options.device)
    found = recommend_sessions(
        gru, options.sessions, options.k, options.exclude_seen, **keys(options)
    )
    file.write(found.table)
    if found.unknown_events:
        print(
            f"gru4rec-fast: note: {found.unknown_events} events of unknown items were passed over; "
            f"{found.unknown_sessions} sessions hold no other, and have no row",
            file=sys.stderr,
        )
    print(f"Wrote {len(found.table)} rows of {found.n_sessions} sessions to {options.out}")
    return 0
