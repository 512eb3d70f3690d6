"""The demo's comparison: recall and MRR of the model beside others, as a table in text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CUTOFFS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Figures:
    """Recall and MRR on the test log, by cut-off."""

    recall: dict[int, float]
    mrr: dict[int, float]


def table(rows: dict[str, Figures]) -> str:
    """The figures of each row side by side, as text."""
    lines = [line("", [*(f"recall@{k}" for k in CUTOFFS), "mrr@20"])]
    for name, row in rows.items():
        recall = [f"{row.recall[k]:.4f}" for k in CUTOFFS]
        lines.append(line(name, [*recall, f"{row.mrr[20]:.4f}"]))
    return "\n".join(lines)


def line(name: str, cells: Sequence[str]) -> str:
    """A row of the table, or of another table of the same columns."""
    return f"{name:<16}" + "".join(f"{cell:>11}" for cell in cells)
