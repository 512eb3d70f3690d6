"""The surface that users of the original have, used the way their scripts use it."""

from __future__ import annotations

import importlib
import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import safetensors.torch
import torch

from gru4rec_fast import (
    CheckpointError,
    DataError,
    GRU4Rec,
    ParameterError,
    batch_eval,
    compare,
    evaluate,
)
from gru4rec_fast.baselines import Markov
from tests.evaluation.models import Table
from tests.logs import OTHER_KEYS, OTHER_NAMES, random_log

SMALL: dict[str, Any] = {"layers": [12], "batch_size": 8, "n_sample": 16, "n_epochs": 1}


def trained(log: pd.DataFrame, **params: Any) -> GRU4Rec:
    return GRU4Rec(**{**SMALL, **params}, device="cpu").fit(log, progress=False)


def test_signatures_keep_every_name_and_default() -> None:
    def defaults(function: Any) -> dict[str, Any]:
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    expected = {
        "layers": (100,), "loss": "cross-entropy", "batch_size": 64, "dropout_p_embed": 0.0,
        "dropout_p_hidden": 0.0, "learning_rate": 0.05, "momentum": 0.0, "sample_alpha": 0.5,
        "n_sample": 2048, "embedding": 0, "constrained_embedding": True, "n_epochs": 10,
        "bpreg": 1.0, "elu_param": 0.5, "logq": 0.0, "engine": "auto",
    }  # fmt: skip
    assert defaults(GRU4Rec).items() >= {**expected, "device": None}.items()
    keys = {"item_key": "ItemId", "session_key": "SessionId", "time_key": "Time"}
    fit = defaults(GRU4Rec.fit)
    assert fit.items() >= {
        "sample_cache_max_size": 10_000_000, "compatibility_mode": True, **keys
    }.items()  # fmt: skip
    assert defaults(batch_eval).items() >= {
        "cutoff": (20,), "batch_size": 512, "mode": "conservative", **keys
    }.items()  # fmt: skip


def test_a_script_with_its_own_evaluation_runs_on_this_module(tmp_path: Path) -> None:
    """What the original's script does: parameters as text, fit, save, load, and score by lanes."""
    log, test = random_log(n_sessions=60), random_log(n_sessions=25, seed=2)
    module = importlib.import_module("gru4rec_fast")
    gru = module.GRU4Rec(device=torch.device("cpu"))
    gru.set_params(layers="12/10", batch_size="8", n_sample="16", n_epochs="1", momentum="0.1",
                   constrained_embedding="True")  # fmt: skip
    gru.fit(log, sample_cache_max_size=1000, item_key="ItemId", session_key="SessionId",
            time_key="Time")  # fmt: skip
    assert not gru.error_during_train
    gru.savemodel(str(tmp_path / "model.pt"))
    gru = module.GRU4Rec.loadmodel(str(tmp_path / "model.pt"), device="cpu")

    itemidmap = gru.data_iterator.itemidmap
    test = test[test.ItemId.isin(itemidmap.index)].sort_values(["SessionId", "Time"], kind="stable")
    test = test[test.groupby("SessionId").SessionId.transform("size") > 1]
    sessions = [itemidmap[s.ItemId].to_numpy() for _, s in test.groupby("SessionId")]
    lanes, waiting = sessions[:5], sessions[5:]
    position = np.zeros(len(lanes), dtype=int)
    hidden = [torch.zeros(len(lanes), h, device=gru.device) for h in gru.layers]
    ranks: list[int] = []
    while True:
        inputs = torch.tensor([s[i] for s, i in zip(lanes, position, strict=True)])
        targets = torch.tensor([s[i + 1] for s, i in zip(lanes, position, strict=True)])
        scores = gru.model.forward(inputs, hidden, None, training=False)
        own = scores[torch.arange(len(targets)), targets][:, None]
        ranks += (scores >= own).sum(dim=1).tolist()
        position += 1
        finished = np.array([i == len(s) - 1 for s, i in zip(lanes, position, strict=True)])
        valid = np.ones(len(lanes), dtype=bool)
        for lane in np.flatnonzero(finished):
            if waiting:
                lanes[lane], position[lane] = waiting.pop(0), 0
            else:
                valid[lane] = False
        stop = gru._adjust_hidden(int(valid.sum()), finished, valid, hidden)
        lanes = [s for s, v in zip(lanes, valid, strict=True) if v]
        position = position[valid]
        if stop or not lanes:
            break
    recall, mrr = batch_eval(gru, test, cutoff=[5])
    assert len(ranks) == len(test) - test.SessionId.nunique()
    assert recall[5] == pytest.approx(np.mean([r <= 5 for r in ranks]))
    assert mrr[5] == pytest.approx(np.mean([1 / r if r <= 5 else 0 for r in ranks]))


def test_adjust_hidden_zeroes_the_finished_then_keeps_the_valid() -> None:
    gru = GRU4Rec(layers=[3])
    hidden = [torch.ones(4, 3), torch.full((4, 2), 2.0)]
    finished, valid = np.array([0, 1, 1, 0], bool), np.array([1, 1, 0, 1], bool)
    assert gru._adjust_hidden(3, finished, valid, hidden) is False
    assert hidden[0][:, 0].tolist() == [1, 0, 1]
    assert hidden[1][:, 0].tolist() == [2, 0, 2]
    assert gru._adjust_hidden(0, np.ones(3, bool), np.zeros(3, bool), hidden) is True


def test_any_table_gives_the_same_model_and_is_not_changed(tmp_path: Path) -> None:
    log = random_log()
    kept = log.copy(deep=True)
    expected = trained(log).model.state_dict()
    pd.testing.assert_frame_equal(log, kept)
    frame = pl.from_pandas(log)
    frame.write_csv(tmp_path / "log.tsv", separator="\t")
    frame.write_csv(tmp_path / "log.csv")
    frame.write_parquet(tmp_path / "log.parquet")
    tables = [frame, frame.to_arrow(), *(str(tmp_path / f"log.{s}") for s in ("tsv", "csv"))]
    for table in (*tables, tmp_path / "log.parquet"):
        ours = trained(table).model.state_dict()
        assert all(torch.equal(ours[name], expected[name]) for name in expected)


def test_other_column_names(tmp_path: Path) -> None:
    log = random_log()
    names = {"ItemId": "sku", "SessionId": "visit", "Time": "at"}
    keys: dict[str, Any] = {"item_key": "sku", "session_key": "visit", "time_key": "at"}
    gru = GRU4Rec(**SMALL, device="cpu").fit(log.rename(columns=names), **keys, progress=False)
    assert gru.data_iterator.itemidmap.index.name == "sku"
    assert batch_eval(gru, log.rename(columns=names), **keys) == batch_eval(trained(log), log)
    assert gru.recommend([log.ItemId[0]], 2).columns[0] == "sku"


@pytest.mark.parametrize("model", ["gru", "loaded", "baseline"])
def test_the_names_of_the_training_logs_columns_are_the_default(tmp_path: Path, model: str) -> None:
    log = random_log()
    renamed = log.rename(columns=OTHER_NAMES)
    named: Any = GRU4Rec(**SMALL, device="cpu") if model != "baseline" else Markov()
    plain = Markov().fit(log) if model == "baseline" else trained(log)
    named.fit(renamed, **OTHER_KEYS)
    if model == "loaded":
        named.savemodel(tmp_path / "model.safetensors")
        named = GRU4Rec.loadmodel(tmp_path / "model.safetensors", device="cpu")
    assert named.data_iterator.columns == OTHER_KEYS
    assert batch_eval(named, renamed) == batch_eval(plain, log)
    assert evaluate(named, renamed, n_bootstrap=0) == evaluate(plain, log, n_bootstrap=0)
    # A name that is given wins, also one that is the default of others.
    half = log.rename(columns={"ItemId": "sku", "SessionId": "visit"})
    assert batch_eval(named, half, time_key="Time") == batch_eval(plain, log)
    with pytest.raises(DataError, match="no column 'at'"):
        batch_eval(named, half)
    keys: dict[str, Any] = {"item_key": "ItemId", "session_key": "SessionId", "time_key": "Time"}
    assert batch_eval(named, log, **keys) == batch_eval(plain, log)
    assert "item_key: 'str' = <the model's, else 'ItemId'>" in str(inspect.signature(batch_eval))


def test_a_model_of_rows_in_order_is_evaluated_so() -> None:
    log = random_log().sort_values(["SessionId", "Time"]).drop(columns="Time")
    gru = GRU4Rec(**SMALL, device="cpu").fit(log, time_key=None, progress=False)
    assert batch_eval(gru, log) == batch_eval(gru, log.assign(at=range(len(log))), time_key="at")


def test_compared_models_read_the_log_by_the_names_that_one_knows() -> None:
    renamed = random_log().rename(columns=OTHER_NAMES)
    named = Markov().fit(renamed, **OTHER_KEYS)
    unnamed = Table(
        named.data_iterator.itemidmap, np.ones((len(named.data_iterator.itemidmap),) * 2)
    )
    models = {"unnamed": unnamed, "named": named}
    found = compare(models, renamed, n_bootstrap=0)
    assert found.results == compare(models, random_log(), n_bootstrap=0, item_key="ItemId",
                                    session_key="SessionId", time_key="Time").results  # fmt: skip


def test_items_are_numbered_by_first_appearance() -> None:
    log = random_log()
    itemidmap = trained(log).data_iterator.itemidmap
    assert itemidmap.index.tolist() == log.ItemId.drop_duplicates().tolist()
    assert itemidmap.tolist() == list(range(log.ItemId.nunique()))


@pytest.mark.parametrize(
    "mode",
    [{}, {"embedding": "layersize", "constrained_embedding": "0"}, {"constrained_embedding": "0"}],
)
def test_a_saved_model_answers_as_before(tmp_path: Path, mode: dict[str, str]) -> None:
    log = random_log()
    gru = trained(log, layers="12/7", **mode)
    gru.savemodel(tmp_path / "model.safetensors")
    loaded = GRU4Rec.loadmodel(tmp_path / "model.safetensors", device="cpu")
    assert loaded.config == gru.config
    assert batch_eval(loaded, log, [1, 5]) == batch_eval(gru, log, [1, 5])
    item = log.ItemId[0]
    pd.testing.assert_frame_equal(loaded.recommend([item]), gru.recommend([item]))


def test_a_loaded_text_model_keeps_its_ids(tmp_path: Path) -> None:
    log = random_log()
    log["ItemId"] = "ä-" + log.ItemId.astype(str)
    gru = trained(log)
    gru.savemodel(tmp_path / "model.safetensors")
    loaded = GRU4Rec.loadmodel(tmp_path / "model.safetensors")
    assert loaded.data_iterator.itemidmap.index.equals(gru.data_iterator.itemidmap.index)


@pytest.mark.parametrize("layers", [(12,), (12, 7)])
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_weights_trained_elsewhere_can_be_brought(
    tmp_path: Path, kind: str, layers: tuple[int, ...]
) -> None:
    log = random_log()
    gru = trained(log, layers=layers)
    state = gru.model.state_dict()
    path = tmp_path / f"weights.{kind}"
    if kind == "torch":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    loaded = GRU4Rec.loadmodel(path, itemidmap=gru.data_iterator.itemidmap)
    assert loaded.layers == layers
    assert batch_eval(loaded, log) == batch_eval(gru, log)
    with pytest.warns(UserWarning, match="items are known by their index 0"):
        bare = GRU4Rec.loadmodel(path)
    best = bare.recommend([0], 3).ItemId
    expected = gru.recommend([log.ItemId[0]], 3).ItemId
    assert best.tolist() == gru.data_iterator.itemidmap[expected].tolist()
    with pytest.raises(CheckpointError, match="itemidmap has 2 items"):
        GRU4Rec.loadmodel(path, itemidmap=gru.data_iterator.itemidmap[:2])


def test_a_given_itemidmap_may_come_in_any_order(tmp_path: Path) -> None:
    log = random_log()
    gru = trained(log)
    torch.save(gru.model.state_dict(), tmp_path / "weights.pt")
    shuffled = gru.data_iterator.itemidmap.sample(frac=1, random_state=0)
    loaded = GRU4Rec.loadmodel(tmp_path / "weights.pt", itemidmap=shuffled)
    session = [log.ItemId[0]]
    pd.testing.assert_frame_equal(loaded.recommend(session), gru.recommend(session))


def test_parameters_read_as_attributes_and_are_checked_together() -> None:
    gru = GRU4Rec(layers=[5], seed=3)
    assert (gru.batch_size, gru.seed, gru.layers) == (64, 3, (5,))
    with pytest.raises(ParameterError, match="did you mean 'batch_size'"):
        gru.set_params(batchsize=3)
    with pytest.raises(ParameterError, match="loss='softmax'"):
        GRU4Rec(loss="softmax")
    with pytest.raises(ParameterError, match="n_sample=-1"):
        gru.set_params(layers="9", n_sample=-1)
    assert gru.layers == (5,), "a refused set_params changed something"
    assert repr(gru) == "GRU4Rec(layers=[5], seed=3)"


def test_before_fit_there_is_no_model() -> None:
    gru = GRU4Rec()
    for use in (lambda: gru.model, lambda: gru.recommend([1]), lambda: gru.savemodel("x")):
        with pytest.raises(RuntimeError, match=r"call fit\(data\)"):
            use()
    assert not Path("x").exists()


def test_devices() -> None:
    gru = trained(random_log())
    assert gru.to("cpu") is gru
    assert gru.device == torch.device("cpu")
    for device in ("gpu", "cuda:99"):
        with pytest.raises(
            ParameterError, match=f"device '{device}' is not there.*expected one of"
        ):
            GRU4Rec(device=device)
        with pytest.raises(ParameterError, match="is not there"):
            gru.to(device)


def test_a_second_fit_says_that_it_starts_anew(tmp_path: Path) -> None:
    log = random_log()
    gru = GRU4Rec(**SMALL, device="cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gru.fit(log, progress=False)
    assert not [w for w in caught if "anew" in str(w.message)]
    gru.savemodel(tmp_path / "model.safetensors")
    once = gru.model.state_dict()
    for model in (gru, GRU4Rec.loadmodel(tmp_path / "model.safetensors", device="cpu")):
        with pytest.warns(UserWarning, match="does not train further: it starts anew") as found:
            model.fit(log, progress=False)
        assert {w.filename for w in found} == {__file__}
        again = model.model.state_dict()
        assert all(torch.equal(again[name], once[name]) for name in once)


def test_a_failed_fit_keeps_the_model_that_was_there() -> None:
    gru = trained(random_log())
    before = gru.model
    with pytest.raises(DataError, match="no column 'ItemId'"):
        gru.fit(pd.DataFrame({"SessionId": [1], "Time": [1]}))
    assert gru.model is before
