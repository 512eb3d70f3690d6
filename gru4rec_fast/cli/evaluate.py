"""`gru4rec-fast evaluate`: recall and MRR of a saved model; other commands evaluate by it too."""

from __future__ import annotations

import argparse
from itertools import chain
from typing import TYPE_CHECKING, Any

from gru4rec_fast.cli.options import add_device, add_keys, keys
from gru4rec_fast.cli.table_file import KINDS, TableFile
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.sessions import load_sessions, require_pairs
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.batch_eval import batch_eval
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.reference import RANKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("model", help="a saved model")
    parser.add_argument("log", help="TSV, CSV or Parquet file of (session, item, time) events")
    add_evaluation(parser)
    parser.add_argument(
        "--full",
        action="store_true",
        help="all figures: also ndcg, map, precision, coverage and popularity, with intervals, by "
        "position, session length and support",
    )
    parser.add_argument(
        "--unknown",
        choices=("drop", "miss"),
        default="drop",
        help="events of items that the model does not know: left out, or counted as misses, with "
        "--full (default: drop)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="with --full: a table of the figures: " + KINDS
    )
    add_device(parser)
    add_keys(parser, of_model=True)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        ParameterError: --unknown miss or --out without --full, or --out is no such file.
    """
    if not options.full and (options.unknown != "drop" or options.out):
        flag = "--out FILE" if options.out else "--unknown miss"
        raise ParameterError(f"{flag} belongs to --full; add it")
    file = TableFile(options.out, "--out", [options.model, options.log]) if options.out else None
    gru = GRU4Rec.loadmodel(options.model, options.device)
    if not options.full:
        print_evaluation(gru, options.log, options)
        return 0
    cutoffs = list(chain.from_iterable(options.cutoffs))
    found = evaluate(
        gru, options.log, cutoffs, mode=options.ties, unknown=options.unknown, **keys(options)
    )
    print(found)
    if file is not None:
        file.write(found.to_frame())
        print(f"Wrote {file.path}")
    return 0


def add_evaluation(parser: argparse.ArgumentParser) -> None:
    """The flags that say how an evaluation counts."""
    parser.add_argument(
        "--cutoffs",
        metavar="K",
        type=_cutoffs,
        nargs="+",
        default=[[1, 5, 10, 20]],
        help="the K of recall@K and mrr@K (default: 1 5 10 20)",
    )
    parser.add_argument(
        "--ties",
        choices=RANKS,
        default="conservative",
        help="what an equal score of another item counts (default: conservative)",
    )


def print_evaluation(gru: GRU4Rec, log: str, options: argparse.Namespace) -> None:
    """Evaluate a model on a log as the flags of `add_evaluation` and `add_keys` say."""
    cutoffs = list(chain.from_iterable(options.cutoffs))
    recall, mrr = batch_eval(gru, log, cutoffs, mode=options.ties, **keys(options))
    print_metrics(recall, mrr)


def check_logs(logs: Iterable[str], **columns: Any) -> None:
    """Check test logs before a training, so that their errors do not come after it.

    Raises:
        DataError: no such file, a bad column, or no session of two events.
    """
    for log in logs:
        with naming(log):
            require_pairs(load_sessions(log, **columns))


def print_metrics(recall: Mapping[int, float], mrr: Mapping[int, float]) -> None:
    """Print a line for each cut-off."""
    for k in recall:
        print(f"Recall@{k}: {recall[k]:.6f} MRR@{k}: {mrr[k]:.6f}")


def _cutoffs(text: str) -> list[int]:
    """'20' or '1,20' as numbers."""
    cutoffs = text.split(",")
    if not all(k.isdecimal() and int(k) > 0 for k in cutoffs):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected whole numbers of at least 1, as 1 20 (the log comes before it)"
        )
    return [int(k) for k in cutoffs]
