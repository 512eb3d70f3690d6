"""The best next items of many sessions in one pass.

Letters: n sessions, E events of all of them.
"""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast.checks import one_of, whole_number
from gru4rec_fast.data.columns import id_column, select_columns
from gru4rec_fast.data.origin import Origin
from gru4rec_fast.errors import DataError
from gru4rec_fast.serving.ranking import best_items
from gru4rec_fast.serving.recommendations import Recommendations, recommendations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.evaluation.network_scorer import NetworkScorer
    from gru4rec_fast.serving.catalogue import Catalogue

COLD = ("none", "popularity", "raise")


def recommend_batch(
    scorer: NetworkScorer,
    catalogue: Catalogue,
    sessions: Any,
    k: int,
    *,
    exclude_seen: bool,
    candidates: NDArray[np.int64] | None,
    cold: str,
    keys: dict[str, str],
) -> Recommendations:
    """The k best next items of each session, see `GRU4Rec.recommend_batch`."""
    k = whole_number("k", k)
    one_of("cold", cold, COLD)
    names, ids, lengths = _sessions_of(sessions, keys)
    items = catalogue.find(ids)
    row = np.repeat(np.arange(len(names)), lengths)
    known = items >= 0
    unknown = np.bincount(row[~known], minlength=len(names))
    items, row = items[known], row[known]
    events = np.bincount(row, minlength=len(names))
    offsets = np.concatenate([[0], np.cumsum(events)]).astype(np.int64)
    is_cold = events == 0
    _report(names, is_cold, unknown, cold, catalogue)
    _, features = scorer.advance(
        torch.from_numpy(items).to(scorer.device),
        scorer.start(len(names)),
        torch.from_numpy(offsets),
    )
    seen = None
    if exclude_seen:
        seen = [np.unique(items[a:b]) for a, b in itertools.pairwise(offsets)]
    best = best_items(scorer, features, k, seen, candidates)
    return recommendations(
        catalogue, best, names, unknown, is_cold, candidates, popularity=cold == "popularity"
    )


def _sessions_of(
    sessions: Any, keys: dict[str, str]
) -> tuple[list[Any], list[Any], NDArray[np.int64]]:
    """Names of the sessions (n,), the ids of all events (E,), and the sessions' lengths (n,).

    Raises:
        DataError: neither a list of lists of ids nor a table with the two columns.
    """
    if not isinstance(sessions, list | tuple | np.ndarray):
        if not hasattr(type(sessions), "columns"):
            raise DataError(
                f"sessions is of type {type(sessions).__name__}; expected a list of lists of item "
                "ids, or a pandas, polars or Arrow table with a row for each event"
            )
        table = select_columns(sessions, keys)
        session, item = (id_column(table[name], Origin(False)) for name in keys.values())
        names, codes = _in_order_of_appearance(session)
        order = np.argsort(codes, kind="stable")
        return names, item[order].tolist(), np.bincount(codes, minlength=len(names))
    listed = []
    for number, session in enumerate(sessions):
        if not isinstance(session, list | tuple | np.ndarray):
            raise DataError(
                f"sessions[{number}] is {session!r}; expected a list of item ids, oldest first: "
                "sessions is a list of such lists, or a table with a row for each event"
            )
        listed.append(session.tolist() if isinstance(session, np.ndarray) else session)
    lengths = np.array([len(session) for session in listed], dtype=np.int64)
    return list(range(len(listed))), list(itertools.chain.from_iterable(listed)), lengths


def _in_order_of_appearance(ids: NDArray[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    import pandas as pd

    codes, distinct = pd.factorize(ids)
    return distinct.tolist(), codes.astype(np.int64)


def _report(
    names: list[Any],
    is_cold: NDArray[np.bool_],
    unknown: NDArray[np.int64],
    cold: str,
    catalogue: Catalogue,
) -> None:
    if not is_cold.any():
        return
    first = names[int(np.argmax(is_cold))]
    what = (
        f"{int(is_cold.sum())} of {len(names)} sessions (the first: {first!r}) have no event of an "
        f"item that the model knows ({int(unknown[is_cold].sum())} events of unknown items)"
    )
    if cold == "raise":
        raise DataError(f"{what}; leave them out, or pass cold='popularity' or cold='none'")
    if cold == "popularity" and catalogue.popular is None:
        raise DataError(
            f"{what}, and the model file holds no support to answer by popularity: it was saved by "
            "an older version. Pass cold='none', or train and save the model again"
        )
    if cold == "none":
        warnings.warn(
            f"{what}: they get no items. cold='popularity' answers them by popularity", stacklevel=4
        )
