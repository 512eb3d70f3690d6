"""The items' vectors as a table, and the most similar items, against plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import DataError, GRU4Rec, ParameterError
from tests.logs import random_log
from tests.options import EMBEDDINGS


def trained(embedding: str = "shared", log: pd.DataFrame | None = None) -> GRU4Rec:
    gru = GRU4Rec(layers=(16, 12), n_sample=16, n_epochs=2, device="cpu", **EMBEDDINGS[embedding])
    return gru.fit(random_log(n_sessions=60) if log is None else log, progress=False)


@pytest.fixture(scope="module")
def gru() -> GRU4Rec:
    return trained()


def most_similar(vectors: np.ndarray[Any, Any], item: int, k: int, measure: str) -> pd.Series[Any]:
    """Index -> similarity of the k most similar others, in float64."""
    vectors = vectors.astype(np.float64)
    if measure == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = pd.Series(vectors @ vectors[item]).drop(item)
    return similarity.sort_values(ascending=False).head(k)


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_the_table_holds_the_weights_by_id(embedding: str) -> None:
    gru = trained(embedding)
    spec, ids = gru.model.spec, gru.data_iterator.itemidmap.index
    for table, name in (("output", "Wy.weight"), ("input", spec.input_table)):
        frame = gru.item_vectors(table)
        weight = gru.model.parameter_dict()[name].numpy()
        assert frame.columns[0] == "ItemId"
        assert frame.ItemId.tolist() == ids.tolist()
        assert frame.columns[1:].tolist() == [f"{table}_{i}" for i in range(weight.shape[1])]
        assert np.array_equal(frame.iloc[:, 1:].to_numpy(), weight)
        before = weight.copy()
        frame.iloc[:, 1:] = 0.0
        assert np.array_equal(gru.model.parameter_dict()[name].numpy(), before)


@pytest.mark.parametrize("table", ["output", "input"])
@pytest.mark.parametrize("measure", ["cosine", "dot"])
def test_similar_items_are_those_of_the_formula(measure: str, table: str) -> None:
    gru = trained("separate")
    ids = gru.data_iterator.itemidmap.index
    vectors = gru.item_vectors(table).iloc[:, 1:].to_numpy()
    asked = [4, 0, 4, 9]
    batch = gru.similar_items(ids[asked], k=5, measure=measure, table=table)
    assert batch.columns.tolist() == ["SimilarTo", "ItemId", "Similarity"]
    assert batch.SimilarTo.tolist() == np.repeat(ids[asked], 5).tolist()
    for row, item in enumerate(asked):
        expected = most_similar(vectors, item, 5, measure)
        one = gru.similar_items(ids[item], k=5, measure=measure, table=table)
        assert one.ItemId.tolist() == ids[expected.index].tolist()
        np.testing.assert_allclose(one.Similarity, expected, rtol=1e-5, atol=1e-6)
        part = batch.iloc[5 * row : 5 * row + 5].reset_index(drop=True)
        assert part.ItemId.equals(one.ItemId)


def test_an_item_is_not_similar_to_itself_even_among_equals(gru: GRU4Rec) -> None:
    ids = gru.data_iterator.itemidmap.index
    other = trained()
    other.model.Wy.weight[:8] = other.model.Wy.weight[7].clone()
    for item in (0, 7):
        best = other.similar_items(ids[item], k=3)
        assert best.ItemId.tolist() == ids[[i for i in range(8) if i != item][:3]].tolist()
    everything = gru.similar_items(ids[2], k=10_000)
    assert sorted(everything.ItemId) == sorted(set(ids) - {ids[2]})
    other.model.Wy.weight[5] = 0.0
    assert (other.similar_items(ids[5], k=4).Similarity == 0).all()


def test_text_ids_and_columns_of_the_results_own_names() -> None:
    log = random_log()
    log["Similarity"] = "item-" + log.pop("ItemId").astype(str)
    gru = GRU4Rec(layers=(4,), n_epochs=1, n_sample=4, device="cpu")
    gru.fit(log, item_key="Similarity", progress=False)
    item = log["Similarity"][0]
    assert gru.similar_items([item], k=1).columns.tolist() == [
        "ModelSimilarTo", "Similarity", "ModelSimilarity",
    ]  # fmt: skip
    assert gru.similar_items(item, k=1).Similarity[0].startswith("item-")
    assert gru.item_vectors().columns[0] == "Similarity"


def test_bad_questions(gru: GRU4Rec) -> None:
    known = gru.data_iterator.itemidmap.index[0]
    with pytest.raises(DataError, match="item is -9, which the model does not know"):
        gru.similar_items(-9)
    with pytest.raises(DataError, match="item is -9, which the model does not know"):
        gru.similar_items([known, -9])
    with pytest.raises(ParameterError, match="k is 0"):
        gru.similar_items(known, k=0)
    with pytest.raises(ParameterError, match=r"measure is 'cosin'.*did you mean 'cosine'"):
        gru.similar_items(known, measure="cosin")
    with pytest.raises(ParameterError, match="table is 3; expected one of output, input"):
        gru.item_vectors(3)  # type: ignore[arg-type]
    assert gru.similar_items([], k=2).empty
    broken = trained()
    broken.model.Wy.weight[3, 3] = float("inf")
    with pytest.raises(ArithmeticError, match="holds NaN or infinity"):
        broken.similar_items(known)
    with pytest.raises(RuntimeError, match="no model yet"):
        GRU4Rec(device="cpu").item_vectors()
    assert torch.isfinite(gru.model.Wy.weight).all()
