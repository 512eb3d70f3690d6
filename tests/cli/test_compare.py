"""`gru4rec-fast compare`, with stand-ins for models that take long to train."""

# ruff: noqa: ARG002 - the stand-ins take what a GRU4Rec is given

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import DataError, ParameterError, baselines
from gru4rec_fast.cli import compare
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.sessions import load_sessions
from tests.evaluation.models import Table, initialised
from tests.logs import random_log

if TYPE_CHECKING:
    from pathlib import Path

    from gru4rec_fast.evaluation.scorer import Scorer


class Successors:
    """A baseline by the contract: the next items by how often they followed in training."""

    def fit(self, data: Any, **keys: Any) -> Successors:
        log = load_sessions(data, **keys)
        count = np.zeros((log.n_items, log.n_items))
        session = np.repeat(np.arange(log.n_sessions), np.diff(log.offsets))
        pair = session[1:] == session[:-1]
        np.add.at(count, (log.items[:-1][pair], log.items[1:][pair]), 1)
        self.data_iterator = DataIterator(log.itemidmap)
        self._count = count
        return self

    def scorer(self) -> Scorer:
        return Table(self.data_iterator.itemidmap, self._count)


class Popular(Successors):
    def scorer(self) -> Scorer:
        totals = np.tile(self._count.sum(axis=0), (len(self._count), 1))
        return Table(self.data_iterator.itemidmap, totals)


class Gru:
    """GRU4Rec with initial weights instead of a training."""

    error_during_train = False

    def __init__(self, device: str | None, **params: Any) -> None:
        self.params = params

    def fit(self, path: str, progress: bool, **keys: Any) -> None:
        log = pd.read_csv(path, sep="\t").rename(columns={keys["item_key"]: "ItemId"})
        self.model = initialised(log, **self.params)
        self.data_iterator = self.model.data_iterator

    def scorer(self) -> Scorer:
        return self.model.scorer()


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"markov": Successors, "pop": Popular, "item-knn": Successors}
    monkeypatch.setattr(baselines, "BASELINES", known, raising=False)
    monkeypatch.setattr(compare, "GRU4Rec", Gru)


@pytest.fixture
def logs(tmp_path: Path) -> list[str]:
    """A training and a test log, with an item column of another name."""
    paths = []
    for name, log in (
        ("train.tsv", random_log(n_sessions=80)),
        ("test.tsv", random_log(n_sessions=60, n_items=35, seed=1)),
    ):
        paths.append(str(tmp_path / name))
        log.rename(columns={"ItemId": "sku"}).to_csv(paths[-1], sep="\t", index=False)
    return paths


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return compare.run(parser.parse_args(arguments))


def test_a_comparison_of_all_models(
    logs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--item-key", "sku", "--models", "gru4rec", "markov", "pop", "--out", str(out)]
    more = ["--set", "layers=8", "--cutoffs", "1", "10", "--unknown", "miss", "--bootstrap", "100"]
    assert run(*logs, *arguments, *more) == 0
    printed = capsys.readouterr()
    assert "Training markov" in printed.err
    assert printed.out == (out / "comparison.txt").read_text()
    assert "ties: conservative; unknown items: counted as misses" in printed.out
    assert "@10 minus gru4rec" in printed.out
    assert "popularity" in printed.out
    read = json.loads((out / "comparison.json").read_text())
    assert list(read["results"]) == ["gru4rec", "markov", "pop"]
    assert list(read["differences"]) == ["markov", "pop"]
    assert read["results"]["pop"]["n_bootstrap"] == 100
    rows = pd.read_csv(out / "comparison.csv")
    assert set(rows.cutoff) == {1, 10}
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    # A later comparison replaces the files of an earlier one.
    assert run(*logs, "--item-key", "sku", "--models", "pop", "--out", str(out), "--quiet") == 0
    assert list(json.loads((out / "comparison.json").read_text())["results"]) == ["pop"]
    assert "Training" not in capsys.readouterr().err


def test_a_model_may_be_spelt_as_in_papers(
    logs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["itemknn", "Pop", "markov"]
    assert run(*logs, "--item-key", "sku", "--models", *names, "--bootstrap", "0") == 0
    assert "Training item-knn" in (printed := capsys.readouterr()).err
    assert "minus item-knn" in printed.out
    with pytest.raises(ParameterError, match="'item-knn' twice"):
        run(*logs, "--models", "item_KNN", "item-knn")


def test_the_files_of_others_are_kept(logs: list[str], tmp_path: Path) -> None:
    (tmp_path / "comparison.csv").write_text("mine")
    with pytest.raises(ParameterError, match=r"comparison\.csv, which no comparison wrote"):
        run(*logs, "--item-key", "sku", "--models", "pop", "--out", str(tmp_path))
    assert (tmp_path / "comparison.csv").read_text() == "mine"
    with pytest.raises(ParameterError, match="expected a folder"):
        run(*logs, "--models", "pop", "--out", logs[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "markof"], r"'markof': did you mean 'markov'\?; expected some of gru4rec"),
        (["--models", "pop", "pop"], "'pop' twice"),
        (["--models", "pop", "--set", "layers=8"], "--set are of gru4rec: add it"),
        (["--models", "gru4rec", "--set", "layer=8"], "layers"),
        (["--models", "pop", "--cutoffs", "0"], "cutoff is 0"),
        (["--models", "pop", "--bootstrap", "-1"], "n_bootstrap is -1"),
        (["--models", "pop", "--targets", "all", "--ties", "median"], "targets='all' with mode"),
    ],
)
def test_what_is_wrong_is_found_before_any_training(
    logs: list[str], arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gru, "fit", None)
    monkeypatch.setattr(Successors, "fit", None)
    with pytest.raises(ParameterError, match=message):
        run(*logs, "--item-key", "sku", *arguments)


def test_a_bad_test_log_is_found_before_any_training(
    logs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Successors, "fit", None)
    with pytest.raises(DataError, match="ItemId"):
        run(*logs, "--models", "pop")


def test_a_training_that_fails(logs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gru, "error_during_train", True)
    with pytest.raises(ArithmeticError, match="lower learning_rate"):
        run(*logs, "--item-key", "sku", "--models", "gru4rec", "--set", "layers=8")
