"""`GRU4Rec` and `batch_eval`: the public interface of the original, by the same names."""

from __future__ import annotations

import logging
import os
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.config import Config
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.sessions import Sessions, load_sessions, require_pairs
from gru4rec_fast.engines import choice
from gru4rec_fast.engines.device import resolve_device
from gru4rec_fast.errors import CheckpointError, ParameterError
from gru4rec_fast.evaluation.batch_eval import batch_eval
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from gru4rec_fast.model import checkpoint
from gru4rec_fast.model.network import Network
from gru4rec_fast.model.state_dict import infer_config
from gru4rec_fast.parameter import as_text
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS
from gru4rec_fast.plan.negatives import FixedNegatives, Negatives, negative_sampler
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.serving.batch_predictor import BatchPredictor
from gru4rec_fast.serving.recommend import recommend
from gru4rec_fast.serving.session_predictor import SessionPredictor
from gru4rec_fast.training.loop import train
from gru4rec_fast.training.report import EpochReport, NonFiniteLossError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

__all__ = ["GRU4Rec", "batch_eval"]

logger = logging.getLogger(__name__)


class GRU4Rec:
    """A GRU that reads a session's events and ranks the next item.

    Parameters are those of `config.Config`, with the names of the original; beyond its own, any
    other field of Config (`seed`, `time_sort`, ...) is taken as a keyword too. All are attributes
    as well: read, they are the values for the next `fit`; set, they are checked as by `set_params`.
    `device` is a torch.device or its name, by default the GPU where there is one; setting it moves
    the model. `engine` says what computes: 'auto' (the fast engine of the device, or the reference
    if that engine does not support an option), 'cpu' (C++), 'triton' (GPU) or 'reference' (plain
    PyTorch). A named engine that does not support an option is an error. The engine is no
    hyper-parameter and is not saved. A subclass declares further public attributes in its class.

    Attributes:
        model: the trained `Network`, with the `config` that it was trained with.
        data_iterator: `itemidmap`, the items that the model knows, and `columns`, the names of
            the training log's columns, which an evaluation takes by default.
        error_during_train: whether the last `fit` ended early by a loss that is not finite.
        engine_: the name of the engine that the last `fit` ran on.

    Raises:
        ParameterError: an unknown parameter, a value out of range, a device that is not there, an
            unknown engine.
    """

    error_during_train = False
    engine_: str | None = None

    def __init__(
        self,
        layers: Sequence[int] | int | str = (100,),
        loss: str = "cross-entropy",
        batch_size: int = 64,
        dropout_p_embed: float = 0.0,
        dropout_p_hidden: float = 0.0,
        learning_rate: float = 0.05,
        momentum: float = 0.0,
        sample_alpha: float = 0.5,
        n_sample: int = 2048,
        embedding: int | str = 0,
        constrained_embedding: bool = True,
        n_epochs: int = 10,
        bpreg: float = 1.0,
        elu_param: float = 0.5,
        logq: float = 0.0,
        device: torch.device | str | None = None,
        engine: str = "auto",
        **more: Any,
    ) -> None:
        self._config = Config().replace(
            layers=layers,
            loss=loss,
            batch_size=batch_size,
            dropout_p_embed=dropout_p_embed,
            dropout_p_hidden=dropout_p_hidden,
            learning_rate=learning_rate,
            momentum=momentum,
            sample_alpha=sample_alpha,
            n_sample=n_sample,
            embedding=embedding,
            constrained_embedding=constrained_embedding,
            n_epochs=n_epochs,
            bpreg=bpreg,
            elu_param=elu_param,
            logq=logq,
            **more,
        )
        self._device = resolve_device(device)
        self._engine = choice.check_name(engine)
        self._network: Network | None = None
        self._data_iterator: DataIterator | None = None
        self._predictor: BatchPredictor | None = None
        self._session_predictor: SessionPredictor | None = None

    def __getattr__(self, name: str) -> Any:
        # Only reached for names that are no attribute: the hyper-parameters.
        config = self.__dict__.get("_config")
        if config is not None and name in config.to_dict():
            return getattr(config, name)
        raise AttributeError(f"GRU4Rec has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:
            self.set_params(**{name: value})

    def __repr__(self) -> str:
        changed = ", ".join(
            f"{name}={value!r}"
            for name, value in self.config.to_dict().items()
            if value != Config().to_dict()[name]
        )
        return f"GRU4Rec({changed})"

    @property
    def config(self) -> Config:
        """The hyper-parameters of the next `fit`."""
        return self._config

    @property
    def device(self) -> torch.device:
        """Where the model is trained and used."""
        return self._device

    @device.setter
    def device(self, device: torch.device | str) -> None:
        self.to(device)

    @property
    def engine(self) -> str:
        """The engine that is asked for; `engine_` says which one the last `fit` ran on."""
        return self._engine

    @engine.setter
    def engine(self, engine: str) -> None:
        self._engine = choice.check_name(engine)

    @property
    def model(self) -> Network:
        """The network, once trained or loaded."""
        return self._fitted()[0]

    @property
    def data_iterator(self) -> DataIterator:
        """The items that the model knows, once trained or loaded."""
        return self._fitted()[1]

    def set_params(self, **params: Any) -> None:
        """Change hyper-parameters of the next `fit`; text is parsed ('200/200', 'True', '0.2').

        A model that is there already stays as it was trained.

        Raises:
            ParameterError: an unknown name or a value out of range; nothing is changed then.
        """
        self._config = self._config.replace(**params)

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
        on_epoch: Callable[[EpochReport], None] | None = None,
        progress: bool = True,
    ) -> GRU4Rec:
        """Train on a session log, from new weights, also where there is a model (with a warning).

        Args:
            data: a pandas, polars or Arrow table, or the path of a TSV, CSV or Parquet file, with a
                row (session, item, time) for each event; it is not changed.
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
            on_epoch: called after each epoch with its loss and speed; it may evaluate the model.
            progress: show a progress bar.

        A loss that is not finite stops training within a block of steps: the error is logged with
        the step, and `error_during_train` is set.

        Raises:
            DataError: a column is missing, of the wrong type or has missing values; nothing to
                train on.
            ParameterError: `negatives` of another shape or with indices out of range, another
                argument of the wrong type, or a named engine that does not support an option.
            MemoryError: the model or a mini-batch does not fit; the message names the sizes.
        """
        whole_number("sample_cache_max_size", sample_cache_max_size, at_least=0)
        if on_epoch is not None and not callable(on_epoch):
            raise ParameterError(f"on_epoch is {on_epoch!r}; expected a function of an EpochReport")
        with naming(data):
            sessions = load_sessions(
                data,
                item_key=item_key,
                session_key=session_key,
                time_key=time_key,
                sep=sep,
                time_sort=self.config.time_sort,
            )
            require_pairs(sessions)
        if sessions.n_single:
            warnings.warn(
                f"{sessions.n_single} of {sessions.n_sessions} sessions have a single event: they "
                "have no next item and train nothing",
                stacklevel=2,
            )
        if self.config.adapt == "adadelta" and self.config.learning_rate != 1.0:
            warnings.warn(
                f"adapt='adadelta' takes learning_rate=1, not {self.config.learning_rate}: pass "
                "learning_rate=1 to say so",
                stacklevel=2,
            )
        if self._network is not None:
            warnings.warn(
                "this GRU4Rec holds a model, which fit does not train further: it starts anew from "
                "initial weights and replaces that model",
                stacklevel=2,
            )
        sampler = self._sampler(sessions, negatives)
        drawn_a_step = max(1, self.config.n_sample)
        try:
            network = Network(self.config, sessions.n_items)
            network.initialise(compatibility_mode)
            network.to(self.device).eval()
            p, config = network.parameter_dict(), network.config
            optimiser = OPTIMISERS[config.adapt](config)
            engine = choice.for_training(
                self._engine, network.spec, optimiser, config, self.device, torch.float32
            )
            support = torch.from_numpy(sessions.support).to(self.device)
            trainer = engine.trainer(network.spec, p, optimiser, config, support)
            self._network = network
            self.engine_ = engine.name
            self._data_iterator = DataIterator(sessions.itemidmap, sessions.columns)
            self._forget_predictors()
            self.error_during_train = False
            train(
                trainer,
                config,
                sessions,
                sampler,
                block_steps=max(1, min(DEFAULT_BLOCK_STEPS, sample_cache_max_size // drawn_a_step)),
                on_epoch=on_epoch,
                progress=progress,
            )
        except NonFiniteLossError as error:
            self.error_during_train = True
            logger.error("%s", error)
        except (MemoryError, RuntimeError) as error:
            # PyTorch has no error of its own for sizes that cannot be allocated.
            if not isinstance(error, MemoryError) and not re.search(
                "allocate|out of memory|size calculation overflow", str(error)
            ):
                raise
            raise MemoryError(
                f"not enough memory for {sessions.n_items} items with layers="
                f"{as_text(self.config.layers)}, embedding={self.config.embedding}, batch_size="
                f"{self.config.batch_size}, n_sample={self.config.n_sample}: choose smaller ones"
            ) from error
        return self

    def savemodel(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one safetensors file, complete or not at all.

        Raises:
            CheckpointError: the path cannot be written.
        """
        network, items = self._fitted()
        checkpoint.save(
            path,
            network.parameter_dict(),
            network.config,
            items.itemidmap,
            columns=items.columns,
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
        saved = checkpoint.load(path)
        config = saved.config or Config().replace(**infer_config(saved.tensors))
        gru = cls(**config.to_dict(), device=device, engine=engine)
        n_items = len(saved.tensors["Wy.weight"])
        # In order of the index, as all that reads ids by position expects; a given map may not be.
        items = saved.itemidmap if itemidmap is None else itemidmap.sort_values()
        if items is None:
            warnings.warn(
                f"{os.fspath(path)} is a plain state_dict without item ids: items are known by "
                f"their index 0..{n_items - 1}; pass itemidmap= to give them their ids",
                stacklevel=2,
            )
            items = pd.Series(range(n_items), index=pd.RangeIndex(n_items, name="ItemId"))
        if len(items) != n_items:
            raise CheckpointError(
                f"itemidmap has {len(items)} items but {os.fspath(path)} has {n_items}; pass the "
                "itemidmap of that model's training"
            )
        network = Network(config, n_items)
        try:
            network.load_state_dict(saved.tensors)
        except RuntimeError as error:
            mismatch = " ".join(str(error).split())
            raise CheckpointError(
                f"{os.fspath(path)}: the tensors do not fit {gru} ({mismatch}); save it again from "
                "the model that was trained"
            ) from error
        gru._network = network.to(gru.device).eval()
        gru._data_iterator = DataIterator(items, saved.columns)
        return gru

    def to(self, device: torch.device | str) -> GRU4Rec:
        """Move the model to a device; the same object comes back."""
        self._device = resolve_device(device)
        if self._network is not None:
            self._network.to(self.device)
        self._forget_predictors()
        return self

    def scorer(self) -> NetworkScorer:
        """What `evaluate` and `batch_eval` rank with, once trained or loaded."""
        return NetworkScorer(self.model, self._engine)

    def recommend(
        self, session_items: Sequence[Any], k: int = 20, *, exclude_seen: bool = False
    ) -> pd.DataFrame:
        """The k best next items of a session, given by its item ids, oldest first.

        Returns:
            A DataFrame, best first: the item ids, under the name of the training log's column, and
            'Score' ('ModelScore' where the log's column has that name). Unknown items of the
            session are passed over; `exclude_seen` leaves the session's own items out.

        Raises:
            DataError: the session is no list, empty, or the model knows none of its items.
            ParameterError: k is not a whole number of at least 1.
        """
        items = self.data_iterator
        return recommend(self.scorer(), items.itemidmap, session_items, k, exclude_seen)

    def predict_next(
        self, session_id: Any, input_item_id: Any, predict_for_item_ids: Sequence[Any]
    ) -> pd.Series[float]:
        """Scores after one more event of a session, as scripts for session-rec ask for them.

        See `SessionPredictor.predict_next`; the state of one session is remembered.

        Raises:
            DataError: as there.
        """
        if self._session_predictor is None:
            items = self.data_iterator.itemidmap
            self._session_predictor = SessionPredictor(self.scorer(), items)
        return self._session_predictor.predict_next(session_id, input_item_id, predict_for_item_ids)

    def predict_next_batch(
        self,
        session_ids: Sequence[Any],
        input_item_ids: Sequence[Any],
        predict_for_item_ids: Sequence[Any] | None = None,
        batch: int = 100,
    ) -> pd.DataFrame:
        """Scores after one more event of each of `batch` lanes, as in the Theano version.

        A lane whose session id differs from that of the call before starts from the zero state.

        Returns:
            DataFrame (items x events): the scores of the asked items, or of all.

        Raises:
            DataError: another number of events than `batch`, an unknown item, or no list.
            ParameterError: `batch` is not a whole number of at least 1.
        """
        if self._predictor is None or self._predictor.batch != batch:
            items = self.data_iterator.itemidmap
            self._predictor = BatchPredictor(self.scorer(), items, batch)
        return self._predictor.predict_next(session_ids, input_item_ids, predict_for_item_ids)

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

    def _sampler(self, sessions: Sessions, negatives: ArrayLike | None) -> Negatives:
        if negatives is None:
            alpha = self.config.sample_alpha
            try:
                with np.errstate(over="ignore"):
                    return negative_sampler(sessions.support, alpha)
            except ValueError as error:
                raise ParameterError(
                    f"sample_alpha={alpha}: support^sample_alpha is beyond any number for an item "
                    f"of {sessions.support.max()} events; expected 0 (uniform) to about 1 (popular)"
                ) from error
        try:
            fixed = FixedNegatives(np.asarray(negatives), sessions.n_items)
        except ValueError as error:
            raise ParameterError(str(error)) from error
        if fixed.n_sample != self.config.n_sample:
            raise ParameterError(
                f"negatives have {fixed.n_sample} columns but n_sample={self.config.n_sample}; "
                f"expected shape (T, {self.config.n_sample}). Set n_sample={fixed.n_sample}"
            )
        return fixed

    def _forget_predictors(self) -> None:
        self._predictor = self._session_predictor = None

    def _fitted(self) -> tuple[Network, DataIterator]:
        if self._network is None or self._data_iterator is None:
            raise RuntimeError(
                "this GRU4Rec has no model yet: call fit(data), or GRU4Rec.loadmodel(path)"
            )
        return self._network, self._data_iterator
