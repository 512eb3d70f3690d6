"""Models of every cell, embedding and feed-forward part, from fit to recommendations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from gru4rec_fast import GRU4Rec, batch_eval
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from tests.logs import random_log
from tests.options import CELLS, EMBEDDINGS, FEED_FORWARD

if TYPE_CHECKING:
    from pathlib import Path

LOG = random_log(n_sessions=60)
TEST = random_log(n_sessions=25, seed=2)


def trained(cell: str, embedding: str, **options: Any) -> GRU4Rec:
    gru = GRU4Rec(
        layers=(9, 12), batch_size=8, n_sample=16, n_epochs=2, device="cpu", dropout_p_hidden=0.1,
        **CELLS[cell], **EMBEDDINGS[embedding], **options,
    )  # fmt: skip
    gru.fit(LOG, progress=False)
    assert gru.engine_ == "cpu"
    return gru


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.filterwarnings("ignore:.*sessions have a single event")
def test_every_network_is_fit_saved_loaded_and_evaluated(
    cell: str, embedding: str, tmp_path: Path
) -> None:
    for feed_forward in FEED_FORWARD.values():
        gru = trained(cell, embedding, **feed_forward)
        gru.savemodel(tmp_path / "model")
        loaded = GRU4Rec.loadmodel(tmp_path / "model", device="cpu")
        assert loaded.model.spec == gru.model.spec
        session = LOG.ItemId[:5].tolist()
        assert loaded.recommend(session, k=5).equals(gru.recommend(session, k=5))
        results = [batch_eval(gru, TEST, cutoff=[5], batch_size=b, mode="median") for b in (3, 50)]
        results.append(batch_eval(loaded, TEST, cutoff=[5], mode="median"))
        assert results[0] == results[1] == results[2]
        recall, mrr = results[0]
        assert 0 < mrr[5] < recall[5] <= 1


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.filterwarnings("ignore:.*single event", "ignore:.*plain state_dict")
def test_a_plain_state_dict_gives_the_model_back(cell: str, embedding: str, tmp_path: Path) -> None:
    gru = trained(cell, embedding, feed_forward=(7,))
    torch.save(gru.model.state_dict(), tmp_path / "weights.pt")
    itemidmap = gru.data_iterator.itemidmap
    loaded = GRU4Rec.loadmodel(tmp_path / "weights.pt", itemidmap=itemidmap, device="cpu")
    session = LOG.ItemId[:5].tolist()
    assert loaded.recommend(session, k=5).equals(gru.recommend(session, k=5))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.filterwarnings("ignore:.*single event")
def test_forward_scores_what_the_scorer_scores(cell: str) -> None:
    """`model.forward` and `predict_next_batch` carry every state of a cell."""
    gru = trained(cell, "shared", feed_forward=(7,))
    scorer = NetworkScorer(gru.model)
    state, lanes = scorer.start(2), [h.clone() for h in scorer.start(2)]
    assert [h.shape[1] for h in state] == [layer.state_width for layer in gru.model.spec.layers]
    rows, all_items = torch.arange(2), torch.arange(gru.model.n_items)
    items = gru.data_iterator.itemidmap.index
    for inputs in torch.tensor([[1, 2], [3, 4], [5, 6]]):
        features = scorer.step(state, inputs, torch.zeros(2, dtype=torch.bool), rows)
        scores = scorer.scores(features, all_items)
        torch.testing.assert_close(gru.model.forward(inputs, lanes), scores, rtol=1e-5, atol=1e-5)
        predicted = gru.predict_next_batch([0, 1], items[inputs.numpy()], batch=2)
        torch.testing.assert_close(
            torch.tensor(predicted.to_numpy().T), scores, rtol=1e-5, atol=1e-5
        )
