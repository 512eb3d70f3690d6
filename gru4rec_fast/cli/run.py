"""`gru4rec-fast run`: the command line of the original, with its flags, defaults and output."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.checks import closest, whole_number
from gru4rec_fast.cli.evaluate import check_logs, print_metrics
from gru4rec_fast.cli.model_file import ModelFile, shows_progress
from gru4rec_fast.cli.options import add_reading, keys
from gru4rec_fast.cli.parameter_file import read_parameter_file
from gru4rec_fast.cli.parameters import parse_assignments
from gru4rec_fast.data.column_names import known_columns
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.batch_eval import batch_eval
from gru4rec_fast.evaluation.metrics import check_cutoffs
from gru4rec_fast.reference import RANKS
from gru4rec_fast.tuning.module import model_class

if TYPE_CHECKING:
    from gru4rec_fast.training.report import EpochReport

METRICS = ("recall", "mrr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the original."""
    add = parser.add_argument
    add("path", metavar="PATH", help="training log, or with -l a saved model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "-ps",
        "--parameter_string",
        metavar="NAME=VALUE,...",
        help="parameters separated by commas, as loss=bpr-max,layers=200/200",
    )
    source.add_argument(
        "-pf",
        "--parameter_file",
        metavar="FILE",
        help="Python file with gru4rec_params = {...}, of literals: it is not executed; or JSON",
    )
    source.add_argument(
        "-l", "--load_model", action="store_true", help="PATH is a saved model; do not train"
    )
    add("-s", "--save_model", metavar="FILE", help="save the trained model")
    add("-t", "--test", metavar="LOG", nargs="+", default=[], help="logs to evaluate on")
    add(
        "-m",
        "--measure",
        metavar="K",
        type=int,
        nargs="+",
        default=[20],
        help="cut-offs of recall and MRR (default: 20)",
    )
    add(
        "-e",
        "--eval_type",
        choices=RANKS,
        default="standard",
        help="what a tie with the target counts (default: standard)",
    )
    add(
        "-ss",
        "--sample_store_size",
        metavar="N",
        type=int,
        default=10_000_000,
        help="most negatives drawn ahead (default: 10000000)",
    )
    add(
        "-g",
        "--gru4rec_model",
        metavar="MODULE",
        default="gru4rec_fast",
        help="module whose GRU4Rec class is used (default: gru4rec_fast)",
    )
    for letter, key, name in (
        ("i", "item", "ItemId"),
        ("s", "session", "SessionId"),
        ("t", "time", "Time"),
    ):
        add(
            f"-{letter}k",
            f"--{key}_key",
            metavar="NAME",
            default=argparse.SUPPRESS,
            help=f"{key} column (default: {name})",
        )
    add_reading(parser)
    add(
        "-pm",
        "--primary_metric",
        metavar="METRIC@K",
        default="recall@20",
        help="primary metric (default: recall@20)",
    )
    add(
        "-lpm",
        "--log_primary_metric",
        action="store_true",
        help="print the primary metric at the end, as 'PRIMARY METRIC: x'",
    )
    add(
        "-d", "--device", metavar="DEVICE", help="cpu, cuda:0, ... (default: a GPU if there is one)"
    )


def run(options: argparse.Namespace) -> int:
    """Train or load, save, evaluate. What can be checked is checked before training."""
    check_cutoffs(options.measure)
    whole_number("-ss", options.sample_store_size, at_least=0)
    primary = _primary_metric(options) if options.log_primary_metric else None
    file = ModelFile(options.save_model, "-s", [options.path, *options.test])
    gru4rec = model_class(options.gru4rec_model)
    columns = keys(options)
    if options.load_model:
        print(f"Loading trained model from file: {options.path}")
        gru = gru4rec.loadmodel(options.path, device=options.device)
        if options.save_model is None and not options.test:
            raise ParameterError("-l loads a model, and then there is nothing to do: add -t LOG")
        check_logs(options.test, **known_columns(gru) | columns)
    else:
        check_logs(options.test, **columns)
        params = (
            parse_assignments(options.parameter_string.split(","))
            if options.parameter_string is not None
            else read_parameter_file(Path(options.parameter_file))
        )
        gru = gru4rec(device=options.device)
        gru.set_params(**params)
        if options.save_model is None and not options.test:
            warnings.warn(
                "neither -s nor -t is given: the trained model will be discarded", stacklevel=2
            )

        def on_epoch(report: EpochReport) -> None:
            print(report, flush=True)
            file.save(gru, report)

        ours: dict[str, Any] = {"on_epoch": on_epoch, "progress": shows_progress()}
        print(f"Training on {options.path}")
        started = time.perf_counter()
        with file.training():
            gru.fit(
                options.path,
                sample_cache_max_size=options.sample_store_size,
                **columns,
                **(ours if options.gru4rec_model == "gru4rec_fast" else {}),
            )
        if gru.error_during_train:
            print(f"gru4rec-fast: {file.kept}", file=sys.stderr)
            return 1
        print(f"Total training time: {time.perf_counter() - started:.2f}s")
    file.finish(gru)
    values: dict[tuple[str, int], float] = {}
    for log in options.test:
        print(f"Evaluating on {log} (ties: {options.eval_type})")
        started = time.perf_counter()
        recall, mrr = batch_eval(
            gru, log, options.measure, mode=options.eval_type, batch_size=512, **columns
        )
        print(f"Evaluation took {time.perf_counter() - started:.2f}s")
        print_metrics(recall, mrr)
        values = {("recall", k): v for k, v in recall.items()}
        values |= {("mrr", k): v for k, v in mrr.items()}
    if primary is not None:
        print(f"PRIMARY METRIC: {values[primary]}")
    return 0


def _primary_metric(options: argparse.Namespace) -> tuple[str, int]:
    metric, _, cutoff = options.primary_metric.lower().partition("@")
    if metric not in METRICS or not cutoff.isdecimal():
        near = "" if metric in METRICS else closest(metric, METRICS)
        raise ParameterError(f"-pm is {options.primary_metric!r}{near}; expected recall@K or mrr@K")
    if not options.test or int(cutoff) not in options.measure:
        raise ParameterError(
            f"-pm {options.primary_metric} is not measured with -m "
            f"{' '.join(map(str, options.measure))} and {len(options.test)} test logs; "
            f"add -m {cutoff} and a log with -t"
        )
    return metric, int(cutoff)
