"""`gru4rec-fast demo`: train, evaluate and compare, with a picture of what was learned.

Without a log, sessions are generated whose best reachable recall is known, and the model is held
against it and against popularity. With one, the model is trained on that log and tested on a given
test log, or on the latest sessions.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.baselines.pop import Pop
from gru4rec_fast.cli.model_file import shows_progress
from gru4rec_fast.config import PRESETS
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.data.splitting import hold_out_latest
from gru4rec_fast.data.synthetic import best_reachable, generate
from gru4rec_fast.errors import ParameterError, closest, naming
from gru4rec_fast.evaluation.metrics import evaluate
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from gru4rec_fast.gru4rec import GRU4Rec

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from gru4rec_fast.evaluation.scorer import Scorer
    from gru4rec_fast.training.report import EpochReport

CUTOFFS = (1, 5, 10, 20)
TIES = "conservative"
HELD_OUT = 0.1
MODEL, PICTURE = "model.safetensors", "learning-curve.png"
LOGS = ("generated-train.tsv", "generated-test.tsv")
RECORD = ".written-by-demo.json"
"""Name of each file that the demo wrote -> when it was last changed: no other file is its own."""

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
class Figures:
    """Recall and MRR on the test log, by cut-off."""

    recall: dict[int, float]
    mrr: dict[int, float]


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
    add("--epochs", metavar="N", type=int, help="passes over the log (default: the settings')")
    add("--device", help="cpu, cuda:0, ... (default: the GPU where there is one)")
    add("--item-key", default="ItemId", help="item column (default: ItemId)")
    add("--session-key", default="SessionId", help="session column (default: SessionId)")
    add("--time-key", default="Time", help="time column (default: Time)")


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
        epochs=options.epochs,
        item_key=options.item_key,
        session_key=options.session_key,
        time_key=options.time_key,
    )
    return 0


def run_demo(
    train: Any = None,
    test: Any = None,
    out: str | os.PathLike[str] = "demo-output",
    device: torch.device | str | None = None,
    *,
    preset: str | None = None,
    epochs: int | None = None,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str = "Time",
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
        epochs: passes over the log, instead of the settings' own number.
        item_key: column of item ids in both logs; likewise the other two.
        session_key: column of session ids.
        time_key: column of times.

    Raises:
        ParameterError: `test` or `preset` without `train`; a folder that cannot be written, or
            holds a file of the same name that is not an earlier demo's; an unknown preset or
            device.
        DataError: a bad log.
        ArithmeticError: the loss became NaN or infinite.
    """
    if train is None and (test is not None or preset is not None):
        name, value = ("test", test) if test is not None else ("preset", preset)
        raise ParameterError(f"{name}={value!r} needs a training log: pass train=...")
    if preset is not None and preset not in PRESETS:
        raise ParameterError(
            f"preset={preset!r}{closest(preset, PRESETS)}; expected one of {', '.join(PRESETS)}"
        )
    folder = _folder(out, [MODEL, PICTURE, *(LOGS if train is None else ())])
    if train is None:
        return _on_generated_sessions(folder, device, epochs)
    keys = {"item_key": item_key, "session_key": session_key, "time_key": time_key}
    params = PRESETS[preset or PRESET] | ({} if epochs is None else {"n_epochs": epochs})
    gru = GRU4Rec(**params, device=device)
    if test is None:
        with naming(train):
            earlier, latest = hold_out_latest(train, HELD_OUT, **keys)
            return _compare(earlier, latest, folder, gru, {}, **keys)
    return _compare(train, test, folder, gru, {}, **keys)


def _on_generated_sessions(
    folder: Path, device: torch.device | str | None, epochs: int | None
) -> DemoResult:
    """The demo without a log: what it writes can be used to try the other commands."""
    gru = GRU4Rec(**SMALL | ({} if epochs is None else {"n_epochs": epochs}), device=device)
    log = generate(**GENERATED)
    train, test = hold_out_latest(log.log, HELD_OUT)
    paths = [folder / name for name in LOGS]
    for path, part in zip(paths, (train, test), strict=True):
        _write(path, partial(part.to_csv, sep="\t", index=False))
    print(f"Generated {paths[0]} and {paths[1]}")
    best = {"best reachable": Figures(*best_reachable(log, test, CUTOFFS))}
    # Products this small gain nothing from a second thread, and wait for it when its core is busy.
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
    **keys: Any,
) -> DemoResult:
    """Train `gru`; hold it against popularity and the `known` figures."""
    train_sessions = load_sessions(train, **keys)
    test_sessions = load_sessions(test, itemidmap=train_sessions.itemidmap, **keys)

    def figures(scorer: Scorer) -> Figures:
        result = evaluate(scorer, test_sessions, CUTOFFS, mode=TIES)
        return Figures(result.recall, result.mrr)

    with naming(test):
        rows = known | {"popularity": figures(Pop(train_sessions.support))}
    print(
        f"Training on {gru.device}: {train_sessions.n_sessions:,} sessions, "
        f"{train_sessions.n_events:,} events, {train_sessions.n_items:,} items; "
        f"testing on {test_sessions.n_pairs:,} events of {test_sessions.n_sessions:,} sessions"
    )
    if test_sessions.dropped_events:
        print(f"Left out {test_sessions.dropped_events:,} test events of items not trained on")
    print()
    print(_line("epoch", ["loss", "recall@20", "mrr@20", "events/s", "seconds"]), flush=True)
    epochs: list[tuple[EpochReport, Figures]] = []

    def on_epoch(report: EpochReport) -> None:
        now = figures(NetworkScorer(gru.model))
        epochs.append((report, now))
        speed = report.events / report.seconds
        cells = [f"{report.loss:.4f}", f"{now.recall[20]:.4f}", f"{now.mrr[20]:.4f}"]
        cells += [f"{speed:,.0f}", f"{report.seconds:.1f}"]
        print(_line(str(report.epoch), cells), flush=True)

    gru.fit(train, **keys, on_epoch=on_epoch, progress=shows_progress())
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
    _record(model)
    print(f"Model: {model}")
    picture: Path | None = folder / PICTURE
    try:
        _write(folder / PICTURE, lambda path: draw(path, epochs, rows))
        print(f"Learning curve: {picture}")
    except ImportError:
        picture = None
        print("No learning curve without matplotlib: pip install 'gru4rec-fast[demo]'")
    return DemoResult(epochs=epochs, rows=rows, model=model, picture=picture)


def table(rows: dict[str, Figures]) -> str:
    """The figures of each row side by side, as text."""
    lines = [_line("", [*(f"recall@{k}" for k in CUTOFFS), "mrr@20"])]
    for name, row in rows.items():
        recall = [f"{row.recall[k]:.4f}" for k in CUTOFFS]
        lines.append(_line(name, [*recall, f"{row.mrr[20]:.4f}"]))
    return "\n".join(lines)


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<16}" + "".join(f"{cell:>11}" for cell in cells)


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


def _folder(out: str | os.PathLike[str], names: Sequence[str]) -> Path:
    """The folder, made and found writable, where files of these names are an earlier demo's."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _written(folder)
        for file in (folder / name for name in names):
            if file.exists() and file.stat().st_mtime_ns != written.get(file.name):
                raise ParameterError(
                    f"out={os.fspath(out)!r} holds {file.name}, which is not as a demo wrote it "
                    "and would be lost: choose another folder, or move that file"
                )
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ParameterError(
            f"out={os.fspath(out)!r} cannot be written ({error.strerror}); expected a folder: "
            "choose another one"
        ) from error


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write aside, then rename: nobody meets half a file."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if path.name != RECORD:
        _record(path)


def _written(folder: Path) -> dict[str, int]:
    """Name of each file that a demo wrote there -> the time of its last change (ns)."""
    try:
        written: dict[str, int] = json.loads((folder / RECORD).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return written


def _record(file: Path) -> None:
    """Remember that a file is the demo's."""
    written = json.dumps(_written(file.parent) | {file.name: file.stat().st_mtime_ns})
    _write(file.with_name(RECORD), lambda aside: aside.write_text(written))
