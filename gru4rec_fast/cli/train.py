"""`gru4rec-fast train`: train on a session log, save the model, and evaluate it if asked to."""

from __future__ import annotations

import argparse

from gru4rec_fast.cli.evaluate import add_evaluation, check_logs, print_evaluation
from gru4rec_fast.cli.model_file import ModelFile
from gru4rec_fast.cli.options import add_device, add_keys, keys
from gru4rec_fast.cli.parameters import (
    add_epochs,
    add_set,
    add_start,
    parameter_lines,
    set_parameters,
    start_parameters,
)
from gru4rec_fast.cli.ranks import is_first
from gru4rec_fast.cli.training_run import TrainingRun, add_training
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.gru4rec import GRU4Rec


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
        "--validation",
        metavar="LOG|SHARE",
        help="evaluate after each epoch on this log, or on such a share of the sessions, the "
        "latest, as 0.1, which is then not trained on; the best epoch's model is saved",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        default="recall@20",
        help="what makes an epoch the best: recall@20, mrr@20, ..., or loss (default: recall@20)",
    )
    parser.add_argument(
        "--patience",
        metavar="N",
        type=int,
        help="end after N epochs without a better one (default: train all epochs)",
    )
    parser.add_argument(
        "--training-state",
        action="store_true",
        help="save what `update` goes on from too; the file is then two to four times as large",
    )
    add_training(parser)
    parser.add_argument("--test", metavar="LOG", help="evaluate on this log afterwards")
    add_evaluation(parser)
    add_device(parser)
    add_keys(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status, 1 where the loss was not finite.

    Raises:
        ParameterError: a flag without the one that it needs, or as for `GRU4Rec.fit`.
    """
    tests = [options.test] if options.test else []
    validation = _log_or_share(options.validation)
    if options.metric != "recall@20" and validation is None and options.patience is None:
        raise ParameterError(
            f"--metric {options.metric} compares epochs: add --validation LOG|SHARE, or "
            "--patience N with --metric loss"
        )
    logs = [options.log, *tests, *([validation] if isinstance(validation, str) else [])]
    file = ModelFile(options.save if is_first() else None, "--save", logs)
    params = start_parameters(options) | set_parameters(options)
    gru = GRU4Rec(**params, device=options.device)
    check_logs(tests, **keys(options))

    training = TrainingRun(gru, options, file)
    with training.training():
        gru.fit(
            options.log,
            compatibility_mode=options.compatibility_mode,
            **keys(options),
            validation=validation,
            metric=options.metric,
            patience=options.patience,
            **training.arguments,
        )
    if not is_first():
        return int(gru.error_during_train)
    status = training.status()
    if status is not None:
        return status
    compared = validation is not None or options.patience is not None
    file.finish(gru, training_state=options.training_state, changed=compared)
    training.draw(None if validation is None else options.metric)
    if options.test:
        print_evaluation(gru, options.test, options)
    return 0


def _log_or_share(text: str | None) -> str | float | None:
    """A share where the text is a number, else the path of a log."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text
