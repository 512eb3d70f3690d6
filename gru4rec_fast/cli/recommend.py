"""`gru4rec-fast recommend`: the best next items of a session, by a saved model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gru4rec_fast.cli.options import add_device
from gru4rec_fast.errors import DataError
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.serving.recommend import id_list

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("model", help="a saved model")
    parser.add_argument("items", nargs="+", metavar="ITEM", help="the session, oldest item first")
    parser.add_argument("-k", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--exclude-seen", action="store_true", help="leave the session's items out")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        DataError: an item that is no integer where the model's are, or the model knows none.
    """
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
