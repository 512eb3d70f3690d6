"""`export` of a saved model."""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime
import pytest

from tests.cli.commands import TINY, error_of, run


@pytest.fixture
def model(logs: tuple[str, str], tmp_path: Path) -> str:
    path = str(tmp_path / "model.safetensors")
    assert run(logs[0], "-ps", TINY, "-s", path) == 0
    return path


def test_export_writes_best_items_or_all_scores(model: str, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    for flags, expected in (
        ((), ["top_items", "top_scores"]),
        (("-k", "3"), ["top_items", "top_scores"]),
        (("--all-scores",), ["scores"]),
    ):
        assert run("export", model, "-o", str(out), *flags) == 0
        outputs = onnxruntime.InferenceSession(out).get_outputs()
        assert [output.name for output in outputs] == [*expected, "new_state_0"]
        if flags == ("-k", "3"):
            assert outputs[0].shape == ["sessions", 3]


def test_export_refuses_what_it_cannot_do(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Path(model).read_bytes()
    assert "expected a name that ends in .onnx" in error_of(capsys, "export", model, "-o", model)
    assert Path(model).read_bytes() == before
    out = str(tmp_path / "model.onnx")
    assert "k is 0" in error_of(capsys, "export", model, "-o", out, "-k", "0")
    assert "no such file" in error_of(capsys, "export", model + "?", "-o", out)
    nowhere = str(tmp_path / "nowhere" / "model.onnx")
    assert "there is no folder" in error_of(capsys, "export", model, "-o", nowhere)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "gru4rec-fast[export]" in error_of(capsys, "export", model, "-o", out)
