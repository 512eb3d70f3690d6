"""`evaluate`: a model on a test log, over the whole catalogue (SPEC section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast.checks import one_of, whole_number
from gru4rec_fast.data.column_names import ITEM_KEY, SESSION_KEY, TIME_KEY
from gru4rec_fast.data.origin import naming
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.evaluation import metrics, predictions
from gru4rec_fast.evaluation.bootstrap import SessionSums, check_bootstrap, with_intervals
from gru4rec_fast.evaluation.events import TARGETS, UNKNOWN_MODES, PredictedEvents, predicted_events
from gru4rec_fast.evaluation.groups import check_groups, grouped
from gru4rec_fast.evaluation.metrics import METRICS, check_cutoffs
from gru4rec_fast.evaluation.result import Evaluation, Group
from gru4rec_fast.evaluation.subject import read_sessions, scorer_of, support_of
from gru4rec_fast.reference import RANKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from gru4rec_fast.data.sessions import Sessions

    Each = Iterator[NDArray[np.float64]]


def evaluate(
    model: Any,
    data: Any,
    cutoffs: Iterable[int] | int = (20,),
    *,
    mode: str = "conservative",
    unknown: str = "drop",
    targets: str = "next",
    batch_size: int = 512,
    seed: int = 42,
    support: Any = None,
    groups: Mapping[str, int | Iterable[int]] | None = None,
    lists: bool = True,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    item_key: str = ITEM_KEY,
    session_key: str = SESSION_KEY,
    time_key: str | None = TIME_KEY,
    sep: str | None = None,
) -> Evaluation:
    """Predict the rest of each session after each of its events, and count how well.

    Args:
        model: a trained GRU4Rec or baseline, another implementation's GRU4Rec, or a scorer.
        data: a table or path as for `GRU4Rec.fit`, or `Sessions` in the model's numbering.
        cutoffs: the K of all figures, one or more.
        mode: what a tie with the target counts: 'standard', 'conservative', 'median',
            'tiebreaking' (`reference.RANKS`); with `targets='all'` only 'conservative'.
        unknown: 'drop' leaves out the events of items that the model does not know; with 'miss'
            each event of the log but the first of its session is a prediction, and one of an
            unknown item fails.
        targets: 'next', the next item is relevant; 'all', all items in the rest of the session.
        batch_size: sessions side by side; speed and memory depend on it, the answer does not.
        seed: of the bootstrap, and of the order among equals in mode 'tiebreaking'.
        support: training events of each item, (V,) by item index or a pandas Series by item id, for
            the popularity of lists and the breakdown by support; by default `model.support` or
            `model.data_iterator.support` where there is one.
        groups: breakdowns, from 'position', 'length', 'support' to a number of quantile groups or
            to where each group starts; by default all three, {} for none.
        lists: whether to make top-K lists, for coverage, gini and popularity. They cost about as
            much as the ranks. `targets='all'` needs them.
        n_bootstrap: resamples of sessions for the intervals, 0 for none.
        confidence: of the intervals.
        item_key: the item column; by default that of the model's training log, or 'ItemId' where
            the model does not know it. Likewise the other two.
        session_key: the session column, likewise ('SessionId').
        time_key: the time column, likewise ('Time'); None where the rows are in the order of time.
        sep: what separates the fields of a text file; None detects tabs, commas or semicolons.

    Raises:
        ParameterError: an unknown mode or choice, a value out of range, something else than a
            model, or arguments that exclude each other.
        DataError: a bad log, or one without an event to predict.
    """
    cutoffs = check_settings(cutoffs, batch_size, mode, unknown, targets, lists=lists)
    wanted = check_groups(groups)
    check_bootstrap(n_bootstrap, confidence)
    whole_number("seed", seed, at_least=0)
    scorer = scorer_of(model)
    keys: dict[str, Any] = {
        "item_key": item_key,
        "session_key": session_key,
        "time_key": time_key,
        "sep": sep,
    }
    with naming(data):
        known, whole = read_sessions(model, data, unknown, keys)
        _require_predictions(whole, known.dropped_events)
    counts = support_of(model, support, known.itemidmap)
    events = predicted_events(known, whole, targets)
    target_ranks = predictions.TargetRanks(known) if targets == "next" else None
    top_lists = predictions.TopLists(known, cutoffs, relevance=targets == "all") if lists else None
    predictions.run(scorer, known, batch_size, target_ranks, top_lists)

    ranks = np.empty(0)
    if target_ranks is not None:
        ranks = _ranks(target_ranks, events, mode, seed)
        each = _by_rank(ranks, cutoffs)
    else:
        assert top_lists is not None  # noqa: S101 - refused above
        each = _by_list(top_lists.hits, events, cutoffs)
    splits = {
        kind: split
        for kind, edges in wanted.items()
        # With several targets, there is not one support of a prediction.
        if (kind != "support" or targets == "next")
        and (split := grouped(kind, edges, events, counts)) is not None
    }
    sums, found = _sums(each, events, splits, cutoffs)
    values, intervals = with_intervals(sums, cutoffs, n_bootstrap, confidence, seed)
    if top_lists is not None and top_lists.recommended.any():
        values |= _list_figures(top_lists.recommended, cutoffs, counts, events)
    return Evaluation(
        targets=targets,
        mode=mode,
        unknown=unknown,
        n_items=known.n_items,
        n_predictions=len(events.session),
        n_sessions=len(sums.counts),
        dropped_events=known.dropped_events,
        misses=int(np.count_nonzero(~events.possible)),
        values=values,
        intervals=intervals,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        seed=seed,
        groups=found,
        digest=events.digest,
        ranks=ranks,
        sums=sums,
    )


def check_settings(
    cutoffs: Iterable[int] | int,
    batch_size: int,
    mode: str,
    unknown: str = "drop",
    targets: str = "next",
    *,
    lists: bool = True,
) -> list[int]:
    """The different cut-offs as a list, once these settings of an evaluation are found good.

    Raises:
        ParameterError: as for `evaluate`.
    """
    for name, value, known in (
        ("mode", mode, RANKS),
        ("unknown", unknown, UNKNOWN_MODES),
        ("targets", targets, TARGETS),
    ):
        one_of(name, value, known)
    if targets == "all" and (mode != "conservative" or not lists):
        raise ParameterError(
            f"targets='all' with mode={mode!r}, lists={lists!r}: lists of K items tell only the "
            "conservative rank; leave out mode and lists"
        )
    whole_number("batch_size", batch_size)
    return list(dict.fromkeys(check_cutoffs(cutoffs)))


def _require_predictions(sessions: Sessions, dropped_events: int) -> None:
    if sessions.n_pairs == 0:
        raise DataError(
            f"none of the {sessions.n_sessions} sessions has two events of known items, so there "
            f"is no next item to predict ({dropped_events} events of unknown items were "
            "dropped). Evaluate on sessions of the catalogue that the model was trained on"
        )


def _ranks(
    counts: predictions.TargetRanks, events: PredictedEvents, mode: str, seed: int
) -> NDArray[np.float64]:
    """(P,) the rank of each prediction's target, infinite for a miss."""
    u = np.random.default_rng(seed).random(len(counts.equal))
    of_events = RANKS[mode](*map(torch.from_numpy, (counts.greater, counts.equal, u))).numpy()
    return np.where(events.possible, of_events[events.inputs], np.inf)


def _by_rank(ranks: NDArray[np.float64], cutoffs: list[int]) -> Each:
    """Each metric at each cut-off of all predictions (P,), in the order of `with_intervals`."""
    return (metrics.by_rank(name, ranks, k) for name in METRICS for k in cutoffs)


def _by_list(hits: NDArray[np.int32], events: PredictedEvents, cutoffs: list[int]) -> Each:
    """Likewise. After unknown events, the list of the last known event stands.

    Without a known event before (-1) the row is that of the last event, which has no list either.
    """
    of_predictions = hits[events.inputs]
    return (
        metrics.by_list(name, of_predictions, events.n_relevant, k)
        for name in METRICS
        for k in cutoffs
    )


def _sums(
    each: Each,
    events: PredictedEvents,
    splits: dict[str, tuple[list[str], NDArray[np.int64]]],
    cutoffs: list[int],
) -> tuple[SessionSums, list[Group]]:
    """Sums of every metric over sessions, and means over groups."""
    sizes = {kind: np.bincount(group) for kind, (_, group) in splits.items()}
    sums = []
    means: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in splits}
    for values in each:
        sums.append(np.bincount(events.session, weights=values))
        for kind, (_, group) in splits.items():
            means[kind].append(np.bincount(group, weights=values) / sizes[kind])
    of_sessions = np.bincount(events.session).astype(np.float64)
    groups = [
        Group(
            kind=kind,
            label=label,
            predictions=int(sizes[kind][g]),
            values={
                name: {
                    k: float(means[kind][m * len(cutoffs) + c][g]) for c, k in enumerate(cutoffs)
                }
                for m, name in enumerate(METRICS)
            },
        )
        for kind, (labels, _) in splits.items()
        for g, label in enumerate(labels)
    ]
    return SessionSums(of_sessions, np.column_stack(sums)), groups


def _list_figures(
    recommended: NDArray[np.int64],
    cutoffs: list[int],
    support: NDArray[np.int64] | None,
    events: PredictedEvents,
) -> dict[str, dict[int, float]]:
    """Coverage, gini and popularity of the lists, by cut-off."""
    by_cutoff = dict(zip(cutoffs, recommended, strict=True))
    figures = {
        "coverage": {k: metrics.coverage(n) for k, n in by_cutoff.items()},
        "gini": {k: metrics.gini(n) for k, n in by_cutoff.items()},
    }
    if support is not None:
        # The known items that sessions went on to where a list was made.
        chosen = events.targets[(events.targets >= 0) & (events.inputs >= 0)]
        usual = float(np.mean(support[chosen]))
        if usual > 0:
            figures["popularity"] = {
                k: metrics.popularity(n, support, usual) for k, n in by_cutoff.items()
            }
    return figures
