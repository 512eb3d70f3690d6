"""Checkpoints: what is saved comes back, and files that cannot be loaded say what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model import checkpoint
from tests.model.files import CONFIG, ITEMS, SAVERS, V, assert_same, listing, rewritten, state_dict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_model_comes_back_whole(tmp_path: Path) -> None:
    config = Config().replace(layers="8/4", loss="bpr-max", learning_rate=0.1, time_sort=False)
    tensors = state_dict(layers=(8, 4))
    # A later training state: more tensors, more JSON.
    tensors["optimizer.Wy.weight.accumulator"] = torch.rand(V, 4, dtype=torch.float64)
    tensors["rng"] = torch.arange(5, dtype=torch.uint8)
    extra = {"epoch": 3, "step": 2**60, "losses": [0.5, 0.25], "nested": {"ä": None, "b": True}}
    checkpoint.save(tmp_path / "model.safetensors", tensors, config, ITEMS, extra)
    loaded = checkpoint.load(str(tmp_path / "model.safetensors"))
    assert_same(loaded.tensors, tensors)
    assert loaded.config == config
    assert loaded.extra == extra
    assert loaded.itemidmap is not None
    pd.testing.assert_series_equal(loaded.itemidmap, ITEMS.rename("ItemIdx"))
    assert listing(tmp_path) == ["model.safetensors"]


def test_views_are_saved_as_the_values_they_show(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    tensors = {"a": whole, "b": whole, "c": whole.T, "d": whole[1:3], "e": whole[:0]}
    tensors["f"] = torch.nn.Parameter(whole[:, 2])
    tensors.update(state_dict())
    expected = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    checkpoint.save(tmp_path / "m", tensors, CONFIG, ITEMS)
    assert_same(checkpoint.load(tmp_path / "m").tensors, expected)
    assert_same(tensors, expected)


def test_loaded_tensors_can_be_changed_and_the_file_stays(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    first = checkpoint.load(tmp_path / "m")
    first.tensors["Wy.weight"].zero_()
    checkpoint.save(tmp_path / "m", first.tensors, CONFIG, ITEMS)
    assert not checkpoint.load(tmp_path / "m").tensors["Wy.weight"].any()
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    assert not first.tensors["Wy.weight"].any()


def test_the_header_is_as_documented(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS, {"epoch": 1})
    with safe_open(tmp_path / "m", framework="np") as file:
        metadata = file.metadata()
        assert file.get_tensor("item_ids").tolist() == ITEMS.index.tolist()
    assert metadata["format"] == "gru4rec-fast"
    assert metadata["format_version"] == "1"
    assert len(metadata["sha256"]) == 64
    meta = json.loads(metadata["meta"])
    assert meta == {
        "config": CONFIG.to_dict(), "item_key": "sku", "columns": {}, "extra": {"epoch": 1}
    }  # fmt: skip


@pytest.mark.parametrize("time_key", ["at", None])
def test_the_names_of_columns_are_kept(tmp_path: Path, time_key: str | None) -> None:
    columns = {"item_key": "sku", "session_key": "visit", "time_key": time_key}
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS, columns=columns)
    assert checkpoint.load(tmp_path / "m").columns == columns
    # Files of version 0.1.0 name the item column alone, and have no checksum.
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    with safe_open(tmp_path / "m", framework="pt") as file:
        metadata = file.metadata()
        del metadata["sha256"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    meta = json.loads(metadata["meta"])
    del meta["columns"]
    save_file(tensors, tmp_path / "m", metadata={**metadata, "meta": json.dumps(meta)})
    assert checkpoint.load(tmp_path / "m").columns == {"item_key": "sku"}
    meta["columns"] = {"item_key": 3}
    save_file(tensors, tmp_path / "m", metadata={**metadata, "meta": json.dumps(meta)})
    with pytest.raises(CheckpointError, match="item_key is 3"):
        checkpoint.load(tmp_path / "m")


@pytest.mark.parametrize("saver", [*SAVERS, "ours"])
def test_truncated_files_are_refused_wherever_they_end(tmp_path: Path, saver: str) -> None:
    path = tmp_path / "m"
    if saver == "ours":
        checkpoint.save(path, state_dict(), CONFIG, ITEMS)
    else:
        SAVERS[saver](state_dict(), path)
    content = path.read_bytes()
    for size in [0, 1, 8, 9, 40, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(
            CheckpointError,
            match="m: (is truncated or damaged|is empty or cut off|holds a pickled object|is not a)"
            if size < 40
            else "m: is truncated or damaged .*: copy or save the model again",
        ):
            checkpoint.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty or cut off: copy or save the model again"),
        (b"SessionId\tItemId\tTime\n1\t2\t3\n", "is not a model file: expected one of savemodel"),
        (b"\xff" * 8 + b"{" + b"x" * 100, "is truncated or damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"m: {message}"):
        checkpoint.load(tmp_path / "m")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent: no such file: expected the path of a"):
        checkpoint.load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="is a folder: expected the path of a saved model"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "path is empty: expected the path of a model file"),
        (None, "path is of type NoneType: expected the path of a model file"),
        (pd.DataFrame(), "path is of type DataFrame: expected the path of a model file"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        checkpoint.load,
        checkpoint.require_writable,
        lambda path: checkpoint.save(path, state_dict(), CONFIG, ITEMS),
    ],
)
def test_what_is_no_path_is_refused(call: Callable[[Any], Any], path: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        call(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            state_dict(layers=(5,)),
            r"tensor 'Wy\.weight' has the shape \(6, 5\), but its hyper-parameters \(layers=4, "
            r"embedding=0, constrained_embedding=True\) ask for \(6, 4\)",
        ),
        (
            state_dict("separate"),
            r"'G\.0\.weight_ih' has the shape \(12, 3\), but .*embedding=0.* ask for \(12, 4\)",
        ),
        (
            {**state_dict(), "E.weight": torch.ones(V, 4)},
            r"no known meaning: E\.weight; its hyper-parameters \(.*constrained_embedding=True\)",
        ),
        (
            state_dict("one-hot"),
            r"no tensor 'G\.0\.weight_ih', but its hyper-parameters .*constrained_embedding=True",
        ),
        ({**state_dict(), "G.0.bias_hh": torch.ones(3)}, r"'G\.0\.bias_hh' has the shape \(3,\)"),
        ({**state_dict(), "Wy.weight": torch.tensor(1.0)}, r"'Wy\.weight' has the shape \(\), but"),
        ({**state_dict(), "G.1.bias_hh": torch.ones(3)}, r"no known meaning: G\.1\.bias_hh"),
        ({"x": torch.ones(3)}, "has no tensor 'Wy.weight'"),
    ],
)
def test_tensors_of_another_model_than_the_hyper_parameters_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], message: str
) -> None:
    checkpoint.save(tmp_path / "m", tensors, CONFIG, ITEMS)
    with pytest.raises(CheckpointError, match=f"m: .*{message}"):
        checkpoint.load(tmp_path / "m")


def test_a_newer_format_is_told_apart(tmp_path: Path) -> None:
    rewritten(tmp_path / "m", {"format_version": "2", "meta": "whatever comes then"})
    message = (
        "m: is of format 2, but this version reads formats up to 1: it was saved by a newer "
        "gru4rec-fast; upgrade with pip install -U gru4rec-fast"
    )
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path / "m")


META = {"config": CONFIG.to_dict(), "item_key": "sku", "extra": {}}


@pytest.mark.parametrize(
    ("metadata", "tensors", "message"),
    [
        ({"format_version": "x"}, {}, r"is truncated or damaged \(format_version 'x'\)"),
        ({"meta": "{"}, {}, "is truncated or damaged"),
        ({"meta": "[]"}, {}, "is truncated or damaged"),
        ({"meta": json.dumps({**META, "extra": 3})}, {}, "is truncated or damaged"),
        ({}, {"item_ids": torch.arange(5)}, r"is truncated or damaged \(5 item ids for 6 items\)"),
        (
            {"meta": json.dumps({**META, "config": {"layers": [4], "cells": "lstm"}})},
            {},
            "holds hyper-parameters that this version does not accept .unknown parameter 'cells'.*"
            "load it with the version of gru4rec-fast that wrote it",
        ),
    ],
)
def test_damaged_headers_are_refused(
    tmp_path: Path, metadata: dict[str, str], tensors: dict[str, Any], message: str
) -> None:
    rewritten(tmp_path / "m", metadata, **tensors)
    with pytest.raises(CheckpointError, match=f"m: {message}"):
        checkpoint.load(tmp_path / "m")


def test_what_is_no_json_and_reserved_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"extra: Object of type int64.*expected JSON"):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS, {"epoch": np.int64(3)})
    with pytest.raises(CheckpointError, match="tensor name 'item_ids' is reserved"):
        checkpoint.save(tmp_path / "m", {"item_ids": torch.ones(1)}, Config(), ITEMS)
    assert listing(tmp_path) == []
