"""The best next items of one session, by any scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import DataError
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from gru4rec_fast.serving.ranking import best_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.serving.session_predictor import ItemScorer


def id_list(ids: Any, what: str) -> pd.Index[Any]:
    """The ids as an index.

    Raises:
        DataError: they are no list, array or column of single values.
    """
    if pd.api.types.is_list_like(ids, allow_sets=False) and not isinstance(ids, pd.DataFrame):
        values = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        if all(pd.api.types.is_scalar(value) for value in values):
            index: pd.Index[Any] = pd.Index(values)
            return index
    shown = " ".join(repr(ids).split())
    raise DataError(
        f"{what} is {shown if len(shown) < 80 else 'a ' + type(ids).__name__}; expected a "
        "list of ids, as [3, 17] or ['a', 'b']"
    )


def known_items(itemidmap: pd.Series, item_ids: pd.Index[Any], what: str) -> NDArray[np.int64]:
    """Indices of the items that the model knows, the unknown ones left out.

    Raises:
        DataError: the model knows none of them.
    """
    index = itemidmap.index.get_indexer(item_ids)
    if not (index >= 0).any():
        raise DataError(
            f"{what} is {item_ids.tolist()[:5]!r}, of which the model knows no item; "
            f"expected ids of the training log, as {itemidmap.index[:1].tolist()[0]!r}"
        )
    return np.asarray(itemidmap.to_numpy()[index[index >= 0]], dtype=np.int64)


def candidate_items(itemidmap: pd.Series, candidates: Any) -> NDArray[np.int64] | None:
    """The known ones of some candidates, each once, ascending; None for None.

    Raises:
        DataError: they are no list, or the model knows none of them.
    """
    if candidates is None:
        return None
    return np.unique(known_items(itemidmap, id_list(candidates, "candidates"), "candidates"))


def recommend(
    scorer: ItemScorer,
    itemidmap: pd.Series,
    session_items: Sequence[Any],
    k: int,
    exclude_seen: bool,
    candidates: Any = None,
) -> pd.DataFrame:
    """The k best next items of one session, best first: their ids, and their scores.

    Events of unknown items are passed over. With `exclude_seen` the session's own items are left
    out. `candidates` are the only items to rank; unknown ones are passed over. Fewer than k rows
    come back only where there are no more items.

    Raises:
        DataError: the session or the candidates are no list of ids or hold no known one.
        ParameterError: k is not a whole number of at least 1.
    """
    k = whole_number("k", k)
    ids = id_list(session_items, "session_items")
    if len(ids) == 0:
        raise DataError("session_items is []; expected a non-empty list of item ids, oldest first")
    items = known_items(itemidmap, ids, "session_items")
    scores, best = best_items(
        scorer,
        _features(scorer, items),
        k,
        [np.unique(items)] if exclude_seen else None,
        candidate_items(itemidmap, candidates),
    )
    keep = best[0] >= 0
    name = itemidmap.index.name or "ItemId"
    return pd.DataFrame(
        {
            name: itemidmap.index[best[0][keep]],
            "ModelScore" if name == "Score" else "Score": scores[0][keep],
        }
    )


def _features(scorer: ItemScorer, items: NDArray[np.int64]) -> Tensor:
    """Features (1, F) after the events of one session."""
    events = torch.from_numpy(items).to(scorer.device)
    state = scorer.start(1)
    if isinstance(scorer, NetworkScorer):
        return scorer.advance(events, state, torch.tensor([0, len(items)]))[1]
    lane = torch.zeros(1, dtype=torch.int64, device=scorer.device)
    for item in events[:, None]:
        features: Tensor = scorer.step(state, item, lane.bool(), lane)
    return features
