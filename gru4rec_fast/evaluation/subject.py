"""What is evaluated on what: the scorer of a model, its items and support, and the log's sessions.

A model has `data_iterator.itemidmap` and `scorer()`; another implementation's GRU4Rec has
`model.forward` (SPEC section 10) instead of the latter. A bare scorer has neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gru4rec_fast.data.column_names import known_columns, resolved
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.evaluation.forward_scorer import ForwardScorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.evaluation.scorer import Scorer


def scorer_of(model: Any) -> Scorer:
    """The scorer of a model; a scorer itself.

    Raises:
        ParameterError: it is neither.
    """
    scorer: Scorer
    if hasattr(model, "scorer"):
        scorer = model.scorer()
    elif all(hasattr(model, name) for name in ("start", "step", "rank_counts", "top_k")):
        scorer = model
    elif hasattr(model, "data_iterator"):
        scorer = ForwardScorer(model)
    else:
        raise ParameterError(
            f"the model is of type {type(model).__name__}; expected a trained GRU4Rec or baseline, "
            "or a scorer, and then the log: evaluate(model, log)"
        )
    return scorer


def read_sessions(model: Any, data: Any, unknown: str, keys: dict[str, Any]) -> list[Sessions]:
    """The known sessions and the whole sessions of a log (see `events`).

    `keys` are arguments of `load_sessions`, in which defaults give way to the model's own names.
    Both are the same where no event is of an unknown item, or with `unknown='drop'`.

    Raises:
        DataError: a bad log, or sessions numbered otherwise than the model's items.
        ParameterError: a log for a bare scorer, or `unknown='miss'` for sessions that have lost
            the events of unknown items.
    """
    items = model.data_iterator.itemidmap if hasattr(model, "data_iterator") else None
    if isinstance(data, Sessions):
        if items is not None and not _same_numbering(items, data.itemidmap):
            raise DataError(
                "the sessions number other items than the model, or number them otherwise; pass "
                "the log itself, or load_sessions(log, itemidmap=model.data_iterator.itemidmap)"
            )
        if unknown == "miss" and data.dropped_events:
            raise ParameterError(
                f"unknown='miss' needs the {data.dropped_events} events of unknown items, which "
                "these sessions have left out: pass the log itself"
            )
        return [data, data]
    if items is None:
        raise ParameterError(
            f"a {type(model).__name__} is a scorer and does not know the ids of items; expected "
            "Sessions in its numbering: pass load_sessions(log, itemidmap=...), or the model itself"
        )
    keys = resolved(known_columns(model), keys)
    known = load_sessions(data, itemidmap=items, **keys)
    if unknown == "drop" or not known.dropped_events:
        return [known, known]
    return [known, load_sessions(data, **keys)]


def support_of(model: Any, support: Any, itemidmap: pd.Series[int]) -> NDArray[np.int64] | None:
    """Training support (V,) of the model's items: as given, or the model's, or None.

    Raises:
        ParameterError: the support given is no count for each item.
    """
    if support is None:
        support = getattr(model, "support", None)
    if support is None:
        support = getattr(getattr(model, "data_iterator", None), "support", None)
    if support is None:
        return None
    if isinstance(support, pd.Series):
        # By item id: an item that the training log lacks has no support.
        support = support.reindex(itemidmap.sort_values().index, fill_value=0)
    counts = np.asarray(support)
    if (
        counts.shape != (len(itemidmap),)
        or counts.dtype.kind not in "iuf"
        or not (np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))).all()
    ):
        raise ParameterError(
            f"support has shape {counts.shape} and type {counts.dtype}; expected the training "
            f"events of each of the {len(itemidmap)} items, in the order of the model's indices, "
            "or as a pandas Series by item id: log[item_key].value_counts()"
        )
    return counts.astype(np.int64)


def _same_numbering(a: pd.Series[int], b: pd.Series[int]) -> bool:
    return a is b or a.sort_values().index.equals(b.sort_values().index)
