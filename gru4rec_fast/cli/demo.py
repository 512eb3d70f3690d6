"""`gru4rec-fast demo`: train, evaluate and compare, with a picture of what was learned.

Without a log, sessions are generated whose best reachable recall is known. The model is compared
with that and with popularity. With a log, the model is trained on it and tested on a given test
log, or on the latest sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.baselines.pop import PopScorer
from gru4rec_fast.checks import one_of
from gru4rec_fast.cli import output_folder
from gru4rec_fast.cli.comparison import CUTOFFS, Figures, line, table
from gru4rec_fast.cli.learning_curve import draw
from gru4rec_fast.cli.model_file import shows_progress
from gru4rec_fast.cli.options import add_device, add_keys, keys
from gru4rec_fast.cli.parameters import add_epochs, add_set, set_parameters
from gru4rec_fast.data.bayes_optimal import best_reachable
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.data.splitting import hold_out_latest
from gru4rec_fast.data.synthetic import generate
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    import argparse
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from gru4rec_fast.evaluation.scorer import Scorer
    from gru4rec_fast.training.report import EpochReport

TIES = "conservative"
HELD_OUT = 0.1
MODEL, PICTURE = "model.safetensors", "learning-curve.png"
LOGS = ("generated-train.tsv", "generated-test.tsv")

GENERATED: dict[str, Any] = {
    "n_sessions": 30_000,
    "n_items": 300,
    "tastes": 3,
    "successors": 3,
    "single_share": 0.0,
}
"""Arguments of `generate`."""
SMALL: dict[str, Any] = {
    "layers": (64,),
    "loss": "cross-entropy",
    "batch_size": 64,
    "learning_rate": 0.07,
    "n_sample": 512,
    "sample_alpha": 0.0,
    "logq": 1.0,
    "n_epochs": 6,
}
"""Hyper-parameters for the generated log."""
PRESET = "retailrocket"


@dataclass(frozen=True)
class DemoResult:
    """What a demo found and wrote."""

    epochs: list[tuple[EpochReport, Figures]]
    """How each epoch trained, and how the model did after it."""
    rows: dict[str, Figures]
    """The closing table: 'GRU4Rec', 'best reachable' (generated log only), 'popularity'."""
    model: Path
    """The trained model, for `GRU4Rec.loadmodel`."""
    picture: Path | None
    """The learning curve; None where matplotlib is not installed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    add = parser.add_argument
    add("--data", metavar="LOG", help="training log: TSV, CSV, Parquet (default: generated)")
    add("--test", metavar="LOG", help="test log (default: the latest tenth of the sessions)")
    add("--out", metavar="DIR", default="demo-output", help="folder (default: demo-output)")
    add("--preset", choices=PRESETS, help=f"settings for --data (default: {PRESET})")
    add_set(parser, "parameters instead of the settings', as layers=224 batch_size=32")
    add_epochs(parser, " (default: the settings')")
    add_device(parser)
    add_keys(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        ParameterError: a flag that needs `--data` without it, or as for `run_demo`.
    """
    for flag in ("test", "preset"):
        if getattr(options, flag) is not None and options.data is None:
            raise ParameterError(
                f"--{flag} {getattr(options, flag)} needs a training log: add --data LOG (with "
                "make: DATA=LOG)"
            )
    run_demo(
        options.data,
        options.test,
        options.out,
        options.device,
        preset=options.preset,
        params=set_parameters(options),
        **keys(options),
    )
    return 0


def run_demo(
    train: Any = None,
    test: Any = None,
    out: str | os.PathLike[str] = "demo-output",
    device: torch.device | str | None = None,
    *,
    preset: str | None = None,
    params: Mapping[str, Any] | None = None,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str | None = "Time",
    sep: str | None = None,
) -> DemoResult:
    """Train and evaluate, print the comparison, and write it down in a folder.

    The folder gets `model.safetensors`, `learning-curve.png` and, without `train`, the generated
    logs `generated-train.tsv` and `generated-test.tsv`. Only files of an earlier demo are replaced.

    Args:
        train: a table or path as for `GRU4Rec.fit`; None generates sessions.
        test: likewise; None holds out the latest tenth of the sessions of `train`.
        out: the folder, made if it is not there.
        device: where to train, by default on the GPU where there is one.
        preset: name of published settings for `train` (default: retailrocket).
        params: hyper-parameters instead of those of the settings.
        item_key: column of item ids in both logs; likewise the other two.
        session_key: column of session ids.
        time_key: column of times; None where the rows are in the order of time.
        sep: what separates the fields of a text file; None detects tabs, commas or semicolons.

    Raises:
        ParameterError: `test` or `preset` without `train`; a folder that cannot be written, or
            holds a file of the same name that is not an earlier demo's; an unknown preset,
            parameter or device.
        DataError: a bad log.
        ArithmeticError: the loss became NaN or infinite.
    """
    if train is None and (test is not None or preset is not None):
        name, value = ("test", test) if test is not None else ("preset", preset)
        raise ParameterError(f"{name}={value!r} needs a training log: pass train=...")
    if preset is not None:
        one_of("preset", preset, PRESETS)
    folder = output_folder.prepare(out, [MODEL, PICTURE, *(LOGS if train is None else ())])
    if train is None:
        return _on_generated_sessions(folder, device, params or {})
    columns: dict[str, Any] = {
        "item_key": item_key,
        "session_key": session_key,
        "time_key": time_key,
        "sep": sep,
    }
    gru = GRU4Rec(**PRESETS[preset or PRESET] | dict(params or {}), device=device)
    if test is None:
        with naming(train):
            earlier, latest = hold_out_latest(train, HELD_OUT, **columns)
            return _compare(earlier, latest, folder, gru, {}, **columns)
    return _compare(train, test, folder, gru, {}, **columns)


def _on_generated_sessions(
    folder: Path, device: torch.device | str | None, params: Mapping[str, Any]
) -> DemoResult:
    """The demo without a log. The logs that it writes are there to try the other commands."""
    gru = GRU4Rec(**SMALL | dict(params), device=device)
    log = generate(**GENERATED)
    train, test = hold_out_latest(log.log, HELD_OUT)
    paths = [folder / name for name in LOGS]
    for path, part in zip(paths, (train, test), strict=True):
        output_folder.write(path, partial(part.to_csv, sep="\t", index=False))
    print(f"Generated {paths[0]} and {paths[1]}")
    best = {"best reachable": Figures(*best_reachable(log, test, CUTOFFS))}
    # Products this small gain nothing from a second thread, and may have to wait for it.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _compare(train, test, folder, gru, best)
    finally:
        torch.set_num_threads(threads)


def _compare(
    train: Any,
    test: Any,
    folder: Path,
    gru: GRU4Rec,
    known: dict[str, Figures],
    **columns: Any,
) -> DemoResult:
    """Train `gru`; hold it against popularity and the `known` figures."""
    train_sessions = load_sessions(train, **columns)
    test_sessions = load_sessions(test, itemidmap=train_sessions.itemidmap, **columns)

    def figures(scorer: Scorer) -> Figures:
        result = evaluate(
            scorer, test_sessions, CUTOFFS, mode=TIES, groups={}, lists=False, n_bootstrap=0
        )
        return Figures(result.recall, result.mrr)

    with naming(test):
        rows = known | {"popularity": figures(PopScorer(train_sessions.support))}
    print(
        f"Training on {gru.device}: {train_sessions.n_sessions:,} sessions, "
        f"{train_sessions.n_events:,} events, {train_sessions.n_items:,} items; "
        f"testing on {test_sessions.n_pairs:,} events of {test_sessions.n_sessions:,} sessions"
    )
    if test_sessions.dropped_events:
        print(f"Left out {test_sessions.dropped_events:,} test events of items not trained on")
    print()
    print(line("epoch", ["loss", "recall@20", "mrr@20", "events/s", "seconds"]), flush=True)
    epochs: list[tuple[EpochReport, Figures]] = []

    def on_epoch(report: EpochReport) -> None:
        now = figures(NetworkScorer(gru.model))
        epochs.append((report, now))
        speed = report.events / report.seconds
        cells = [f"{report.loss:.4f}", f"{now.recall[20]:.4f}", f"{now.mrr[20]:.4f}"]
        cells += [f"{speed:,.0f}", f"{report.seconds:.1f}"]
        print(line(str(report.epoch), cells), flush=True)

    gru.fit(train, **columns, on_epoch=on_epoch, progress=shows_progress())
    if gru.error_during_train:
        raise ArithmeticError(
            "the loss became NaN or infinite and training stopped: lower learning_rate"
        )
    rows = {"GRU4Rec": epochs[-1][1]} | rows
    print(f"\n{table(rows)}\n(ties: {TIES})\n")
    if known:
        reached = rows["GRU4Rec"].recall[20] / known["best reachable"].recall[20]
        print(f"GRU4Rec reaches {reached:.1%} of the best reachable recall@20.")
    model = folder / MODEL
    gru.savemodel(model)
    output_folder.record(model)
    print(f"Model: {model}")
    picture: Path | None = folder / PICTURE
    try:
        output_folder.write(folder / PICTURE, lambda path: draw(path, epochs, rows))
        print(f"Learning curve: {picture}")
    except ImportError:
        picture = None
        print("No learning curve without matplotlib: pip install 'gru4rec-fast[plot]'")
    return DemoResult(epochs=epochs, rows=rows, model=model, picture=picture)
