"""The history of a training: a report for each whole epoch, as a list, a table or JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.training.report import EpochReport

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

COLUMNS = [
    "epoch",
    "loss",
    "seconds",
    "steps",
    "events",
    "steps_per_second",
    "events_per_second",
    "learning_rate",
]
"""Of the table of every history, one without an epoch included."""


class History(list[EpochReport]):
    """The reports of the whole epochs of a training, in order."""

    def to_frame(self) -> pd.DataFrame:
        """A row for each epoch.

        The columns are epoch, loss, seconds, steps, events, steps_per_second, events_per_second,
        learning_rate, then the validation figures by their names.
        """
        import pandas as pd  # Only tables need it.

        rows = [
            {
                "epoch": report.epoch,
                "loss": report.loss,
                "seconds": report.seconds,
                "steps": report.minibatches,
                "events": report.events,
                "steps_per_second": report.minibatches / report.seconds,
                "events_per_second": report.events / report.seconds,
                "learning_rate": report.learning_rate,
                **report.validation,
            }
            for report in self
        ]
        return pd.DataFrame(rows, columns=None if rows else COLUMNS)

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values; `from_json` restores the history."""
        return [asdict(report) for report in self]

    @classmethod
    def from_json(cls, reports: Iterable[dict[str, Any]]) -> History:
        """The history of `to_json`."""
        try:
            return cls(EpochReport(**report) for report in reports)
        except TypeError as error:
            raise CheckpointError(
                f"the model's history is damaged ({error}): copy or save the model again"
            ) from error
