"""Checkpoints: what is saved comes back, a crash harms nothing, and bad files say what to do."""

from __future__ import annotations

import json
import os
import pickle
import re
import stat
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gru4rec_fast import checkpoint
from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

V = 6
CONFIG = Config(layers=(4,))
ITEMS = pd.Series(range(V), index=pd.Index([30, 10, -7, 2**63 - 1, 0, 5], name="sku"))
TEXT = ["b", "a/b ünï", "", "007", "7", "\N{SNOWMAN}\n\t\x00 end"]


def state_dict(mode: str = "shared", layers: tuple[int, ...] = (4,)) -> dict[str, torch.Tensor]:
    """Distinct values under the names of spec section 10."""
    shapes: dict[str, tuple[int, ...]] = {"Wy.weight": (V, layers[-1]), "By.weight": (V, 1)}
    width, cells = layers[-1], layers
    if mode == "separate":
        shapes["E.weight"] = (V, 3)
        width = 3
    if mode == "one-hot":
        width, cells = layers[0], layers[1:]
        shapes["GE.Wx0.weight"] = (V, 3 * width)
        shapes["GE.Wrz0"] = (width, 2 * width)
        shapes["GE.Wh0"] = (width, width)
        shapes["GE.Bh0"] = (3 * width,)
    for i, units in enumerate(cells):
        shapes[f"G.{i}.weight_ih"] = (3 * units, width)
        shapes[f"G.{i}.weight_hh"] = (3 * units, units)
        shapes[f"G.{i}.bias_ih"] = shapes[f"G.{i}.bias_hh"] = (3 * units,)
        width = units
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- What is saved comes back --------------------------------------------------------------------


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


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_text_ids_come_back(tmp_path: Path, dtype: str) -> None:
    items = pd.Series(range(V), index=pd.Index(TEXT, dtype=dtype, name="ItemId"))
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, items)
    loaded = checkpoint.load(tmp_path / "m")
    assert loaded.itemidmap is not None
    assert loaded.itemidmap.index.tolist() == TEXT
    assert loaded.itemidmap.index.name == "ItemId"
    assert loaded.itemidmap.tolist() == list(range(V))
    assert set(loaded.tensors) == set(state_dict())
    assert loaded.extra == {}


def test_a_map_in_any_order_keeps_its_numbering(tmp_path: Path) -> None:
    items = pd.Series([2, 0, 1, 5, 4, 3], index=[10, 11, 12, 13, 14, 15])
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, items)
    loaded = checkpoint.load(tmp_path / "m").itemidmap
    assert loaded is not None
    assert loaded.to_dict() == items.to_dict()
    assert loaded.index.name is None


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


def test_a_file_keeps_its_permissions_and_a_link_its_target(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    checkpoint.save(real, state_dict(), CONFIG, ITEMS)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~umask
    real.chmod(0o640)
    link.symlink_to(real)
    checkpoint.save(link, state_dict(), CONFIG, ITEMS, {"second": True})
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert checkpoint.load(real).extra == {"second": True}


def test_the_header_is_as_documented(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS, {"epoch": 1})
    with safe_open(tmp_path / "m", framework="np") as file:
        metadata = file.metadata()
        assert file.get_tensor("item_ids").tolist() == ITEMS.index.tolist()
    assert metadata["format"] == "gru4rec-fast"
    assert metadata["format_version"] == "1"
    meta = json.loads(metadata["meta"])
    assert meta == {"config": CONFIG.to_dict(), "item_key": "sku", "extra": {"epoch": 1}}


# -- Plain state_dicts -----------------------------------------------------------------------------

SAVERS: dict[str, Callable[[Any, Path], None]] = {
    "safetensors": save_file,
    "safetensors with metadata": lambda t, p: save_file(t, p, metadata={"format": "pt"}),
    "torch": torch.save,
    "torch before 1.6": lambda t, p: torch.save(t, p, _use_new_zipfile_serialization=False),
}


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
    inferred = checkpoint.infer_config(state_dict(mode, layers))
    assert inferred == {
        "layers": layers,
        "embedding": embedding,
        "constrained_embedding": constrained,
    }
    assert Config().replace(**inferred).layers == layers


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
    # An LSTM has four gates.
    assert "'G.0.weight_hh' has the shape (16, 4): expected (12, 4)" in message_for(
        {**state_dict(), "G.0.weight_hh": torch.ones(16, 4)}
    )
    assert "'G.0.weight_ih' has the shape (12, 9): expected (12, 4)" in message_for(
        {**state_dict(), "G.0.weight_ih": torch.ones(12, 9)}
    )
    assert "'Wy.weight' has the shape (6, 9): expected (6, 4)" in message_for(
        {**state_dict("one-hot", (4,)), "Wy.weight": torch.ones(V, 9)}
    )


# -- Files that cannot be loaded -------------------------------------------------------------------


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
        (state_dict(layers=(5,)), r"its tensors are of layers=\(5,\), its hyper-parameters \(4,\)"),
        (state_dict("separate"), "its tensors are of embedding=3, its hyper-parameters 0"),
        (state_dict("one-hot"), "its tensors are of constrained_embedding=False"),
        ({**state_dict(), "G.0.bias_hh": torch.ones(3)}, r"'G\.0\.bias_hh' has the shape \(3,\)"),
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


def rewritten(path: Path, metadata: dict[str, str], **tensors: torch.Tensor | None) -> None:
    """A good file of ours with some of its header and tensors replaced, or removed by None."""
    checkpoint.save(path, state_dict(), CONFIG, ITEMS)
    with safe_open(path, framework="pt") as file:
        header = {**file.metadata(), **metadata}
        content = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    content.update({name: t for name, t in tensors.items() if t is not None})
    kept = {name: t for name, t in content.items() if tensors.get(name, t) is not None}
    save_file(kept, path, metadata=header)


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
        ({}, {"item_ids": None}, "is truncated or damaged"),
        ({}, {"item_ids": torch.zeros(V, dtype=torch.int64)}, "is truncated or damaged .*once"),
        ({}, {"item_ids": torch.arange(5)}, r"is truncated or damaged \(5 item ids for 6 items\)"),
        (
            {},
            {
                "item_ids": None,
                "item_ids.bytes": torch.zeros(3, dtype=torch.uint8),
                "item_ids.offsets": torch.tensor([0, 1, 2, 3, 4, 5, 6]),
            },
            r"is truncated or damaged \(the offsets of the item ids do not fit their text\)",
        ),
        (
            {},
            {
                "item_ids": None,
                "item_ids.bytes": torch.tensor([0xED, 0xA0, 0x80], dtype=torch.uint8),
                "item_ids.offsets": torch.tensor([0, 3]),
            },
            r"is truncated or damaged \('utf-8' codec can't decode",
        ),
        (
            {"meta": json.dumps({**META, "config": {"layers": [4], "cells": "lstm"}})},
            {},
            "holds hyper-parameters that this version does not accept .unknown parameter 'cells'.*"
            "load it with the version of gru4rec-fast that wrote it",
        ),
    ],
)
def test_damaged_headers_and_ids_are_refused(
    tmp_path: Path, metadata: dict[str, str], tensors: dict[str, Any], message: str
) -> None:
    rewritten(tmp_path / "m", metadata, **tensors)
    with pytest.raises(CheckpointError, match=f"m: {message}"):
        checkpoint.load(tmp_path / "m")


# -- Files that cannot be saved --------------------------------------------------------------------


def test_an_unwritable_path_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "m", tmp_path / "file" / "m", tmp_path / "folder"):
        with pytest.raises(
            CheckpointError,
            match=f"{re.escape(str(path))}: cannot be written .*existing, writable folder",
        ):
            checkpoint.save(path, state_dict(), CONFIG, ITEMS)
    assert listing(tmp_path) == ["file", "folder"]
    for call in (
        checkpoint.require_writable,
        lambda path: checkpoint.save(path, state_dict(), CONFIG, ITEMS),
    ):
        with pytest.raises(CheckpointError) as raised:
            call(tmp_path / "absent" / "m")
        assert f"cannot be written (there is no folder {tmp_path / 'absent'}):" in str(raised.value)
    assert listing(tmp_path / "folder") == []


def test_a_failure_on_the_way_to_the_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS, {"old": True})

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(CheckpointError, match=r"m: cannot be written \(.*No space left on device"):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    assert listing(tmp_path) == ["m"]
    assert checkpoint.load(tmp_path / "m").extra == {"old": True}


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be flushed")
def test_the_file_is_flushed_before_it_is_renamed_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append(("folder" if folder else "file", (tmp_path / "m").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    assert flushed == [("file", False), ("folder", True)]


def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (pd.Series(range(2), index=[0.5, 1.5]), "its index holds floating: expected integers or"),
        (pd.Series(range(2), index=["a", 1]), "its index holds mixed-integer: expected integers"),
        (pd.Series(range(2), index=[1, 1]), "expected each item id once"),
        (pd.Series([0, 3], index=[1, 2]), "expected each item id once"),
        (
            pd.Series(range(2), index=pd.Index([1, 2**63], dtype="uint64")),
            "holds the ids 1 to 9223372036854775808: expected integers that fit int64",
        ),
        (
            pd.Series(range(2), index=pd.Index(["b", "a\ud800"], dtype=object)),
            r"holds the id 'a\\ud800', which is not valid Unicode .* rename the item",
        ),
    ],
)
def test_a_map_that_cannot_be_saved_is_refused(
    tmp_path: Path, items: pd.Series[int], message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"itemidmap.*{message}"):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, items)
    assert listing(tmp_path) == []


def test_what_is_no_json_and_reserved_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"extra: Object of type int64.*expected JSON"):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS, {"epoch": np.int64(3)})
    with pytest.raises(CheckpointError, match="tensor name 'item_ids' is reserved"):
        checkpoint.save(tmp_path / "m", {"item_ids": torch.ones(1)}, Config(), ITEMS)
    assert listing(tmp_path) == []


# Real processes, for what cannot be simulated. Each prints what it found.

MODEL = """
names = "Wy.weight", "By.weight", "G.0.weight_ih"
model = {name: torch.zeros(3, 1) for name in names}
model |= {"G.0.weight_hh": torch.zeros(3, 1), "G.0.bias_ih": torch.zeros(3)}
model |= {"G.0.bias_hh": torch.zeros(3)}
"""

CRASH = """
import os, pathlib, random, signal, sys, time
import pandas as pd, torch
from gru4rec_fast import checkpoint
from gru4rec_fast.config import Config

torch.set_num_threads(1)
path = pathlib.Path(sys.argv[1])
items = pd.Series(range(3), index=["a", "b", "c"])
megabytes_8 = 2**21
MODEL

def save(generation):
    tensors = {**model, "x": torch.full((megabytes_8,), float(generation))}
    config = Config(layers=(1,), seed=generation)
    checkpoint.save(path, tensors, config, items, {"generation": generation})

started = time.monotonic()
save(0)
duration = time.monotonic() - started
rng = random.Random(7)
for crash in range(20):
    before = checkpoint.load(path).extra["generation"]
    child = os.fork()
    if child == 0:
        generation = before
        while True:
            generation += 1
            save(generation)
    time.sleep(rng.uniform(0, 3 * duration))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    loaded = checkpoint.load(path)
    generation = loaded.extra["generation"]
    assert generation >= before
    assert loaded.config.seed == generation
    assert bool((loaded.tensors["x"] == generation).all()), generation
    assert loaded.itemidmap.index.tolist() == ["a", "b", "c"]
print("interrupted", len(list(path.parent.iterdir())) - 1, "saved", generation)
"""

FULL_DISK = """
import pathlib, resource, signal, sys
import pandas as pd, torch
from gru4rec_fast import checkpoint
from gru4rec_fast.config import Config

path = pathlib.Path(sys.argv[1])
items = pd.Series(range(3), index=["a", "b", "c"])
MODEL
config = Config(layers=(1,))
checkpoint.save(path, model, config, items, {"old": True})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(path, {**model, "x": torch.zeros(100_000)}, config, items)
except checkpoint.CheckpointError as error:
    assert "cannot be written" in str(error), error
    print([entry.name for entry in path.parent.iterdir()], checkpoint.load(path).extra)
"""


def run(program: str, path: Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program.replace("MODEL", MODEL), str(path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_processes_killed_while_saving_leave_a_whole_file(tmp_path: Path) -> None:
    output = run(CRASH, tmp_path / "m")
    found = re.fullmatch(r"interrupted (\d+) saved (\d+)\n", output)
    assert found is not None, output
    # The test means nothing unless some were killed within a save, and some saves succeeded.
    assert int(found[1]) > 0
    assert int(found[2]) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    assert run(FULL_DISK, tmp_path / "m") == "['m'] {'old': True}\n"
