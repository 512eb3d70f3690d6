"""`gru4rec-fast tune`: search for hyper-parameters, with the flags of the users' search script."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.cli.model_file import ModelFile
from gru4rec_fast.cli.options import add_reading, keys
from gru4rec_fast.cli.parameters import parse_assignments
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.metrics import METRICS
from gru4rec_fast.model.atomic_file import written_aside
from gru4rec_fast.reference import RANKS
from gru4rec_fast.tuning.tune import DEFAULT_TRIALS, STUDY_FILE, tune

if TYPE_CHECKING:
    from gru4rec_fast.tuning.result import Tuned

BEST, TABLE, REPORT, PICTURE = "best.json", "trials.csv", "report.txt", "study.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = (
        "Search for the settings that predict VALID best. Without -opf the ranges of the\n"
        "published searches are used, and the published settings are tried first."
    )
    parser.epilog = (
        "examples:\n"
        "  gru4rec-fast tune train.tsv valid.tsv --budget 30m --test test.tsv\n"
        "  gru4rec-fast tune train.tsv valid.tsv -opf space.json -fp loss=bpr-max -nt 100\n"
        f"  gru4rec-fast train train.tsv --params tune-output/{BEST} --save model.safetensors"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("path", metavar="TRAIN", help="log that the trials train on")
    add("valid", metavar="VALID", help="log that they are evaluated on")
    add(
        "-opf",
        "--optuna_parameter_file",
        metavar="FILE",
        help='the space: a JSON object a line, as {"name": "layers", "dtype": "int", "values": '
        '[64, 512], "step": 32}; dtype is int, float or categorical; "log": true is possible',
    )
    add(
        "-fp",
        "--fixed_parameters",
        metavar="NAME=VALUE,...",
        default="",
        help="parameters that do not vary, lists with /",
    )
    add("-nt", "--ntrials", metavar="N", type=int,
        help=f"trials in all (default: {DEFAULT_TRIALS}; with --budget no limit)")  # fmt: skip
    add(
        "--budget",
        metavar="TIME",
        help="end the search after this time, as 30m; of trials that begin well, few go on "
        "(successive halving)",
    )
    add("-pm", "--primary_metric", choices=METRICS, default="recall", metavar="METRIC",
        help=f"optimised metric: {', '.join(METRICS)} (default: recall)")  # fmt: skip
    add("-m", "--measure", metavar="K", type=int, default=20,
        help="its cut-off (default: 20)")  # fmt: skip
    add("-fm", "--final_measure", metavar="K", type=int, nargs="+", default=[20],
        help="cut-offs measured at the end (default: 20)")  # fmt: skip
    add("-e", "--eval_type", choices=RANKS, default="conservative",
        help="what a tie with the target counts (default: conservative)")  # fmt: skip
    add("-g", "--gru4rec_model", metavar="MODULE", default="gru4rec_fast",
        help="module whose GRU4Rec class is tuned (default: gru4rec_fast)")  # fmt: skip
    add("-d", "--device", metavar="DEVICE",
        help="cpu, cuda:0, ... (default: a GPU if there is one)")  # fmt: skip
    for letter, key, name in (
        ("i", "item", "ItemId"),
        ("s", "session", "SessionId"),
        ("t", "time", "Time"),
    ):
        add(f"-{letter}k", f"--{key}_key", metavar="NAME", default=argparse.SUPPRESS,
            help=f"{key} column (default: {name})")  # fmt: skip
    add_reading(parser)
    add("--workers", metavar="N", type=int, default=1,
        help="processes of one thread each (default: 1, with all threads)")  # fmt: skip
    add("--pruning", choices=("halving", "median", "none"),
        help="which trials stop early (default: median, with --budget halving)")  # fmt: skip
    add("--out", metavar="DIR", default="tune-output",
        help=f"folder of {', '.join((STUDY_FILE, BEST, TABLE, REPORT, PICTURE))} (default: "
        "tune-output)")  # fmt: skip
    add("--resume", action="store_true", help="go on with the study in DIR, if there is one")
    add("--test", metavar="LOG", help="log that no trial sees: compare the result with the best "
        "published settings on it")  # fmt: skip
    add("--save", metavar="FILE", help="save the model with the best settings")
    add("--seed", metavar="N", type=int, default=42, help="of the search (default: 42)")
    add("--quiet", action="store_true", help="no line for each trial")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    logs = [options.path, options.valid, *([options.test] if options.test else [])]
    file = ModelFile(options.save, "--save", logs)
    fixed = options.fixed_parameters
    try:
        found = tune(
            options.path,
            options.valid,
            options.optuna_parameter_file,
            out=options.out,
            resume=options.resume,
            budget=options.budget,
            n_trials=options.ntrials,
            fixed=parse_assignments(fixed.split(",")) if fixed else {},
            metric=options.primary_metric,
            cutoff=options.measure,
            final_cutoffs=options.final_measure,
            mode=options.eval_type,
            test=options.test,
            workers=options.workers,
            pruning=options.pruning,
            seed=options.seed,
            device=options.device,
            module=options.gru4rec_model,
            quiet=options.quiet,
            **keys(options),
        )
    except ImportError as error:
        raise ParameterError(str(error)) from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the trials that were done are in {Path(options.out) / STUDY_FILE}: go on with the "
            "same command and --resume"
        ) from None
    print(f"\n{found}")
    _write(found, Path(options.out))
    file.finish(found.model)
    return 0


def _write(found: Tuned, folder: Path) -> None:
    """Write the best settings, the trials, the report and, with matplotlib, the picture."""

    def write(name: str, content: Any) -> None:
        with written_aside(folder / name) as aside:
            content(aside)

    write(BEST, lambda path: path.write_text(found.to_json() + "\n", encoding="utf-8"))
    write(TABLE, lambda path: found.trials.to_csv(path, index=False))
    write(REPORT, lambda path: path.write_text(f"{found}\n", encoding="utf-8"))
    try:
        write(PICTURE, found.draw)
    except ImportError as error:
        print(f"No {PICTURE}: {error}", file=sys.stderr)
    print(f"Wrote {folder}: train with the result by --params {folder / BEST}")
