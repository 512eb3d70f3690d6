"""The demo's picture: how recall rises and the loss falls from epoch to epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gru4rec_fast.cli.comparison import Figures
    from gru4rec_fast.training.report import EpochReport


def draw(
    path: Path, epochs: Sequence[tuple[EpochReport, Figures]], rows: dict[str, Figures]
) -> None:
    """Draw the learning curve: recall@20 on the test log beside the training loss, as PNG.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    passes = [report.epoch for report, _ in epochs]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(passes, [now.recall[20] for _, now in epochs], "o-", color="C0", label="GRU4Rec")
    for name, colour, style in (("best reachable", "C2", "--"), ("popularity", "C7", ":")):
        if name in rows:
            level = rows[name].recall[20]
            left.axhline(level, color=colour, linestyle=style, label=f"{name} ({level:.3f})")
    left.set(title="Recall on the test log", ylabel="recall@20", ylim=(0, 1))
    left.legend(loc="best")
    right.plot(passes, [report.loss for report, _ in epochs], "o-", color="C3")
    right.set(title="Training loss", ylabel="mean loss of a step")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.suptitle("GRU4Rec, learning curve")
    figure.savefig(path, format="png", dpi=120)
