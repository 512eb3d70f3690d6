"""Plain state_dicts: their structure follows from the shapes, and other files are refused."""

from __future__ import annotations

import pickle
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model import checkpoint
from gru4rec_fast.model.network import Network
from gru4rec_fast.model.state_dict import infer_config
from gru4rec_fast.spec import NetworkSpec
from tests.model.files import SAVERS, V, assert_same, state_dict
from tests.options import CELLS, EMBEDDINGS, FEED_FORWARD

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("saver", SAVERS)
def test_plain_state_dicts_load(tmp_path: Path, saver: str) -> None:
    SAVERS[saver](state_dict(), tmp_path / "m")
    loaded = checkpoint.load(tmp_path / "m")
    assert_same(loaded.tensors, state_dict())
    assert loaded.config is None
    assert loaded.itemidmap is None
    assert loaded.extra == {}


@pytest.mark.parametrize(
    ("mode", "embedding", "constrained"),
    [("shared", 0, True), ("separate", 3, False), ("one-hot", 0, False)],
)
@pytest.mark.parametrize("layers", [(4,), (5, 4), (4, 6, 5)])
def test_the_config_of_a_state_dict_follows_from_its_shapes(
    mode: str, embedding: int, constrained: bool, layers: tuple[int, ...]
) -> None:
    inferred = infer_config(state_dict(mode, layers))
    assert inferred == {
        "layers": layers,
        "cell": "gru",
        "reset": None,
        "feed_forward": (),
        "embedding": embedding,
        "constrained_embedding": constrained,
    }
    assert Config().replace(**inferred).layers == layers


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("feed_forward", FEED_FORWARD)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [(4,), (5, 4)])
def test_every_structure_follows_from_names_and_shapes(
    embedding: str, feed_forward: str, cell: str, layers: tuple[int, ...]
) -> None:
    options = {**EMBEDDINGS[embedding], **FEED_FORWARD[feed_forward], **CELLS[cell]}
    config = Config().replace(**options, layers=layers)
    inferred = infer_config(Network(config, V).state_dict())
    assert NetworkSpec.of(Config().replace(**inferred), V) == NetworkSpec.of(config, V)


def test_cells_that_no_model_mixes_are_refused() -> None:
    mixed = state_dict(layers=(4, 4)) | {
        f"G.1.{name}": torch.ones(shape)
        for name, shape in (("weight_ih", (4, 4)), ("weight_hh", (4, 4)), ("bias_ih", (4,)))
    }
    with pytest.raises(CheckpointError, match="have the cells gru-reset-after, rnn: no model"):
        infer_config(mixed)


def test_foreign_state_dicts_are_refused(tmp_path: Path) -> None:
    def message_for(tensors: dict[str, torch.Tensor]) -> str:
        torch.save(tensors, tmp_path / "m.pt")
        with pytest.raises(CheckpointError) as raised:
            checkpoint.load(tmp_path / "m.pt")
        assert str(raised.value).startswith(f"{tmp_path / 'm.pt'}: ")
        return str(raised.value)

    assert re.search(
        r"has no tensor 'Wy.weight': expected the state_dict of a GRU4Rec model \(Wy\.weight, .*"
        r"it holds encoder.weight, bias",
        message_for({"encoder.weight": torch.ones(2, 2), "bias": torch.ones(2)}),
    )
    assert "it holds nothing" in message_for({})
    for name in state_dict():
        lacking = {key: value for key, value in state_dict().items() if key != name}
        assert f"has no tensor '{name}'" in message_for(lacking)
    assert "has tensors of no known meaning: G.2.weight_ih, other" in message_for(
        {**state_dict(), "G.2.weight_ih": torch.ones(1), "other": torch.ones(1)}
    )
    assert "'By.weight' has the shape (6,): expected (6, 1), to fit the others" in message_for(
        {**state_dict(), "By.weight": torch.ones(V)}
    )
    assert "has tensors of no possible network (layers=(0,): expected" in message_for(
        state_dict(layers=(0,))
    )
    # No cell has five gates, and an LSTM, which has four, has them in all weights.
    assert "'G.0.weight_hh' has the shape (20, 4): expected (12, 4)" in message_for(
        {**state_dict(), "G.0.weight_hh": torch.ones(20, 4)}
    )
    assert "'G.0.weight_ih' has the shape (12, 4): expected (16, 4)" in message_for(
        {**state_dict(), "G.0.weight_hh": torch.ones(16, 4)}
    )
    assert "'G.0.weight_ih' has the shape (12, 9): expected (12, 4)" in message_for(
        {**state_dict(), "G.0.weight_ih": torch.ones(12, 9)}
    )
    assert "'Wy.weight' has the shape (6, 9): expected (6, 4)" in message_for(
        {**state_dict("one-hot", (4,)), "Wy.weight": torch.ones(V, 9)}
    )


class Model:
    """Stands for a whole object that was saved by pickling it."""

    def __init__(self) -> None:
        self.weight = torch.ones(3)


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self.mark).touch, (self.mark,)


@pytest.mark.parametrize(
    "saver",
    [
        torch.save,
        lambda o, p: torch.save(o, p, _use_new_zipfile_serialization=False),
        lambda o, p: p.write_bytes(pickle.dumps(o)),
        lambda o, p: p.write_bytes(pickle.dumps(o, protocol=2)),
    ],
    ids=["torch", "torch before 1.6", "pickle", "pickle 2"],
)
def test_a_pickled_object_is_refused_unopened(tmp_path: Path, saver: Any) -> None:
    message = (
        r"m\.pt: holds a pickled object, which could run any code when loaded .*in the environment "
        r"where it was written, run torch\.save\(gru\.model\.state_dict\(\), path\) and load that"
    )
    for content in (Model(), {"Wy.weight": torch.ones(1), "model": Model()}, Bomb(tmp_path / "x")):
        saver(content, tmp_path / "m.pt")
        with pytest.raises(CheckpointError, match=message):
            checkpoint.load(tmp_path / "m.pt")
    assert not (tmp_path / "x").exists()


def test_torch_files_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="holds a list: expected the state_dict"):
        checkpoint.load(tmp_path / "m.pt")
    torch.save({"epoch": 3, "model": state_dict()}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="holds a int under 'epoch': expected a state_dict"):
        checkpoint.load(tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(CheckpointError, match=r"m\.pt: is not a model file: expected one of"):
        checkpoint.load(tmp_path / "m.pt")
    np.savez(tmp_path / "m.npz", x=np.ones(3))
    with pytest.raises(CheckpointError, match=r"m\.npz: is not a model file: expected one of"):
        checkpoint.load(tmp_path / "m.npz")
