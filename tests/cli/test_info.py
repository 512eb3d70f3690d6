"""`info` tells what a model file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gru4rec_fast import GRU4Rec, _core
from tests.cli.commands import error_of, run
from tests.logs import OTHER_KEYS, OTHER_NAMES, random_log

LOG = random_log().rename(columns=OTHER_NAMES)
PARAMS: dict[str, Any] = {"layers": (12, 7), "n_sample": 16, "batch_size": 8, "n_epochs": 2}


@pytest.fixture
def model(tmp_path: Path) -> str:
    gru = GRU4Rec(**PARAMS, device="cpu")
    gru.fit(LOG, **OTHER_KEYS, validation=0.2, progress=False)
    gru.savemodel(tmp_path / "model", training_state=True)
    return str(tmp_path / "model")


def test_info_as_json(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", model, "--json", "--device", "cpu") == 0
    about = json.loads(capsys.readouterr().out)
    gru = GRU4Rec.loadmodel(model, device="cpu")
    assert about["file"] == {
        "path": model, "bytes": Path(model).stat().st_size, "kind": "gru4rec-fast model",
        "checksum": "verified",
    }  # fmt: skip
    assert about["parameters"] == gru.config.to_dict()
    state = gru.model.state_dict()
    assert about["tensors"] == {name: list(value.shape) for name, value in state.items()}
    assert about["numbers"] == sum(value.numel() for value in state.values())
    assert about["bytes"] == 4 * about["numbers"]
    ids = gru.data_iterator.itemidmap.index
    assert about["items"] == {
        "count": len(ids), "type": "integer", "first": ids[:3].tolist()
    }  # fmt: skip
    assert about["columns"] == OTHER_KEYS
    assert about["training"]["epochs"] == 2
    assert about["training"]["last"] == gru.history.to_json()[-1]
    assert about["training"]["can_be_updated"] is True
    assert about["machine"] == {
        "device": "cpu", "engine": "cpu", "instruction set": _core.instruction_set(),
        "products": "precision 'auto': float32", "threads": torch.get_num_threads(),
    }  # fmt: skip


def test_info_as_text(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", model) == 0
    printed = capsys.readouterr().out
    assert "layers = 12/7" in printed
    assert "item 'sku', session 'visit', time 'at'" in printed
    assert "2 epochs, last loss" in printed
    assert "recall@20" in printed
    assert "partial_fit kept" in printed
    assert "learning_rate" not in printed, "a parameter at its default is listed"


def test_info_of_a_plain_state_dict(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(GRU4Rec.loadmodel(model).model.state_dict(), tmp_path / "weights.pt")
    with pytest.warns(UserWarning, match="plain state_dict"):
        assert run("info", str(tmp_path / "weights.pt")) == 0
    printed = capsys.readouterr().out
    assert "plain state_dict" in printed
    assert "checksum none" in printed
    assert "columns:         not known" in printed
    assert "no such file" in error_of(capsys, "info", str(tmp_path / "none"))
