"""Hyper-parameters on the command line: as assignments, and listed in --help."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.cli.parameter_file import read_parameter_file
from gru4rec_fast.config import Config
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable


def add_set(parser: argparse.ArgumentParser, help_text: str) -> None:
    """The flag --set."""
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        type=_assignments,
        nargs="+",
        action="extend",
        default=[],
        help=help_text,
    )


def add_start(parser: argparse.ArgumentParser, help_text: str) -> None:
    """The flags --preset and --params: settings that others change."""
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--preset", choices=PRESETS, help=help_text)
    start.add_argument(
        "--params",
        metavar="FILE",
        help="start from the settings of a file: of `tune` or other JSON, or Python literals",
    )


def start_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of --preset or --params, {} without them.

    Raises:
        ParameterError: a file that holds no settings.
    """
    if options.params:
        return read_parameter_file(Path(options.params))
    return dict(PRESETS[options.preset]) if options.preset else {}


def add_epochs(parser: argparse.ArgumentParser, default: str = "") -> None:
    """The flag --epochs."""
    parser.add_argument(
        "--epochs", metavar="N", help=f"passes over the log, as --set n_epochs=N{default}"
    )


def set_parameters(options: argparse.Namespace) -> dict[str, str]:
    """The parameters of --set and, where the command has it, --epochs.

    Raises:
        ParameterError: a parameter is given twice.
    """
    params = parse_assignments(chain.from_iterable(options.set))
    epochs = getattr(options, "epochs", None)
    if epochs is None:
        return params
    if "n_epochs" in params:
        raise ParameterError(
            f"the passes over the log are given twice, by --set n_epochs={params['n_epochs']} and "
            f"--epochs {epochs}: leave one out"
        )
    return params | {"n_epochs": epochs}


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """'name=value' texts as a dict.

    Raises:
        ParameterError: a text without '=', or a name given twice.
    """
    params: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ParameterError(f"{assignment!r} is no parameter; expected name=value")
        if name.strip() in params:
            raise ParameterError(f"parameter {name.strip()!r} is given twice; leave one out")
        params[name.strip()] = value.strip()
    return params


def parameter_lines() -> str:
    """A line for each hyper-parameter, as wide as the terminal: default, meaning, range."""
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


def _assignments(text: str) -> list[str]:
    """'a=1' or 'a=1,b=2' as assignments; refuses a log that follows --set."""
    assignments = text.split(",")
    for assignment in assignments:
        if "=" not in assignment:
            raise argparse.ArgumentTypeError(
                f"{assignment!r} is no NAME=VALUE (the log comes before the flags)"
            )
    return assignments
