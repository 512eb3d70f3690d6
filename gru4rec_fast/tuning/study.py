"""The study of a search: its file, how it goes on after a kill, and the processes that work on it.

The file is SQLite, written by Optuna after each epoch of each trial. A lock on the folder keeps a
second search out, so a trial that is 'running' in the file at the start belongs to a process that
was killed: it is tried again.
"""

from __future__ import annotations

import json
import multiprocessing
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from gru4rec_fast.errors import ParameterError
from gru4rec_fast.training.identity import differences
from gru4rec_fast.tuning.trial import ERROR, PRESET, Task, run_trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME, IDENTITY, LOCK = "gru4rec_fast", "identity", "ask.lock"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
WAIT_SECONDS = 120
"""How long a process waits while another one writes to the file."""
FIRST_EPOCH, HALVING = 3, 3
"""Of the trials that reach epoch 3, 9, ... the better third goes on. After one epoch the best
settings are often behind those of a high learning rate."""


@dataclass(frozen=True)
class StudyFile:
    """Where a study is, and how its trials are chosen."""

    path: Path
    pruning: str
    """'halving', 'median' or 'none'."""
    seed: int
    n_trials: int | None
    """Trials of the whole study; None for as many as time allows."""

    def open(self, worker: int = 0) -> optuna.Study:
        """The study, made if it is not there."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{self.path.resolve()}",
            engine_kwargs={"connect_args": {"timeout": WAIT_SECONDS}},
        )
        study = optuna.create_study(
            storage=storage, study_name=NAME, direction="maximize", load_if_exists=True,
            pruner=_pruner(self.pruning),
        )  # fmt: skip
        # Another seed after each restart, or the same points would be drawn again.
        words = np.random.SeedSequence([self.seed, worker, len(study.trials)]).generate_state(1)
        study.sampler = optuna.samplers.TPESampler(seed=int(words[0]))
        return study

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A block that one process enters at a time.

        Optuna itself may give a trial that waits to two processes: SQLite locks no rows.
        """
        import fcntl  # Not on Windows.

        with (self.path.parent / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def is_full(self, study: optuna.Study) -> bool:
        """Whether all trials are done or running."""
        if self.n_trials is None:
            return False
        counted = [t for t in study.trials if t.state in (*DONE, TrialState.RUNNING) or failed(t)]
        return len(counted) >= self.n_trials


def failed(trial: FrozenTrial) -> bool:
    """Whether a trial cannot be trained; one that was killed can."""
    return trial.state == TrialState.FAIL and ERROR in trial.user_attrs


def prepare(
    file: StudyFile,
    identity: Mapping[str, Any],
    presets: Mapping[str, Mapping[str, Any]],
    space_names: set[str],
) -> None:
    """Make the study or check that it is the same one; put its first trials into it.

    Args:
        file: the study.
        identity: JSON values on which the trials' figures depend.
        presets: settings to try first, by name.
        space_names: parameters that vary.

    Raises:
        ParameterError: the file holds another study; the differences are named.
    """
    study = file.open()
    here = json.loads(json.dumps(identity))
    there = study.user_attrs.get(IDENTITY)
    if there is None:
        study.set_user_attr(IDENTITY, here)
    elif found := differences(there, here):
        raise ParameterError(
            f"{file.path} holds a study of other settings ({found}): repeat them, or choose "
            "another folder"
        )
    for trial in study.trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            known = trial.system_attrs.get("fixed_params", trial.params)
            attrs = {k: v for k, v in trial.user_attrs.items() if k == PRESET}
            study.enqueue_trial(known, user_attrs=attrs)
    queued = {trial.user_attrs.get(PRESET) for trial in study.trials}
    for name, settings in presets.items():
        if name not in queued:
            params = {k: v for k, v in settings.items() if k in space_names}
            study.enqueue_trial(params, user_attrs={PRESET: name})


def run(task: Task, file: StudyFile, workers: int, *, quiet: bool) -> None:
    """Work on the study until its trials are done or time is over.

    With several workers each is a process of one thread.

    Raises:
        RuntimeError: a process ended early.
    """
    if workers == 1:
        work(task, file, 0, quiet)
        return
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_process, args=(task, file, worker, quiet))
        for worker in range(workers)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()
    if ended := [p.exitcode for p in processes if p.exitcode]:
        raise RuntimeError(
            f"{len(ended)} of {workers} workers ended early (exit status {ended[0]}); the trials "
            "that were done are kept: resume the study"
        )


def _process(task: Task, file: StudyFile, worker: int, quiet: bool) -> None:
    torch.set_num_threads(1)
    work(task, file, worker, quiet)


def work(task: Task, file: StudyFile, worker: int, quiet: bool) -> None:
    """Run trials one after the other."""
    study = file.open(worker)
    while True:
        with file.alone():
            if file.is_full(study) or task.is_late():
                return
            trial = study.ask()
        value, state = None, TrialState.COMPLETE
        try:
            value = run_trial(task, trial)
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except (ParameterError, MemoryError):
            state = TrialState.FAIL
        told = study.tell(trial, value, state=state)
        if not quiet:
            print(line_of(told, task.measure), flush=True)


def line_of(trial: FrozenTrial, measure: str) -> str:
    """A trial in a line."""
    epochs = len(trial.intermediate_values)
    value = f"{trial.value:.6f}" if trial.value is not None else "-"
    state = {TrialState.COMPLETE: "", TrialState.PRUNED: f", stopped after epoch {epochs}"}
    note = trial.user_attrs.get(ERROR, "")
    seconds = trial.duration.total_seconds() if trial.duration else 0
    preset = trial.user_attrs.get(PRESET)
    settings = " ".join(f"{name}={plain(value)}" for name, value in trial.params.items())
    return (
        f"Trial {trial.number}: {measure} {value}{state.get(trial.state, ', failed')} "
        f"({seconds:.1f}s) {f'[{preset}] ' if preset else ''}{settings}{f': {note}' * bool(note)}"
    )


def plain(value: Any) -> Any:
    """A value as the space wrote it: without the rounding errors of multiples of a step."""
    return round(value, 12) if isinstance(value, float) else value


def _pruner(pruning: str) -> optuna.pruners.BasePruner:
    if pruning == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=FIRST_EPOCH, reduction_factor=HALVING
        )
    if pruning == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    return optuna.pruners.NopPruner()
