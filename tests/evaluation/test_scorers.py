"""What every evaluated model must pass, whatever it computes: a new one joins SCORERS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gru4rec_fast.baselines import BASELINES
from gru4rec_fast.baselines.session_knn import VMISKNN
from gru4rec_fast.config import Config
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.forward_scorer import ForwardScorer
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from gru4rec_fast.gru4rec import GRU4Rec
from gru4rec_fast.model.network import Network
from tests.logs import random_log
from tests.options import EMBEDDINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.evaluation.scorer import Scorer


def network(sessions: Sessions, embedding: str = "shared") -> Network:
    """Weights that differ in every item, layers of unequal sizes."""
    found = Network(Config().replace(layers=(16, 12), **EMBEDDINGS[embedding]), sessions.n_items)
    found.initialise(compatibility_mode=False)
    torch.manual_seed(1)
    found.By.weight.normal_(0, 0.1)
    return found


def by_forward(sessions: Sessions) -> ForwardScorer:
    """A model known by the surface of the original alone."""
    gru = GRU4Rec(layers=(16, 12), device="cpu")
    gru._network, gru._data_iterator = network(sessions), DataIterator(sessions.itemidmap)
    return ForwardScorer(gru)


def others(sessions: Sessions) -> Sessions:
    """Other sessions of the same items: a baseline ranks those that it was fitted on too well."""
    return load_sessions(
        random_log(n_sessions=60, n_items=50, seed=1), itemidmap=sessions.itemidmap
    )


def baseline(name: str, sessions: Sessions) -> Scorer:
    """A baseline as it is by default."""
    return BASELINES[name]().fit_sessions(others(sessions)).scorer()


SCORERS: dict[str, Callable[[Sessions], Scorer]] = {
    "shared": lambda sessions: NetworkScorer(network(sessions)),
    "separate": lambda sessions: NetworkScorer(network(sessions, "separate")),
    "one-hot": lambda sessions: NetworkScorer(network(sessions, "one-hot")),
    "reference": lambda sessions: NetworkScorer(network(sessions), "reference"),
    "float64": lambda sessions: NetworkScorer(network(sessions).double()),
    "forward": by_forward,
    # Few neighbours, so that ties at the limits matter.
    "vmis-knn of 3": lambda sessions: VMISKNN(k=3, m=5).fit_sessions(others(sessions)).scorer(),
    **{name: partial(baseline, name) for name in BASELINES},
}


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return load_sessions(random_log(n_sessions=60, n_items=50))


@pytest.fixture(params=SCORERS)
def scorer(request: pytest.FixtureRequest, sessions: Sessions) -> Scorer:
    return SCORERS[request.param](sessions)


# Another implementation's products may round by the size of the batch.
@pytest.mark.rounding
@pytest.mark.parametrize("name", [name for name in SCORERS if name != "forward"])
def test_ranks_do_not_depend_on_the_batch_size(name: str, sessions: Sessions) -> None:
    scorer = SCORERS[name](sessions)
    first = evaluate(scorer, sessions, batch_size=1).ranks
    for batch_size in (2, 7, 64, 512):
        assert np.array_equal(first, evaluate(scorer, sessions, batch_size=batch_size).ranks)


def test_there_is_a_rank_for_each_pair_within_the_catalogue(
    scorer: Scorer, sessions: Sessions
) -> None:
    best = evaluate(scorer, sessions, mode="standard").ranks
    worst = evaluate(scorer, sessions, mode="conservative").ranks
    assert len(best) == sessions.n_pairs
    assert best.min() >= 1
    assert worst.max() <= sessions.n_items
    assert (best <= worst).all()
    assert len(set(best.tolist())) > 5, "all targets have the same few ranks"


def test_a_session_is_ranked_as_if_it_were_alone(scorer: Scorer, sessions: Sessions) -> None:
    ranks = evaluate(scorer, sessions, batch_size=8, mode="standard").ranks
    lengths = np.diff(sessions.offsets)
    ends = np.cumsum(lengths - 1)
    for s in np.flatnonzero(lengths > 2)[:5]:
        events = slice(sessions.offsets[s], sessions.offsets[s + 1])
        state = scorer.start(1)
        inputs = torch.tensor(sessions.items[events][:-1]).long()
        targets = torch.tensor(sessions.items[events][1:]).long()
        lane, restart = torch.zeros(1, dtype=torch.int64), torch.tensor([True])
        alone = []
        for item, target in zip(inputs[:, None], targets[:, None], strict=True):
            features = scorer.step(state, item, restart, lane)
            greater, _ = scorer.rank_counts(features, target)
            alone.append(1 + int(greater))
            restart = torch.tensor([False])
        assert alone == ranks[ends[s] - len(alone) : ends[s]].tolist()


def test_a_restart_forgets_and_a_lane_goes_on_from_its_source(scorer: Scorer) -> None:
    lanes = torch.arange(2)
    state = scorer.start(2)
    start = torch.tensor([True, True])
    scorer.step(state, torch.tensor([3, 5]), start, lanes)
    # Lane 0 now goes on from lane 1's state, lane 1 restarts.
    features = scorer.step(
        state, torch.tensor([7, 9]), torch.tensor([False, True]), torch.tensor([1, 1])
    )
    again = scorer.start(2)
    scorer.step(again, torch.tensor([0, 5]), start, lanes)
    gone_on = scorer.step(again, torch.tensor([0, 7]), torch.tensor([False, False]), lanes)
    fresh = scorer.step(scorer.start(2), torch.tensor([0, 9]), start, lanes)
    assert torch.equal(features[0], gone_on[1])
    assert torch.equal(features[1], fresh[1])


def test_a_target_equals_itself(scorer: Scorer, sessions: Sessions) -> None:
    state, n_items = scorer.start(1), sessions.n_items
    feature = scorer.step(
        state, torch.tensor([0]), torch.tensor([True]), torch.zeros(1, dtype=torch.int64)
    )
    features = feature.expand(n_items, -1).contiguous()
    greater, equal = scorer.rank_counts(features, torch.arange(n_items))
    assert (equal >= 1).all()
    # Ranks of all items together are those of a sorted list: as many ties as equal counts say.
    expected = [int((greater == g).sum()) for g in greater]
    assert equal.tolist() == expected


def test_the_best_items_are_those_of_the_best_ranks(scorer: Scorer, sessions: Sessions) -> None:
    state, n_items = scorer.start(1), sessions.n_items
    feature = scorer.step(
        state, torch.tensor([4]), torch.tensor([True]), torch.zeros(1, dtype=torch.int64)
    )
    _, items = scorer.top_k(feature, 10)
    greater, _ = scorer.rank_counts(feature.expand(n_items, -1).contiguous(), torch.arange(n_items))
    expected = sorted(range(n_items), key=lambda item: (int(greater[item]), item))[:10]
    assert items.tolist() == [expected]
    assert scorer.top_k(feature, n_items + 5)[1].shape == (1, n_items)
