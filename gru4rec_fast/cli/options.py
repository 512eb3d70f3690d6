"""Flags that several commands have: the device, and the columns of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_device(parser: argparse.ArgumentParser) -> None:
    """The flag --device."""
    parser.add_argument("--device", help="cpu, cuda:0, ... (default: the GPU where there is one)")


def add_keys(parser: argparse.ArgumentParser) -> None:
    """The flags that name the columns of a log."""
    add = parser.add_argument
    add("--item-key", default="ItemId", help="item column (default: ItemId)")
    add("--session-key", default="SessionId", help="session column (default: SessionId)")
    add("--time-key", default="Time", help="time column (default: Time)")


def keys(options: argparse.Namespace) -> dict[str, Any]:
    """The names of the columns, as keyword arguments of the library."""
    return {
        "item_key": options.item_key,
        "session_key": options.session_key,
        "time_key": options.time_key,
    }
