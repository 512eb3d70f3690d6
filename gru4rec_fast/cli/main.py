"""The command line: `gru4rec-fast train | evaluate | recommend | demo`, and `run`.

`run` has the flags of the original's command line. It is also meant when the first word is no
command: `python -m gru4rec_fast PATH -ps ...` replaces the original's script. A first word that is
close to a command and is no file is refused as a mistyped command.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gru4rec_fast import __version__
from gru4rec_fast.checks import closest
from gru4rec_fast.cli import compare, demo, evaluate, prepare, recommend, run, train
from gru4rec_fast.errors import CheckpointError, DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's flags to its parser."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the command; returns its exit status."""


COMMANDS: dict[str, tuple[Command, str]] = {
    "prepare": (prepare, "make a log of any size ready for training"),
    "train": (train, "train on a session log and save the model"),
    "evaluate": (evaluate, "recall and MRR of a model on a log"),
    "compare": (compare, "train several models and compare them"),
    "recommend": (recommend, "the best next items of a session"),
    "demo": (demo, "train, evaluate and compare, on generated sessions"),
    "run": (run, "the original's command line: PATH -ps ... -t ..."),
}
"""Name -> its module, and what `--help` says of it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a training that failed, 2 an error of the user's."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser, commands = build_parser()
    if arguments and arguments[0] not in commands and not arguments[0].startswith("-"):
        near = closest(arguments[0], commands)
        if near and not Path(arguments[0]).exists():
            parser.error(
                f"{arguments[0]!r} is no command{near} Expected one of {', '.join(commands)}, or "
                "the path of a log, which is then trained on as by `run`"
            )
        arguments.insert(0, "run")
    options = parser.parse_args(arguments)
    handler: Callable[[argparse.Namespace], int] = options.handler
    formatwarning = warnings.formatwarning
    # Warnings as one line each, without the source line that raised them.
    of_run = arguments[0] == "run"
    warnings.formatwarning = lambda message, *_, **__: (
        f"gru4rec-fast: warning: {_with_flags(str(message), of_run)}\n"
    )
    try:
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


def build_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser, and the names of its commands."""
    parser = argparse.ArgumentParser(
        prog="gru4rec-fast",
        description="Train, evaluate and use GRU4Rec, the session-based recommender.",
    )
    parser.add_argument("--version", action="version", version=f"gru4rec-fast {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        module.add_arguments(command)
        command.set_defaults(handler=module.run)
    return parser, list(commands.choices)


def _with_flags(message: str, of_run: bool) -> str:
    """A message of the library in the words of the command line: item_key=... is --item-key."""
    message = message.replace("time_key=None", "--rows-in-order")

    def flag(match: re.Match[str]) -> str:
        name = f"-{match[1][0]}k" if of_run else f"--{match[1]}-key"
        return name if match[2] == "..." else f"{name} {match[2]}"

    return re.sub(r"\b(item|session|time)_key=(\.\.\.|'[^']*')", flag, message)
