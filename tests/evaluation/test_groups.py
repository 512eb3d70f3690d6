"""Breakdowns: every prediction is in one group of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import GRU4Rec, ParameterError
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.evaluation.groups import check_groups
from gru4rec_fast.evaluation.metrics import METRICS
from tests.evaluation.models import initialised
from tests.logs import random_log


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    return random_log(n_sessions=60)


@pytest.fixture(scope="module")
def gru(train: pd.DataFrame) -> GRU4Rec:
    return initialised(train)


@pytest.fixture(scope="module")
def test_log() -> pd.DataFrame:
    return random_log(n_sessions=80, n_items=40, seed=1)


@pytest.mark.parametrize("unknown", ["drop", "miss"])
def test_the_groups_of_a_kind_add_up_to_the_whole(
    gru: GRU4Rec, train: pd.DataFrame, test_log: pd.DataFrame, unknown: str
) -> None:
    support = train.ItemId.value_counts()
    result = evaluate(gru, test_log, (1, 10), unknown=unknown, support=support)
    for kind in ("position", "length", "support"):
        groups = [group for group in result.groups if group.kind == kind]
        assert len(groups) > 2
        assert sum(group.predictions for group in groups) == result.n_predictions
        for metric in METRICS:
            for k in (1, 10):
                total = sum(group.predictions * group.values[metric][k] for group in groups)
                assert total / result.n_predictions == pytest.approx(result.values[metric][k])
    unknown_groups = [group for group in result.groups if group.label == "unknown"]
    assert len(unknown_groups) == (unknown == "miss")
    assert all(group.values["recall"] == {1: 0.0, 10: 0.0} for group in unknown_groups)


def test_groups_are_those_of_a_loop(
    gru: GRU4Rec, train: pd.DataFrame, test_log: pd.DataFrame
) -> None:
    known = test_log[test_log.ItemId.isin(gru.data_iterator.itemidmap.index)]
    known = known.sort_values(["SessionId", "Time"], kind="stable")
    by_session = known.groupby("SessionId").ItemId
    rows = pd.DataFrame(
        {
            "position": by_session.cumcount(),
            "length": by_session.transform("size"),
            "support": known.ItemId.map(train.ItemId.value_counts()),
        }
    )
    rows = rows[rows.position > 0]
    edges: dict[str, Any] = {"position": (2, 4), "length": (1, 5), "support": (4, 5, 9)}
    result = evaluate(
        gru, test_log, 10, groups=edges, support=train.ItemId.value_counts(), mode="standard"
    )
    rows["hit"] = result.ranks <= 10
    expected = {
        "position": {"<2": rows.position < 2, "2-3": rows.position.between(2, 3)}
        | {"4+": rows.position >= 4},
        "length": {"1-4": rows.length <= 4, "5+": rows.length >= 5},
        "support": {"<4": rows.support < 4, "4": rows.support == 4}
        | {"5-8": rows.support.between(5, 8), "9+": rows.support >= 9},
    }
    found = {(g.kind, g.label): (g.predictions, g.values["recall"][10]) for g in result.groups}
    by_loop: dict[tuple[str, str], Any] = {
        (kind, label): (int(member.sum()), pytest.approx(rows.hit[member].mean()))
        for kind, members in expected.items()
        for label, member in members.items()
        if member.any()
    }
    assert found == by_loop


def test_quantile_groups_are_of_about_equal_size(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    support = np.arange(len(gru.data_iterator.itemidmap))
    result = evaluate(gru, test_log, groups={"support": 3}, support=support)
    sizes = [group.predictions for group in result.groups]
    assert len(sizes) == 3
    assert max(sizes) - min(sizes) < 0.3 * result.n_predictions


def test_no_groups_without_what_they_need(gru: GRU4Rec, test_log: pd.DataFrame) -> None:
    assert evaluate(gru, test_log, groups={}).groups == []
    kinds = {group.kind for group in evaluate(gru, test_log).groups}
    assert kinds == {"position", "length"}
    support = np.ones(len(gru.data_iterator.itemidmap), dtype=int)
    several = evaluate(gru, test_log, targets="all", support=support)
    assert {group.kind for group in several.groups} == {"position", "length"}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"positon": 3}, "a key of groups is 'positon'; .*: did you mean 'position'"),
        ({"length": 0}, r"groups\['length'\] is 0; expected a number of groups"),
        ({"length": True}, "is True"),
        ({"length": ()}, r"is \(\)"),
        ({"length": (3, 3)}, "ascending"),
        ({"length": (1.5, 2)}, "ascending"),
        (["length"], "expected a dict from position, length, support"),
    ],
)
def test_bad_groups(groups: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        check_groups(groups)
