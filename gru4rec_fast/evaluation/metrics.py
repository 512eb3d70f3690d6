"""Next-item evaluation over the whole catalogue: recall and MRR in four tie modes.

Sessions run in lanes as in training, without negatives. Each event but a session's last is an
input, and the event after it the only relevant item (SPEC section 8). The figures do not depend on
the batch size: every rank is stored under its event, and they are summed in the log's order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.plan.lanes import lane_blocks
from gru4rec_fast.reference import RANKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.evaluation.scorer import Scorer


@dataclass(frozen=True)
class Evaluation:
    """Figures of one evaluation."""

    recall: dict[int, float]
    """cut-off -> share of predictions whose target ranks at or above it."""
    mrr: dict[int, float]
    """cut-off -> mean reciprocal rank, 0 where the rank is beyond it."""
    ranks: NDArray[np.float64]
    """(predictions,) rank of each target, in the order of the sessions' events."""
    dropped_events: int
    """Events of items that the model does not know, left out."""


def evaluate(
    scorer: Scorer,
    sessions: Sessions,
    cutoffs: Iterable[int] | int = (20,),
    *,
    batch_size: int = 512,
    mode: str = "standard",
    seed: int = 42,
) -> Evaluation:
    """Rank the next item of every event of the given sessions.

    Args:
        scorer: the model.
        sessions: of items numbered as the model numbers them.
        cutoffs: the K of recall@K and mrr@K, one or more.
        batch_size: lanes; speed and memory depend on it, the answer does not.
        mode: 'standard', 'conservative', 'median' or 'tiebreaking', see `reference.RANKS`.
        seed: of the order among equals in mode 'tiebreaking'.

    Raises:
        ParameterError: an unknown mode, a cut-off or batch size below 1.
        DataError: no session has two events of known items.
    """
    cutoffs = check_settings(cutoffs, batch_size, mode)
    if sessions.n_pairs == 0:
        raise DataError(
            f"none of the {sessions.n_sessions} sessions has two events of known items, so there "
            f"is no next item to predict ({sessions.dropped_events} events of unknown items were "
            "dropped). Evaluate on sessions of the catalogue that the model was trained on"
        )
    greater = np.zeros(sessions.n_events, dtype=np.int64)
    equal = np.zeros(sessions.n_events, dtype=np.int64)
    predicted = np.zeros(sessions.n_events, dtype=bool)
    batch_size = min(batch_size, sessions.n_sessions)
    state = scorer.start(batch_size)
    for block in lane_blocks(
        sessions, batch_size, block_steps=max(1, scorer.rows_per_block // batch_size)
    ):
        features = []
        for t, m in enumerate(block.live):
            inputs, source, restarts = (
                torch.from_numpy(a[t, :m]).to(scorer.device, dtype)
                for a, dtype in (
                    (block.inputs, torch.int64),
                    (block.source, torch.int64),
                    (block.restarts, torch.bool),
                )
            )
            features.append(scorer.step(state, inputs, restarts, source))
        alive = block.events >= 0
        targets = torch.from_numpy(block.targets[alive]).to(scorer.device, torch.int64)
        above, same = scorer.rank_counts(torch.cat(features), targets)
        greater[block.events[alive]] = above.cpu().numpy()
        equal[block.events[alive]] = same.cpu().numpy()
        predicted[block.events[alive]] = True

    u = torch.from_numpy(np.random.default_rng(seed).random(sessions.n_events)[predicted])
    above, same = torch.from_numpy(greater[predicted]), torch.from_numpy(equal[predicted])
    ranks = RANKS[mode](above, same, u).numpy()
    return Evaluation(
        recall={k: float(np.mean(ranks <= k)) for k in cutoffs},
        mrr={k: float(np.mean(np.where(ranks <= k, 1 / ranks, 0.0))) for k in cutoffs},
        ranks=ranks,
        dropped_events=sessions.dropped_events,
    )


def check_settings(cutoffs: Iterable[int] | int, batch_size: int, mode: str) -> list[int]:
    """The cut-offs as a list, once all settings of an evaluation are found good.

    Raises:
        ParameterError: as for `evaluate`.
    """
    if mode not in RANKS:
        raise ParameterError(f"mode is {mode!r}; expected one of {', '.join(RANKS)}")
    whole_number("batch_size", batch_size)
    return check_cutoffs(cutoffs)


def check_cutoffs(cutoffs: Iterable[int] | int) -> list[int]:
    """The cut-offs as a list.

    Raises:
        ParameterError: there is none, or one is not a whole number of at least 1.
    """
    given: object = cutoffs
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [whole_number("cutoff", given)]
    checked = [whole_number("cutoff", k) for k in given]
    if not checked:
        raise ParameterError("cutoff is empty; expected one or more whole numbers, as [1, 20]")
    return checked
