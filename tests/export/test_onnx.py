"""ONNX Runtime scores an exported model as the library does; the file holds what a server needs."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from gru4rec_fast import GRU4Rec, spec
from gru4rec_fast.activation import PARAMETERS
from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError, ParameterError
from gru4rec_fast.evaluation.network_scorer import NetworkScorer
from gru4rec_fast.export import onnx_file
from gru4rec_fast.export.activations import ACTIVATIONS as EXPORTED_ACTIVATIONS
from gru4rec_fast.export.cells import CELLS as EXPORTED_CELLS
from gru4rec_fast.export.onnx_file import export_onnx
from gru4rec_fast.model.network import Network
from tests.logs import random_log
from tests.options import ACTIVATIONS, CELLS, EMBEDDINGS

ROOT = Path(__file__).resolve().parents[2]
V = 31
IDS = pd.Series(range(V), index=pd.Index(range(100, 100 + V), name="sku"))
STRUCTURES: dict[str, dict[str, Any]] = {
    "one": {"layers": (9,)},
    "stacked": {"layers": (9, 12, 7)},
    "ff": {"layers": (8, 11), "feed_forward": (10, 6)},
}


def network_of(**options: Any) -> Network:
    """A network of large random weights, biases too, so that gates and states matter."""
    network = Network(Config().replace(**options), V)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def session_of(network: Network, path: Path, k: int | None) -> onnxruntime.InferenceSession:
    export_onnx(network, IDS, path, k)
    onnx.checker.check_model(str(path), full_check=True)
    return runtime_of(path)


def runtime_of(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def assert_reproduced(network: Network, tmp_path: Path) -> None:
    """Over some events of batches of three sizes: states, scores, and the best items."""
    every = session_of(network, tmp_path / "every.onnx", None)
    best = session_of(network, tmp_path / "best.onnx", 6)
    scorer = NetworkScorer(network)
    generator = torch.Generator().manual_seed(2)
    for lanes in (1, 4, 70):
        expected_states = scorer.start(lanes)
        states = [state.numpy() for state in scorer.start(lanes)]
        same = torch.arange(lanes)
        for _ in range(4):
            items = torch.randint(V, (lanes,), generator=generator)
            features = scorer.step(expected_states, items, torch.zeros(lanes).bool(), same)
            expected = scorer.scores(features, torch.arange(V)).numpy()
            within = 1e-5 * max(1.0, float(np.abs(expected).max()))
            feed = {f"state_{layer}": state for layer, state in enumerate(states)}
            feed["items"] = items.numpy()
            scores, *states = every.run(None, feed)
            np.testing.assert_allclose(scores, expected, rtol=0, atol=within)
            for state, expected_state in zip(states, expected_states, strict=True):
                np.testing.assert_allclose(state, expected_state, rtol=0, atol=1e-5)
            top_items, top_scores, *again = best.run(None, feed)
            assert all(map(np.array_equal, again, states))
            chosen = np.take_along_axis(expected, top_items, axis=1)
            np.testing.assert_allclose(top_scores, chosen, rtol=0, atol=within)
            ranked = -np.sort(-expected, axis=1)[:, :6]
            np.testing.assert_allclose(top_scores, ranked, rtol=0, atol=within)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_network_is_reproduced(
    cell: str, embedding: str, structure: str, tmp_path: Path
) -> None:
    options = CELLS[cell] | EMBEDDINGS[embedding] | STRUCTURES[structure]
    assert_reproduced(network_of(**options), tmp_path)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_activation_is_reproduced(act: str, tmp_path: Path) -> None:
    hidden: dict[str, Any] = {"layers": (9,), "hidden_act": act, "feed_forward": (8,)}
    for cell in ("gru-reset-before", "rnn"):
        assert_reproduced(network_of(**CELLS[cell], **hidden, feed_forward_act=act), tmp_path)
    # Scores are those that items are ranked by: before the loss's activation.
    assert_reproduced(network_of(layers=(9,), loss="bpr-max", final_act=act), tmp_path)


def test_every_cell_and_activation_can_be_exported() -> None:
    assert set(EXPORTED_CELLS) == set(spec.CELLS)
    assert set(EXPORTED_ACTIVATIONS) == set(PARAMETERS)


def feed_of(network: Network, *items: int) -> dict[str, Any]:
    states = NetworkScorer(network).start(len(items))
    feed: dict[str, Any] = {f"state_{layer}": h.numpy() for layer, h in enumerate(states)}
    return feed | {"items": np.array(items)}


def test_equal_scores_go_by_ascending_index(tmp_path: Path) -> None:
    network = network_of(layers=(9,))
    network.Wy.weight[5:] = network.Wy.weight[5]
    network.By.weight[5:] = 50.0
    runtime = session_of(network, tmp_path / "model.onnx", 20)
    assert runtime.run(["top_items"], feed_of(network, 3))[0][0].tolist() == [*range(5, 25)]


@pytest.mark.parametrize("item", [-1, V])
def test_an_index_that_is_no_items_is_refused(item: int, tmp_path: Path) -> None:
    network = network_of(layers=(9,))
    runtime = session_of(network, tmp_path / "model.onnx", 20)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        runtime.run(None, feed_of(network, item))


def test_the_file_holds_ids_in_order_and_a_shared_table_once(tmp_path: Path) -> None:
    shuffled = pd.Series([2, 0, 1], index=pd.Index(["ä b", "x", '"'], name="sku"))
    network = Network(Config().replace(layers=(9,)), 3)
    network.initialise()
    path = tmp_path / "model.onnx"
    export_onnx(network, shuffled, path, 20)
    runtime = runtime_of(path)
    metadata = runtime.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["item_ids"]) == ["x", '"', "ä b"]
    assert metadata["item_key"] == "sku"
    # k beyond the catalogue gives all of it.
    assert runtime.get_outputs()[0].shape == ["sessions", 3]
    stored = [array.name for array in onnx.load(path).graph.initializer]
    assert sorted(stored) == sorted(
        ["Wy.weight", "By.row", "integer_0", "integer_3"]
        + [f"G.0.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    )


def test_bad_exports_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, path = network_of(layers=(9,)), tmp_path / "model.onnx"
    for k in (0, 2.5, True):
        with pytest.raises(ParameterError, match=f"k is {k}; expected a whole number"):
            export_onnx(network, IDS, path, k)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"there is no folder .*nowhere"):
        export_onnx(network, IDS, tmp_path / "nowhere" / "model.onnx", 20)
    with pytest.raises(CheckpointError, match="is a folder"):
        export_onnx(network, IDS, tmp_path, 20)
    with pytest.raises(CheckpointError, match="path is of type int"):
        export_onnx(network, IDS, 3, 20)  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(onnx_file, "LARGEST", 1000)
        with pytest.raises(CheckpointError, match=r"needs [\d,]+ bytes; expected at most 1,000"):
            export_onnx(network, IDS, path, 20)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnx", None)
        with pytest.raises(ImportError, match=r"pip install 'gru4rec-fast\[export\]'"):
            export_onnx(network, IDS, path, 20)
    network.By.weight[3] = float("nan")
    with pytest.raises(ArithmeticError, match=r"By.weight holds NaN"):
        export_onnx(network, IDS, path, 20)
    assert not list(tmp_path.iterdir())


def test_the_example_serves_without_torch_what_the_model_recommends(tmp_path: Path) -> None:
    log = random_log(n_sessions=60)
    log["ItemId"] = "item " + log["ItemId"].astype(str)
    gru = GRU4Rec(layers=(9, 7), cell="lstm", n_sample=16, n_epochs=1, device="cpu")
    gru.fit(log, progress=False)
    gru.export_onnx(tmp_path / "model.onnx", k=4)
    ids = gru.data_iterator.itemidmap.index.tolist()
    sessions: dict[str, list[str]] = {"a": [ids[3], ids[1], ids[4]], "b": [ids[8], ids[9]]}
    events = [
        (name, session[n])
        for n, name in itertools.product(range(3), sessions)
        for session in [sessions[name]]
        if n < len(session)
    ]
    events += [("a", "item ?"), ("", "")]
    # What the example may not use is not there.
    blocked = "import runpy, sys; sys.modules.update(torch=None, onnx=None, gru4rec_fast=None); "
    example = ROOT / "examples" / "onnx_serve.py"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked}sys.argv[1:] = sys.argv[2:]; "
         f"runpy.run_path({str(example)!r})", "-", str(tmp_path / "model.onnx")],
        input="".join(f"{name} {item}\n" for name, item in events),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shown = [line.split("\t") for line in done.stdout.splitlines()]
    seen: dict[str, list[str]] = {"a": [], "b": []}
    for (name, item), row in zip(events[:-2], shown[:-2], strict=True):
        seen[name].append(item)
        assert row == [name, *gru.recommend(seen[name], k=4).ItemId]
    assert shown[-2:] == [
        ["a", "the model does not know item ?"],
        ["", "the model does not know "],
    ]
