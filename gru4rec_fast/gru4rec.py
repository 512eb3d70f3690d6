"""`GRU4Rec`: the public interface of the original, by the same names."""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.data.column_names import ITEM_KEY, SESSION_KEY, TIME_KEY, resolved
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.estimator import Estimator
from gru4rec_fast.evaluation.network_scorer import CheckedScorer
from gru4rec_fast.model.network import Network
from gru4rec_fast.training.history import History
from gru4rec_fast.training.loop import train
from gru4rec_fast.training.memory import require_memory
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

# What needs pandas, which takes longer to import than all the rest, is imported where it is used.

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.evaluation.network_scorer import NetworkScorer
    from gru4rec_fast.plan.negatives import Negatives
    from gru4rec_fast.serving.batch_predictor import BatchPredictor
    from gru4rec_fast.serving.catalogue import Catalogue
    from gru4rec_fast.serving.live import LiveSessions
    from gru4rec_fast.serving.recommendations import Recommendations
    from gru4rec_fast.serving.session_predictor import SessionPredictor
    from gru4rec_fast.training.schedule import Schedule

logger = logging.getLogger(__name__)

PREDICTORS = ("_predictor", "_session_predictor", "_scorer", "_catalogue")
"""Attributes that hold an engine's objects and the states of running sessions."""


class GRU4Rec(Estimator):
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
    bounded_ranks: bool = True
    predict: Any = None
    """Without effect. Evaluation scripts for the Theano version and session-rec set it to None."""
    _history: History | None = None
    _training_state: TrainingState | None = None
    _network: Network | None = None
    _data_iterator: DataIterator | None = None
    _predictor: BatchPredictor | None = None
    _session_predictor: SessionPredictor | None = None
    _scorer: CheckedScorer | None = None
    _catalogue: Catalogue | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Predictors hold objects of the engine, and are made again when they are needed.
        return {n: v for n, v in self.__dict__.items() if n not in PREDICTORS}

    @property
    def model(self) -> Network:
        """The network, once trained or loaded."""
        return self._fitted()[0]

    @property
    def data_iterator(self) -> DataIterator:
        """The items that the model knows, once trained or loaded."""
        return self._fitted()[1]

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
        from gru4rec_fast.training.resume import Interval, TrainingSaver
        from gru4rec_fast.training.tensorboard import writing

        config = self.config
        whole_number("sample_cache_max_size", sample_cache_max_size, at_least=0)
        cutoff = cutoff_of(metric)
        stopping = stopping_of(validation, metric, patience, restore_best)
        hooks = Hooks(on_epoch, on_block, stopping=stopping)
        interval = Interval(checkpoint_every)
        keys: dict[str, Any] = {
            "item_key": item_key, "session_key": session_key, "time_key": time_key, "sep": sep
        }  # fmt: skip
        with ExitStack() as stack:
            folder = stack.enter_context(locked_folder(checkpoint, resume))
            sessions, validated = training_and_validation(data, validation, keys, config.time_sort)
            warn_of_pitfalls(sessions, config, stacklevel=3)
            require_memory(
                config, sessions.n_items, block_steps_of(config, sample_cache_max_size),
                self.device, copies=int(stopping is not None and restore_best),
            )  # fmt: skip
            sampler = sampler_of(config, sessions.support, negatives)
            schedule = schedule_of(config, 1, config.n_epochs, sessions.n_pairs)
            stack.enter_context(naming_sizes(config, sessions.n_items))
            network = Network(config, sessions.n_items)
            network.initialise(compatibility_mode)
            network.to(self.device).eval()
            trainer, engine = trainer_of(network, sessions.support, self._engine, self.device)
            items = DataIterator(sessions.itemidmap, sessions.columns, sessions.support)
            position = Progress()
            if folder is not None:
                identity = identity_of(
                    config, engine, sessions, validated, negatives,
                    compatibility_mode=bool(compatibility_mode), metric=metric,
                    patience=stopping and stopping.patience, restore_best=bool(restore_best),
                )  # fmt: skip
                saver = TrainingSaver(folder, interval, network, trainer, items, stopping, identity)
                position = saver.restore(position)
                hooks = replace(hooks, saver=saver)
            if self._network is not None and position.first_step + position.steps == 0:
                warnings.warn(
                    "this GRU4Rec holds a model, which fit does not train further: it starts anew "
                    "from initial weights and replaces that model",
                    stacklevel=2,
                )
            self.engine_ = engine
            self._become(network, items)
            if validated is not None:
                hooks = replace(hooks, validate=lambda: figures(self.scorer(), validated, cutoff))
            if tensorboard is not None:
                hooks = stack.enter_context(writing(tensorboard, hooks, position))
            self._train(
                trainer,
                sessions,
                sampler,
                schedule,
                position,
                hooks,
                last_epoch=config.n_epochs,
                block_steps=block_steps_of(config, sample_cache_max_size),
                show_bar=progress,
            )
        self._training_state = TrainingState.start(sessions).after(trainer, position)
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
        from gru4rec_fast.training.tensorboard import writing
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
            require_memory(
                config, sessions.n_items, block_steps_of(config, sample_cache_max_size), self.device
            )
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
                saver = TrainingSaver(folder, interval, network, trainer, items, None, identity)
                position = saver.restore(position)
                hooks = replace(hooks, saver=saver)
            self.engine_ = engine
            self._become(network, items)
            if tensorboard is not None:
                hooks = stack.enter_context(writing(tensorboard, hooks, position))
            self._train(
                trainer,
                sessions,
                sampler,
                schedule,
                position,
                hooks,
                last_epoch=state.epochs + n_epochs,
                block_steps=block_steps_of(config, sample_cache_max_size),
                show_bar=progress,
            )
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

    def export_onnx(self, path: str | os.PathLike[str], k: int | None = 20) -> None:
        """Write one serving step as an ONNX file, complete or not at all.

        Inputs: `items` (M,) int64 item indices, one event of each of M sessions, and `state_0`,
        `state_1`, ... (M, columns) float32 by layer, zeros where a session starts. Outputs:
        `top_items` (M, k) int64 and `top_scores` (M, k) float32, best first, those of `recommend`;
        with `k=None` all `scores` (M, V). Then `new_state_0`, ... for the next event. The metadata
        `item_ids` is the list of item ids as JSON, in order of the index.

        Raises:
            ImportError: onnx is not installed (`pip install 'gru4rec-fast[export]'`).
            ParameterError: k is neither None nor a whole number of at least 1.
            ArithmeticError: a parameter is NaN or infinite.
            CheckpointError: the path cannot be written, or the model is larger than the 2 GB of an
                ONNX file.
        """
        from gru4rec_fast.export.onnx_file import export_onnx

        network, items = self._fitted()
        export_onnx(network, items.itemidmap, path, k)

    def scorer(self) -> NetworkScorer:
        """What `evaluate` and `batch_eval` rank with, once trained or loaded.

        The weights are checked at each call. Recommendations and predictions check them once, and
        again after PyTorch or a training changed them.

        Raises:
            ArithmeticError: a weight is NaN or infinite.
        """
        self.refresh()
        return self._checked_scorer()()

    def refresh(self) -> None:
        """Check the weights again before their next use: after writes that PyTorch cannot see.

        These are writes through a weight's `.data`, or through NumPy arrays that share its memory.
        """
        self._checked_scorer().refresh()

    def recommend(
        self,
        session_items: Sequence[Any],
        k: int = 20,
        *,
        exclude_seen: bool = False,
        candidates: Any = None,
    ) -> pd.DataFrame:
        """The k best next items of a session, given by its item ids, oldest first.

        Args:
            session_items: item ids; unknown ones are passed over.
            k: how many items.
            exclude_seen: leave the session's own items out.
            candidates: item ids, the only ones to rank; unknown ones are passed over.

        Returns:
            A DataFrame, best first: the item ids, under the name of the training log's column, and
            'Score' ('ModelScore' where the log's column has that name). Fewer than k rows come
            back only where there are no more items.

        Raises:
            DataError: the session or the candidates are no list, empty, or the model knows none.
            ParameterError: k is not a whole number of at least 1.
        """
        from gru4rec_fast.serving.recommend import recommend

        items = self.data_iterator.itemidmap
        return recommend(
            self._checked_scorer()(), items, session_items, k, exclude_seen, candidates
        )

    def recommend_batch(
        self,
        sessions: Any,
        k: int = 20,
        *,
        exclude_seen: bool = False,
        candidates: Any = None,
        cold: str = "none",
        item_key: str = ITEM_KEY,
        session_key: str = SESSION_KEY,
    ) -> Recommendations:
        """The k best next items of many sessions in one pass, each as `recommend` ranks it.

        Args:
            sessions: lists of item ids, oldest first; or a pandas, polars or Arrow table with a row
                for each event, the rows of a session in the order of time.
            k: how many items.
            exclude_seen: leave the session's own items out.
            candidates: item ids, the only ones to rank, for all sessions.
            cold: what a session without an event of a known item gets: 'none' (no items, and a
                warning counts such sessions), 'popularity', or 'raise' for an error.
            item_key: the item column of a table, by default of the name that the model knows.
            session_key: the session column, likewise.

        Returns:
            `ids, scores`, both (n, k), with further fields; `to_frame()` is a table. Sessions of a
            table come in the order in which they appear.

        Raises:
            DataError: neither lists nor a table with the columns; no known candidate; a cold
                session with cold='raise', or with 'popularity' where the model has no support.
            ParameterError: k is not a whole number of at least 1, or an unknown `cold`.
        """
        from gru4rec_fast.serving.recommend import candidate_items
        from gru4rec_fast.serving.recommend_batch import recommend_batch

        items = self.data_iterator
        given = {"session_key": session_key, "item_key": item_key}
        return recommend_batch(
            self._checked_scorer()(),
            self._catalogue_of(items),
            sessions,
            k,
            exclude_seen=exclude_seen,
            candidates=candidate_items(items.itemidmap, candidates),
            cold=cold,
            keys=resolved(items.columns, given),
        )

    def live(
        self, capacity: int = 100_000, ttl: float | None = None, *, last: int = 50
    ) -> LiveSessions:
        """Sessions that are served live, with their states kept by id: see `LiveSessions.step`.

        The model of this moment answers, also after another `fit` or `partial_fit`; to serve the
        new model, make a new object and `restore(path, replay=True)` the sessions.

        Args:
            capacity: most sessions that are kept; a new one then replaces the least recently used.
            ttl: seconds after which a session that was not used is forgotten; None for no limit.
            last: how many of the last items are kept of each session.

        Raises:
            ParameterError: a number out of range.
        """
        from gru4rec_fast.model.checksum import checksum
        from gru4rec_fast.model.item_ids import as_tensors
        from gru4rec_fast.serving.live import LiveSessions

        network, items = self._fitted()
        if items.support is None:
            warnings.warn(
                "the model's file holds no support (it was saved by an older version), so cold "
                "sessions get no items; train and save the model again",
                stacklevel=2,
            )
        return LiveSessions(
            self._checked_scorer(),
            self._catalogue_of(items),
            items.itemidmap,
            lambda: checksum(network.parameter_dict() | as_tensors(items.itemidmap), {}),
            capacity=capacity,
            ttl=ttl,
            last=last,
        )

    def item_vectors(self, table: str = "output") -> pd.DataFrame:
        """The vectors of all items: a column of the ids, under its name in the log, and H columns.

        `table` is 'output', what a session's state is multiplied with for the scores (the biases
        are not among the columns), or 'input', what an event is read as: the same with a shared
        embedding, the embedding with a separate one, the input weights of the first layer's gates
        with a one-hot input. Columns are named as 'output_0', float32.

        Raises:
            ParameterError: another table.
        """
        from gru4rec_fast.serving.item_vectors import item_vectors

        network, items = self._fitted()
        return item_vectors(network, items.itemidmap, table)

    def similar_items(
        self, item: Any, k: int = 20, *, measure: str = "cosine", table: str = "output"
    ) -> pd.DataFrame:
        """The k items whose vectors are most like that of an item, or of each of a list of items.

        Args:
            item: an item id, or a list of ids.
            k: how many items for each; the item itself is none of them.
            measure: 'cosine', of the angle between two vectors, or 'dot', their product, which
                prefers items with long vectors.
            table: whose vectors, as for `item_vectors`.

        Returns:
            A DataFrame, most similar first, equal ones by ascending index: the item ids, under the
            name of the training log's column, and 'Similarity'. For a list, a first column
            'SimilarTo' names the given item of each row.

        Raises:
            DataError: an item that the model does not know.
            ParameterError: k is not a whole number of at least 1; another measure or table.
            ArithmeticError: a parameter is NaN or infinite.
        """
        from gru4rec_fast.serving.item_vectors import similar_items

        network, items = self._fitted()
        return similar_items(network, items.itemidmap, item, k, measure, table, self._engine)

    def predict_next(
        self,
        session_id: Any,
        input_item_id: Any,
        predict_for_item_ids: Sequence[Any],
        input_user_id: Any = None,
        timestamp: Any = None,
        skip: bool = False,
        type: str = "view",  # noqa: A002, the name that session-rec gives it
    ) -> pd.Series[float]:
        """Scores after one more event of a session, as scripts for session-rec ask for them.

        See `SessionPredictor.predict_next`; the state of one session is remembered.

        Raises:
            DataError: as there.
        """
        from gru4rec_fast.serving.session_predictor import SessionPredictor

        scorer = self._checked_scorer()()
        if self._session_predictor is None:
            self._session_predictor = SessionPredictor(scorer, self.data_iterator.itemidmap)
        self._session_predictor.scorer = scorer
        return self._session_predictor.predict_next(
            session_id, input_item_id, predict_for_item_ids, input_user_id, timestamp, skip, type
        )

    def predict_next_batch(
        self,
        session_ids: Sequence[Any],
        input_item_ids: Sequence[Any],
        predict_for_item_ids: Sequence[Any] | None = None,
        batch: int = 100,
        *,
        unknown: str = "raise",
        session_columns: bool = False,
    ) -> pd.DataFrame:
        """Scores after one more event of each of `batch` lanes, as in the Theano version.

        A lane whose session id differs from that of the call before starts from the zero state. If
        `batch` changes, the lanes that both calls have go on.

        Args:
            session_ids: (batch,) the session of each lane.
            input_item_ids: (batch,) the item of each lane's event.
            predict_for_item_ids: the items to score; None for all.
            batch: the number of lanes.
            unknown: 'raise' an error for an item that the model does not know, or 'nan': an event
                of an unknown item changes no state and its column is NaN, and so is the row of an
                unknown item that is asked for.
            session_columns: whether columns are named by session ids, else by lane.

        Returns:
            DataFrame (items x events): the scores of the asked items, or of all.

        Raises:
            DataError: another number of events than `batch`, an unknown item, or no list.
            ParameterError: `batch` is not a whole number of at least 1, or an unknown `unknown`.
        """
        from gru4rec_fast.serving.batch_predictor import BatchPredictor

        scorer = self._checked_scorer()()
        if self._predictor is None:
            self._predictor = BatchPredictor(scorer, self.data_iterator.itemidmap)
        self._predictor.scorer = scorer
        return self._predictor.predict_next(
            session_ids, input_item_ids, predict_for_item_ids, batch, unknown, session_columns
        )

    def _adjust_hidden(
        self,
        n_valid: int,
        finished_mask: Tensor | NDArray[Any],
        valid_mask: Tensor | NDArray[Any],
        H: list[Tensor],
    ) -> bool:
        """Zero the states of finished lanes, then keep the valid ones; True when none is left."""
        if n_valid == 0:
            return True
        finished, valid = (
            torch.as_tensor(mask, dtype=torch.bool, device=H[0].device)
            for mask in (finished_mask, valid_mask)
        )
        H[:] = [h.masked_fill(finished[:, None], 0.0) for h in H]
        if n_valid < len(valid):
            H[:] = [h[valid] for h in H]
        return False

    def _train(
        self,
        trainer: Trainer,
        sessions: Sessions,
        sampler: Negatives,
        schedule: Schedule,
        position: Progress,
        hooks: Hooks,
        **settings: Any,
    ) -> None:
        """Train the network from `position`, then restore its best weights."""
        network = self.model
        weights = network.parameter_dict()
        self._history = position.history
        self.error_during_train = False
        try:
            train(
                trainer, weights, network.config, sessions, sampler, schedule, position, hooks,
                **settings,
            )  # fmt: skip
        except NonFiniteLossError as error:
            self.error_during_train = True
            logger.error("%s", error)
        if hooks.stopping is not None:
            hooks.stopping.restore(weights)

    def _become(self, network: Network, items: DataIterator) -> None:
        """Take another network, with its items, as the model."""
        self._network, self._data_iterator = network, items
        self._training_state = None
        self._forget_predictors()

    def _move(self, device: torch.device) -> None:
        super()._move(device)
        if self._network is not None:
            self._network.to(device)
        self._forget_predictors()

    def _forget_predictors(self) -> None:
        for name in PREDICTORS:
            setattr(self, name, None)

    def _checked_scorer(self) -> CheckedScorer:
        wanted = self._engine, self.bounded_ranks
        if self._scorer is None or (self._scorer.engine, self._scorer.bounds) != wanted:
            self._scorer = CheckedScorer(self.model, self._engine, bounds=self.bounded_ranks)
        return self._scorer

    def _catalogue_of(self, items: DataIterator) -> Catalogue:
        """Made once a model."""
        from gru4rec_fast.serving.catalogue import Catalogue

        if self._catalogue is None:
            self._catalogue = Catalogue(items)
        return self._catalogue

    def _fitted(self) -> tuple[Network, DataIterator]:
        if self._network is None or self._data_iterator is None:
            raise RuntimeError(
                "this GRU4Rec has no model yet: call fit(data), or GRU4Rec.loadmodel(path)"
            )
        return self._network, self._data_iterator
