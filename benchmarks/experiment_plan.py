"""What `experiment.py` runs, and in which order: the most important first.

Each factor is varied alone, from one base. Each level gets the learning rate of RATES that has the
best recall@20 on the validation log with the first seed. Other numbers of hidden units take the
rate that their loss has at the base's number. What counts is the test log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gru4rec_fast.config import LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Params = dict[str, Any]
Records = dict[str, dict[str, Any]]
"""By the key of a run: what its process answered."""

BASELINES = ("pop", "session-pop", "markov", "item-knn", "vmis-knn")
FIRST_SEEDS = 3
"""Seeds that all factors get before any of them gets more."""
RATES: dict[str, tuple[float, ...]] = {
    "adagrad": (0.02, 0.05, 0.1),
    "adagrad-rowwise": (0.02, 0.05, 0.1),
    "sgd": (0.3, 1.0, 3.0),
    "rmsprop": (0.003, 0.01, 0.03),
    "adam": (0.001, 0.003, 0.01),
    "adadelta": (1.0,),
}
"""Learning rates that are tried, by optimiser, ascending."""
FACTORS: dict[str, dict[str, Params]] = {
    "cell": {
        "GRU, reset after the product": {},
        "GRU, reset before the product": {"reset": "before"},
        "LSTM": {"cell": "lstm"},
        "RNN": {"cell": "rnn"},
    },
    "loss": {
        "cross-entropy": {},
        **{loss: {"loss": loss} for loss in LOSSES if loss != "cross-entropy"},
    },
    "embedding": {
        "shared with the output": {},
        "separate": {"constrained_embedding": False, "embedding": "layersize"},
        "one-hot": {"constrained_embedding": False},
    },
    "feed-forward": {"none": {}, "one layer": {"feed_forward": "units"}},
    "optimiser": {
        "adagrad": {},
        **{adapt: {"adapt": adapt} for adapt in RATES if adapt != "adagrad"},
    },
}
"""Factor -> level -> what it changes of the base; the first level is the base itself."""


@dataclass(frozen=True)
class Run:
    """One training and its evaluation."""

    data: str
    """Name of the data set."""
    model: str
    """'gru4rec' or a baseline."""
    params: Params
    """All parameters that are not Config's defaults, the learning rate included."""
    seed: int

    @property
    def key(self) -> str:
        """Equal for runs that are the same."""
        return json.dumps([self.data, self.model, self.params, self.seed], sort_keys=True)


@dataclass(frozen=True)
class Study:
    """The runs of one experiment."""

    data: tuple[str, ...]
    epochs: int
    n_sample: int
    units: tuple[int, ...]
    """Hidden units H that each loss is trained with."""
    seeds: int
    factors: tuple[str, ...] = tuple(FACTORS)
    losses: tuple[str, ...] = LOSSES
    """Of the table of losses by hidden units."""

    @property
    def base_units(self) -> int:
        """H of the base: 100, or the first that there is."""
        return 100 if 100 in self.units else self.units[0]

    @property
    def base(self) -> Params:
        """What all runs share, and factors are varied from."""
        return {"layers": [self.base_units], "n_epochs": self.epochs, "n_sample": self.n_sample}

    def levels(self, factor: str) -> dict[str, Params]:
        """Level -> its parameters, the learning rate apart."""
        found = {}
        for level, changes in FACTORS[factor].items():
            params = self.base | changes
            if "feed_forward" in changes:
                params["feed_forward"] = [self.base_units]
            found[level] = params
        return found

    def cell_of_grid(self, loss: str, units: int) -> Params:
        """Parameters of a loss with that many hidden units, the learning rate apart."""
        changes = {} if loss == "cross-entropy" else {"loss": loss}
        return self.base | changes | {"layers": [units]}

    def rate(self, data: str, params: Params, records: Mapping[str, Any]) -> float | None:
        """The learning rate that was chosen; None while it is not known."""
        rates = rates_of(params)
        if len(rates) == 1:
            return rates[0]
        found = [records.get(run.key) for run in self.tuning(data, params)]
        # A training that diverged has no recall.
        recalls = [
            -1.0 if r["valid_recall"] is None else r["valid_recall"] for r in found if r is not None
        ]
        if len(recalls) < len(rates):
            return None
        return rates[recalls.index(max(recalls))]

    def tuning(self, data: str, params: Params) -> list[Run]:
        """The trainings that choose the learning rate; none where only one is tried."""
        rates = rates_of(params)
        at_base = params | {"layers": [self.base_units]}
        return [
            Run(data, "gru4rec", at_base | {"learning_rate": rate}, 1)
            for rate in rates
            if len(rates) > 1
        ]

    def tests(
        self, data: str, params: Params, seeds: range, records: Mapping[str, Any]
    ) -> list[Run]:
        """The trainings that count, by seed; none while the learning rate is not known."""
        rate = self.rate(data, params, records)
        if rate is None:
            return []
        chosen = params | {"learning_rate": rate}
        return [Run(data, "gru4rec", chosen, seed) for seed in seeds]

    def baselines(self, data: str) -> dict[str, Run]:
        """Baseline -> its run."""
        return {name: Run(data, name, {}, 1) for name in BASELINES}

    def runs(self, records: Mapping[str, Any]) -> Iterator[Run]:
        """All runs whose parameters are known by now, the most important first; some recur."""
        for data in self.data:
            yield from self.baselines(data).values()
        first = range(1, 1 + min(FIRST_SEEDS, self.seeds))
        more = range(first.stop, 1 + self.seeds)
        for factor in self.factors:
            levels = list(self.levels(factor).values())
            for params in levels:
                for data in self.data:
                    yield from self.tuning(data, params)
            yield from self._by_seed(levels, first, records)
        grid = [self.cell_of_grid(loss, units) for units in self.units for loss in self.losses]
        for params in grid:
            for data in self.data:
                yield from self.tuning(data, params)
        yield from self._by_seed(grid, first, records)
        for factor in self.factors:
            yield from self._by_seed(list(self.levels(factor).values()), more, records)
        yield from self._by_seed(grid, more, records)

    def _by_seed(
        self, levels: list[Params], seeds: range, records: Mapping[str, Any]
    ) -> Iterator[Run]:
        for seed in seeds:
            for params in levels:
                for data in self.data:
                    yield from self.tests(data, params, range(seed, seed + 1), records)


def rates_of(params: Params) -> tuple[float, ...]:
    """The learning rates that are tried."""
    return RATES[params.get("adapt", "adagrad")]
