"""Several models in one table and one figure."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import ParameterError
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.evaluation.comparison import Comparison, compare
from gru4rec_fast.evaluation.evaluate import evaluate
from tests.evaluation.models import Table, initialised
from tests.logs import random_log

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    train = random_log(n_sessions=60)
    items = load_sessions(train).itemidmap
    rng = np.random.default_rng(0)
    tables = {
        name: Table(items, rng.random((len(items), len(items)))) for name in ("one", "another")
    }
    return {"gru4rec": initialised(train), **tables}


@pytest.fixture(scope="module")
def test_log() -> pd.DataFrame:
    return random_log(n_sessions=80, seed=1)


@pytest.fixture(scope="module")
def comparison(models: dict[str, Any], test_log: pd.DataFrame) -> Comparison:
    return compare(models, test_log, (5, 20), support=random_log().ItemId.value_counts())


def test_each_model_is_evaluated_and_held_against_the_first(
    comparison: Comparison, models: dict[str, Any], test_log: pd.DataFrame
) -> None:
    support = random_log().ItemId.value_counts()
    alone = {name: evaluate(m, test_log, (5, 20), support=support) for name, m in models.items()}
    assert comparison.results == alone
    assert comparison.first == "gru4rec"
    assert comparison.differences == {
        name: alone[name].compare(alone["gru4rec"]) for name in ("one", "another")
    }


def test_options_reach_the_evaluation(models: dict[str, Any], test_log: pd.DataFrame) -> None:
    found = compare(models, test_log, targets="all", n_bootstrap=50, confidence=0.8, seed=3)
    for result in found.results.values():
        assert (result.targets, result.n_bootstrap, result.confidence) == ("all", 50, 0.8)
    for difference in found.differences.values():
        assert (difference.n_bootstrap, difference.confidence) == (50, 0.8)
    assert "map" in str(found)
    without = compare(models, test_log, n_bootstrap=0)
    assert without.differences["one"].intervals == {}


def test_table_frame_json_and_csv_agree(comparison: Comparison, tmp_path: Path) -> None:
    frame = comparison.to_frame()
    comparison.to_csv(tmp_path / "comparison.csv")
    read = json.loads(comparison.to_json())
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "comparison.csv"), frame)
    for name, result in comparison.results.items():
        row = frame[(frame.model == name) & (frame.metric == "mrr") & (frame.cutoff == 5)].iloc[0]
        assert row["value"] == read["results"][name]["values"]["mrr"]["5"] == result.mrr[5]
        assert f"{result.mrr[5]:.4f} [{row['low']:.4f}, {row['high']:.4f}]" in str(comparison)
        assert pd.isna(row["difference"]) == (name == "gru4rec")
        if name != "gru4rec":
            assert row["difference"] == read["differences"][name]["values"]["mrr"]["5"]
            low, high = row["difference_low"], row["difference_high"]
            assert f"{row['difference']:+.4f} [{low:+.4f}, {high:+.4f}]" in str(comparison)
    assert "ties: conservative" in str(comparison)


@pytest.mark.parametrize("n_models", [1, 3])
def test_the_figure(
    models: dict[str, Any], test_log: pd.DataFrame, tmp_path: Path, n_models: int
) -> None:
    found = compare(dict(list(models.items())[:n_models]), test_log, n_bootstrap=50)
    found.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_without_matplotlib(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'gru4rec-fast\[plot\]'"):
        comparison.draw(tmp_path / "figure.png")


def test_models_that_know_other_items(models: dict[str, Any], test_log: pd.DataFrame) -> None:
    train = random_log(n_sessions=60)
    smaller = initialised(train[train.ItemId > 14])
    with pytest.raises(ParameterError, match=r"do not know the same items.*unknown='miss'"):
        compare({"all": models["gru4rec"], "some": smaller}, test_log)
    support = train.ItemId.value_counts()
    found = compare(
        {"all": models["gru4rec"], "some": smaller}, test_log, unknown="miss", support=support
    )
    assert found.differences["some"].intervals
    assert all(result.popularity for result in found.results.values())


@pytest.mark.parametrize("models", [{}, [], None])
def test_no_models(models: Any, test_log: pd.DataFrame) -> None:
    with pytest.raises(ParameterError, match="expected a dict from names to models"):
        compare(models, test_log)
