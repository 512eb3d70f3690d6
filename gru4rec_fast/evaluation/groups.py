"""Breakdowns of an evaluation: predictions grouped by position, session length, item support."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.checks import one_of
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.evaluation.events import PredictedEvents

Edges = int | tuple[int, ...]
"""A number of quantile groups, or where each group starts."""

DEFAULT_GROUPS: dict[str, Edges] = {
    "position": (1, 2, 3, 5, 10),
    "length": (2, 3, 5, 10, 20),
    "support": 4,
}
"""Of 'position': events of the session before the target; 'length': events of the session;
'support': training support of the target."""


def check_groups(groups: Mapping[str, int | Iterable[int]] | None) -> dict[str, Edges]:
    """The groupings with their edges as tuples; the default ones for None.

    Raises:
        ParameterError: an unknown grouping, or edges that do not ascend.
    """
    if groups is None:
        return DEFAULT_GROUPS
    given: object = groups
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"groups is {groups!r}; expected a dict from {', '.join(DEFAULT_GROUPS)} to a number "
            "of groups or to where each starts, as {'position': (1, 2, 5)}; {} for none"
        )
    checked: dict[str, Edges] = {}
    for kind, edges in given.items():
        one_of("a key of groups", kind, DEFAULT_GROUPS)
        if _is_whole(edges) and edges >= 1:
            checked[kind] = int(edges)
            continue
        starts = tuple(edges) if isinstance(edges, Iterable) else ()
        ascending = all(_is_whole(edge) for edge in starts) and all(
            a < b for a, b in itertools.pairwise(starts)
        )
        if not starts or not ascending:
            raise ParameterError(
                f"groups[{kind!r}] is {edges!r}; expected a number of groups of at least 1, or "
                "ascending whole numbers at which groups start, as (1, 2, 5)"
            )
        checked[kind] = tuple(int(e) for e in starts)
    return checked


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def grouped(
    kind: str, edges: Edges, events: PredictedEvents, support: NDArray[np.int64] | None
) -> tuple[list[str], NDArray[np.int64]] | None:
    """Labels of the groups, and the group (P,) of each prediction; None without support.

    Each prediction is in one group. Targets that the model does not know have a group 'unknown'.
    """
    if kind != "support":
        return _split(getattr(events, kind), edges)
    if support is None:
        return None
    known = events.targets >= 0
    group = np.zeros(len(known), dtype=np.int64)
    labels: list[str] = []
    if known.any():
        labels, group[known] = _split(support[events.targets[known]], edges)
    if not known.all():
        group[~known] = len(labels)
        labels.append("unknown")
    return labels, group


def _split(values: NDArray[np.int64], edges: Edges) -> tuple[list[str], NDArray[np.int64]]:
    """Labels of the groups in which there are values, and the group of each value."""
    if isinstance(edges, int):
        shares = np.arange(edges) / edges
        starts = np.unique(np.quantile(values, shares, method="lower")).tolist()
    else:
        starts = list(edges)
    # A value below the first edge has a group of its own.
    present, group = np.unique(np.searchsorted(starts, values, side="right"), return_inverse=True)
    return [_label(starts, int(n)) for n in present], group.reshape(-1)


def _label(starts: list[int], number: int) -> str:
    """Of the values from starts[number - 1] up to below starts[number]."""
    if number == 0:
        return f"<{starts[0]}"
    low = starts[number - 1]
    if number == len(starts):
        return f"{low}+"
    high = starts[number] - 1
    return f"{low}" if low == high else f"{low}-{high}"
