"""Items that occur together with the last item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gru4rec_fast._core import similar_items
from gru4rec_fast.baselines.arguments import real_number
from gru4rec_fast.baselines.baseline import Baseline
from gru4rec_fast.baselines.item_lists import ItemListScorer
from gru4rec_fast.checks import whole_number
from gru4rec_fast.data.sessions import require_pairs

if TYPE_CHECKING:
    from gru4rec_fast.data.sessions import Sessions


class ItemKNN(Baseline):
    """Item-KNN (Hidasi et al. 2016, section 4): the items most similar to the last one.

    score(j | session) = c_ij / ((supp_i + lmbd)^alpha (supp_j + lmbd)^(1 - alpha)), where i is the
    session's last item, c_ij the training sessions that contain both items and supp_i those that
    contain item i. With alpha = 0.5 it is the regularised cosine of the paper. An item is not
    similar to itself. Beyond the n_sims best items of i the score is 0; at the limit the lower
    item index is kept.

    Args:
        n_sims: similar items kept for each item.
        lmbd: λ, added to supports; it damps coincidental similarities of rare items.
        alpha: 0 normalises by the support of j alone, 1 by that of i alone.

    Raises:
        ParameterError: a parameter of the wrong type or out of range.
    """

    def __init__(self, n_sims: int = 100, lmbd: float = 20, alpha: float = 0.5) -> None:
        self.n_sims = whole_number("n_sims", n_sims)
        self.lmbd = real_number("lmbd", lmbd)
        self.alpha = real_number("alpha", alpha, high=1)

    def _train(self, sessions: Sessions) -> ItemListScorer:
        require_pairs(sessions)
        return ItemListScorer(
            *similar_items(
                sessions.items,
                sessions.offsets,
                sessions.n_items,
                self.n_sims,
                self.lmbd,
                self.alpha,
            )
        )
