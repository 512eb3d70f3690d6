"""What is recommended to many sessions at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gru4rec_fast.serving.catalogue import Catalogue
    from gru4rec_fast.serving.ranking import Best


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The k best items of each of n sessions, best first; unpacked, it is `ids, scores`.

    Where fewer items are left, because they are few or were seen, a row ends with the score -inf
    and the id -1, or None where ids are text.
    """

    sessions: list[Any]
    """(n,) the session of each row: its id, or its position where sessions have no ids."""
    ids: NDArray[Any]
    """(n, k) item ids."""
    scores: NDArray[np.float32]
    """(n, k) scores; of a cold row the items' shares of the training log's events."""
    unknown: NDArray[np.int64]
    """(n,) how many events of the row were passed over, as the model does not know their items."""
    cold: NDArray[np.bool_]
    """(n,) whether no event of a known item came before: nothing but popularity can answer."""
    item_key: str = "ItemId"
    """The name of the item column."""

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.ids, self.scores))

    def __len__(self) -> int:
        return len(self.sessions)

    def to_frame(self) -> pd.DataFrame:
        """A row for each recommended item: session, rank from 1, item id, score."""
        row, rank = np.nonzero(np.isfinite(self.scores))
        sessions = pd.Series(self.sessions, dtype=object).infer_objects()
        return pd.DataFrame(
            {
                "Session": sessions.to_numpy()[row] if len(row) else sessions.to_numpy()[:0],
                "Rank": rank + 1,
                self.item_key: self.ids[row, rank],
                "ModelScore" if self.item_key == "Score" else "Score": self.scores[row, rank],
            }
        )


def recommendations(
    catalogue: Catalogue,
    best: Best,
    sessions: list[Any],
    unknown: NDArray[np.int64],
    cold: NDArray[np.bool_],
    candidates: NDArray[np.int64] | None,
    *,
    popularity: bool,
) -> Recommendations:
    """The best items of rows as ids; cold rows by popularity, or without items."""
    scores, items = best
    if cold.any():
        scores[cold], items[cold] = -np.inf, -1
        if popularity and catalogue.popular is not None:
            popular, share = catalogue.popular
            if candidates is not None:
                of_them = np.isin(popular, candidates)
                popular, share = popular[of_them], share[of_them]
            k = min(scores.shape[1], len(popular))
            cold_rows = np.flatnonzero(cold)[:, None]
            scores[cold_rows, np.arange(k)] = share[:k]
            items[cold_rows, np.arange(k)] = popular[:k]
    return Recommendations(sessions, catalogue.ids(items), scores, unknown, cold, catalogue.name)
