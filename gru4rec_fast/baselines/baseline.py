"""What all baselines share: fit, evaluation, and predictions for one session at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import torch

from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import DataError
from gru4rec_fast.evaluation.scorer import Scorer
from gru4rec_fast.serving.recommend import id_list, recommend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from typing_extensions import Self

    from gru4rec_fast.data.sessions import Sessions


class BaselineScorer(Scorer, Protocol):
    """A scorer that also gives the scores of chosen items."""

    n_items: int
    """V."""

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) float64 or float32 of the items (n,) int64; 0 without a score."""


class Baseline(ABC):
    """A model that `batch_eval` evaluates as it evaluates GRU4Rec.

    A subclass turns training sessions into a scorer. Items without a score are equal at 0.
    """

    _data_iterator: DataIterator | None = None
    _scorer: BaselineScorer | None = None
    _session_id: Any = None
    _state: Any = None
    _features: Tensor | None = None

    @abstractmethod
    def _train(self, sessions: Sessions) -> BaselineScorer:
        """The scorer that is learned from the sessions."""

    def fit(
        self,
        log: Any,
        item_key: str = "ItemId",
        session_key: str = "SessionId",
        time_key: str = "Time",
    ) -> Self:
        """Learn from a session log; the same object comes back.

        Args:
            log: a pandas, polars or Arrow table, or the path of a TSV, CSV or Parquet file, with a
                row (session, item, time) for each event, as for `GRU4Rec.fit`.
            item_key: the item column.
            session_key: the session column.
            time_key: the time column.

        Raises:
            DataError: a column is missing, of the wrong type or has missing values; nothing to
                learn from.
        """
        with naming(log):
            return self.fit_sessions(
                load_sessions(log, item_key=item_key, session_key=session_key, time_key=time_key)
            )

    def fit_sessions(self, sessions: Sessions) -> Self:
        """Learn from sessions that are loaded already.

        Raises:
            DataError: they hold nothing to learn from.
        """
        self._scorer = self._train(sessions)
        self._data_iterator = DataIterator(sessions.itemidmap)
        self._state = self._features = None
        return self

    @property
    def data_iterator(self) -> DataIterator:
        """The items that the model knows.

        Raises:
            RuntimeError: `fit` was not called.
        """
        if self._data_iterator is None:
            raise self._not_fitted()
        return self._data_iterator

    def scorer(self) -> BaselineScorer:
        """What `evaluate` and `batch_eval` rank with.

        Raises:
            RuntimeError: `fit` was not called.
        """
        if self._scorer is None:
            raise self._not_fitted()
        return self._scorer

    def predict_next(
        self, session_id: Any, input_item_id: Any, predict_for_item_ids: Sequence[Any]
    ) -> pd.Series[float]:
        """Scores after one more event of a session, for scripts written for session-rec.

        Events come one at a time, in order. A session id other than that of the call before starts
        a new session. An input item that the model does not know is passed over, as in evaluation;
        before the first known item all scores are 0.

        Returns:
            The scores, indexed by the item ids asked for.

        Raises:
            DataError: `predict_for_item_ids` is no list or holds an item that the model does not
                know.
            RuntimeError: `fit` was not called.
        """
        scorer, itemidmap = self.scorer(), self.data_iterator.itemidmap
        wanted = id_list(predict_for_item_ids, "predict_for_item_ids")
        columns = itemidmap.index.get_indexer(wanted)
        if (columns < 0).any():
            raise DataError(
                f"predict_for_item_ids holds {wanted[columns < 0].tolist()[0]!r}, which the model "
                "does not know; expected item ids of the training log. Leave unknown items out"
            )
        if self._state is None or session_id != self._session_id:
            self._state, self._features = scorer.start(1), None
            self._session_id = session_id
        item = itemidmap.index.get_indexer(id_list([input_item_id], "input_item_id"))
        if item[0] >= 0:
            self._features = scorer.step(
                self._state,
                torch.tensor([itemidmap.to_numpy()[item[0]]], dtype=torch.int64),
                torch.zeros(1, dtype=torch.bool),
                torch.zeros(1, dtype=torch.int64),
            )
        if self._features is None:
            return pd.Series(0.0, index=wanted)
        items = torch.from_numpy(itemidmap.to_numpy(dtype="int64")[columns])
        return pd.Series(scorer.scores(self._features, items)[0].numpy(), index=wanted)

    def recommend(
        self, session_items: Sequence[Any], k: int = 20, *, exclude_seen: bool = False
    ) -> pd.DataFrame:
        """The k best next items of a session, given by its item ids, oldest first.

        Returns:
            As `GRU4Rec.recommend`: item ids and scores, best first. Unknown items of the session
            are passed over; `exclude_seen` leaves the session's own items out.

        Raises:
            DataError: the session is no list, empty, or the model knows none of its items.
            ParameterError: k is not a whole number of at least 1.
            RuntimeError: `fit` was not called.
        """
        items = self.data_iterator.itemidmap
        return recommend(self.scorer(), items, session_items, k, exclude_seen)

    def _not_fitted(self) -> RuntimeError:
        return RuntimeError(f"this {type(self).__name__} has no model yet: call fit(log)")
