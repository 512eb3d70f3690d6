"""SIGTERM and SIGINT as a request to save the training and leave."""

from __future__ import annotations

import signal
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """A block in which the first such signal only sets `received`; a second one acts as usual."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def status(self) -> int:
        """The exit status of a process that the signal ended."""
        return 128 + (self.received or 0)

    def __enter__(self) -> StopSignals:
        self._before = {sign: signal.signal(sign, self._receive) for sign in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _receive(self, number: int, frame: object) -> None:  # noqa: ARG002
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for sign, handler in self._before.items():
            signal.signal(sign, handler)
