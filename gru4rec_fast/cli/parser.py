"""The parser of the command line: argparse, with the word that was meant in its errors."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from gru4rec_fast.checks import closest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)")
UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors name the closest choice or flag."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error with its hint, and exit with status 2."""
        if choice := CHOICE.search(message):
            known = [word.strip().strip("'") for word in choice[2].split(",")]
            message += closest(choice[1], known)
        elif message.startswith(UNKNOWN):
            flags = re.findall(r"(?<![\w-])--?\w[\w-]*", self.format_help())
            wrong = [word for word in message.removeprefix(UNKNOWN).split() if word[0] == "-"]
            message += closest(wrong[0].partition("=")[0], flags) if wrong else ""
        super().error(message)

    def parse(
        self, arguments: Sequence[str], command: argparse.ArgumentParser | None
    ) -> argparse.Namespace:
        """Like `parse_args`; `command` is the parser whose flags an unknown flag may have meant."""
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            (command or self).error(UNKNOWN + " ".join(unknown))
        return options
