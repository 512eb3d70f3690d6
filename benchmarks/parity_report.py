"""This library beside the authors' GRU4Rec on a log of yours: recall, MRR and time.

    python -m benchmarks.parity_report ORIGINAL_FOLDER TRAIN TEST [--preset rsc15] [--epochs 10]

ORIGINAL_FOLDER holds the authors' modules, which are not part of this project: one with the class
GRU4Rec, and one with the function batch_eval. Each implementation runs in a process of its own and
is called through the interface of docs/SPEC.md section 10. Whole trainings alternate, so that
whatever else the machine does hits both. Both are evaluated by this library, and by the authors'
batch_eval where the folder has one. A seed sets the negatives and the dropout; all trainings start
from the weights of the original.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch

from benchmarks.report import commit, processor
from gru4rec_fast import _core
from gru4rec_fast.presets import PRESETS
from gru4rec_fast.reference import RANKS

ROOT = Path(__file__).resolve().parent.parent
Answer = dict[str, Any]


class Implementation:
    """A process that trains and evaluates one implementation."""

    def __init__(self, name: str, settings: argparse.Namespace, module: str) -> None:
        self.name = name
        threads = str(settings.threads)
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "parity_worker.py")],
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.facts = self.ask(
            folder=str(settings.folder),
            module=module,
            evaluation=settings.evaluation_module,
            threads=settings.threads,
            train=str(settings.train),
            test=str(settings.test),
        )

    def ask(self, **request: Any) -> Answer:
        """Send a request and return the answer; end the program with the reason of a failure."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = self._process.stdout.readline()
        if not line:
            sys.exit(f"the process of {self.name} ended with status {self._process.wait()}")
        answer: Answer = json.loads(line)
        if answer.get("missing"):
            sys.exit(
                f"{answer['error']}. Pass --module with the name of the authors' module that has "
                "the class GRU4Rec, and --evaluation-module with that of batch_eval"
            )
        if "error" in answer:
            print(answer["traceback"], file=sys.stderr)
            sys.exit(
                f"{self.name} failed: {answer['error']}. If the authors' code failed on NumPy or "
                "pandas, it needs the versions that it was written for, or a correction of your "
                "copy; the traceback above says where"
            )
        return answer


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """All trainings of both implementations, alternating."""
    params = dict(PRESETS[settings.preset], n_epochs=settings.epochs) | settings.set
    both = [
        Implementation("authors", settings, settings.module),
        Implementation("ours", settings, "gru4rec_fast"),
    ]
    if not both[0].facts["batch_eval"]:
        print(
            f"{settings.folder} has no batch_eval in a module {settings.evaluation_module!r} "
            "(--evaluation-module): this library alone evaluates"
        )
    runs: list[dict[str, Any]] = []
    for turn, (seed, number) in enumerate(
        (seed, number) for number in range(settings.rounds) for seed in settings.seeds
    ):
        for implementation in both if turn % 2 == 0 else both[::-1]:
            found = implementation.ask(
                params=params, seed=seed, mode=settings.ties, cutoffs=[settings.cutoff]
            )
            runs.append({"by": implementation.name, "seed": seed, "round": number, **found})
            print(
                f"{implementation.name:8} seed {seed} round {number}: {found['seconds']:.1f} s, "
                f"{figures(runs[-1:], '', str(settings.cutoff))}",
                flush=True,
            )
    return {
        "command": " ".join(["python -m benchmarks.parity_report", *sys.argv[1:]]),
        "train": settings.train.name,
        "test": settings.test.name,
        "preset": settings.preset,
        "params": params,
        "cutoff": settings.cutoff,
        "ties": settings.ties,
        "threads": settings.threads,
        "commit": commit(),
        "original_commit": commit_of(settings.folder),
        "machine": f"{processor()}, {_core.instruction_set()}",
        "versions": {
            "Python": platform.python_version(),
            "torch": torch.__version__,
            "NumPy": both[0].facts["numpy"],
            "pandas": both[0].facts["pandas"],
        },
        "batch_eval": both[0].facts["batch_eval"],
        "runs": runs,
    }


def commit_of(folder: Path) -> str:
    """The commit of the folder, 'unknown' where it is no repository of its own."""
    if not (folder / ".git").exists():
        return "unknown"
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def figures(runs: list[dict[str, Any]], whose: str, k: str) -> str:
    """'recall / mrr' of some trainings: means over seeds, and ± the spread of several."""
    first = {run["seed"]: run for run in reversed(runs)}.values()  # rounds repeat the time alone
    cells = []
    for name in ("recall", "mrr"):
        values = [run[whose + name][k] for run in first]
        spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
        cells.append(f"{mean(values):.4f}{spread}")
    return " / ".join(cells)


def table(report: dict[str, Any]) -> list[str]:
    """The table of docs/PARITY.md, for the log of the report."""
    k = str(report["cutoff"])
    by = {
        name: [run for run in report["runs"] if run["by"] == name] for name in ("authors", "ours")
    }
    times = {name: median(run["seconds"] for run in runs) for name, runs in by.items()}
    evaluations = [("this library's", "")]
    if report["batch_eval"]:
        evaluations.append(("the authors'", "their_"))
    rows = [
        "| data | settings | evaluation | authors | s | ours | s | times as fast |",
        "|---|---|---|---|--:|---|--:|--:|",
    ]
    rows += [
        f"| {report['train']} | {report['preset']} preset | {label} | "
        f"{figures(by['authors'], whose, k)} | {times['authors']:.1f} | "
        f"{figures(by['ours'], whose, k)} | {times['ours']:.1f} | "
        f"{times['authors'] / times['ours']:.1f} |"
        for label, whose in evaluations
    ]
    return rows


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    seeds = sorted({run["seed"] for run in report["runs"]})
    rounds = 1 + max(run["round"] for run in report["runs"])
    evaluation = {
        name: median(run["evaluation_seconds"] for run in report["runs"] if run["by"] == name)
        for name in ("authors", "ours")
    }
    lines = [
        "# Comparison with the authors' code",
        "",
        f"`{report['command']}`",
        "",
        f"- this library at commit {report['commit']}, the authors' code at commit "
        f"{report['original_commit']}",
        f"- {report['machine']}; {versions}",
        f"- threads: {report['threads']}; seeds: {', '.join(map(str, seeds))}; rounds: {rounds}; "
        "whole trainings alternate",
        f"- train {report['train']}, test {report['test']}, "
        f"{report['runs'][0]['predictions']:,} predictions, {report['ties']} ties",
        f"- parameters: {', '.join(f'{n}={v}' for n, v in report['params'].items())}",
        "",
        f"Two figures are recall@{report['cutoff']} / mrr@{report['cutoff']}: means over seeds, ± "
        "the standard deviation of several. s: median seconds of a training.",
        "",
        *table(report),
        "",
        f"This library's evaluation takes {evaluation['authors']:.1f} s for the authors' model and "
        f"{evaluation['ours']:.1f} s for ours.",
        "",
    ]
    return "\n".join(lines)


def setting(text: str) -> tuple[str, Any]:
    """A parameter as NAME=VALUE."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, as layers=[64]")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, {"True": True, "False": False}.get(value, value)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="ORIGINAL_FOLDER", type=Path)
    parser.add_argument("train", metavar="TRAIN", type=Path)
    parser.add_argument("test", metavar="TEST", type=Path)
    parser.add_argument("--preset", choices=PRESETS, default="rsc15")
    parser.add_argument(
        "--set", nargs="+", type=setting, default=[], metavar="NAME=VALUE",
        help="parameters other than those of the preset; values in JSON, as layers=[64]",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--rounds", type=int, default=1, help="trainings of each seed; times are medians"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cutoff", type=int, default=20)
    parser.add_argument("--ties", choices=RANKS, default="standard")
    parser.add_argument(
        "--module", default="gru4rec_pytorch", help="with the class GRU4Rec; default %(default)s"
    )
    parser.add_argument(
        "--evaluation-module", default="evaluation", help="with batch_eval; default %(default)s"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "parity")
    settings = parser.parse_args(argv)
    settings.set = dict(settings.set)
    if not settings.folder.is_dir():
        parser.error(
            f"ORIGINAL_FOLDER is {settings.folder}, which is no folder; expected the folder with "
            "your copy of the authors' modules"
        )
    for path in (settings.train, settings.test):
        if not path.is_file():
            parser.error(f"no such file: {path}; expected a log as for GRU4Rec.fit")
    if settings.epochs < 1 or settings.rounds < 1 or settings.threads < 1:
        parser.error("--epochs, --rounds and --threads: expected 1 or more")
    for name in ("folder", "train", "test"):
        setattr(settings, name, getattr(settings, name).resolve())
    return settings


def main(argv: list[str] | None = None) -> None:
    settings = arguments(argv)
    report = measure(settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "parity.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    (settings.out / "parity.md").write_text(page(report), encoding="utf-8")
    print("\n".join(table(report)))
    print(f"written: {settings.out / 'parity.md'} and parity.json")


if __name__ == "__main__":
    main()
