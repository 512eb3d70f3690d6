"""Pictures of how the figures rise and the loss falls from epoch to epoch.

A y axis shows the range of its curve: from 0 on, the last epochs would look flat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import ParameterError
from gru4rec_fast.model.atomic_file import written_aside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gru4rec_fast.cli.comparison import Figures
    from gru4rec_fast.training.history import History
    from gru4rec_fast.training.report import EpochReport

ENDINGS = (".png", ".svg", ".pdf")


def draw(
    path: Path, epochs: Sequence[tuple[EpochReport, Figures]], rows: dict[str, Figures]
) -> None:
    """Draw the demo's learning curve: recall@20 on the test log beside the training loss, as PNG.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure, (left, right) = _panels(2)
    passes = [report.epoch for report, _ in epochs]
    recall = [now.recall[20] for _, now in epochs]
    shown: list[str] = [name for name in ("best reachable", "popularity") if name in rows]
    named = {name: rows[name].recall[20] for name in shown}
    _curve(left, passes, recall, "GRU4Rec", "C0", named)
    left.set(title="Recall on the test log", ylabel="recall@20")
    _loss(right, passes, [report.loss for report, _ in epochs])
    figure.suptitle("GRU4Rec, learning curve")
    figure.savefig(path, format="png", dpi=120)


def require_drawable(path: Path) -> None:
    """Check, before a training, that its learning curve can be drawn.

    Raises:
        ParameterError: another kind of file, no such folder, or matplotlib is not installed.
    """
    if path.suffix not in ENDINGS:
        raise ParameterError(f"--learning-curve {path}: expected a file {', '.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise ParameterError(f"--learning-curve {path}: there is no folder {path.parent}; make it")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ParameterError(
            f"--learning-curve {path} needs matplotlib: pip install 'gru4rec-fast[plot]'"
        ) from error


def draw_history(path: Path, history: History, metric: str | None = None) -> None:
    """Draw a training: its loss, and a validation figure as 'recall@20', each by epoch.

    The best epoch of the figure is marked. Epochs without the figure are left out of its curve.
    The file is complete or not there.

    Raises:
        ImportError: matplotlib is not installed.
    """
    found = [(r.epoch, r.validation[metric]) for r in history if metric in r.validation]
    figure, panels = _panels(2 if found else 1)
    _loss(panels[-1], [r.epoch for r in history], [r.loss for r in history])
    if found:
        passes, values = zip(*found, strict=True)
        best, value = max(found, key=lambda each: each[1])
        _curve(panels[0], passes, values, str(metric), "C0", {})
        panels[0].axvline(
            best, color="C2", linestyle="--", label=f"best: epoch {best}, {value:.4f}"
        )
        panels[0].legend(loc="best")
        panels[0].set(title="Validation", ylabel=metric)
    with written_aside(path) as aside:
        figure.savefig(aside, format=path.suffix[1:], dpi=120)


def _panels(n: int) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(5 * n, 4.2), layout="constrained")
    panels = figure.subplots(1, n, squeeze=False)[0]
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    return figure, panels


def _loss(axes: Any, passes: Sequence[int], losses: Sequence[float]) -> None:
    axes.plot(passes, losses, "o-", color="C3")
    axes.set(title="Training loss", ylabel="mean loss of a step")


def _curve(
    axes: Any,
    passes: Sequence[int],
    values: Sequence[float],
    label: str,
    colour: str,
    levels: Mapping[str, float],
) -> None:
    """A curve with named levels beside it; one far outside the curve's range is only named."""
    axes.plot(passes, values, "o-", color=colour, label=label)
    low, high = min(values), max(values)
    near = max(high - low, 0.01)
    shown = [level for level in levels.values() if low - near <= level <= high + near]
    low, high = min([low, *shown]), max([high, *shown])
    axes.set_ylim(low - 0.08 * (high - low + 0.01), high + 0.08 * (high - low + 0.01))
    for number, (name, level) in enumerate(levels.items()):
        text = f"{name} ({level:.3f})" + ("" if level in shown else ", outside the axis")
        axes.axhline(level, color=f"C{2 + 5 * number}", linestyle=("--", ":")[number % 2],
                     label=text)  # fmt: skip
    axes.legend(loc="best")
