"""The code blocks of Markdown pages, and how tests run them.

A comment above a block says that no test runs it, and why:

    <!-- not run: REASON -->
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gru4rec_fast.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = "gru4rec-fast "
BLOCK = re.compile(r"(?:^<!-- not run: (.+?) -->\n)?^```(.*?)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block between two fences."""

    page: str
    line: int
    """Of the block's first line in the page, from 1."""
    language: str
    code: str
    reason: str | None
    """Why it is not run; None if it is."""

    def run(self, names: dict[str, Any]) -> None:
        """Run Python with the variables of the page so far, or the block's commands."""
        if self.language == "python":
            # The empty lines make tracebacks name the lines of the page.
            exec(compile("\n" * (self.line - 1) + self.code, self.page, "exec"), names)
            return
        for command in self.code.replace("\\\n", "").splitlines():
            assert command.startswith(COMMAND), f"{self.page}:{self.line} cannot run: {command}"
            run_command(command)


def blocks_of(path: Path) -> list[Block]:
    """All blocks of a page in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(path.name, text.count("\n", 0, found.start(3)) + 1, found[2], found[3], found[1])
        for found in BLOCK.finditer(text)
    ]


def run_command(command: str) -> None:
    """Run a line that begins with `gru4rec-fast`, in this process.

    Raises:
        AssertionError: the command failed.
    """
    with pytest.raises(SystemExit) as exit_:
        main(shlex.split(command)[1:])
    assert exit_.value.code == 0, f"{command}: status {exit_.value.code}"
