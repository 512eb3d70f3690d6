"""The command line: `gru4rec-fast COMMAND`.

`run` has the flags of the original's command line. It is also meant when the first word is no
command: `python -m gru4rec_fast PATH -ps ...` replaces the original's script. A first word that is
no file is refused as a mistyped command if it is close to one, or has no suffix as files have.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gru4rec_fast import __version__
from gru4rec_fast.checks import closest
from gru4rec_fast.cli.parser import Parser
from gru4rec_fast.cli.ranks import process_group
from gru4rec_fast.errors import CheckpointError, DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


EXAMPLES = """\
examples:
  gru4rec-fast split log.tsv --share 0.1 --train train.tsv --test test.tsv
  gru4rec-fast train train.tsv --preset retailrocket --save model.safetensors --test test.tsv
  gru4rec-fast recommend model.safetensors --sessions test.tsv --out best.csv -k 10
  gru4rec-fast info model.safetensors

`gru4rec-fast COMMAND --help` describes a command. A log is a .tsv, .csv or .parquet file with the
columns SessionId, ItemId and Time; --item-key and the like name others."""


class Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's flags to its parser."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the command; returns its exit status."""


COMMANDS: dict[str, str] = {
    "prepare": "make a log of any size ready for training",
    "split": "earlier and later sessions of a log, as two files",
    "train": "train on a log and save the model",
    "update": "go on training a model on a newer log, as that of a day",
    "tune": "search for the settings that predict a log best",
    "evaluate": "recall and MRR of a model on a log",
    "compare": "train several models and compare them",
    "recommend": "the best next items of a session, or of all in a log",
    "info": "what a model file holds, and what would run it here",
    "export": "write a model as an ONNX file",
    "demo": "train, evaluate and compare, on generated sessions",
    "run": "the original's command line: PATH -ps ... -t ...",
}
"""Name, also of its module in `cli` -> what `--help` says of it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a training that failed, 2 an error of the user's."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
        near = closest(arguments[0], COMMANDS)
        path = Path(arguments[0])
        if not path.exists() and (near or not path.suffix):
            build_parser("")[0].error(
                f"{arguments[0]!r} is no command{near or ', and no file has this name.'} Expected "
                f"one of {', '.join(COMMANDS)}, or the path of a log, which is then trained on as "
                "by `run`"
            )
        arguments.insert(0, "run")
    parser, command = build_parser(arguments[0] if arguments else "")
    options = parser.parse(arguments, command)
    handler: Callable[[argparse.Namespace], int] = options.handler
    formatwarning = warnings.formatwarning
    # Warnings as one line each, without the source line that raised them.
    of_run = arguments[0] in ("run", "tune")  # which have the letters of the original
    warnings.formatwarning = lambda message, *_, **__: (
        f"gru4rec-fast: warning: {_with_flags(str(message), of_run)}\n"
    )
    try:
        with process_group(arguments[0]):
            status = handler(options)
    except (DataError, ParameterError, CheckpointError, ArithmeticError, MemoryError) as error:
        message = _with_flags(str(error) or "not enough memory", of_run)
        print(f"gru4rec-fast: error: {message}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt as interrupt:
        print("; ".join(["gru4rec-fast: interrupted", *interrupt.args]), file=sys.stderr)
        status = 130
    finally:
        warnings.formatwarning = formatwarning
    sys.exit(status)


def build_parser(chosen: str) -> tuple[Parser, argparse.ArgumentParser | None]:
    """The parser, and that of the chosen command, which alone has flags: no other is imported."""
    parser = Parser(
        prog="gru4rec-fast",
        description="Train, evaluate and use GRU4Rec, the session-based recommender.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"gru4rec-fast {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == chosen:
            module: Command = importlib.import_module(f"gru4rec_fast.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(handler=module.run)
    return parser, commands.choices.get(chosen)


def _with_flags(message: str, of_run: bool) -> str:
    """A message of the library in the words of the command line: item_key=... is --item-key."""
    message = message.replace("time_key=None", "--rows-in-order")
    message = message.replace("savemodel(path, training_state=True)", "train --training-state")

    def flag(match: re.Match[str]) -> str:
        name = f"-{match[1][0]}k" if of_run else f"--{match[1]}-key"
        return name if match[2] == "..." else f"{name} {match[2]}"

    return re.sub(r"\b(item|session|time)_key=(\.\.\.|'[^']*')", flag, message)
