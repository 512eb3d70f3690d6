"""What all baselines share: fit, evaluation, and predictions for one session at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.serving.recommend import recommend
from gru4rec_fast.serving.session_predictor import SessionPredictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from typing_extensions import Self

    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.serving.session_predictor import ItemScorer


class Baseline(ABC):
    """A model that `batch_eval` evaluates as it evaluates GRU4Rec.

    A subclass turns training sessions into a scorer. Items without a score are equal at 0.
    """

    _data_iterator: DataIterator | None = None
    _scorer: ItemScorer | None = None
    _predictor: SessionPredictor | None = None

    @abstractmethod
    def _train(self, sessions: Sessions) -> ItemScorer:
        """The scorer that is learned from the sessions."""

    def fit(
        self,
        log: Any,
        item_key: str = "ItemId",
        session_key: str = "SessionId",
        time_key: str | None = "Time",
        *,
        sep: str | None = None,
    ) -> Self:
        """Learn from a session log; the same object comes back.

        Args:
            log: a pandas, polars or Arrow table, or the path of a TSV, CSV or Parquet file, with a
                row (session, item, time) for each event, as for `GRU4Rec.fit`.
            item_key: the item column.
            session_key: the session column.
            time_key: the time column; None where the rows are in the order of time.
            sep: what separates the fields of a text file; None detects tabs, commas or semicolons.

        Raises:
            DataError: a column is missing, of the wrong type or has missing values; nothing to
                learn from.
        """
        with naming(log):
            return self.fit_sessions(
                load_sessions(
                    log, item_key=item_key, session_key=session_key, time_key=time_key, sep=sep
                )
            )

    def fit_sessions(self, sessions: Sessions) -> Self:
        """Learn from sessions that are loaded already.

        Raises:
            DataError: they hold nothing to learn from.
        """
        self._scorer = self._train(sessions)
        self._data_iterator = DataIterator(sessions.itemidmap, sessions.columns, sessions.support)
        self._predictor = None
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

    def scorer(self) -> ItemScorer:
        """What `evaluate` and `batch_eval` rank with.

        Raises:
            RuntimeError: `fit` was not called.
        """
        if self._scorer is None:
            raise self._not_fitted()
        return self._scorer

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
        """Scores after one more event of a session, see `SessionPredictor.predict_next`.

        Raises:
            DataError: as there.
            RuntimeError: `fit` was not called.
        """
        if self._predictor is None:
            self._predictor = SessionPredictor(self.scorer(), self.data_iterator.itemidmap)
        return self._predictor.predict_next(
            session_id, input_item_id, predict_for_item_ids, input_user_id, timestamp, skip, type
        )

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
