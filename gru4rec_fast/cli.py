"""The command line: `gru4rec-fast train | evaluate | recommend | demo`, and `run`.

`run` is the command line of the original, letter for letter (`run_command.py`); it is also what is
meant when the first word is no command, so that `python -m gru4rec_fast PATH -ps ...` replaces the
original's script.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from gru4rec_fast import __version__, run_command
from gru4rec_fast.checkpoint import require_writable
from gru4rec_fast.config import PRESETS, Config
from gru4rec_fast.demo import add_arguments as add_demo_arguments
from gru4rec_fast.demo import run as run_demo
from gru4rec_fast.errors import CheckpointError, DataError, ParameterError
from gru4rec_fast.gru4rec import GRU4Rec, batch_eval
from gru4rec_fast.reference import RANKS
from gru4rec_fast.run_command import parse_assignments, print_metrics

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
    except (DataError, ParameterError, CheckpointError, ArithmeticError) as error:
        print(f"gru4rec-fast: error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("gru4rec-fast: interrupted; nothing was saved", file=sys.stderr)
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
        nargs="+",
        default=[],
        help="parameters, as layers=224 n_epochs=5",
    )
    command.add_argument("--test", metavar="LOG", help="evaluate on this log afterwards")
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
        "--cutoffs", type=int, nargs="+", default=[1, 5, 10, 20], help="(default: 1 5 10 20)"
    )
    command.add_argument(
        "--ties", choices=RANKS, default="standard", help="tie mode (default: standard)"
    )


def _parameter_lines() -> str:
    return "\n".join(
        f"  {row.name}={row.default}  {row.help} ({row.expected})" for row in Config.describe()
    )


def _keys(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "item_key": options.item_key,
        "session_key": options.session_key,
        "time_key": options.time_key,
    }


def _train(options: argparse.Namespace) -> int:
    require_writable(options.save)
    params: dict[str, Any] = dict(PRESETS[options.preset]) if options.preset else {}
    params |= parse_assignments(options.set)
    gru = GRU4Rec(**params, device=options.device)
    gru.fit(options.log, **_keys(options), on_epoch=print)
    if gru.error_during_train:
        return 1
    gru.savemodel(options.save)
    print(f"Saved {options.save}")
    if options.test:
        _print_evaluation(gru, options.test, options)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    _print_evaluation(GRU4Rec.loadmodel(options.model, options.device), options.log, options)
    return 0


def _print_evaluation(gru: GRU4Rec, log: str, options: argparse.Namespace) -> None:
    recall, mrr = batch_eval(gru, log, options.cutoffs, mode=options.ties, **_keys(options))
    print_metrics(recall, mrr)


def _recommend(options: argparse.Namespace) -> int:
    gru = GRU4Rec.loadmodel(options.model, options.device)
    ids = gru.data_iterator.itemidmap.index
    items: list[Any] = options.items
    if ids.inferred_type == "integer":
        try:
            items = [int(item) for item in items]
        except ValueError as error:
            raise DataError(
                f"ITEM: {error}; the model's item ids are integers, for instance {ids[0]}"
            ) from error
    best = gru.recommend(items, options.k, exclude_seen=options.exclude_seen)
    print(best.to_string(index=False))
    return 0
