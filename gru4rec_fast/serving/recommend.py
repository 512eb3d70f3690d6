"""The best next items of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gru4rec_fast.evaluation.scorer import Scorer


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


def known_items(itemidmap: pd.Series, item_ids: pd.Index[Any], what: str) -> torch.Tensor:
    """Indices (int64) of the items that the model knows, the unknown ones left out.

    Raises:
        DataError: the model knows none of them.
    """
    index = itemidmap.index.get_indexer(item_ids)
    if not (index >= 0).any():
        raise DataError(
            f"{what} is {item_ids.tolist()[:5]!r}, of which the model knows no item; "
            f"expected ids of the training log, as {itemidmap.index[:1].tolist()[0]!r}"
        )
    return torch.from_numpy(itemidmap.to_numpy()[index[index >= 0]]).long()


def recommend(
    scorer: Scorer,
    itemidmap: pd.Series,
    session_items: Sequence[Any],
    k: int,
    exclude_seen: bool,
) -> pd.DataFrame:
    """The k best next items of one session, best first: their ids, and their scores.

    Events of unknown items are passed over. With `exclude_seen` the session's own items are left
    out. Fewer than k rows come back only where the catalogue has no more.
    """
    k = whole_number("k", k)
    ids = id_list(session_items, "session_items")
    if len(ids) == 0:
        raise DataError("session_items is []; expected a non-empty list of item ids, oldest first")
    items = known_items(itemidmap, ids, "session_items").to(scorer.device)
    seen = torch.unique(items) if exclude_seen else items[:0]
    state = scorer.start(1)
    lane = torch.zeros(1, dtype=torch.int64, device=scorer.device)
    going_on = torch.zeros(1, dtype=torch.bool, device=scorer.device)
    for item in items[:, None]:
        features = scorer.step(state, item, going_on, lane)
    scores, best = scorer.top_k(features, min(k + len(seen), len(itemidmap)))
    keep = ~torch.isin(best[0], seen)
    name = itemidmap.index.name or "ItemId"
    table = pd.DataFrame(
        {
            name: itemidmap.index[best[0][keep].cpu().numpy()],
            "ModelScore" if name == "Score" else "Score": scores[0][keep].cpu().numpy(),
        }
    )
    return table.iloc[:k]
