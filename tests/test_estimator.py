"""The parameters as arguments, attributes and scikit-learn's get_params and set_params."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
from typing import Any

import pandas as pd
import pytest
import torch
from sklearn.base import clone

from gru4rec_fast import GRU4Rec, ParameterError, batch_eval
from gru4rec_fast.config import Config
from gru4rec_fast.estimator import OTHERS, Estimator
from tests.logs import random_log

SMALL: dict[str, Any] = {"layers": [12], "batch_size": 8, "n_sample": 16, "n_epochs": 1}
SIGNATURE = inspect.signature(GRU4Rec).parameters
FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def trained(**params: Any) -> GRU4Rec:
    return GRU4Rec(**SMALL, **params, device="cpu").fit(random_log(), progress=False)


def same_weights(a: GRU4Rec, b: GRU4Rec) -> bool:
    weights = b.model.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in a.model.state_dict().items())


def test_the_constructor_has_every_field_of_the_config_with_its_default() -> None:
    assert {n: p.default for n, p in SIGNATURE.items() if n not in OTHERS} == {
        name: field.default for name, field in FIELDS.items()
    }
    kinds = {parameter.kind for parameter in SIGNATURE.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    assert {*SIGNATURE} <= {*dir(GRU4Rec())}


def test_the_constructor_documents_every_parameter_as_the_config_does() -> None:
    docs = inspect.getdoc(Estimator.__init__) or ""
    entries = re.split(r"\n    (?=\w+: )", docs.partition("Args:")[2].partition("\nRaises:")[0])
    documented = dict(" ".join(entry.split()).split(": ", 1) for entry in entries[1:])
    assert list(documented) == list(SIGNATURE)
    assert {name: documented[name].removesuffix(".") for name in FIELDS} == {
        name: field.metadata["help"] for name, field in FIELDS.items()
    }


def test_what_was_passed_comes_back_and_clones() -> None:
    layers = [7, 5]
    text: Any = "32"
    gru = GRU4Rec(layers, batch_size=text, seed=3, device="cpu", engine="reference")
    expected = {n: p.default for n, p in SIGNATURE.items()} | {
        "layers": layers, "batch_size": "32", "seed": 3, "device": "cpu", "engine": "reference",
    }  # fmt: skip
    assert gru.get_params(deep=True) == gru.get_params(deep=False) == expected
    assert gru.get_params()["layers"] is layers
    assert (gru.layers, gru.batch_size) == ((7, 5), 32)
    for copied in (clone(gru), GRU4Rec().set_params(**gru.get_params())):
        assert copied.get_params() == expected
        assert copied.config == gru.config
        assert (copied.engine, copied.device) == ("reference", torch.device("cpu"))


def test_a_clone_of_a_trained_model_is_untrained_and_trains_to_the_same_model() -> None:
    gru = trained(dropout_p_hidden=0.2)
    again = clone(gru)
    with pytest.raises(RuntimeError, match="no model yet"):
        _ = again.model
    assert same_weights(again.fit(random_log(), progress=False), gru)


def test_set_params_returns_the_model_and_later_sizes_count() -> None:
    gru = GRU4Rec(embedding="layersize", constrained_embedding=False)
    assert gru.set_params(layers="20/10", seed=1) is gru
    # As a search does that varies one parameter of a clone.
    assert (gru.embedding, gru.seed) == (20, 1)
    gru.layers = 9
    assert gru.get_params()["layers"] == 9
    assert clone(gru).config == gru.config
    with pytest.raises(ParameterError, match="did you mean 'seed'"):
        gru.set_params(layers=3, sed=1)
    assert gru.layers == (9,), "a refused set_params changed something"


def test_unknown_names_and_the_originals_decay_in_the_constructor() -> None:
    with pytest.raises(ParameterError, match="'batchsize': did you mean 'batch_size'"):
        GRU4Rec(batchsize=3)  # type: ignore[call-arg]
    gru = GRU4Rec(adapt="rmsprop", decay=0.8)  # type: ignore[call-arg]
    assert gru.adapt_params == (0.8,)
    assert gru.set_params(decay="0.7").adapt_params == (0.7,)
    assert clone(gru).adapt_params == (0.7,)


@pytest.mark.parametrize("copied", [lambda gru: pickle.loads(pickle.dumps(gru)), copy.deepcopy])
def test_models_pickle_trained_and_untrained(copied: Any) -> None:
    untrained = copied(GRU4Rec(layers=[5], engine="cpu", seed=7))
    assert (untrained.layers, untrained.engine, untrained.seed) == ((5,), "cpu", 7)

    gru, log = trained(momentum=0.1), random_log(seed=1)
    session = gru.data_iterator.itemidmap.index[:2].tolist()
    gru.predict_next(1, session[0], session)
    gru.predict_next_batch([1] * 3, session[:1] * 3, batch=3)
    other = copied(gru)
    assert other.get_params() == gru.get_params()
    assert other.engine_ == "cpu"
    assert other.history == gru.history
    assert batch_eval(other, log) == batch_eval(gru, log)
    pd.testing.assert_frame_equal(other.recommend(session), gru.recommend(session))
    # The state of the optimiser and the counts are there: an update has the same bits.
    for model in (gru, other):
        model.partial_fit(log, n_epochs=1, progress=False)
    assert same_weights(gru, other)


def test_a_pickle_is_not_much_larger_than_the_model_and_its_optimiser() -> None:
    gru = trained(momentum=0.1)
    parameters = sum(p.numel() * p.element_size() for p in gru.model.parameters())
    # Parameters, accumulators, momentum: three times; views of one storage must not copy it.
    assert len(pickle.dumps(gru)) < 3 * parameters + 30_000
