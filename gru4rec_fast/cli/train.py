"""`gru4rec-fast train`: train on a session log, save the model, and evaluate it if asked to."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from gru4rec_fast.cli.evaluate import add_evaluation, check_logs, print_evaluation
from gru4rec_fast.cli.model_file import ModelFile, shows_progress
from gru4rec_fast.cli.options import add_device, add_keys, keys
from gru4rec_fast.cli.parameters import (
    add_epochs,
    add_set,
    add_start,
    parameter_lines,
    set_parameters,
    start_parameters,
)
from gru4rec_fast.cli.stop_signals import StopSignals
from gru4rec_fast.gru4rec import GRU4Rec

if TYPE_CHECKING:
    from gru4rec_fast.training.report import BlockReport, EpochReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command, and the list of parameters below them."""
    parser.description = "Train on a session log and save the model."
    parser.epilog = "parameters for --set:\n" + parameter_lines()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("log", help="TSV, CSV or Parquet file of (session, item, time) events")
    parser.add_argument("--save", metavar="FILE", required=True, help="where the model goes")
    add_start(parser, "start from published settings")
    add_set(parser, "parameters, as layers=224 batch_size=32")
    add_epochs(parser)
    parser.add_argument(
        "--no-compatibility-mode",
        dest="compatibility_mode",
        action="store_false",
        help="draw the initial weights by the parameter seed, instead of taking the original's",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="save the training in this folder; SIGTERM and Ctrl-C then save and leave",
    )
    parser.add_argument(
        "--checkpoint-every",
        metavar="TIME",
        default="5m",
        help="how often: a time as 30s, 5m, 1h, or a number of steps (default: 5m)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the training in DIR, if there is one"
    )
    parser.add_argument("--test", metavar="LOG", help="evaluate on this log afterwards")
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bar and no line for each epoch"
    )
    add_evaluation(parser)
    add_device(parser)
    add_keys(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status, 1 where the loss was not finite."""
    tests = [options.test] if options.test else []
    file = ModelFile(options.save, "--save", [options.log, *tests])
    params = start_parameters(options) | set_parameters(options)
    gru = GRU4Rec(**params, device=options.device)
    check_logs(tests, **keys(options))

    signals = StopSignals()
    stopped = False

    def on_block(_: BlockReport) -> bool:
        nonlocal stopped
        stopped = stopped or signals.received is not None
        return stopped

    def on_epoch(report: EpochReport) -> bool:
        nonlocal stopped
        if not options.quiet:
            print(report, flush=True)
        file.save(gru, report)
        stopped = stopped or signals.received is not None
        return stopped

    with file.training(), signals if options.checkpoint else nullcontext():
        gru.fit(
            options.log,
            compatibility_mode=options.compatibility_mode,
            **keys(options),
            checkpoint=options.checkpoint,
            checkpoint_every=options.checkpoint_every,
            resume=options.resume,
            on_epoch=on_epoch,
            on_block=on_block,
            progress=shows_progress() and not options.quiet,
        )
    if stopped:
        print(
            f"gru4rec-fast: interrupted; the training is saved in {options.checkpoint}: go on with "
            "the same command and --resume",
            file=sys.stderr,
        )
        return signals.status
    if gru.error_during_train:
        print(f"gru4rec-fast: {file.kept}", file=sys.stderr)
        return 1
    file.finish(gru)
    if options.test:
        print_evaluation(gru, options.test, options)
    return 0
