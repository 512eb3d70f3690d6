"""Draw docs/headline.png, the figure that README.md opens with.

    python -m benchmarks.headline

Left, from docs/BENCHMARKS.md: how many times as fast as plain PyTorch a training step is. Right,
from docs/PARITY.md: recall@20 of the authors' code and of this library. Nothing is measured here.
The file holds the figures that it shows, so a test finds out when it is out of date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "headline.png"
KEY = "Description"
"""Of the PNG's text that holds the figures."""


def table(text: str, column: str) -> list[dict[str, str]]:
    """The rows of the first Markdown table that has a column."""
    lines = iter(text.splitlines())
    for line in lines:
        header = [cell.strip() for cell in line.strip("| ").split("|")]
        if line.startswith("|") and column in header:
            next(lines)
            rows = []
            for row in lines:
                if not row.startswith("|"):
                    break
                cells = [cell.strip() for cell in row.strip("| ").split("|")]
                rows.append(dict(zip(header, cells, strict=True)))
            return rows
    raise ValueError(f"there is no table with a column {column!r}")


def figures(benchmarks: str, parity: str) -> dict[str, Any]:
    """What the picture shows, from the text of the two pages.

    `speed`: setting -> items -> times as fast. `recall`: [data, settings, authors', ours], a row a
    training.
    """
    speed: dict[str, dict[str, float]] = {}
    for row in table(benchmarks, "plain / engine"):
        speed.setdefault(row["setting"], {})[row["V"]] = float(row["plain / engine"])
    recall = []
    for row in table(parity, "times as fast"):
        authors, ours = (float(row[who].partition("/")[0]) for who in ("authors", "ours"))
        recall.append([row["data"].partition(" (")[0], row["settings"], authors, ours])
    return {"speed": speed, "recall": recall}


def of_docs() -> dict[str, Any]:
    """The figures of the pages as they are now."""
    pages = (ROOT / "docs" / f"{name}.md" for name in ("BENCHMARKS", "PARITY"))
    return figures(*(page.read_text(encoding="utf-8") for page in pages))


def draw(shown: dict[str, Any], path: Path) -> None:
    """Draw the figures into a PNG."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    _speed(left, shown["speed"])
    _recall(right, shown["recall"])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, metadata={KEY: json.dumps(shown)})
    plt.close(figure)


def _speed(axes: Axes, speed: dict[str, dict[str, float]]) -> None:
    sizes = list(next(iter(speed.values())))
    for number, size in enumerate(sizes):
        bars = axes.barh(
            [setting + 0.38 * number for setting in range(len(speed))],
            [by_size[size] for by_size in speed.values()],
            0.36,
            color=("C0", "#7fb2d9")[number],
            label=f"{size} items",
        )
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.margins(x=0.12)
    axes.axvline(1, color="0.4", lw=1, ls="--")
    axes.set_yticks([setting + 0.19 for setting in range(len(speed))], list(speed))
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as plain PyTorch (dashed: 1), one CPU thread")
    axes.set_title("Time of a training step, by settings", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc=(0.6, 0.3))


def _recall(axes: Axes, recall: list[list[Any]]) -> None:
    labels = [f"{data}\n{settings}" for data, settings, _, _ in recall]
    places = range(len(recall))
    axes.scatter(
        [row[2] for row in recall], places, 70, facecolors="none", edgecolors="C1", lw=1.6,
        label="authors' code",
    )  # fmt: skip
    axes.scatter([row[3] for row in recall], places, 18, color="C0", label="gru4rec_fast")
    axes.set_yticks(places, labels, fontsize=7)
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    found = [value for row in recall for value in row[2:]]
    axes.set_xlim(min(found) - 0.05, max(found) + 0.1)
    axes.set_xlabel("recall@20 after ten epochs")
    axes.set_title("Recall, by data and settings", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def main() -> None:
    draw(of_docs(), PICTURE)


if __name__ == "__main__":
    main()
