"""docs/EXPERIMENTS.md and its figure, from the records of an experiment alone."""

from __future__ import annotations

import platform
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.experiment_claims import CLAIMS, Claim
from benchmarks.experiment_figure import draw
from benchmarks.experiment_plan import BASELINES, FIRST_SEEDS, rates_of
from benchmarks.experiment_results import METRICS, Results, session_sums, sessions_half
from benchmarks.report import processor
from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.experiment_plan import Params, Records, Study

WIDTH = 100
HEADINGS = {
    "cell": "Recurrent cells",
    "loss": "Losses",
    "embedding": "Input: embedding or one-hot",
    "feed-forward": "Feed-forward layers",
    "optimiser": "Optimisers",
}


def write_page(study: Study, records: Records, path: Path) -> None:
    """Write the page, and beside it the figure."""
    results = Results(study, records)
    figure = path.with_name(path.stem.lower() + ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(results, figure)
    path.write_text("\n".join(page(results, figure.name)) + "\n", encoding="utf-8")


def page(results: Results, figure: str) -> list[str]:
    """The lines of the page."""
    return [
        "# Experiments",
        "",
        *prose("Written by `make experiment` from its records alone; don't edit."),
        "",
        *settings(results),
        "",
        f"![Recall by factor and by hidden units]({figure})",
        "",
        *claims(results),
        *(line for factor in results.study.factors for line in factor_table(results, factor)),
        *grid(results),
        *baselines(results),
        *left_out(results),
    ]


def prose(text: str, first: str = "") -> list[str]:
    """A paragraph in lines of the house's width; a list item with `first='- '`."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> list[str]:
    """A Markdown table, its first columns aligned left."""
    align = ["---" if i < left else "--:" for i in range(len(header))]
    return ["| " + " | ".join(row) + " |" for row in (header, align, *rows)]


def settings(results: Results) -> list[str]:
    """What was measured, where, and how to read it."""
    study, records = results.study, results.records.values()
    commits = sorted({record["commit"] for record in records})
    engines = Counter(record["engine"] for record in records if record["engine"])
    minutes = sum(record["seconds"] for record in records) / 60
    trained_by = ", ".join(f"{n} {name}" for name, n in engines.items()) or "none"
    lines = [
        *prose(
            f"Commit {', '.join(commits) or 'unknown'}; {processor()}, {_core.instruction_set()}; "
            f"Python {platform.python_version()}, torch {torch.__version__}. Two processes of one "
            f"thread each ran {len(records)} trainings, {minutes:.0f} minutes of processor time, "
            f"by these engines: {trained_by}."
        ),
        "",
        *prose(
            f"The base is `GRU4Rec()` with {study.epochs} epochs, {study.base_units} hidden units "
            f"and S = {study.n_sample}: cross-entropy, B = 64, shared embedding, no dropout, "
            "Adagrad without momentum. Each factor is varied alone. A seed sets the initial "
            f"weights, the negatives and the dropout; there are up to {study.seeds} seeds."
        ),
        "",
        *prose(
            "The learning rate of each level has the best recall@20 on the validation log with "
            "seed 1, of the rates tried for its optimiser: "
            + "; ".join(
                f"{name} {', '.join(map(str, rates))}" for name, rates in tried(results).items()
            )
            + ". `*` marks a chosen rate at the end of those tried: a rate beyond it may do "
            "better. Other numbers of hidden units take the rate of their loss at H = "
            f"{study.base_units}."
        ),
        "",
        *prose(
            "All figures are of the test log, at cut-off 20, over the whole catalogue, with "
            "conservative ties. a ± b is a mean over seeds and half its 95 % interval (Student's "
            "t). s is the mean processor time of a training in seconds; another one runs beside it."
        ),
        "",
    ]
    return [*lines, *data_table(results)]


def tried(results: Results) -> dict[str, tuple[float, ...]]:
    """Optimiser -> the learning rates that were tried."""
    levels = [results.study.base]
    for factor in results.study.factors:
        levels += results.study.levels(factor).values()
    return {params.get("adapt", "adagrad"): rates_of(params) for params in levels}


def data_table(results: Results) -> list[str]:
    rows = []
    for data in results.study.data:
        found = next(iter(results.found(data, results.study.base)), None)
        if found is None or found["recall"] is None:
            rows.append([data, *["-"] * 6])
            continue
        sums = {name: session_sums([found], name) for name in ("recall", "predictions")}
        rows.append(
            [
                data,
                *(f"{found[name]:,}" for name in ("train_events", "train_sessions", "items")),
                f"{len(sums['recall']):,}",
                f"{found['predictions']:,}",
                f"± {sessions_half(sums['recall'], sums['predictions']):.4f}",
            ]
        )
    header = (
        "data", "train events", "train sessions", "items", "test sessions", "predictions",
        "recall@20 of one training, over test sessions",
    )  # fmt: skip
    return [
        *table(header, rows, left=1),
        "",
        *prose(
            "The last column is half the 95 % interval over test sessions. The intervals of the "
            "tables are over seeds and don't contain this chance. Those of the claims do: they are "
            "of differences on the same test sessions. Generated sessions come from "
            "`gru4rec_fast.data.synthetic`."
        ),
    ]


def claims(results: Results) -> Iterator[str]:
    """Each claim with its verdict on each data set and our figures."""
    data = results.study.data
    findings = [(claim, [claim.judge(results, name) for name in data]) for claim in CLAIMS]
    yield "## What holds of the claims and what doesn't"
    yield ""
    yield from prose(
        "The verdict goes by recall@20. a ± b is a mean of differences and half its 95 % "
        "interval, over seeds and over test sessions. A claim that one thing is "
        "better holds if the interval of the difference is above 0, doesn't hold if it is below 0, "
        "and is undecided otherwise. The papers measured other data with other settings, so a "
        "claim that doesn't hold here can hold there. Nothing is corrected for making many "
        "comparisons."
    )
    yield ""
    yield from table(
        ("claim", "source", *data),
        [
            [claim.title, claim.source, *(finding.verdict for finding in found)]
            for claim, found in findings
        ],
        left=2 + len(data),
    )
    yield ""
    for claim, found in findings:
        yield f"### {claim.title}"
        yield ""
        yield from prose(published(claim))
        yield ""
        for name, finding in zip(data, found, strict=True):
            yield from prose(f"{name}: **{finding.verdict}**.", "- ")
            for figure in finding.figures:
                yield from prose(f"{figure}.", "  - ")
        yield ""


def published(claim: Claim) -> str:
    return f"{claim.source[0].upper()}{claim.source[1:]}: {claim.published}"


def cells(results: Results, data: str, params: Params) -> list[str]:
    """Seeds, recall@20, mrr@20, seconds and engine of a level."""
    found = results.found(data, params)
    diverged = sum(record["recall"] is None for record in found)
    figures = [results.mean(data, params, metric) for metric in METRICS]
    seconds = [record["seconds"] for record in found]
    return [
        f"{len(found)}{f', {diverged} diverged' if diverged else ''}",
        *(mean.text() if mean else "-" for mean in figures),
        f"{sum(seconds) / len(seconds):.1f}" if seconds else "-",
        ", ".join(sorted({record["engine"] for record in found})) or "-",
    ]


def rate(results: Results, data: str, params: Params) -> str:
    chosen, rates = results.study.rate(data, params, results.records), rates_of(params)
    if chosen is None:
        return "-"
    return f"{chosen}{'*' if len(rates) > 1 and chosen in (rates[0], rates[-1]) else ''}"


def factor_table(results: Results, factor: str) -> list[str]:
    rows = [
        [data, level, rate(results, data, params), *cells(results, data, params)]
        for data in results.study.data
        for level, params in results.study.levels(factor).items()
    ]
    header = ("data", factor, "rate", "seeds", "recall@20", "mrr@20", "s", "engine")
    note = {
        "embedding": ["The one-hot input has the GRU with the reset gate before the product.", ""],
        "optimiser": ["Adadelta has a rate of 1 always.", ""],
    }
    return [f"## {HEADINGS[factor]}", "", *note.get(factor, []), *table(header, rows), ""]


def grid(results: Results) -> list[str]:
    """Losses by hidden units: recall, MRR, seconds."""
    study = results.study
    lines = ["## Losses by hidden units", ""]
    for data in study.data:
        for metric in (*METRICS, "seconds"):
            rows = []
            for loss in study.losses:
                row = [loss]
                for units in study.units:
                    params = study.cell_of_grid(loss, units)
                    mean = results.mean(data, params, metric)
                    text = "-" if mean is None else mean.text()
                    if mean and metric == "seconds":
                        text = f"{mean.value:.1f}"
                    row.append(text)
                rows.append(row)
            name = "seconds of a training" if metric == "seconds" else f"{metric}@20"
            lines += [f"{data}, {name}:", ""]
            lines += [*table(("loss", *(f"H = {h}" for h in study.units)), rows, left=1), ""]
        lines += [*prose(best_losses(results, data)), ""]
    return lines


def best_losses(results: Results, data: str) -> str:
    """The loss of the highest mean recall for each number of hidden units."""
    best = []
    for units in results.study.units:
        means = {
            loss: mean.value
            for loss in results.study.losses
            if (mean := results.mean(data, results.study.cell_of_grid(loss, units), "recall"))
        }
        if means:
            best.append(f"{max(means, key=lambda loss: means[loss])} with H = {units}")
    return f"Highest mean recall@20 on {data}: {', '.join(best) or 'not measured'}."


def baselines(results: Results) -> list[str]:
    """The baselines, the base of the experiment, and the best that can be reached."""
    rows: list[list[str]] = []
    for data in results.study.data:
        found: dict[str, Any] = {name: results.baseline(data, name) for name in BASELINES}
        rows += [
            [data, name, f"{r['recall']:.4f}", f"{r['mrr']:.4f}", f"{r['seconds']:.1f}"]
            for name, r in found.items()
            if r is not None
        ]
        rows.append([data, "GRU4Rec, base", *cells(results, data, results.study.base)[1:4]])
        best = next((r["best"] for r in found.values() if r is not None and r["best"]), None)
        if best is not None:
            rows.append([data, "best reachable", *(f"{value:.4f}" for value in best), "-"])
    return [
        "## Baselines",
        "",
        *prose(
            "Defaults of `gru4rec_fast.baselines`; they have no seeds. The best reachable is the "
            "optimal predictor of generated sessions."
        ),
        "",
        *table(("data", "method", "recall@20", "mrr@20", "s"), rows),
        "",
    ]


def left_out(results: Results) -> list[str]:
    """What the time did not allow."""
    study = results.study
    levels = {f"{f}: {name}": p for f in study.factors for name, p in study.levels(f).items()}
    for loss in study.losses:
        for units in study.units:
            levels[f"{loss}, H = {units}"] = study.cell_of_grid(loss, units)
    wanted = min(FIRST_SEEDS, study.seeds)
    few = [
        f"{data}, {name} ({len(results.found(data, params))})"
        for data in study.data
        for name, params in levels.items()
        if len(results.found(data, params)) < wanted
    ]
    if not few:
        return prose(f"Every level has at least {wanted} seed{'s' * (wanted != 1)}.")
    return prose(f"The time did not allow {wanted} seeds for: {'; '.join(few)}.")
