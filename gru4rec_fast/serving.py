"""Recommendations: the best next items of a session, and the batch predictor of older scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from gru4rec_fast.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gru4rec_fast.scoring import NetworkScorer


def known_items(itemidmap: pd.Series, item_ids: Sequence[Any], what: str) -> torch.Tensor:
    """Indices (int64) of the items that the model knows, the unknown ones left out.

    Raises:
        DataError: the model knows none of them.
    """
    index = itemidmap.index.get_indexer(pd.Index(item_ids))
    if not (index >= 0).any():
        raise DataError(
            f"{what} is {pd.Index(item_ids).tolist()[:5]!r}, of which the model knows no item; "
            f"expected ids of the training log, as {itemidmap.index[:1].tolist()[0]!r}"
        )
    return torch.from_numpy(itemidmap.to_numpy()[index[index >= 0]]).long()


def recommend(
    scorer: NetworkScorer,
    itemidmap: pd.Series,
    session_items: Sequence[Any],
    k: int,
    exclude_seen: bool,
) -> pd.DataFrame:
    """The k best next items of one session, best first: their ids, and 'Score'.

    Events of unknown items are passed over. With `exclude_seen` the session's own items are left
    out. Fewer than k rows come back only where the catalogue has no more.
    """
    if isinstance(session_items, str) or len(session_items) == 0:
        raise DataError(
            f"session_items is {session_items!r}; expected a non-empty list of item ids, "
            "oldest first"
        )
    if k < 1:
        raise ParameterError(f"k is {k}; expected at least 1")
    items = known_items(itemidmap, session_items, "session_items").to(scorer.device)
    seen = torch.unique(items) if exclude_seen else items[:0]
    state = scorer.start(1)
    lane = torch.zeros(1, dtype=torch.int64, device=scorer.device)
    going_on = torch.zeros(1, dtype=torch.bool, device=scorer.device)
    for item in items[:, None]:
        features = scorer.step(state, item, going_on, lane)
    scores, best = scorer.top_k(features, min(k + len(seen), scorer.n_items))
    keep = ~torch.isin(best[0], seen)
    name = itemidmap.index.name or "ItemId"
    table = pd.DataFrame(
        {
            name: itemidmap.index[best[0][keep].cpu().numpy()],
            "Score": scores[0][keep].cpu().numpy(),
        }
    )
    return table.iloc[:k]


class BatchPredictor:
    """Scores for one event of each of `batch` lanes at a time; remembers the lanes' states."""

    def __init__(self, scorer: NetworkScorer, itemidmap: pd.Series, batch: int) -> None:
        if batch < 1:
            raise ParameterError(f"batch is {batch}; expected at least 1")
        self.batch = batch
        self._scorer = scorer
        self._itemidmap = itemidmap
        self._state = scorer.start(batch)
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
        sessions, events = np.asarray(session_ids), pd.Index(input_item_ids)
        for name, given in (("session_ids", sessions), ("input_item_ids", events)):
            if len(given) != self.batch:
                raise DataError(
                    f"{name} has {len(given)} entries; expected one for each of the "
                    f"batch={self.batch} lanes. Pass batch={len(given)} for as many lanes"
                )
        wanted = (
            self._itemidmap.index
            if predict_for_item_ids is None
            else pd.Index(predict_for_item_ids)
        )
        inputs = self._indices(events, "input_item_ids")
        columns = self._indices(wanted, "predict_for_item_ids")
        if self._sessions is None:
            restarts = np.ones(self.batch, dtype=bool)
        else:
            restarts = sessions != self._sessions
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
