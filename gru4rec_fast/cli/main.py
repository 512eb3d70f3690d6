"""The command line: `gru4rec-fast train | evaluate | recommend | demo`, and `run`.

`run` is the command line of the original, letter for letter (`run_command.py`); it is also what is
meant when the first word is no command, so that `python -m gru4rec_fast PATH -ps ...` replaces the
original's script.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from gru4rec_fast import __version__
from gru4rec_fast.cli import run as run_command
from gru4rec_fast.cli.demo import add_arguments as add_demo_arguments
from gru4rec_fast.cli.demo import run as run_demo
from gru4rec_fast.cli.model_file import ModelFile, shows_progress
from gru4rec_fast.cli.run import check_logs, parse_assignments, print_metrics
from gru4rec_fast.config import PRESETS, Config
from gru4rec_fast.errors import CheckpointError, DataError, ParameterError
from gru4rec_fast.gru4rec import GRU4Rec, batch_eval
from gru4rec_fast.reference import RANKS
from gru4rec_fast.serving.recommend import id_list

if TYPE_CHECKING:
    from gru4rec_fast.training.report import EpochReport

Handler = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a training that failed, 2 an error of the user's."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser, commands = build_parser()
    if arguments and arguments[0] not in commands and not arguments[0].startswith("-"):
        arguments.insert(0, "run")
    options = parser.parse_args(arguments)
    handler: Handler = options.handler
    formatwarning = warnings.formatwarning
    # Warnings as one line each, without the source line that raised them.
    warnings.formatwarning = lambda message, *_, **__: f"gru4rec-fast: warning: {message}\n"
    try:
        status = handler(options)
    except (DataError, ParameterError, CheckpointError, ArithmeticError, MemoryError) as error:
        message = _with_flags(str(error) or "not enough memory", arguments[0] == "run")
        print(f"gru4rec-fast: error: {message}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt as interrupt:
        print("; ".join(["gru4rec-fast: interrupted", *interrupt.args]), file=sys.stderr)
        status = 130
    finally:
        warnings.formatwarning = formatwarning
    sys.exit(status)


def build_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser, and the names of its commands."""
    parser = argparse.ArgumentParser(
        prog="gru4rec-fast",
        description="Train, evaluate and use GRU4Rec, the session-based recommender.",
    )
    parser.add_argument("--version", action="version", version=f"gru4rec-fast {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser(
        "train",
        help="train on a session log and save the model",
        description="Train on a session log and save the model.",
        epilog="parameters for --set:\n" + _parameter_lines(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("log", help="TSV, CSV or Parquet file of (session, item, time) events")
    command.add_argument("--save", metavar="FILE", required=True, help="where the model goes")
    command.add_argument("--preset", choices=PRESETS, help="start from published settings")
    command.add_argument(
        "--set",
        metavar="NAME=VALUE",
        type=_assignments,
        nargs="+",
        action="extend",
        default=[],
        help="parameters, as layers=224 batch_size=32",
    )
    command.add_argument("--epochs", metavar="N", help="passes over the log, as --set n_epochs=N")
    command.add_argument(
        "--no-compatibility-mode",
        dest="compatibility_mode",
        action="store_false",
        help="draw the initial weights by the parameter seed, instead of taking the original's",
    )
    command.add_argument("--test", metavar="LOG", help="evaluate on this log afterwards")
    command.add_argument(
        "--quiet", action="store_true", help="no progress bar and no line for each epoch"
    )
    _add_evaluation_options(command)
    _add_common_options(command)
    command.set_defaults(handler=_train)

    command = commands.add_parser("evaluate", help="recall and MRR of a model on a log")
    command.add_argument("model", help="a saved model")
    command.add_argument("log", help="TSV, CSV or Parquet file of (session, item, time) events")
    _add_evaluation_options(command)
    _add_common_options(command)
    command.set_defaults(handler=_evaluate)

    command = commands.add_parser("recommend", help="the best next items of a session")
    command.add_argument("model", help="a saved model")
    command.add_argument("items", nargs="+", metavar="ITEM", help="the session, oldest item first")
    command.add_argument("-k", type=int, default=20, help="how many (default: 20)")
    command.add_argument(
        "--exclude-seen", action="store_true", help="leave the session's items out"
    )
    command.add_argument("--device", help="cpu, cuda:0, ... (default: the GPU where there is one)")
    command.set_defaults(handler=_recommend)

    command = commands.add_parser("demo", help="train, evaluate and compare, on generated sessions")
    add_demo_arguments(command)
    command.set_defaults(handler=run_demo)

    command = commands.add_parser("run", help="the original's command line: PATH -ps ... -t ...")
    run_command.add_arguments(command)
    command.set_defaults(handler=run_command.run)
    return parser, list(commands.choices)


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", help="cpu, cuda:0, ... (default: the GPU where there is one)")
    command.add_argument("--item-key", default="ItemId", help="item column (default: ItemId)")
    command.add_argument(
        "--session-key", default="SessionId", help="session column (default: SessionId)"
    )
    command.add_argument("--time-key", default="Time", help="time column (default: Time)")


def _add_evaluation_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cutoffs",
        metavar="K",
        type=_cutoffs,
        nargs="+",
        default=[[1, 5, 10, 20]],
        help="the K of recall@K and mrr@K (default: 1 5 10 20)",
    )
    command.add_argument(
        "--ties",
        choices=RANKS,
        default="standard",
        help="what an equal score of another item counts (default: standard)",
    )


def _assignments(text: str) -> list[str]:
    """'a=1' or 'a=1,b=2' as assignments; a log that follows --set is none."""
    assignments = text.split(",")
    for assignment in assignments:
        if "=" not in assignment:
            raise argparse.ArgumentTypeError(
                f"{assignment!r} is no NAME=VALUE (the log comes before the flags)"
            )
    return assignments


def _cutoffs(text: str) -> list[int]:
    """'20' or '1,20' as numbers."""
    cutoffs = text.split(",")
    if not all(k.isdecimal() and int(k) > 0 for k in cutoffs):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected whole numbers of at least 1, as 1 20 (the log comes before it)"
        )
    return [int(k) for k in cutoffs]


def _parameter_lines() -> str:
    rows = [(f"  {row.name}={row.default}", row) for row in Config.describe()]
    column = max(len(assignment) for assignment, _ in rows) + 2
    return "\n".join(
        textwrap.fill(
            f"{row.help} ({row.expected})",
            width=shutil.get_terminal_size().columns - 2,
            initial_indent=assignment.ljust(column),
            subsequent_indent=" " * column,
        )
        for assignment, row in rows
    )


def _with_flags(message: str, of_run: bool) -> str:
    """A message of the library in the words of the command line: item_key=... is --item-key."""

    def flag(match: re.Match[str]) -> str:
        name = f"-{match[1][0]}k" if of_run else f"--{match[1]}-key"
        return name if match[2] == "..." else f"{name} {match[2]}"

    return re.sub(r"\b(item|session|time)_key=(\.\.\.|'[^']*')", flag, message)


def _keys(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "item_key": options.item_key,
        "session_key": options.session_key,
        "time_key": options.time_key,
    }


def _train(options: argparse.Namespace) -> int:
    tests = [options.test] if options.test else []
    file = ModelFile(options.save, "--save", [options.log, *tests])
    params: dict[str, Any] = dict(PRESETS[options.preset]) if options.preset else {}
    params |= parse_assignments(chain.from_iterable(options.set))
    params |= {"n_epochs": options.epochs} if options.epochs else {}
    gru = GRU4Rec(**params, device=options.device)
    check_logs(tests, **_keys(options))

    def on_epoch(report: EpochReport) -> None:
        if not options.quiet:
            print(report, flush=True)
        file.save(gru, report)

    with file.training():
        gru.fit(
            options.log,
            compatibility_mode=options.compatibility_mode,
            **_keys(options),
            on_epoch=on_epoch,
            progress=shows_progress() and not options.quiet,
        )
    if gru.error_during_train:
        print(f"gru4rec-fast: {file.kept}", file=sys.stderr)
        return 1
    file.finish(gru)
    if options.test:
        _print_evaluation(gru, options.test, options)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    _print_evaluation(GRU4Rec.loadmodel(options.model, options.device), options.log, options)
    return 0


def _print_evaluation(gru: GRU4Rec, log: str, options: argparse.Namespace) -> None:
    cutoffs = list(chain.from_iterable(options.cutoffs))
    recall, mrr = batch_eval(gru, log, cutoffs, mode=options.ties, **_keys(options))
    print_metrics(recall, mrr)


def _recommend(options: argparse.Namespace) -> int:
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
