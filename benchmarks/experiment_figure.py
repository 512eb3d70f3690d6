"""The figure of docs/EXPERIMENTS.md: recall@20 by factor, and of each loss by hidden units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.experiment_results import Mean, Results


def draw(results: Results, path: Path) -> None:
    """A column for each data set: levels of the factors above, losses by hidden units below."""
    data = results.study.data
    figure, axes = plt.subplots(
        2, len(data), figsize=(6 * len(data), 9), squeeze=False, layout="constrained",
        height_ratios=(3, 2),
    )  # fmt: skip
    for column, name in enumerate(data):
        _factors(axes[0, column], results, name)
        _grid(axes[1, column], results, name)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _half(mean: Mean) -> float:
    return 0.0 if np.isinf(mean.high) else mean.high - mean.value


def _factors(axes: Axes, results: Results, data: str) -> None:
    labels: list[str] = []
    for number, factor in enumerate(results.study.factors):
        for level, params in results.study.levels(factor).items():
            mean = results.mean(data, params, "recall")
            if mean is not None:
                axes.errorbar(
                    mean.value, len(labels), xerr=_half(mean),
                    fmt="o", ms=4, capsize=2, color=f"C{number}",
                )  # fmt: skip
            labels.append(f"{factor}: {level}")
    base = results.mean(data, results.study.base, "recall")
    if base is not None:
        axes.axvline(base.value, color="0.7", lw=0.8, zorder=0)
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_title(data, fontsize=10)
    axes.set_xlabel("recall@20, 95 % interval over seeds; line: the base", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _grid(axes: Axes, results: Results, data: str) -> None:
    for loss in results.study.losses:
        means = {
            units: mean
            for units in results.study.units
            if (mean := results.mean(data, results.study.cell_of_grid(loss, units), "recall"))
        }
        if means:
            axes.errorbar(
                list(means), [mean.value for mean in means.values()],
                yerr=[_half(mean) for mean in means.values()],
                marker="o", ms=3, capsize=2, lw=1, label=loss,
            )  # fmt: skip
    record = results.baseline(data, "item-knn")
    if record is not None:
        axes.axhline(record["recall"], color="0.5", lw=0.8, ls="--", label="item-knn")
    axes.set_xscale("log")
    axes.set_xticks(results.study.units, [str(units) for units in results.study.units])
    axes.minorticks_off()
    axes.set_xlabel("hidden units", fontsize=8)
    axes.set_ylabel("recall@20", fontsize=8)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
