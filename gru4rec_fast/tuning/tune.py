"""`tune`: search for the settings of GRU4Rec that predict a validation log best."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.checks import one_of, whole_number
from gru4rec_fast.config import Config
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.sessions import load_sessions, require_pairs
from gru4rec_fast.engines.device import resolve_device
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.comparison import compare
from gru4rec_fast.evaluation.evaluate import check_settings, evaluate
from gru4rec_fast.evaluation.metrics import METRICS
from gru4rec_fast.presets import PRESETS
from gru4rec_fast.training.checkpoint_folder import locked_folder
from gru4rec_fast.training.identity import fingerprint
from gru4rec_fast.tuning.module import model_class
from gru4rec_fast.tuning.space import PUBLISHED, Space

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gru4rec_fast.tuning.result import Tuned
    from gru4rec_fast.tuning.trial import Task

STUDY_FILE = "study.db"
SECONDS = {"s": 1, "m": 60, "h": 3600}
DEFAULT_TRIALS = 50


def tune(
    train: Any,
    valid: Any,
    space: str | os.PathLike[str] | Iterable[Mapping[str, Any]] | None = None,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    budget: str | float | None = None,
    n_trials: int | None = None,
    fixed: Mapping[str, Any] | None = None,
    metric: str = "recall",
    cutoff: int = 20,
    final_cutoffs: Iterable[int] = (20,),
    mode: str = "conservative",
    test: Any = None,
    workers: int = 1,
    pruning: str | None = None,
    seed: int = 42,
    device: str | None = None,
    item_key: str = "ItemId",
    session_key: str = "SessionId",
    time_key: str | None = "Time",
    sep: str | None = None,
    module: str = "gru4rec_fast",
    quiet: bool = False,
) -> Tuned:
    """Search for the settings that predict a validation log best, then train them.

    The trials are in the SQLite file `study.db` of the folder `out`. A search that was killed goes
    on with `resume=True`; a trial that was running then starts anew.

    Args:
        train: what the trials train on: a table or path as for `GRU4Rec.fit`.
        valid: what they are evaluated on after each epoch.
        space: a file with a JSON object a line, or such objects (see `tuning.space`); None is the
            range of the published searches, in which the published settings are tried first.
        out: the folder of the study; it is made.
        resume: go on with the study in `out`, if there is one.
        budget: end the search after so long: seconds, or text as '30m'. A trial that runs then
            counts with the epochs that it has.
        n_trials: end it after so many trials; None is 50 without a budget, else no limit.
        fixed: parameters that do not vary, by name.
        metric: the optimised figure: recall, mrr, ndcg, map or precision.
        cutoff: its cut-off.
        final_cutoffs: cut-offs at which the best settings are measured at the end.
        mode: what a tie with the target counts, as for `evaluate`.
        test: a log that no trial sees. On it the tuned settings are compared with the published
            ones that were best on `valid`.
        workers: processes that train trials side by side, each with one thread; 1 is this process.
        pruning: 'halving' (of the trials that reach epoch 3, 9 the better third goes on; the
            default with a budget), 'median' (a trial worse than the median of the others at the
            same epoch ends; the default without) or 'none'. Published settings are never stopped.
        seed: of the search. With one worker and no budget it decides which settings are tried.
        device: as for `GRU4Rec`.
        item_key: the item column.
        session_key: the session column.
        time_key: the time column; None where the rows are in the order of time.
        sep: what separates the fields of a text file; None detects tabs, commas or semicolons.
        module: the importable module whose class GRU4Rec is tuned. Trials of another module's
            class are not pruned and report no epochs.
        quiet: print no line for each trial.

    Raises:
        ParameterError: a bad space or argument, or a study of other settings in `out`.
        DataError: a bad log.
        ImportError: Optuna is not installed; the message names the extra.
    """
    try:
        from gru4rec_fast.tuning import result, study
        from gru4rec_fast.tuning.trial import Task
    except ImportError as error:
        if error.name != "optuna":
            raise
        raise ImportError("tune needs Optuna: pip install 'gru4rec-fast[tune]'") from error

    one_of("metric", metric, METRICS)
    check_settings([cutoff], 1, mode)
    final = check_settings(final_cutoffs, 1, mode)
    whole_number("workers", workers)
    whole_number("seed", seed, at_least=0)
    seconds = None if budget is None else seconds_of("budget", budget)
    if n_trials is None and seconds is None:
        n_trials = DEFAULT_TRIALS
    if n_trials is not None:
        whole_number("n_trials", n_trials)
    pruning = pruning or ("median" if seconds is None else "halving")
    one_of("pruning", pruning, ("halving", "median", "none"))
    params = {k: v for k, v in Config().replace(**dict(fixed or {})).to_dict().items()
              if k in dict(fixed or {})}  # fmt: skip
    # The space has models of one layer, whose size is a number.
    presets = (
        {}
        if space is not None
        else {name: values | {"layers": values["layers"][0]} for name, values in PRESETS.items()}
    )
    if space is None:
        varied = Space.of(map(dict, PUBLISHED))
    elif isinstance(space, str | os.PathLike):
        varied = Space.of_file(space)
    else:
        varied = Space.of(space)
    if twice := [d.name for d in varied.dimensions if d.name in params]:
        if space is not None:
            raise ParameterError(f"{twice[0]} is fixed and in the space: leave one out")
        varied = varied.without(params)
    keys = {"item_key": item_key, "session_key": session_key, "time_key": time_key, "sep": sep}
    model_class(module)
    resolve_device(device)
    fingerprints = _checked_logs(train, valid, test, keys)

    task = Task(train, valid, varied, params, metric, cutoff, mode, keys, device, module)
    identity = {
        "space": varied.to_json(), "fixed": params, "measure": task.measure, "mode": mode,
        "module": module, **fingerprints,
    }  # fmt: skip
    folder = Path(out)
    with locked_folder(folder, resume=True):
        path = folder / STUDY_FILE
        if path.exists() and not resume:
            raise ParameterError(
                f"{folder} holds a study already: pass resume=True (--resume) to go on with it, "
                "or choose another folder"
            )
        file = study.StudyFile(path, pruning, seed, n_trials)
        study.prepare(file, identity, presets, {d.name for d in varied.dimensions})
        deadline = None if seconds is None else time.time() + seconds
        study.run(replace(task, deadline=deadline), file, workers, quiet=quiet)
        found = result.result_of(file.open(), task)
        return _trained(found, task, final, test)


def seconds_of(name: str, value: str | float) -> float:
    """A time as '90s', '30m', '1.5h', or a number of seconds, in seconds.

    Raises:
        ParameterError: it is neither, or not above 0.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", value)
        if match is not None and float(match[1]) > 0:
            return float(match[1]) * SECONDS[match[2]]
    elif not isinstance(value, bool) and value > 0:
        return float(value)
    raise ParameterError(f"{name} is {value!r}; expected a time as '90s', '30m' or '1h'")


def _checked_logs(train: Any, valid: Any, test: Any, keys: dict[str, Any]) -> dict[str, Any]:
    """The logs' fingerprints, once they are found good."""
    with naming(train):
        sessions = load_sessions(train, **keys)
        require_pairs(sessions)
    found = {"log": fingerprint(sessions)}
    for name, log in (("validation", valid), ("test", test)):
        if log is not None:
            with naming(log):
                held_out = load_sessions(log, itemidmap=sessions.itemidmap, **keys)
                require_pairs(held_out)
            if name == "validation":
                found[name] = fingerprint(held_out)
    return found


def _trained(found: Tuned, task: Task, cutoffs: list[int], test: Any) -> Tuned:
    """The result with the best settings trained, measured, and compared on the test log."""
    settings: dict[str, Any] = {"mode": task.mode, "groups": {}, "lists": False, **task.keys}

    def trained(params: dict[str, Any]) -> Any:
        gru = task.model(params)
        gru.fit(task.train, **task.keys, **({"progress": False} if task.is_ours else {}))
        return gru

    gru = trained(found.best.params)
    measured = evaluate(gru, task.valid, cutoffs, **settings)
    final = {f"{name}@{k}": measured.values[name][k] for k in cutoffs for name in ("recall", "mrr")}
    comparison = None
    if test is not None:
        models = {"tuned": gru}
        preset = found.best_preset
        if preset is not None and preset.number != found.best.number:
            models = {str(preset.preset): trained(preset.params), **models}
        both = [*dict.fromkeys([*cutoffs, task.cutoff])]
        comparison = compare(models, test, both, **settings)
    return replace(found, model=gru, final=final, comparison=comparison)
