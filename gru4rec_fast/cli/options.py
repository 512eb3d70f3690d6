"""Flags that several commands have: the device, and the columns of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gru4rec_fast.data.text import SEPARATORS

if TYPE_CHECKING:
    import argparse


def add_device(parser: argparse.ArgumentParser) -> None:
    """The flag --device."""
    parser.add_argument("--device", help="cpu, cuda:0, ... (default: the GPU where there is one)")


def add_keys(parser: argparse.ArgumentParser) -> None:
    """The flags that say how a log is read: its columns, and the separator of a text file."""
    add = parser.add_argument
    add("--item-key", default="ItemId", help="item column (default: ItemId)")
    add("--session-key", default="SessionId", help="session column (default: SessionId)")
    add("--time-key", default="Time", help="time column (default: Time)")
    add_separator(parser)


def add_separator(parser: argparse.ArgumentParser) -> None:
    """The flag --sep."""
    parser.add_argument(
        "--sep",
        type=lambda text: SEPARATORS.get(text, text.replace("\\t", "\t")),
        metavar="CHARACTER",
        help="what separates the fields of a text file: one character, or tab, comma, semicolon "
        "(default: as in the header line)",
    )


def keys(options: argparse.Namespace) -> dict[str, Any]:
    """How a log is read, as keyword arguments of the library."""
    return {
        "item_key": options.item_key,
        "session_key": options.session_key,
        "time_key": options.time_key,
        "sep": options.sep,
    }
