"""Figures by name and cut-off, with intervals: as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Figures = dict[str, dict[int, float]]
"""Name of a figure -> cut-off K -> its value."""
Intervals = dict[str, dict[int, tuple[float, float]]]
"""Likewise, -> the low and the high end of its interval."""


def figures_of_json(by_name: Mapping[str, Mapping[str, float]]) -> Figures:
    """Figures as JSON holds them, with the cut-offs as integers again."""
    return {name: {int(k): v for k, v in by_k.items()} for name, by_k in by_name.items()}


def intervals_of_json(by_name: Mapping[str, Mapping[str, Sequence[float]]]) -> Intervals:
    """Intervals as JSON holds them, with cut-offs as integers and pairs as tuples again."""
    return {
        name: {int(k): (low, high) for k, (low, high) in by_k.items()}
        for name, by_k in by_name.items()
    }


def rows_of(values: Figures, intervals: Intervals) -> Iterator[dict[str, Any]]:
    """A row for each figure and cut-off: metric, cutoff, value, low, high (None without)."""
    for name, by_k in values.items():
        for k, value in by_k.items():
            low, high = intervals.get(name, {}).get(k, (None, None))
            yield {"metric": name, "cutoff": k, "value": value, "low": low, "high": high}


def cell(value: float, interval: tuple[float, float] | None, sign: str = "") -> str:
    """'0.1234 [0.1200, 0.1268]'; `sign` is '+' where positive values get one."""
    text = format(value, f"{sign}.4f")
    if interval is not None:
        low, high = (format(end, f"{sign}.4f") for end in interval)
        text += f" [{low}, {high}]"
    return text


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is aligned left, the others right."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
