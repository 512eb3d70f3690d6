"""`Recommender`: what a trained network answers, as methods with the names of the original."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.data.column_names import ITEM_KEY, SESSION_KEY, resolved
from gru4rec_fast.estimator import Estimator
from gru4rec_fast.evaluation.network_scorer import CheckedScorer

# What needs pandas, which takes longer to import than all the rest, is imported where it is used.

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.data.data_iterator import DataIterator
    from gru4rec_fast.evaluation.network_scorer import NetworkScorer
    from gru4rec_fast.model.network import Network
    from gru4rec_fast.serving.batch_predictor import BatchPredictor
    from gru4rec_fast.serving.catalogue import Catalogue
    from gru4rec_fast.serving.live import LiveSessions
    from gru4rec_fast.serving.recommendations import Recommendations
    from gru4rec_fast.serving.session_predictor import SessionPredictor

PREDICTORS = ("_predictor", "_session_predictor", "_scorer", "_catalogue")
"""Attributes that hold an engine's objects and the states of running sessions."""


class Recommender(Estimator):
    """A network with its items, once there is one: scores, recommendations, live sessions, export.

    A subclass trains or loads the network, and hands it over by `_become`.
    """

    bounded_ranks: bool = True
    predict: Any = None
    """Without effect. Evaluation scripts for the Theano version and session-rec set it to None."""
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

    def _become(self, network: Network, items: DataIterator) -> None:
        """Take another network, with its items, as the model."""
        self._network, self._data_iterator = network, items
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
            name = type(self).__name__
            raise RuntimeError(
                f"this {name} has no model yet: call fit(data), or {name}.loadmodel(path)"
            )
        return self._network, self._data_iterator
