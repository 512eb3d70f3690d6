"""Hyper-parameters on the command line: as assignments, from a file, and listed in --help."""

from __future__ import annotations

import runpy
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gru4rec_fast.config import Config
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path


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


def read_parameter_file(path: Path) -> dict[str, Any]:
    """The dict `gru4rec_params` that a Python file defines; the file is executed.

    Raises:
        ParameterError: no such file, or it does not define that dict.
    """
    if not path.is_file():
        raise ParameterError(f"no parameter file {path}; expected a Python file")
    try:
        params = runpy.run_path(str(path)).get("gru4rec_params")
    except Exception as error:  # whatever the user's file raises
        raise ParameterError(
            f"{path} does not run ({type(error).__name__}: {error}); expected a Python file"
        ) from error
    if not isinstance(params, Mapping):
        raise ParameterError(
            f"{path} defines no dict gru4rec_params; expected "
            "gru4rec_params = OrderedDict([('loss', 'cross-entropy'), ...])"
        )
    return dict(params)


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
