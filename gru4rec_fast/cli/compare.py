"""`gru4rec-fast compare`: train several models on one log and hold them against each other."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gru4rec_fast import baselines
from gru4rec_fast.checks import closest
from gru4rec_fast.cli.evaluate import check_logs
from gru4rec_fast.cli.model_file import shows_progress
from gru4rec_fast.cli.options import add_device, add_keys, keys
from gru4rec_fast.cli.parameters import add_set, add_start, set_parameters, start_parameters
from gru4rec_fast.config import Config
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation import comparison
from gru4rec_fast.evaluation.bootstrap import check_bootstrap
from gru4rec_fast.evaluation.evaluate import check_settings
from gru4rec_fast.evaluation.events import TARGETS, UNKNOWN_MODES
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.reference import RANKS

if TYPE_CHECKING:
    import argparse

    from gru4rec_fast.evaluation.comparison import Comparison

GRU4REC = "gru4rec"
DEFAULT_MODELS = (GRU4REC, "vmis-knn", "item-knn", "markov", "pop")
FILES = ("comparison.json", "comparison.csv", "comparison.txt", "comparison.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    add = parser.add_argument
    add("train", metavar="TRAIN", help="training log: TSV, CSV or Parquet file of events")
    add("test", metavar="TEST", help="test log, likewise")
    add(
        "--models",
        metavar="NAME",
        nargs="+",
        type=_model_name,
        default=list(DEFAULT_MODELS),
        help=f"the others are compared with the first (default: {' '.join(DEFAULT_MODELS)}; also: "
        f"{', '.join(name for name in baselines.BASELINES if name not in DEFAULT_MODELS)})",
    )
    add_start(parser, "gru4rec with published settings")
    add_set(parser, "parameters of gru4rec, as layers=224 batch_size=32")
    add(
        "--cutoffs",
        metavar="K",
        type=int,
        nargs="+",
        default=[5, 10, 20],
        help="the K of recall@K, mrr@K, ... (default: 5 10 20)",
    )
    add(
        "--ties",
        choices=RANKS,
        default="conservative",
        help="what an equal score of another item counts (default: conservative)",
    )
    add(
        "--unknown",
        choices=UNKNOWN_MODES,
        default="drop",
        help="leave out test events of items not trained on, or count them as misses "
        "(default: drop)",
    )
    add(
        "--targets",
        choices=TARGETS,
        default="next",
        help="what is relevant: the next item, or all in the rest of the session (default: next)",
    )
    add(
        "--bootstrap",
        metavar="N",
        type=int,
        default=1000,
        help="resamples of sessions for the intervals, 0 for none (default: 1000)",
    )
    add("--out", metavar="DIR", help=f"write {', '.join(FILES)} there")
    add("--quiet", action="store_true", help="no progress bar and no line for each model")
    add_device(parser)
    add_keys(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status. All is checked before the first training."""
    check_models(options.models)
    check_settings(options.cutoffs, 1, options.ties, options.unknown, options.targets)
    check_bootstrap(options.bootstrap, 0.95)
    params = start_parameters(options) | set_parameters(options)
    Config().replace(**params)
    if params and GRU4REC not in options.models:
        raise ParameterError(f"--preset, --params and --set are of {GRU4REC}: add it to --models")
    out = None if options.out is None else _folder(options.out)
    columns = keys(options)
    check_logs([options.test], **columns)
    with naming(options.train):
        train = load_sessions(options.train, **columns)
    support = pd.Series(train.support, index=train.itemidmap.sort_values().index)

    models: dict[str, Any] = {}
    for name in options.models:
        if not options.quiet:
            print(f"Training {name}", file=sys.stderr, flush=True)
        if name == GRU4REC:
            gru = GRU4Rec(**params, device=options.device)
            gru.fit(options.train, **columns, progress=shows_progress() and not options.quiet)
            if gru.error_during_train:
                raise ArithmeticError(
                    "the loss became NaN or infinite and training stopped: lower learning_rate"
                )
            models[name] = gru
        else:
            models[name] = baselines.BASELINES[name]().fit(options.train, **columns)
    found = comparison.compare(
        models,
        options.test,
        options.cutoffs,
        mode=options.ties,
        unknown=options.unknown,
        targets=options.targets,
        n_bootstrap=options.bootstrap,
        support=support,
        **columns,
    )
    print(found)
    if out is not None:
        _write(found, out)
    return 0


def _model_name(text: str) -> str:
    """A model's name, also where it is written as 'vmisknn' or 'VMIS_KNN'; others stay as is."""

    def letters(name: str) -> str:
        return name.lower().replace("-", "").replace("_", "")

    names = [GRU4REC, *baselines.BASELINES]
    return next((name for name in names if letters(name) == letters(text)), text)


def check_models(names: list[str]) -> None:
    """Refuse what is no model.

    Raises:
        ParameterError: an unknown name, or one given twice.
    """
    known = [GRU4REC, *baselines.BASELINES]
    for name in names:
        if name not in known:
            raise ParameterError(
                f"--models names {name!r}{closest(name, known)}; expected some of "
                f"{', '.join(known)}"
            )
        if names.count(name) > 1:
            raise ParameterError(f"--models names {name!r} twice; leave one out")


def _folder(out: str) -> Path:
    """The folder, made and found writable, in which no file of the command's names is another's."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        there = [file for file in FILES if (folder / file).exists()]
        # The JSON file says whether an earlier comparison wrote them.
        json_file = folder / FILES[0]
        ours = json_file.is_file() and comparison.FORMAT in json_file.read_text(errors="replace")
    except OSError as error:
        raise ParameterError(
            f"--out {out} cannot be written ({error.strerror}); expected a folder: choose another"
        ) from error
    if there and not ours:
        raise ParameterError(
            f"--out {out} holds {', '.join(there)}, which no comparison wrote: choose another "
            "folder, or move them"
        )
    return folder


def _write(found: Comparison, folder: Path) -> None:
    """Write the comparison as JSON, CSV, text and, with matplotlib, as a figure."""
    json_file, csv_file, text_file, figure = (folder / name for name in FILES)
    json_file.write_text(found.to_json() + "\n", encoding="utf-8")
    found.to_csv(csv_file)
    text_file.write_text(f"{found}\n", encoding="utf-8")
    try:
        found.draw(figure)
    except ImportError as error:
        print(f"No {figure.name}: {error}", file=sys.stderr)
    print(f"Wrote {folder}", file=sys.stderr)
