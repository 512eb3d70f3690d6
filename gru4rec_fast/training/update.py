"""Going on with a trained model on newer sessions: new items get rows, vanished ones lose theirs.

Letters: V items before, E events of all logs so far.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast.data.items import holds_integers, numbered_items
from gru4rec_fast.data.sessions import Sessions
from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.model.growth import resized, resized_rows
from gru4rec_fast.spec import NetworkSpec
from gru4rec_fast.training.co_visited import add_co_visited_means
from gru4rec_fast.training.identity import fingerprint_of, identity_of
from gru4rec_fast.training.state import TrainingState, last_events, optimiser_tensors

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.model.network import Network

INITIAL, CO_VISITED = "initial", "co-visited"
NO_STATE = (
    "the model has no training state, so this update starts with a fresh optimiser state and draws "
    "negatives by the new log alone: save models with savemodel(path, training_state=True)"
)


@dataclass(frozen=True)
class Update:
    """What an update trains, and from where."""

    network: Network
    """Of the items of `sessions`, on the CPU."""
    sessions: Sessions
    """In the numbering of the network; `support` is what negatives are drawn by."""
    state: TrainingState
    """As after the training before, with a row for each item; the new log is counted in."""

    def restore(self, trainer: Trainer) -> None:
        """Give a trainer of the network the optimiser state.

        Raises:
            ParameterError: the optimiser keeps another state than that of the training before.
        """
        if not self.state.optimiser:
            return
        if {*self.state.optimiser} != {*trainer.optimiser_state}:
            raise ParameterError(
                f"the optimiser keeps {sorted(trainer.optimiser_state)}, but the model's training "
                f"state holds {sorted(self.state.optimiser)}: set adapt and momentum as they were"
            )
        for kind, table in trainer.optimiser_state.items():
            for name, value in table.items():
                value.copy_(self.state.optimiser[kind][name])

    def identity(
        self, engine: str, trainer: Trainer, config: Config, **arguments: Any
    ) -> dict[str, Any]:
        """What two updates share exactly when they compute the same; before the first step."""
        start = self.network.parameter_dict() | optimiser_tensors(trainer.optimiser_state)
        start["support"] = torch.from_numpy(self.sessions.support)
        return {
            **identity_of(config, engine, self.sessions, None, None, **arguments),
            "model": {"items": self.network.n_items, "sha256": fingerprint_of(start)},
            "epochs": self.state.epochs,
            "steps": self.state.steps,
        }


def update_of(
    network: Network,
    itemidmap: pd.Series[int],
    state: TrainingState | None,
    sessions: Sessions,
    config: Config,
    support: str | float,
    forget: float | None,
    new_items: str = "initial",
) -> Update:
    """Prepare an update; nothing given is changed.

    Args:
        network: the trained network.
        itemidmap: its items, in order of their index.
        state: of the training before; None if it was not saved.
        sessions: the new log, in a numbering of its own.
        config: hyper-parameters of the update, with the structure of the network.
        support: what negatives are drawn by: 'new', 'both', or a decay of the old support.
        forget: see `GRU4Rec.partial_fit`.
        new_items: likewise.

    Raises:
        ParameterError: an argument out of range, or another structure.
        DataError: the log's item ids are of another kind than the model's.
    """
    _check(network, config, support, forget, new_items, state)
    ids = sessions.itemidmap.index
    if holds_integers(ids) != holds_integers(itemidmap.index):
        kinds = ["integers" if holds_integers(i) else "text" for i in (ids, itemidmap.index)]
        raise DataError(
            f"column {ids.name!r} holds {kinds[0]} but the items of the model are {kinds[1]}: "
            f"read the log into a table and convert the column to {kinds[1]}"
        )
    if state is None:
        warnings.warn(NO_STATE, stacklevel=4)
        unknown = np.zeros(len(itemidmap), dtype=np.int64)
        state = TrainingState({}, 0, 0, unknown, unknown - 1, 0, len(itemidmap))
    known = itemidmap.index.get_indexer(ids)
    kept = _kept(state, known, sessions.n_events, forget)
    new_ids = ids[known < 0]
    n_new = len(new_ids)
    place = np.full(len(itemidmap), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    lookup = place[known]
    lookup[known < 0] = len(kept) + np.arange(n_new)

    counts = np.zeros(len(kept) + n_new, dtype=np.int64)
    counts[lookup] = sessions.support
    last = np.append(state.last_event[kept], np.full(n_new, -1))
    last[lookup] = state.n_events + last_events(sessions)
    old_support = np.append(state.support[kept], np.zeros(n_new, dtype=np.int64))
    decay = 0.0 if support == "new" else 1.0 if support == "both" else float(support)
    drawn_by = np.ceil(decay * old_support).astype(np.int64) + counts
    spec = network.spec
    optimiser = {
        kind: {
            name: resized_rows(value, kept, n_new) if name in spec.tables else value
            for name, value in table.items()
        }
        for kind, table in state.optimiser.items()
    }
    all_ids = itemidmap.index[kept].append(new_ids)
    grown = resized(network, config, kept, n_new, state.items_ever)
    log = Sessions(
        items=lookup[sessions.items].astype(np.int32),
        offsets=sessions.offsets,
        order=sessions.order,
        itemidmap=numbered_items(all_ids.to_numpy(), str(itemidmap.index.name)),
        support=drawn_by,
        session_ids=sessions.session_ids,
        rows=sessions.rows,
        dropped_events=sessions.dropped_events,
        columns=sessions.columns,
    )
    if new_items == CO_VISITED and n_new:
        add_co_visited_means(grown, log, len(kept))
    return Update(
        grown,
        log,
        TrainingState(
            optimiser,
            state.epochs,
            state.steps,
            drawn_by,
            last,
            state.n_events + sessions.n_events,
            state.items_ever + n_new,
        ),
    )


def _kept(
    state: TrainingState, known: NDArray[np.intp], new_events: int, forget: float | None
) -> NDArray[np.int64]:
    """Indices of the items that stay, ascending."""
    if forget is None:
        return np.arange(len(state.last_event))
    total = state.n_events + new_events
    stays = state.last_event >= total - (forget * total if forget < 1 else forget)
    stays[known[known >= 0]] = True
    return np.flatnonzero(stays)


def _check(
    network: Network,
    config: Config,
    support: str | float,
    forget: float | None,
    new_items: str,
    state: TrainingState | None,
) -> None:
    def is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    if support not in ("new", "both") and not (is_number(support) and 0 <= float(support) <= 1):
        raise ParameterError(
            f"support is {support!r}; expected 'new', 'both', or a number in [0, 1] that the old "
            "support is multiplied by"
        )
    if new_items not in (INITIAL, CO_VISITED):
        raise ParameterError(
            f"new_items is {new_items!r}; expected {INITIAL!r}, rows as at initialisation, or "
            f"{CO_VISITED!r}, rows near the mean of the items visited with them"
        )
    if forget is not None:
        if not (is_number(forget) and (0 < forget < 1 or (forget >= 1 and forget == int(forget)))):
            raise ParameterError(
                f"forget is {forget!r}; expected a share of all events in (0, 1), or a whole "
                "number of events"
            )
        if state is None:
            raise ParameterError(
                f"forget={forget} needs to know when items occurred last, but the model has no "
                "training state: leave forget out, or save with savemodel(path, "
                "training_state=True)"
            )
    old, new = network.spec, NetworkSpec.of(config, network.n_items)
    cells = [[layer.cell for layer in spec.layers] for spec in (old, new)]
    if old.parameters != new.parameters or cells[0] != cells[1]:
        raise ParameterError(
            "the parameters that are set now do not fit the model's network "
            f"(layers={list(network.config.layers)}, cell={network.config.cell!r}, "
            f"embedding={network.config.embedding}): an update keeps its structure; restore "
            "these, or call fit"
        )
