"""What all baselines share: fit, predictions for one session at a time, and their errors."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from gru4rec_fast import DataError, ParameterError
from gru4rec_fast.baselines import BASELINES
from gru4rec_fast.evaluation.batch_eval import batch_eval
from tests.logs import log_of, random_log

if TYPE_CHECKING:
    from gru4rec_fast.baselines.baseline import Baseline


def named(log: pd.DataFrame) -> pd.DataFrame:
    """The log with text as item ids, under other column names."""
    items = "item " + log["ItemId"].astype(str)
    return pd.DataFrame({"sku": items, "visit": log["SessionId"], "when": log["Time"]})


KEYS: dict[str, Any] = {"item_key": "sku", "session_key": "visit", "time_key": "when"}


@pytest.fixture(params=BASELINES)
def model(request: pytest.FixtureRequest) -> Baseline:
    return BASELINES[request.param]().fit(random_log())


def test_the_names() -> None:
    assert list(BASELINES) == [
        "random", "pop", "session-pop", "markov", "item-knn", "bpr-mf", "sknn", "vsknn", "vmis-knn",
    ]  # fmt: skip


def test_the_list_is_imported_without_pytorch() -> None:
    code = "import sys, gru4rec_fast.baselines; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_no_attribute() -> None:
    from gru4rec_fast import baselines

    with pytest.raises(AttributeError, match="'Popular'"):
        _ = baselines.Popular


@pytest.mark.parametrize("name", BASELINES)
def test_ids_of_any_kind_and_columns_of_any_name(name: str) -> None:
    log, test = random_log(), random_log(n_sessions=20, seed=1)
    plain = BASELINES[name]().fit(log)
    text = BASELINES[name]().fit(named(log), **KEYS)
    assert batch_eval(plain, test) == batch_eval(text, named(test), **KEYS)
    assert text.data_iterator.itemidmap.index.name == "sku"
    assert text.recommend(["item 7"], k=3).columns.tolist() == ["sku", "Score"]


@pytest.mark.filterwarnings("ignore:.*does not know")
def test_unknown_items_are_left_out(model: Baseline) -> None:
    test = random_log(n_sessions=20, seed=1)
    with_unknown = pd.concat([test, test.assign(ItemId=-1, Time=test["Time"] + 1)])
    assert batch_eval(model, with_unknown) == batch_eval(model, test)


def test_predict_next_goes_on_within_a_session_and_restarts_with_a_new_one(
    model: Baseline,
) -> None:
    items = model.data_iterator.itemidmap.index.tolist()
    a, b, c = items[3], items[0], items[5]
    alone = model.predict_next("x", a, items)
    assert alone.index.tolist() == items
    both = model.predict_next("x", b, items)
    again = model.predict_next("y", a, items)
    pd.testing.assert_series_equal(again, alone)
    pd.testing.assert_series_equal(model.predict_next("y", -1, items), alone)
    pd.testing.assert_series_equal(model.predict_next("y", b, items), both)
    chosen = model.predict_next("y", c, [c, a])
    for event in (a, b, c):
        every = model.predict_next("z", event, items)
    assert chosen.tolist() == every[[c, a]].tolist()


def test_predict_next_and_recommend_agree(model: Baseline) -> None:
    items = model.data_iterator.itemidmap.index.tolist()
    session = [items[2], items[6], items[2]]
    for event in session:
        scores = model.predict_next(1, event, items)
    best = model.recommend(session, k=len(items))
    # float32 scores of BPR-MF are not rounded further; the others are float64.
    assert best["Score"].to_numpy() == pytest.approx(scores[best["ItemId"]].to_numpy(), rel=1e-6)
    assert (np.diff(best["Score"]) <= 0).all()
    unseen = model.recommend(session, k=4, exclude_seen=True)
    expected = best[~best["ItemId"].isin(session)].iloc[:4]
    assert unseen["ItemId"].tolist() == expected["ItemId"].tolist()


def test_before_the_first_known_item_all_scores_are_zero(model: Baseline) -> None:
    items = model.data_iterator.itemidmap.index.tolist()
    assert model.predict_next(1, -5, items).tolist() == [0.0] * len(items)
    known = model.predict_next(1, items[3], items)
    pd.testing.assert_series_equal(model.predict_next(2, items[3], items), known)


def test_fitted_anew_it_forgets_its_session(model: Baseline) -> None:
    items = model.data_iterator.itemidmap.index.tolist()
    model.predict_next(1, items[0], items)
    model.fit(random_log())
    after = model.predict_next(1, items[1], items)
    pd.testing.assert_series_equal(model.predict_next(2, items[1], items), after)


@pytest.mark.parametrize("name", BASELINES)
def test_two_fits_are_equal(name: str) -> None:
    test = random_log(n_sessions=20, seed=1)
    first, second = (batch_eval(BASELINES[name]().fit(random_log()), test) for _ in range(2))
    assert first == second


# -- Errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BASELINES)
def test_a_model_must_be_fitted_first(name: str) -> None:
    model = BASELINES[name]()
    for use in (
        lambda: model.data_iterator,
        model.scorer,
        lambda: model.predict_next(1, 7, [7]),
        lambda: model.recommend([7]),
    ):
        with pytest.raises(RuntimeError, match=rf"{type(model).__name__} has no model.*fit\(log\)"):
            use()


def test_items_to_predict_for_must_be_known(model: Baseline) -> None:
    with pytest.raises(DataError, match=r"predict_for_item_ids holds -1.*training log"):
        model.predict_next(1, 7, [7, -1])
    with pytest.raises(DataError, match="predict_for_item_ids is 7; expected a list"):
        model.predict_next(1, 7, 7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["markov", "item-knn", "bpr-mf", "sknn", "vsknn", "vmis-knn"])
def test_sessions_of_one_event_teach_nothing(name: str) -> None:
    with pytest.raises(DataError, match="all 3 sessions have a single event"):
        BASELINES[name]().fit(log_of([[1], [2], [1]]))


@pytest.mark.parametrize(
    ("name", "parameter", "value", "expected"),
    [
        ("random", "seed", -1, "a whole number"),
        ("item-knn", "n_sims", 0, "a whole number, of type int, of at least 1"),
        ("item-knn", "lmbd", -1, "a finite number of at least 0"),
        ("item-knn", "lmbd", float("nan"), "a finite number of at least 0"),
        ("item-knn", "alpha", 1.5, "a finite number from 0.0 to 1"),
        ("item-knn", "alpha", "0.5", "a finite number from 0.0 to 1"),
        ("bpr-mf", "n_factors", 0, "a whole number, of type int, of at least 1"),
        ("bpr-mf", "n_epochs", 2.5, "a whole number"),
        ("bpr-mf", "learning_rate", True, "a finite number"),
        ("bpr-mf", "regularization", -0.1, "a finite number"),
        ("bpr-mf", "init_std", None, "a finite number"),
        ("bpr-mf", "seed", "1", "a whole number"),
        ("sknn", "k", 0, "a whole number, of type int, of at least 1"),
        ("vsknn", "m", 10.0, "a whole number"),
        ("vmis-knn", "k", 501, "k <= m"),
    ],
)
def test_parameters_are_checked(name: str, parameter: str, value: Any, expected: str) -> None:
    with pytest.raises(ParameterError, match=f"{parameter} is {value!r}.*expected {expected}"):
        BASELINES[name](**{parameter: value})
