"""The baselines in plain Python, from their formulas: all scores of a session, by loops.

A training session is a list of item indices; `training` holds the sessions from the oldest to the
most recent.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

Session = list[int]


def sessions_of(log: pd.DataFrame, itemidmap: pd.Series) -> list[Session]:
    """Sessions by the time of their first event, ties by session id; events by time."""
    found = []
    for session_id, events in log.groupby("SessionId"):
        events = events.sort_values("Time", kind="stable")
        items = [int(itemidmap[item]) for item in events["ItemId"]]
        found.append((events["Time"].iloc[0], session_id, items))
    return [items for _, _, items in sorted(found)]


def pop(training: list[Session], V: int, session: Session) -> list[float]:
    return [float(sum(past.count(i) for past in training)) for i in range(V)]


def session_pop(training: list[Session], V: int, session: Session) -> list[float]:
    support = pop(training, V, session)
    return [session.count(i) + support[i] / (1 + max(support)) for i in range(V)]


def markov(training: list[Session], V: int, session: Session) -> list[float]:
    last = session[-1]
    follows = [0] * V
    for past in training:
        for now, then in itertools.pairwise(past):
            if now == last:
                follows[then] += 1
    return [n / max(1, sum(follows)) for n in follows]


def item_knn(
    training: list[Session],
    V: int,
    session: Session,
    n_sims: int = 100,
    lmbd: float = 20,
    alpha: float = 0.5,
) -> list[float]:
    last = session[-1]
    support = [sum(i in past for past in training) for i in range(V)]
    similarity = [0.0] * V
    for j in range(V):
        if j != last:
            together = sum(last in past and j in past for past in training)
            norm = (support[last] + lmbd) ** alpha * (support[j] + lmbd) ** (1 - alpha)
            similarity[j] = together / norm if together else 0.0
    best = sorted(range(V), key=lambda j: (-similarity[j], j))[:n_sims]
    return [similarity[j] if j in best else 0.0 for j in range(V)]


def nearest(
    training: list[Session],
    session: Session,
    k: int,
    m: int,
    similarity: Callable[[Session, Session], Fraction],
) -> list[Session]:
    """The k most similar of the m most recent sessions that share an item, ties by recency."""
    sharing = [past for past in reversed(training) if set(past) & set(session)][:m]
    return sorted(sharing, key=lambda past: similarity(session, past), reverse=True)[:k]


def squared_cosine(session: Session, past: Session) -> Fraction:
    shared = len(set(session) & set(past))
    return Fraction(shared**2, len(set(session)) * len(set(past)))


def decayed_product(session: Session, past: Session) -> Fraction:
    weight = {item: Fraction(p, len(session)) for p, item in enumerate(session, start=1)}
    return sum((weight[item] for item in set(session) & set(past)), Fraction(0))


def sknn(
    training: list[Session], V: int, session: Session, k: int = 500, m: int = 1000
) -> list[float]:
    scores = [0.0] * V
    for past in nearest(training, session, k, m, squared_cosine):
        for i in set(past):
            scores[i] += math.sqrt(squared_cosine(session, past))
    return scores


def vsknn(
    training: list[Session], V: int, session: Session, k: int = 500, m: int = 1000
) -> list[float]:
    scores = [0.0] * V
    for past in nearest(training, session, k, m, decayed_product):
        for i in set(past):
            scores[i] += float(decayed_product(session, past))
    return scores


def vmis_knn(
    training: list[Session], V: int, session: Session, k: int = 100, m: int = 500
) -> list[float]:
    scores = [0.0] * V
    for past in nearest(training, session, k, m, decayed_product):
        match_at = next(p for p, item in enumerate(reversed(session), 1) if item in past)
        match = max(0.0, 1 - match_at / 10)
        for i in set(past):
            holding = sum(i in other for other in training)
            idf = math.log(len(training) / holding)
            scores[i] += match * float(decayed_product(session, past)) * idf
    return scores


def counts(scores: Sequence[float], target: int) -> tuple[int, int]:
    """Items scored above the target, and equal to it; scores within 1e-9 are equal."""
    own = scores[target]
    return (
        sum(score > own + 1e-9 for score in scores),
        sum(abs(score - own) <= 1e-9 for score in scores),
    )


def best_items(scores: Sequence[float], k: int) -> list[int]:
    """The k best items, equal ones by ascending index."""
    return sorted(range(len(scores)), key=lambda i: (-round(scores[i], 9), i))[:k]
