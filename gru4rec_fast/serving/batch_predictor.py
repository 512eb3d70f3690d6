"""The batch predictor of older scripts: scores after one more event of each of some lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import DataError
from gru4rec_fast.serving.recommend import id_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gru4rec_fast.evaluation.network_scorer import NetworkScorer


class BatchPredictor:
    """Scores for one event of each of `batch` lanes at a time; remembers the lanes' states."""

    def __init__(self, scorer: NetworkScorer, itemidmap: pd.Series, batch: int) -> None:
        self.batch = whole_number("batch", batch)
        self._scorer = scorer
        self._itemidmap = itemidmap
        self._state: list[torch.Tensor] = []
        self._sessions: np.ndarray[Any, Any] | None = None

    def predict_next(
        self,
        session_ids: Sequence[Any],
        input_item_ids: Sequence[Any],
        predict_for_item_ids: Sequence[Any] | None,
    ) -> pd.DataFrame:
        """Scores (items x events) after the given events; a changed session id resets its lane.

        Raises:
            DataError: another number of events than lanes, or an item that the model does not know.
        """
        sessions = id_list(session_ids, "session_ids").to_numpy(dtype=object)
        events = id_list(input_item_ids, "input_item_ids")
        for name, given in (("session_ids", sessions), ("input_item_ids", events)):
            if len(given) != self.batch:
                raise DataError(
                    f"{name} has {len(given)} entries; expected one for each of the "
                    f"batch={self.batch} lanes. Pass batch={len(given)} for as many lanes"
                )
        wanted = (
            self._itemidmap.index
            if predict_for_item_ids is None
            else id_list(predict_for_item_ids, "predict_for_item_ids")
        )
        inputs = self._indices(events, "input_item_ids")
        columns = self._indices(wanted, "predict_for_item_ids")
        if self._sessions is None:
            self._state = self._scorer.start(self.batch)
            restarts = np.ones(self.batch, dtype=bool)
        else:
            restarts = np.asarray(sessions != self._sessions, dtype=bool)
        self._sessions = sessions.copy()
        device = self._scorer.device
        features = self._scorer.step(
            self._state,
            inputs,
            torch.from_numpy(restarts).to(device),
            torch.arange(self.batch, device=device),
        )
        scores = self._scorer.scores(features, columns)
        return pd.DataFrame(scores.T.cpu().numpy(), index=wanted)

    def _indices(self, ids: pd.Index[Any], what: str) -> torch.Tensor:
        index = self._itemidmap.index.get_indexer(ids)
        if (index < 0).any():
            raise DataError(
                f"{what} holds {ids[index < 0].tolist()[0]!r}, which the model does not know; "
                "expected item ids of the training log. Leave unknown items out"
            )
        positions = self._itemidmap.to_numpy()[index]
        return torch.from_numpy(positions).long().to(self._scorer.device)
