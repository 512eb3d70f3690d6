"""Validation between epochs: the figures of a model on sessions that it is not trained on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast.checks import closest
from gru4rec_fast.data.origin import naming
from gru4rec_fast.data.session_split import refuse_store, split_latest
from gru4rec_fast.data.sessions import Sessions, load_sessions, require_pairs
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from gru4rec_fast.evaluation.scorer import Scorer

LOSS = "loss"
DEFAULT_CUTOFF = 20


def cutoff_of(metric: object) -> int:
    """The cut-off K of a metric as 'recall@20'; 20 for 'loss', which has none.

    Raises:
        ParameterError: it is neither 'loss' nor a known metric with a cut-off.
    """
    if metric == LOSS:
        return DEFAULT_CUTOFF
    match = re.fullmatch(r"([a-z]+)@([1-9][0-9]*)", metric) if isinstance(metric, str) else None
    if match is None or match[1] not in METRICS:
        known = [LOSS, *(f"{name}@{DEFAULT_CUTOFF}" for name in METRICS)]
        raise ParameterError(
            f"metric is {metric!r}{closest(str(metric), known)}; expected 'loss' or one of "
            f"{', '.join(METRICS)} with a cut-off, as 'recall@20'"
        )
    return int(match[2])


def training_and_validation(
    data: Any, validation: Any, keys: dict[str, Any], time_sort: bool
) -> tuple[Sessions, Sessions | None]:
    """The sessions to train on, and those to validate on, in the numbering of the former.

    `validation` is None, a log, or the share of the latest sessions that is held out of `data`.
    Items that occur in the validation sessions alone are unknown: their events are dropped.

    Raises:
        ParameterError: the share is not between 0 and 1.
        DataError: a bad log, no pair of known items in one of the two, or a share of a prepared
            store.
    """
    is_share = isinstance(validation, bool | int | float | np.number)
    if is_share and (isinstance(validation, bool) or not 0 < validation < 1):
        raise ParameterError(
            f"validation is {validation!r}; expected a share of the sessions between 0 and 1, a "
            "log, or None"
        )
    if is_share:
        refuse_store(data)
    with naming(data):
        sessions = load_sessions(data, time_sort=time_sort, **keys)
        if is_share:
            sessions, validated = split_latest(sessions, float(validation))
        require_pairs(sessions)
    if validation is None:
        return sessions, None
    held_out = data if is_share else validation
    try:
        with naming(held_out):
            if not is_share:
                validated = load_sessions(held_out, itemidmap=sessions.itemidmap, **keys)
            require_pairs(validated)
    except DataError as error:
        raise DataError(f"validation: {error}") from error
    return sessions, validated


def figures(scorer: Scorer, sessions: Sessions, cutoff: int) -> dict[str, float]:
    """All metrics at a cut-off, as 'recall@20' -> 0.5; a tie with the target counts against it."""
    result = evaluate(scorer, sessions, [cutoff], groups={}, lists=False, n_bootstrap=0)
    return {f"{name}@{cutoff}": float(result.values[name][cutoff]) for name in METRICS}
