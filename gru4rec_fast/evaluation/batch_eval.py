"""`batch_eval`: recall and MRR of a model on a test log, by the names that users have."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from gru4rec_fast.data.column_names import ITEM_KEY, SESSION_KEY, TIME_KEY
from gru4rec_fast.data.origin import naming
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.evaluate import check_settings, evaluate
from gru4rec_fast.evaluation.subject import read_sessions

if TYPE_CHECKING:
    from collections.abc import Iterable


def batch_eval(
    gru: Any,
    test_data: Any,
    cutoff: Iterable[int] | int = (20,),
    batch_size: int = 512,
    mode: str = "conservative",
    item_key: str = ITEM_KEY,
    session_key: str = SESSION_KEY,
    time_key: str | None = TIME_KEY,
    *,
    sep: str | None = None,
) -> tuple[dict[int, float], dict[int, float]]:
    """Recall and MRR of the next-item predictions on a test log, over the whole catalogue.

    Args:
        gru: a trained GRU4Rec or baseline, or another implementation's GRU4Rec, which has
            `model.forward` (SPEC section 10) instead of `scorer`.
        test_data: a table or path as for `GRU4Rec.fit`; events of items that the model does not
            know are left out, and a warning counts them.
        cutoff: the K of recall@K and mrr@K, one or more.
        batch_size: sessions evaluated side by side; the answer does not depend on it.
        mode: what a tie with the target counts: 'standard', 'conservative', 'median',
            'tiebreaking'.
        item_key: the item column; by default that of the model's training log, or 'ItemId' where
            the model does not know it. Likewise the other two.
        session_key: the session column, likewise ('SessionId').
        time_key: the time column, likewise ('Time'); None where the rows are in the order of time.
        sep: what separates the fields of a text file; None detects tabs, commas or semicolons.

    Returns:
        recall and mrr, each a dict cut-off -> value.

    Raises:
        DataError: a bad log, or one without a pair of known items.
        ParameterError: an unknown mode, a bad cut-off or batch size, or something else than a
            model as `gru`.
    """
    if not hasattr(gru, "data_iterator"):
        raise ParameterError(
            f"gru is of type {type(gru).__name__}; expected a trained GRU4Rec, then the log: "
            "batch_eval(gru, test_data)"
        )
    cutoff = check_settings(cutoff, batch_size, mode)
    keys: dict[str, Any] = {
        "item_key": item_key,
        "session_key": session_key,
        "time_key": time_key,
        "sep": sep,
    }
    sessions, _ = read_sessions(gru, test_data, "drop", keys)
    if sessions.dropped_events:
        total = sessions.n_events + sessions.dropped_events
        warnings.warn(
            f"{sessions.dropped_events} of {total} events are of items that the model does not "
            "know: left out",
            stacklevel=2,
        )
    with naming(test_data):
        result = evaluate(
            gru,
            sessions,
            cutoff,
            mode=mode,
            batch_size=batch_size,
            groups={},
            lists=False,
            n_bootstrap=0,
        )
    return result.recall, result.mrr
