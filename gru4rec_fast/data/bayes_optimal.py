"""The Bayes-optimal predictor of a generated log, and the recall and MRR that it reaches.

No model is told the taste of a session. It has to be inferred from the session so far, which is
what a recurrent state is for. The optimal predictor is the Bayesian filter over the K tastes:
ranking the items by what it predicts maximises the probability of a hit at every cut-off. Its
figures are computed exactly here, and a model can be compared with them.

Letters: V items, K tastes (see `synthetic`), n predictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast.errors import DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from gru4rec_fast.data.synthetic import Float64, Generator, Int64, SyntheticLog

PROBABILITIES_IN_MEMORY = 2**22


def best_reachable(
    log: SyntheticLog, test: pd.DataFrame, cutoffs: Sequence[int] = (20,)
) -> tuple[dict[int, float], dict[int, float]]:
    """Recall and mean reciprocal rank, per cut-off, of the optimal predictor on `test`.

    The protocol is that of `batch_eval`: each event but a session's last is an input, and the event
    after it the only relevant item. Items that the optimal predictor finds equally likely are
    ranked in random order, and this is the mean over all orders. A model exceeds it only by chance.

    Args:
        log: what `generate` returned.
        test: some of its sessions, or others of the same generator: SessionId, ItemId, Time.
        cutoffs: the K of recall@K and mrr@K.

    Raises:
        DataError: `test` has no session of two events, or one that cannot come from the generator.
        ParameterError: a cut-off below 1.
    """
    cutoffs = _checked(cutoffs)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, max(cutoffs) + 1))])
    hits = dict.fromkeys(cutoffs, 0.0)
    reciprocals = dict.fromkeys(cutoffs, 0.0)
    events = 0
    for predicted, target in _predictions(log.generator, test):
        own = np.take_along_axis(predicted, target[:, None], axis=1)
        better = (predicted > own).sum(axis=1)
        equal = (predicted == own).sum(axis=1)
        for k in cutoffs:
            hits[k] += float(np.clip((k - better) / equal, 0, 1).sum())
            first, last = np.minimum(better, k), np.minimum(better + equal, k)
            reciprocals[k] += float(((harmonic[last] - harmonic[first]) / equal).sum())
        events += len(target)
    return {k: hits[k] / events for k in cutoffs}, {k: reciprocals[k] / events for k in cutoffs}


def expected_reachable(
    log: SyntheticLog, test: pd.DataFrame, cutoffs: Sequence[int] = (20,)
) -> tuple[dict[int, float], dict[int, float]]:
    """The mean of `best_reachable` over the targets that could have followed each input of `test`.

    The two differ by the random draw of `test`. Same arguments, errors and result.
    """
    cutoffs = _checked(cutoffs)
    rank = np.arange(1, min(max(cutoffs), log.generator.n_items) + 1)
    hits = dict.fromkeys(cutoffs, 0.0)
    reciprocals = dict.fromkeys(cutoffs, 0.0)
    events = 0
    for predicted, target in _predictions(log.generator, test):
        best = -np.sort(-predicted, axis=1)[:, : len(rank)]
        for k in cutoffs:
            hits[k] += float(best[:, :k].sum())
            reciprocals[k] += float((best / rank)[:, :k].sum())
        events += len(target)
    return {k: hits[k] / events for k in cutoffs}, {k: reciprocals[k] / events for k in cutoffs}


def _checked(cutoffs: Sequence[int]) -> list[int]:
    if not cutoffs or min(cutoffs) < 1:
        raise ParameterError(f"cutoffs={list(cutoffs)}: expected one or more, each 1 or more")
    return list(cutoffs)


def _predictions(generator: Generator, test: pd.DataFrame) -> Iterator[tuple[Float64, Int64]]:
    """What the Bayesian filter predicts (n, V), and the targets (n,), for a tile of events.

    All tastes are equally likely before a session. Each item of the session multiplies the
    probability of a taste (the belief) by the item's probability under that taste.
    """
    table = test.sort_values(["SessionId", "Time"], kind="stable")
    items: Any = table["ItemId"].to_numpy(dtype=np.int64)
    foreign = items[(items < 0) | (items >= generator.n_items)]
    if len(foreign):
        raise DataError(
            f"column 'ItemId' holds {foreign[0]}: expected the generator's items "
            f"0..{generator.n_items - 1}; pass sessions of the same generated log"
        )
    ids, start, length = np.unique(table["SessionId"], return_index=True, return_counts=True)
    ids, start, length = ids[length > 1], start[length > 1], length[length > 1]
    if len(ids) == 0:
        raise DataError(
            "column 'SessionId': no session has two events, so there is nothing to predict; "
            "pass more sessions"
        )
    tile = max(1, PROBABILITIES_IN_MEMORY // (generator.tastes * generator.n_items))
    for low in range(0, len(ids), tile):
        rows = slice(low, low + tile)
        session, event, last_event = ids[rows], start[rows], start[rows] + length[rows] - 1
        belief = _normalised(generator.liking[:, items[event]].T)
        while len(session):
            current, target = items[event], items[event + 1]
            by_taste = _next_probabilities(generator, current)
            yield np.einsum("nk,nkv->nv", belief, by_taste), target
            joint = belief * np.take_along_axis(by_taste, target[:, None, None], axis=2)[:, :, 0]
            impossible = joint.sum(axis=1) <= 0
            if impossible.any():
                raise DataError(
                    f"session {session[impossible][0]}: item {target[impossible][0]} cannot follow "
                    f"item {current[impossible][0]}; pass whole sessions of the same generated log"
                )
            event = event + 1
            goes_on = event < last_event
            belief = _normalised(joint[goes_on])
            session, event, last_event = session[goes_on], event[goes_on], last_event[goes_on]


def _next_probabilities(generator: Generator, current: Int64) -> Float64:
    """P(next | current, taste), (n, K, V), after each item of `current` (n,)."""
    n, k = len(current), generator.tastes
    chance = np.tile(generator.noise * generator.popularity, (n, k, 1))
    taste, j = np.arange(k)[:, None], np.arange(len(generator.weights))
    follow = generator.successor(taste, current[:, None, None], j)
    at = np.arange(n)[:, None, None], taste, follow
    np.add.at(chance, at, (1 - generator.noise) * generator.weights)
    return chance


def _normalised(x: Float64) -> Float64:
    return np.asarray(x / x.sum(axis=1, keepdims=True), dtype=np.float64)
