"""Flags that several commands have: the device, and how a log is read."""

from __future__ import annotations

import argparse
from typing import Any

from gru4rec_fast.data.text import SEPARATORS

READING = ("item_key", "session_key", "time_key", "sep")
"""Arguments of the library that say how a log is read."""


def add_device(parser: argparse.ArgumentParser) -> None:
    """The flag --device."""
    parser.add_argument("--device", help="cpu, cuda:0, ... (default: the GPU where there is one)")


def add_keys(parser: argparse.ArgumentParser, *, of_model: bool = False) -> None:
    """The flags that name the columns of a log (by default a model's); also `add_reading`."""
    for key, name in (("item", "ItemId"), ("session", "SessionId"), ("time", "Time")):
        parser.add_argument(
            f"--{key}-key",
            metavar="NAME",
            default=argparse.SUPPRESS,
            help=f"{key} column (default: {'that of the training log' if of_model else name})",
        )
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The flags of the order of rows and of the separator, in addition to those of columns."""
    parser.add_argument(
        "--rows-in-order",
        dest="time_key",
        action="store_const",
        const=None,
        default=argparse.SUPPRESS,
        help="rows are in the order of time: read no time column",
    )
    parser.add_argument(
        "--sep",
        type=lambda text: SEPARATORS.get(text, text.replace("\\t", "\t")),
        metavar="CHARACTER",
        default=argparse.SUPPRESS,
        help="what separates the fields of a text file: one character, or tab, comma, semicolon "
        "(default: as in the header line)",
    )


def keys(options: argparse.Namespace) -> dict[str, Any]:
    """How a log is read as far as flags say so, as keyword arguments of the library."""
    return {name: getattr(options, name) for name in READING if hasattr(options, name)}
