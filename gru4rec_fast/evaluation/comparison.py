"""`compare`: several models on one log, each against the first with paired intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from gru4rec_fast.data.column_names import known_columns
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.figures import cell, rows_of, text_table
from gru4rec_fast.evaluation.metrics import METRICS
from gru4rec_fast.evaluation.result import LIST_FIGURES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from gru4rec_fast.evaluation.difference import Difference
    from gru4rec_fast.evaluation.result import Evaluation

FORMAT = "gru4rec-fast comparison 1"
DRAWN = ("recall", "mrr")


@dataclass(frozen=True)
class Comparison:
    """The results of several models on the same predictions."""

    results: dict[str, Evaluation]
    """By model, in the order given."""
    differences: dict[str, Difference]
    """By model, from the second on: its figures minus those of the first."""

    @property
    def first(self) -> str:
        """The model that the others are compared with."""
        return next(iter(self.results))

    def to_frame(self) -> pd.DataFrame:
        """A row for each model, figure and cut-off: value and interval, difference and interval.

        Columns: model, metric, cutoff, value, low, high, difference, difference_low,
        difference_high; NaN where there is no such number.
        """
        rows = []
        for name, result in self.results.items():
            differences = {}
            if name in self.differences:
                d = self.differences[name]
                differences = {
                    (r["metric"], r["cutoff"]): r for r in rows_of(d.values, d.intervals)
                }
            for row in rows_of(result.values, result.intervals):
                d_row = differences.get((row["metric"], row["cutoff"]), {})
                rows.append(
                    {"model": name, **row}
                    | {
                        "difference": d_row.get("value"),
                        "difference_low": d_row.get("low"),
                        "difference_high": d_row.get("high"),
                    }
                )
        numbers = ["low", "high", "difference", "difference_low", "difference_high"]
        return pd.DataFrame(rows).astype(dict.fromkeys(numbers, "float64"))

    def to_json(self) -> str:
        """All results, and the differences from the first model, as JSON text."""
        return json.dumps(
            {
                "format": FORMAT,
                "results": {name: result.to_dict() for name, result in self.results.items()},
                "differences": {name: d.to_dict() for name, d in self.differences.items()},
            },
            indent=2,
        )

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows of `to_frame` as a CSV file."""
        self.to_frame().to_csv(path, index=False)

    def __str__(self) -> str:
        result = self.results[self.first]
        shown = METRICS if result.targets == "all" else ("recall", "mrr", "ndcg")
        parts = [result.settings()]
        listed = [
            name
            for name in LIST_FIGURES
            if any(name in found.values for found in self.results.values())
        ]
        for k in result.recall:
            rows = [
                [
                    model,
                    *(cell(found.values[name][k], found.interval(name, k)) for name in shown),
                    *(
                        cell(found.values[name][k], None) if name in found.values else "-"
                        for name in listed
                    ),
                ]
                for model, found in self.results.items()
            ]
            parts.append(text_table([f"@{k}", *shown, *listed], rows))
            rows = [
                [model, *(cell(d.values[name][k], d.interval(name, k), "+") for name in shown)]
                for model, d in self.differences.items()
            ]
            if rows:
                parts.append(text_table([f"@{k} minus {self.first}", *shown], rows))
        return "\n\n".join(parts)

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw recall and MRR at the largest cut-off with intervals, and the differences; as PNG.

        Raises:
            ImportError: matplotlib is not installed; the message names the extra.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                "the figure needs matplotlib: pip install 'gru4rec-fast[plot]'"
            ) from error
        k = max(self.results[self.first].recall)
        height = 1.6 + 0.35 * len(self.results)
        columns = 2 if self.differences else 1
        figure = Figure(figsize=(5 * columns, len(DRAWN) * height), layout="constrained")
        colours = {name: f"C{i}" for i, name in enumerate(self.results)}
        panels = figure.subplots(len(DRAWN), columns, squeeze=False)
        for metric, row in zip(DRAWN, panels, strict=True):
            _draw_intervals(row[0], self.results, metric, k, colours)
            row[0].set_xlabel(f"{metric}@{k}")
            if self.differences:
                _draw_intervals(row[1], self.differences, metric, k, colours)
                row[1].set_xlabel(f"{metric}@{k} minus that of {self.first}, paired")
                row[1].axvline(0, color="0.5", linewidth=1)
        result = self.results[self.first]
        figure.suptitle(
            f"{result.n_predictions:,} predictions, {result.n_sessions:,} sessions, ties: "
            f"{result.mode}, {result.confidence:.0%} intervals"
        )
        figure.savefig(path, format="png", dpi=120)


def _draw_intervals(
    axes: Any,
    shown: Mapping[str, Evaluation | Difference],
    metric: str,
    k: int,
    colours: dict[str, str],
) -> None:
    """A row for each model, the first on top: its value as a dot on its interval."""
    names = list(shown)[::-1]
    for place, name in enumerate(names):
        value = shown[name].values[metric][k]
        interval = shown[name].interval(metric, k) or (value, value)
        axes.plot(interval, [place, place], color=colours[name], linewidth=2)
        axes.plot(value, place, "o", color=colours[name])
    axes.set_yticks(range(len(names)), names)
    axes.margins(y=0.3)
    axes.grid(axis="x", alpha=0.3)


def compare(
    models: Mapping[str, Any], data: Any, cutoffs: Iterable[int] | int = (20,), **options: Any
) -> Comparison:
    """Evaluate several models on one log, and hold each against the first.

    Args:
        models: name -> model, as for `evaluate`; the others are compared with the first.
        data: a table or path as for `GRU4Rec.fit`.
        cutoffs: the K of all figures, one or more.
        options: further arguments of `evaluate`, the same for all. Names of columns are by default
            those of the first model that knows its training log's. `support` should be a pandas
            Series by item id where the models number items differently.

    Raises:
        ParameterError: no models, or as for `evaluate`; the models do not know the same items and
            `unknown` is not 'miss', so that their predictions are not of the same events.
        DataError: a bad log.
    """
    given: object = models
    if not isinstance(given, Mapping) or not given:
        raise ParameterError(
            f"models is {models!r}; expected a dict from names to models, as "
            "{'gru4rec': gru, 'pop': pop}"
        )
    columns = next(filter(None, map(known_columns, models.values())), {})
    results = {
        name: evaluate(model, data, cutoffs, **{**columns, **options})
        for name, model in models.items()
    }
    first, *others = results
    bootstrap = {
        name: options[name] for name in ("n_bootstrap", "confidence", "seed") if name in options
    }
    return Comparison(
        results, {name: results[name].compare(results[first], **bootstrap) for name in others}
    )
