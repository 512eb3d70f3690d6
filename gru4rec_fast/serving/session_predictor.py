"""Scores after each event of one session at a time, for scripts written for session-rec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
import torch

from gru4rec_fast.errors import DataError
from gru4rec_fast.evaluation.scorer import Scorer
from gru4rec_fast.serving.recommend import id_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class ItemScorer(Scorer, Protocol):
    """A scorer that also gives the scores of chosen items."""

    n_items: int
    """V."""

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) of the items (n,) int64."""


class SessionPredictor:
    """Remembers the state of one session."""

    def __init__(self, scorer: ItemScorer, itemidmap: pd.Series[int]) -> None:
        self.scorer, self._itemidmap = scorer, itemidmap
        self._session_id: Any = None
        self._state: Any = None
        self._features: Tensor | None = None

    def predict_next(
        self,
        session_id: Any,
        input_item_id: Any,
        predict_for_item_ids: Sequence[Any],
        input_user_id: Any = None,  # noqa: ARG002, scripts pass it
        timestamp: Any = None,  # noqa: ARG002, scripts pass it
        skip: bool = False,
        type: str = "view",  # noqa: A002, the name that session-rec gives it
    ) -> pd.Series[float]:
        """Scores after one more event of a session.

        Events come one at a time, in order. A session id other than that of the call before starts
        a new session. An input item that the model does not know is passed over, as in evaluation;
        before the first known item all scores are 0. Only events of `type` 'view' belong to the
        session. `input_user_id` and `timestamp` have no effect: no model here reads them.

        Returns:
            The scores, indexed by the item ids asked for; none with `skip`, which only adds the
            event to the session.

        Raises:
            DataError: `predict_for_item_ids` is no list or holds an item that the model does not
                know.
        """
        wanted = id_list([] if skip else predict_for_item_ids, "predict_for_item_ids")
        columns = self._columns(wanted)
        if self._state is None or session_id != self._session_id:
            self._state, self._features = self.scorer.start(1), None
            self._session_id = session_id
        if type == "view":
            self._advance(input_item_id)
        if self._features is None or skip:
            return pd.Series(0.0, index=wanted)
        items = torch.from_numpy(self._itemidmap.to_numpy(dtype="int64")[columns])
        scores = self.scorer.scores(self._features, items.to(self.scorer.device))
        return pd.Series(scores[0].cpu().numpy(), index=wanted)

    def _columns(self, wanted: pd.Index[Any]) -> NDArray[np.intp]:
        """Where the asked item ids (n,) stand in `itemidmap`."""
        columns = self._itemidmap.index.get_indexer(wanted)
        if (columns < 0).any():
            raise DataError(
                f"predict_for_item_ids holds {wanted[columns < 0].tolist()[0]!r}, which the model "
                "does not know; expected item ids of the training log. Leave unknown items out"
            )
        return columns

    def _advance(self, item_id: Any) -> None:
        """Add an event to the session, if the model knows its item."""
        scorer, itemidmap = self.scorer, self._itemidmap
        item = itemidmap.index.get_indexer(id_list([item_id], "input_item_id"))
        if item[0] >= 0:
            lane = torch.zeros(1, dtype=torch.int64, device=scorer.device)
            index = torch.tensor([itemidmap.to_numpy()[item[0]]], device=scorer.device)
            self._features = scorer.step(self._state, index, lane.bool(), lane)
