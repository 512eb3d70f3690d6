"""The batch predictor of older scripts: scores after one more event of each of some lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.serving.recommend import id_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gru4rec_fast.evaluation.network_scorer import NetworkScorer

UNKNOWN = ("raise", "nan")


class BatchPredictor:
    """Scores for one event of each lane at a time; remembers the lanes' states.

    As many lanes are remembered as the largest batch had.
    """

    def __init__(self, scorer: NetworkScorer, itemidmap: pd.Series) -> None:
        self.scorer = scorer
        self._itemidmap = itemidmap
        self._state = scorer.start(0)
        self._sessions = np.empty(0, dtype=object)
        self._started = np.empty(0, dtype=bool)

    def predict_next(
        self,
        session_ids: Sequence[Any],
        input_item_ids: Sequence[Any],
        predict_for_item_ids: Sequence[Any] | None,
        batch: int,
        unknown: str = "raise",
        session_columns: bool = False,
    ) -> pd.DataFrame:
        """Scores (items x events) after the given events, see `GRU4Rec.predict_next_batch`.

        Raises:
            DataError: another number of events than lanes, or an item that the model does not know.
            ParameterError: `batch` or `unknown` is out of range.
        """
        batch = whole_number("batch", batch)
        if unknown not in UNKNOWN:
            raise ParameterError(f"unknown={unknown!r}: expected 'raise' or 'nan'")
        sessions = id_list(session_ids, "session_ids").to_numpy(dtype=object)
        events = id_list(input_item_ids, "input_item_ids")
        for name, given in (("session_ids", sessions), ("input_item_ids", events)):
            if len(given) != batch:
                raise DataError(
                    f"{name} has {len(given)} entries; expected one for each of the "
                    f"batch={batch} lanes. Pass batch={len(given)} for as many lanes"
                )
        wanted = (
            self._itemidmap.index
            if predict_for_item_ids is None
            else id_list(predict_for_item_ids, "predict_for_item_ids")
        )
        inputs = self._indices(events, "input_item_ids", unknown)
        columns = self._indices(wanted, "predict_for_item_ids", unknown)
        scores = np.full((batch, len(wanted)), np.nan, dtype=np.float32)
        lanes, known = np.flatnonzero(inputs >= 0), columns >= 0
        restarts = self._begin(sessions)
        if len(lanes):
            features = self._advance(lanes, inputs[lanes], restarts[lanes])
            found = self.scorer.scores(features, self._on_device(columns[known]))
            scores[np.ix_(lanes, known)] = found.cpu().numpy()
        return pd.DataFrame(
            scores.T, index=wanted, columns=list(session_ids) if session_columns else None
        )

    def _begin(self, sessions: NDArray[Any]) -> NDArray[np.bool_]:
        """Note the sessions of the first lanes; which lanes start from the zero state."""
        n = len(sessions)
        more = n - len(self._sessions)
        if more > 0:
            new = self.scorer.start(more)
            self._state = [torch.cat(pair) for pair in zip(self._state, new, strict=True)]
            self._sessions = np.append(self._sessions, np.full(more, None, dtype=object))
            self._started = np.append(self._started, np.zeros(more, dtype=bool))
        changed = np.asarray(sessions != self._sessions[:n], dtype=bool)
        # A session whose first events are unknown starts with its first known one.
        self._started[:n] &= ~changed
        self._sessions[:n] = sessions
        return ~self._started[:n]

    def _advance(
        self, lanes: NDArray[np.int64], inputs: NDArray[np.int64], restarts: NDArray[np.bool_]
    ) -> torch.Tensor:
        where = self._on_device(lanes)
        state = list(self._state)
        features = self.scorer.step(
            state, self._on_device(inputs), self._on_device(restarts), where
        )
        for kept, new in zip(self._state, state, strict=True):
            kept[where] = new
        self._started[lanes] = True
        return features

    def _on_device(self, values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.scorer.device)

    def _indices(self, ids: pd.Index[Any], what: str, unknown: str) -> NDArray[np.int64]:
        """The item of each id, -1 for an unknown one with unknown='nan'."""
        index = self._itemidmap.index.get_indexer(ids)
        if unknown == "raise" and (index < 0).any():
            raise DataError(
                f"{what} holds {ids[index < 0].tolist()[0]!r}, which the model does not know; "
                "expected item ids of the training log. Leave unknown items out, or pass "
                "unknown='nan'"
            )
        positions = self._itemidmap.to_numpy(dtype=np.int64)[index]
        return np.where(index < 0, -1, positions)
