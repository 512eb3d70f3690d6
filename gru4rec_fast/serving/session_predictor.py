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
        self, session_id: Any, input_item_id: Any, predict_for_item_ids: Sequence[Any]
    ) -> pd.Series[float]:
        """Scores after one more event of a session.

        Events come one at a time, in order. A session id other than that of the call before starts
        a new session. An input item that the model does not know is passed over, as in evaluation;
        before the first known item all scores are 0.

        Returns:
            The scores, indexed by the item ids asked for.

        Raises:
            DataError: `predict_for_item_ids` is no list or holds an item that the model does not
                know.
        """
        scorer, itemidmap = self.scorer, self._itemidmap
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
            lane = torch.zeros(1, dtype=torch.int64, device=scorer.device)
            index = torch.tensor([itemidmap.to_numpy()[item[0]]], device=scorer.device)
            self._features = scorer.step(self._state, index, lane.bool(), lane)
        if self._features is None:
            return pd.Series(0.0, index=wanted)
        items = torch.from_numpy(itemidmap.to_numpy(dtype="int64")[columns]).to(scorer.device)
        return pd.Series(scorer.scores(self._features, items)[0].cpu().numpy(), index=wanted)
