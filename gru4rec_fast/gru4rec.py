"""`GRU4Rec`: the public interface of the original, by the same names."""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast.checks import whole_number
from gru4rec_fast.data.column_names import ITEM_KEY, SESSION_KEY, TIME_KEY, resolved
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.recommender import Recommender
from gru4rec_fast.training.history import History
from gru4rec_fast.training.loop import train
from gru4rec_fast.training.memory import require_memory
from gru4rec_fast.training.one_process import OneProcess
from gru4rec_fast.training.progress import Hooks, Progress
from gru4rec_fast.training.report import BlockReport, EpochReport, NonFiniteLossError
from gru4rec_fast.training.setup import (
    block_steps_of,
    naming_sizes,
    sampler_of,
    schedule_of,
    trainer_of,
    warn_of_pitfalls,
)
from gru4rec_fast.training.state import UPDATE_EPOCHS, TrainingState
from gru4rec_fast.training.tensorboard import writing

# What needs pandas, which takes longer to import than all the rest, is imported where it is used.

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import pandas as pd
    import torch
    from numpy.typing import ArrayLike

    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.distributed.fit import SharedFit
    from gru4rec_fast.model.network import Network
    from gru4rec_fast.plan.negatives import Negatives
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.training.schedule import Schedule

logger = logging.getLogger(__name__)


class GRU4Rec(Recommender):
    """A GRU that reads a session's events and ranks the next item.

    The constructor takes every hyper-parameter, with the names of the original; `Estimator` lists
    them. All are attributes as well: read, they are the values for the next `fit`; set, they are
    checked as by `set_params`. `engine` says what computes: 'auto' (the fast engine of the device,
    or the reference if that engine does not support an option), 'cpu' (C++), 'triton' (GPU) or
    'reference' (plain PyTorch). A named engine that does not support an option is an error.

    `pickle` and `copy.deepcopy` keep a model with what `partial_fit` goes on from, but not the
    sessions of `predict_next` and `predict_next_batch`; `savemodel` is the safe format for files.

    Attributes:
        model: the trained `Network`, with the `config` that it was trained with.
        data_iterator: `itemidmap`, the items that the model knows, and `columns`, the names of
            the training log's columns, which an evaluation takes by default.
        error_during_train: whether the last `fit` ended early by a loss that is not finite.
        engine_: the name of the engine that the last `fit` ran on.
        bounded_ranks: whether ranks in large catalogues may use a rounded copy of the item rows,
            H + 8 bytes an item, which changes no result; set it to False to save that memory.
    """

    error_during_train = False
    engine_: str | None = None
    _history: History | None = None
    _training_state: TrainingState | None = None

    @property
    def history(self) -> History:
        """A report for each whole epoch of the training; `history.to_frame()` is a table."""
        if self._history is None:
            self._history = History()
        return self._history

    def fit(
        self,
        data: Any,
        sample_cache_max_size: int = 10_000_000,
        compatibility_mode: bool = True,
        item_key: str = "ItemId",
        session_key: str = "SessionId",
        time_key: str | None = "Time",
        *,
        sep: str | None = None,
        negatives: ArrayLike | None = None,
        validation: Any = None,
        metric: str = "recall@20",
        patience: int | None = None,
        restore_best: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = "5m",
        resume: bool = False,
        tensorboard: str | os.PathLike[str] | None = None,
        on_epoch: Callable[[EpochReport], object] | None = None,
        on_block: Callable[[BlockReport], object] | None = None,
        progress: bool = True,
    ) -> GRU4Rec:
        """Train on a session log, from new weights, also where there is a model (with a warning).

        Under an initialised `torch.distributed` process group, all its ranks train one model
        together, if all of them call `fit` with the same arguments. Rank 0 then has the model, the
        files and the callbacks; the other ranks have none.

        Args:
            data: a pandas, polars or Arrow table, or the path of a TSV, CSV or Parquet file, with a
                row (session, item, time) for each event; it is not changed. Or the path of a store
                that `gru4rec_fast.prepare` made, whose columns are those of its preparation.
            sample_cache_max_size: most negatives of one planned block, 0 or more; a block has at
                least one step, and up to three blocks are planned ahead.
            item_key: the item column.
            session_key: the session column.
            time_key: the time column; None where the rows are in the order of time.
            compatibility_mode: start from the weights that the original starts from, whatever
                `seed`; False draws them by `seed`.
            sep: what separates the fields of a text file; None detects tabs, commas or semicolons.
            negatives: item indices (T, n_sample) to use instead of sampling; step t, counted
                through all epochs, takes row t mod T.
            validation: a log to evaluate on after each epoch, or the share of the sessions, the
                latest, that is held out of `data` for it. Its figures are in `history`.
            metric: the figure by which epochs are compared: 'recall@20' and the like (recall, mrr,
                ndcg, map, precision) on the validation sessions, or 'loss', the training loss.
            patience: end after so many epochs without a better figure; None trains all epochs.
            restore_best: with `validation` or `patience`, the weights of the best epoch come back
                at the end, however training ended; else the last ones.
            checkpoint: a folder in which the training is saved, so that it can be resumed. It keeps
                the last two states; a damaged one is found by its checksum.
            checkpoint_every: save after so many steps, or a time as '30s', '5m', '1h', at the end
                of a block. The end of the training is saved too, also when a callback stops it.
            resume: go on from the newest state in `checkpoint`, with the same bits as without the
                interruption; from the start where the folder holds none. A training that was
                finished is just loaded. The epoch that was running is reported once it is whole.
            tensorboard: a folder for TensorBoard: the loss, the speed and the learning rate after
                each block of steps, and the loss and the validation figures after each epoch.
            on_epoch: called after each epoch with its report; it may evaluate or save the model.
            on_block: called after each block of steps with what the epoch did so far. The next
                block may have been trained already.
            progress: show a progress bar.

        A callback that returns True or raises `StopTraining` ends the training; `fit` then returns
        as usual. Other returned values have no effect. `fit` installs no signal handlers.

        A loss that is not finite stops training within a block of steps: the error is logged with
        the step, and `error_during_train` is set.

        Raises:
            DataError: a column is missing, of the wrong type or has missing values; nothing to
                train or to validate on.
            ParameterError: `negatives` of another shape or with indices out of range, another
                argument of the wrong type, or a named engine that does not support an option.
            CheckpointError: the folder is used by another training, or holds one and `resume` is
                False, or one of other parameters or another log; the difference is named.
            MemoryError: the model or a mini-batch does not fit, by an estimate before training or
                when it is allocated; the message names the sizes.
            ImportError: `tensorboard` without the package; the message names the extra.
        """
        from gru4rec_fast.evaluation.validation import (
            cutoff_of,
            figures,
            training_and_validation,
        )
        from gru4rec_fast.training.checkpoint_folder import locked_folder
        from gru4rec_fast.training.early_stopping import stopping_of
        from gru4rec_fast.training.identity import identity_of
        from gru4rec_fast.training.resume import Interval

        config = self.config
        whole_number("sample_cache_max_size", sample_cache_max_size, at_least=0)
        cutoff = cutoff_of(metric)
        stopping = stopping_of(validation, metric, patience, restore_best)
        hooks = Hooks(on_epoch, on_block, stopping=stopping)
        interval = Interval(checkpoint_every)
        run = self._run()
        keys: dict[str, Any] = {
            "item_key": item_key, "session_key": session_key, "time_key": time_key, "sep": sep
        }  # fmt: skip
        with ExitStack() as stack:
            stack.enter_context(run.ending(self._forget))
            with run.together():
                folder = stack.enter_context(
                    locked_folder(checkpoint if run.is_first else None, resume and run.is_first)
                )
                sessions, validated = training_and_validation(
                    data, validation, keys, config.time_sort
                )
                warn_of_pitfalls(sessions, config, stacklevel=3)
                block_steps = block_steps_of(config, sample_cache_max_size)
                require_memory(
                    config, sessions.n_items, block_steps, self.device,
                    copies=int(stopping is not None and restore_best),
                    ranks=run.n_ranks, here=run.n_here, gathered=run.first_is_here,
                )  # fmt: skip
                sampler = sampler_of(config, sessions.support, negatives)
            schedule = schedule_of(config, 1, config.n_epochs, sessions.n_pairs)
            identity = cache(
                lambda: identity_of(
                    config, self._engine, sessions, validated, negatives,
                    compatibility_mode=bool(compatibility_mode), metric=metric,
                    patience=stopping and stopping.patience, restore_best=bool(restore_best),
                )
            )  # fmt: skip
            run.require_same(
                lambda: {
                    **identity(), "checkpoint": checkpoint is not None,
                    "sample_cache_max_size": sample_cache_max_size,
                }
            )  # fmt: skip
            stack.enter_context(naming_sizes(config, sessions.n_items))
            network = run.network(config, sessions.n_items, compatibility_mode)
            trainer, engine = run.trainer(network, sessions.support)
            items = DataIterator(sessions.itemidmap, sessions.columns, sessions.support)
            position = Progress()
            if checkpoint is not None:
                # The engine that was chosen, as engines round differently.
                this = {**identity(), "engine": engine}
                saver = run.saver(folder, interval, items, stopping, this)
                position = saver.restore(position)
                hooks = replace(hooks, saver=saver)
            if self._network is not None and position.first_step + position.steps == 0:
                warnings.warn(
                    "this GRU4Rec holds a model, which fit does not train further: it starts anew "
                    "from initial weights and replaces that model",
                    stacklevel=2,
                )
            if validated is not None:
                hooks = replace(hooks, validate=lambda: figures(run.scorer(), validated, cutoff))
            self._train(
                network, items, engine, trainer, sessions, sampler, schedule, position,
                run.hooks(hooks), tensorboard if run.is_first else None, run.weights(),
                last_epoch=config.n_epochs,
                block_steps=block_steps,
                show_bar=progress and run.is_first,
            )  # fmt: skip
            whole = run.finish()
        if run.is_first:
            self._training_state = TrainingState.start(sessions).after(whole, position)
        else:
            self._forget()
        return self

    def partial_fit(
        self,
        data: Any,
        n_epochs: int = UPDATE_EPOCHS,
        *,
        support: str | float = "both",
        forget: float | None = None,
        new_items: str = "initial",
        item_key: str = ITEM_KEY,
        session_key: str = SESSION_KEY,
        time_key: str | None = TIME_KEY,
        sep: str | None = None,
        sample_cache_max_size: int = 10_000_000,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | str = "5m",
        resume: bool = False,
        tensorboard: str | os.PathLike[str] | None = None,
        on_epoch: Callable[[EpochReport], object] | None = None,
        on_block: Callable[[BlockReport], object] | None = None,
        progress: bool = True,
    ) -> GRU4Rec:
        """Go on training the model on a newer log, as that of a day.

        Weights, optimiser state and the counts of epochs and steps go on. Items never seen get new
        rows, and their ids follow in `itemidmap` in order of appearance. The hyper-parameters are
        those set now; the structure must be the model's. The lanes start from zero states. A
        learning-rate schedule starts anew, over the epochs of the update.

        Args:
            data: the new log alone, as for `fit`.
            n_epochs: passes over it, whatever the parameter `n_epochs` is. Three are the best on
                the sessions of docs/DAILY_UPDATE.md; more forget what the day lacks.
            support: what negatives are drawn by, and what logq corrects by: the events of the 'new'
                log, of 'both' the old and the new ones, or both with the old ones times a number
                in [0, 1], rounded up.
            forget: drop the items without an event among the last so many events of all logs, or
                the last such share of them (below 1). Items of the new log stay. None drops none.
            new_items: rows of items never seen: 'initial' draws them as at initialisation,
                'co-visited' adds the mean of the known items in the same sessions.
            item_key: the item column, by default of the name that the model knows.
            session_key: the session column, likewise.
            time_key: the time column, likewise; None where the rows are in the order of time.
            sep: as for `fit`.
            sample_cache_max_size: as for `fit`.
            checkpoint: as for `fit`, of this update.
            checkpoint_every: as for `fit`.
            resume: as for `fit`, by the same model and log as the update that was interrupted.
            tensorboard: as for `fit`.
            on_epoch: as for `fit`; epochs are counted on.
            on_block: as for `fit`.
            progress: show a progress bar.

        Raises:
            RuntimeError: there is no model yet.
            DataError, ParameterError, CheckpointError, MemoryError: as for `fit`; the model stays
                as it was, unless training had begun.
        """
        from gru4rec_fast.evaluation.validation import training_and_validation
        from gru4rec_fast.training.checkpoint_folder import locked_folder
        from gru4rec_fast.training.resume import Interval, TrainingSaver
        from gru4rec_fast.training.saved import InProcess
        from gru4rec_fast.training.update import update_of

        network, items = self._fitted()
        whole_number("n_epochs", n_epochs)
        whole_number("sample_cache_max_size", sample_cache_max_size, at_least=0)
        hooks = Hooks(on_epoch, on_block)
        interval = Interval(checkpoint_every)
        given = {
            "item_key": item_key, "session_key": session_key, "time_key": time_key, "sep": sep
        }  # fmt: skip
        keys = resolved(items.columns, given)
        config = self.config
        with ExitStack() as stack:
            folder = stack.enter_context(locked_folder(checkpoint, resume))
            log, _ = training_and_validation(data, None, keys, config.time_sort)
            warn_of_pitfalls(log, config, stacklevel=3)
            update = update_of(
                network, items.itemidmap, self._training_state, log, config, support, forget,
                new_items,
            )  # fmt: skip
            sessions, state = update.sessions, update.state
            block_steps = block_steps_of(config, sample_cache_max_size)
            require_memory(config, sessions.n_items, block_steps, self.device)
            sampler = sampler_of(config, sessions.support, None)
            schedule = schedule_of(config, state.epochs + 1, n_epochs, sessions.n_pairs)
            stack.enter_context(naming_sizes(config, sessions.n_items))
            network = update.network.to(self.device).eval()
            # The logarithm of a support of 0 would be infinite.
            counts = np.maximum(sessions.support, 1)
            trainer, engine = trainer_of(network, counts, self._engine, self.device)
            update.restore(trainer)
            columns = log.columns | items.columns
            items = DataIterator(sessions.itemidmap, columns, sessions.support)
            position = Progress(state.epochs + 1, state.steps, history=History(self.history))
            if folder is not None:
                identity = update.identity(engine, trainer, config, n_epochs=n_epochs)
                training = InProcess(network, trainer)
                saver = TrainingSaver(folder, interval, training, items, None, identity)
                position = saver.restore(position)
                hooks = replace(hooks, saver=saver)
            self._train(
                network, items, engine, trainer, sessions, sampler, schedule, position, hooks,
                tensorboard, network.parameter_dict(),
                last_epoch=state.epochs + n_epochs,
                block_steps=block_steps,
                show_bar=progress,
            )  # fmt: skip
        self._training_state = state.after(trainer, position)
        return self

    def savemodel(self, path: str | os.PathLike[str], *, training_state: bool = False) -> None:
        """Write the model to one safetensors file, complete or not at all.

        `training_state` adds what `partial_fit` goes on from: the optimiser state, which is as
        large as the parameters or a multiple of that, and the items' events. Without it an update
        of the loaded model starts with a fresh optimiser state.

        Raises:
            CheckpointError: the path cannot be written, or there is no training state.
        """
        from gru4rec_fast.model.checkpoint import save

        network, items = self._fitted()
        tensors = dict(network.parameter_dict())
        extra: dict[str, Any] = {"history": self.history.to_json()}
        if training_state:
            if self._training_state is None:
                raise CheckpointError(
                    "training_state=True: this model has none, as it was loaded from a file "
                    "without one or its training did not end; call fit or partial_fit first"
                )
            tensors |= self._training_state.tensors()
            extra["update"] = self._training_state.to_json()
        save(
            path,
            tensors,
            network.config,
            items.itemidmap,
            extra,
            columns=items.columns,
            support=items.support,
        )

    @classmethod
    def loadmodel(
        cls,
        path: str | os.PathLike[str],
        device: torch.device | str | None = None,
        *,
        itemidmap: pd.Series[int] | None = None,
        engine: str = "auto",
    ) -> GRU4Rec:
        """Read a saved model, or a plain state_dict (safetensors, or torch.save of tensors only).

        A state_dict names neither items nor hyper-parameters: pass the `itemidmap` of its
        training, else items are known by their index. Layers, cell and embedding follow from names
        and shapes; activations are those of the defaults.

        Raises:
            CheckpointError: no such file, or not a model that this version reads.
        """
        from gru4rec_fast.model.loaded_model import load_model

        loaded = load_model(path, itemidmap, stacklevel=2)
        gru = cls(**loaded.network.config.to_dict(), device=device, engine=engine)
        gru._become(loaded.network.to(gru.device), loaded.items)
        extra = loaded.saved.extra
        gru._history = History.from_json(extra.get("history", []))
        if "update" in extra:
            gru._training_state = TrainingState.from_file(loaded.saved.tensors, extra["update"])
        return gru

    def _forget(self) -> None:
        self._network = self._data_iterator = None

    def _run(self) -> OneProcess | SharedFit:
        """How the next training runs: in this process, or by all of the process group."""
        from gru4rec_fast.distributed.ranks import Ranks

        ranks = Ranks.current()
        if ranks is None:
            return OneProcess(self._engine, self.device, self.scorer)
        from gru4rec_fast.distributed.fit import SharedFit

        return SharedFit(ranks, self.config, self._engine, self.device)

    def _train(
        self,
        network: Network,
        items: DataIterator,
        engine: str,
        trainer: Any,
        sessions: Sessions,
        sampler: Negatives,
        schedule: Schedule,
        position: Progress,
        hooks: Hooks,
        tensorboard: str | os.PathLike[str] | None,
        weights: Parameters,
        **settings: Any,
    ) -> None:
        """Take the network as the model, train it from `position`, restore its best weights."""
        with writing(tensorboard, hooks, position) as all_hooks:
            self.engine_ = engine
            self._become(network, items)
            self._training_state = None
            self._history = position.history
            self.error_during_train = False
            try:
                train(
                    trainer, weights, network.config, sessions, sampler, schedule, position,
                    all_hooks, **settings,
                )  # fmt: skip
            except NonFiniteLossError as error:
                self.error_during_train = True
                logger.error("%s", error)
            if hooks.stopping is not None:
                hooks.stopping.restore(weights)
