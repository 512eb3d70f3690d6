"""`gru4rec-fast update`: go on training a saved model on a newer log, as that of a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gru4rec_fast.cli.evaluate import add_evaluation, check_logs, print_evaluation
from gru4rec_fast.cli.model_file import ModelFile
from gru4rec_fast.cli.options import add_device, add_keys, keys
from gru4rec_fast.cli.parameters import add_epochs, add_set, set_parameters
from gru4rec_fast.cli.training_run import TrainingRun, add_training
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.training.state import UPDATE_EPOCHS
from gru4rec_fast.training.update import CO_VISITED, INITIAL

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = (
        "Go on training a saved model on a newer log alone, as that of a day. Items never seen get "
        "new rows. Train the model with --training-state, so that the optimiser goes on too."
    )
    add = parser.add_argument
    add("model", help="a saved model")
    add("log", help="TSV, CSV or Parquet file of the new (session, item, time) events")
    add("-o", "--save", metavar="FILE", required=True,
        help="where the new model goes, with its training state; it may be MODEL")  # fmt: skip
    add_set(parser, "parameters of the update other than the model's, as learning_rate=0.1")
    add_epochs(parser, f" (default: {UPDATE_EPOCHS})")
    add("--support", metavar="WHAT", type=_number_or_word, default="both",
        help="what negatives are drawn by: events of the 'new' log, of 'both' the old and new, or "
        "a number in [0, 1] that the old ones are multiplied by (default: both)")  # fmt: skip
    add("--forget", metavar="N", type=_number_or_word,
        help="drop items without an event among the last N events, or such a share of all, as "
        "0.5 (default: none)")  # fmt: skip
    add("--new-items", choices=(INITIAL, CO_VISITED), default=INITIAL,
        help="rows of items never seen: as at initialisation, or near the mean of the items "
        "visited with them (default: initial)")  # fmt: skip
    add_training(parser)
    add("--test", metavar="LOG", help="evaluate on this log afterwards")
    add_evaluation(parser)
    add_device(parser)
    add_keys(parser, of_model=True)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status, 1 where the loss was not finite.

    Raises:
        ParameterError, DataError, CheckpointError: as for `GRU4Rec.partial_fit`.
    """
    tests = [options.test] if options.test else []
    file = ModelFile(options.save, "--save", [options.log, *tests])
    gru = GRU4Rec.loadmodel(options.model, options.device)
    params = set_parameters(options)
    gru.set_params(**params)
    n_epochs = gru.config.n_epochs if "n_epochs" in params else UPDATE_EPOCHS
    check_logs(tests, **{**gru.data_iterator.columns, **keys(options)})
    training = TrainingRun(gru, options, file)
    with training.training():
        gru.partial_fit(
            options.log,
            n_epochs,
            support=options.support,
            forget=options.forget,
            new_items=options.new_items,
            **keys(options),
            **training.arguments,
        )
    status = training.status()
    if status is not None:
        return status
    file.finish(gru, training_state=True)
    training.draw()
    if options.test:
        print_evaluation(gru, options.test, options)
    return 0


def _number_or_word(text: str) -> str | float:
    """A number where the text is one."""
    try:
        return float(text)
    except ValueError:
        return text
